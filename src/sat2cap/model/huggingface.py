"""Models as Hugging Face keeps them: `CLIPModel` or `CLIPVisionModelWithProjection`, folders or hub names."""

import math
import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from sat2cap.model.towers import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    TextTower,
    has_tokenizer,
    load_tokenizer,
    read_json,
    read_tensors,
    text_model,
    vision_tower,
)

INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
KINDS = ("CLIPModel", "CLIPVisionModelWithProjection")

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["*.json", "*.txt", "model*.safetensors"]
_FILTER_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_DEFAULT_SCALE = 1 / 0.07


@dataclass(frozen=True)
class HuggingFaceModel:
    """What a folder holds."""

    vision: Any
    """`CLIPVisionModelWithProjection`."""
    text: TextTower | None
    """None in a vision-only folder."""
    scale: float
    """The multiplier of cosines it was trained with (1 / temperature)."""
    preprocess: Preprocess
    kind: str
    """Its transformers class, one of `KINDS`."""


def looks_like_hub_name(spec: str) -> bool:
    """Whether `spec` is written like ``owner/name``."""
    return _HUB_NAME.fullmatch(spec) is not None


def fetch(name: str) -> Path:
    """The local folder of a model on the Hugging Face hub, downloaded unless it is there already."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES))
        if not any((folder / file).is_file() for file in (WEIGHTS_FILE, INDEX_FILE)):
            folder = Path(snapshot_download(name, allow_patterns=[*_HUB_FILES, PICKLE_FILE]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"model {name!r} is no folder here and cannot be had from the Hugging Face hub ({reason}): "
            "check the spelling, or download it and give the folder"
        ) from error
    return folder


def read_folder(folder: Path) -> HuggingFaceModel:
    """Open a folder; ModelError when it is of another kind or incomplete."""
    config = read_json(folder / CONFIG_FILE)
    kind = _kind(config, folder)
    weights = _weights(folder)
    if kind == "CLIPVisionModelWithProjection":
        vision_config = config.get("vision_config", config)
        return HuggingFaceModel(
            vision_tower(vision_config, weights, str(folder)),
            None,
            _DEFAULT_SCALE,
            read_preprocess(folder, int(vision_config.get("image_size", 224))),
            kind,
        )
    # A tower alone takes the size of its projection from its own config; the whole model, from the outer one.
    dim = {"projection_dim": config.get("projection_dim", 512)}
    vision = vision_tower({**config["vision_config"], **dim}, weights, str(folder))
    text = None
    if has_tokenizer(folder):
        text = TextTower(
            text_model({**config["text_config"], **dim}, weights, str(folder)), load_tokenizer(folder)
        )
    scale = math.exp(float(weights["logit_scale"])) if "logit_scale" in weights else _DEFAULT_SCALE
    preprocess = read_preprocess(folder, int(vision.config.image_size))
    return HuggingFaceModel(vision, text, scale, preprocess, kind)


def _kind(config: Mapping[str, Any], folder: Path) -> str:
    """Which of `KINDS` a folder is."""
    for name in config.get("architectures") or []:
        if name in KINDS:
            return str(name)
    if config.get("model_type") == "clip" and "vision_config" in config and "text_config" in config:
        return "CLIPModel"
    found = ", ".join(config.get("architectures") or [str(config.get("model_type", "no model_type"))])
    raise ModelError(
        f"{folder} holds {found}: give a folder of {' or '.join(KINDS)}, or one that sat2cap saved"
    )


def _weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder, whichever of the three forms it has."""
    if (folder / WEIGHTS_FILE).is_file():
        return read_tensors(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).is_file():
        names = sorted(set(read_json(folder / INDEX_FILE).get("weight_map", {}).values()))
        return {
            key: tensor
            for name in names
            for key, tensor in read_tensors(folder / os.path.basename(name)).items()
        }
    if (folder / PICKLE_FILE).is_file():
        return _read_pickle(folder / PICKLE_FILE)
    raise ModelError(
        f"{folder} has no weights ({WEIGHTS_FILE}, {INDEX_FILE} or {PICKLE_FILE}): download it whole"
    )


def _read_pickle(path: Path) -> dict[str, Tensor]:
    """A pickle read as data: one that would run code is refused."""
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} is broken or would run code ({reason}): convert it to safetensors"
        ) from error
    return {name: tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}


def read_preprocess(folder: Path, image_size: int) -> Preprocess:
    """The image processor's settings, CLIP's own when there are none; ModelError when we cannot follow."""
    path = next((folder / name for name in PROCESSOR_FILES if (folder / name).is_file()), None)
    values = {} if path is None else read_json(path)
    values = values.get("image_processor", values)  # how newer versions nest it
    size, crop = values.get("size", image_size), values.get("crop_size", image_size)
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    side = crop.get("height") if isinstance(crop, dict) else crop
    resample = _FILTER_NAMES.get(values.get("resample", 3))
    plain = all(values.get(f"do_{step}", True) for step in ("resize", "center_crop", "rescale", "normalize"))
    if edge is None or side is None or resample is None or not plain or side != image_size:
        raise ModelError(
            f"{path} asks for preprocessing that this package does not do: give CLIP's own settings"
        )
    return Preprocess(
        size=int(side),
        mean=tuple(values.get("image_mean", CLIP_MEAN)),
        std=tuple(values.get("image_std", CLIP_STD)),
        resample=resample,  # type: ignore[arg-type]  # one of the four by the table above
        shortest_edge=None if edge == side else int(edge),
    )
