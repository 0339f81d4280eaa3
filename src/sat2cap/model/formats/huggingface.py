"""Models as transformers saves them: CLIP and SigLIP, whole or the image tower alone."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.pickles import pickled_tensors
from sat2cap.model.networks import siglip
from sat2cap.model.networks.towers import (
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
from sat2cap.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess

INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
PICKLE_INDEX_FILE = "pytorch_model.bin.index.json"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")

KINDS = {
    "clip": "CLIPModel",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipModel",
    siglip.IMAGE: "SiglipVisionModel",
}
"""What is read, by the `model_type` of its config."""
_WHOLE = ("CLIPModel", "SiglipModel")
_NAFLEX = ("Siglip2Model", "Siglip2VisionModel")

ASSUMED_PREPROCESS = "assumed"
"""Where a card says whose preprocessing was taken, ``CLIP`` or ``SigLIP``, when the folder does not say."""

_FILTER_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_DEFAULT_SCALE = 1 / 0.07


def read_transformers(folder: Path, spec: str) -> Checkpoint:
    """A model without a Dynamic Encoder; `ModelError` when it is of another kind or incomplete.

    The image tower of a whole model serves both overhead and ground, as in the paper's baseline.
    """
    config = read_json(folder / CONFIG_FILE)
    kind = _kind(config, folder)
    weights = _weights(folder)
    vision = _image_tower(config, kind, weights, folder)
    whole = kind in _WHOLE
    seen = _seen(folder, kind, int(vision.config.image_size))
    card = {"name": Path(spec).name, "source": spec, "licence": "unknown", "kind": kind}
    if kind != "CLIPModel" and not says_preprocess(folder):
        card[ASSUMED_PREPROCESS] = "SigLIP" if kind.startswith("Siglip") else "CLIP"
    scale = math.exp(float(weights["logit_scale"])) if "logit_scale" in weights else _DEFAULT_SCALE
    return Checkpoint(
        overhead=vision,
        ground=vision if whole else None,
        text=_text_tower(config, kind, weights, folder, scale) if whole else None,
        dynamic=None,
        logit_scale=scale,
        encoding="reference",
        overhead_preprocess=seen,
        ground_preprocess=seen,
        card=card,
    )


def _seen(folder: Path, kind: str, size: int) -> Preprocess:
    if kind.startswith("Siglip") and not says_preprocess(folder):
        return Preprocess(size, siglip.MEAN, siglip.STD, squash=True)
    return read_preprocess(folder, size)


def says_preprocess(folder: Path) -> bool:
    """Whether a folder holds an image processor's settings."""
    return any((folder / name).is_file() for name in PROCESSOR_FILES)


def reads(folder: Path) -> bool:
    """Whether the folder's config is one of transformers' (timm has a config.json of its own)."""
    path = folder / CONFIG_FILE
    return path.is_file() and not {"model_type", "architectures"}.isdisjoint(read_json(path))


def _kind(config: Mapping[str, Any], folder: Path) -> str:
    """The transformers class that a folder is of."""
    names = config.get("architectures") or []
    for name in names:
        if name in KINDS.values():
            return str(name)
    if any(name in _NAFLEX for name in names):
        raise ModelError(
            f"{folder} is a SigLIP 2 of flexible resolution: give one of a fixed resolution, such as "
            "google/siglip2-base-patch16-224"
        )
    if config.get("model_type") in KINDS:
        return KINDS[config["model_type"]]
    found = ", ".join(names or [str(config.get("model_type", "no model_type"))])
    known = " or ".join(KINDS.values())
    raise ModelError(f"{folder} holds {found}: give a folder of {known}, or one that sat2cap saved")


def _image_tower(config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path) -> Any:
    """The image tower, with the projection that makes its numbers those of CLIP's space."""
    values = dict(config.get("vision_config") or config)
    if kind.startswith("CLIP"):
        if "visual_projection.weight" not in weights:
            raise ModelError(
                f"{folder} has no visual_projection, so its numbers would not be in the space of texts: "
                "give the model saved as CLIPVisionModelWithProjection or CLIPModel"
            )
        # A tower alone takes the size of its projection from its own config; a whole model, from the outer.
        if kind == "CLIPModel":
            values["projection_dim"] = config.get("projection_dim", 512)
        return vision_tower({**values, "model_type": "clip_vision_model"}, weights, str(folder))
    return vision_tower({**values, "model_type": siglip.IMAGE}, weights, str(folder))


def _text_tower(
    config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path, scale: float
) -> TextTower | None:
    """None where there is no tokenizer to read texts with."""
    if not has_tokenizer(folder):
        return None
    values = dict(config.get("text_config") or {})
    if kind == "CLIPModel":
        values |= {"model_type": "clip_text_model", "projection_dim": config.get("projection_dim", 512)}
    else:
        values["model_type"] = siglip.TEXT
    return TextTower(text_model(values, weights, str(folder)), load_tokenizer(folder), scale)


def _weights(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder, in one file or several, whichever form it has."""
    if (folder / WEIGHTS_FILE).is_file():
        return read_tensors(folder / WEIGHTS_FILE)
    if (folder / PICKLE_FILE).is_file():
        return pickled_tensors(folder / PICKLE_FILE)
    for index, read in ((INDEX_FILE, read_tensors), (PICKLE_INDEX_FILE, pickled_tensors)):
        if (folder / index).is_file():
            names = sorted(set(read_json(folder / index).get("weight_map", {}).values()))
            parts = [read(folder / os.path.basename(name)) for name in names]
            return {key: tensor for part in parts for key, tensor in part.items()}
    raise ModelError(
        f"{folder} has no weights ({WEIGHTS_FILE}, {INDEX_FILE} or {PICKLE_FILE}): download it whole"
    )


def read_preprocess(folder: Path, image_size: int) -> Preprocess:
    """The image processor's settings, CLIP's own when there are none; ModelError when we cannot follow."""
    path = next((folder / name for name in PROCESSOR_FILES if (folder / name).is_file()), None)
    values = {} if path is None else read_json(path)
    values = values.get("image_processor", values)  # how newer versions nest it
    size, crop = values.get("size", image_size), values.get("crop_size", image_size)
    squash = isinstance(size, dict) and "height" in size and not values.get("do_center_crop")
    if squash:
        edge, side = size["height"], size["width"]
    else:
        edge = size.get("shortest_edge", size.get("height")) if isinstance(size, dict) else size
        side = crop.get("height") if isinstance(crop, dict) else crop
    resample = _FILTER_NAMES.get(values.get("resample", 3))
    plain = all(values.get(f"do_{step}", True) for step in ("resize", "rescale", "normalize"))
    plain = plain and (squash or values.get("do_center_crop", True))
    if edge is None or side is None or resample is None or not plain or side != image_size:
        raise ModelError(
            f"{path} asks for preprocessing that this package does not do: give CLIP's or SigLIP's settings"
        )
    return Preprocess(
        size=int(side),
        mean=tuple(values.get("image_mean", CLIP_MEAN)),
        std=tuple(values.get("image_std", CLIP_STD)),
        resample=resample,  # type: ignore[arg-type]  # one of the four by the table above
        shortest_edge=None if edge == side else int(edge),
        squash=squash,
    )
