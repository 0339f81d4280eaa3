"""Reading models that transformers saved: CLIP and SigLIP, whole or the image tower alone."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.pickles import read_pickled_tensors
from sat2cap.model.json_files import read_json
from sat2cap.model.networks import siglip
from sat2cap.model.networks.towers import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    TextTower,
    build_text_tower,
    build_vision_tower,
    has_tokenizer,
    load_tokenizer,
    read_tensors,
)
from sat2cap.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess

INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
PICKLE_INDEX_FILE = "pytorch_model.bin.index.json"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")

MODEL_CLASSES = {
    "clip": "CLIPModel",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipModel",
    siglip.IMAGE: "SiglipVisionModel",
}
"""Classes of transformers that can be read, by the `model_type` of their configs."""
_BOTH_TOWERS = ("CLIPModel", "SiglipModel")
_FLEXIBLE_RESOLUTION = ("Siglip2Model", "Siglip2VisionModel")

ASSUMED_PREPROCESS = "assumed"
"""Key in a card for whose preprocessing, ``CLIP`` or ``SigLIP``, is used because the folder has none."""

_FILTER_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_DEFAULT_SCALE = 1 / 0.07


def read_transformers(folder: Path, spec: str) -> Checkpoint:
    """Return the model in a folder, without Dynamic Encoder.

    The image tower of a whole model embeds both overhead images and ground photos, as in the paper's
    baseline. Raises `ModelError` if the model is of another class or incomplete.
    """
    config = read_json(folder / CONFIG_FILE)
    kind = _find_model_class(config, folder)
    weights = _read_weights(folder)
    vision = _build_image_tower(config, kind, weights, folder)
    whole = kind in _BOTH_TOWERS
    preprocess = _choose_preprocess(folder, kind, int(vision.config.image_size))
    card = {"name": Path(spec).name, "source": spec, "licence": "unknown", "kind": kind}
    if kind != "CLIPModel" and not has_processor_file(folder):
        card[ASSUMED_PREPROCESS] = "SigLIP" if kind.startswith("Siglip") else "CLIP"
    scale = math.exp(float(weights["logit_scale"])) if "logit_scale" in weights else _DEFAULT_SCALE
    return Checkpoint(
        overhead=vision,
        ground=vision if whole else None,
        text=_build_text_tower(config, kind, weights, folder, scale) if whole else None,
        dynamic=None,
        logit_scale=scale,
        encoding="reference",
        overhead_preprocess=preprocess,
        ground_preprocess=preprocess,
        card=card,
    )


def _choose_preprocess(folder: Path, kind: str, size: int) -> Preprocess:
    """Return the folder's preprocessing, or the default of the model's class if it has none."""
    if kind.startswith("Siglip") and not has_processor_file(folder):
        return Preprocess(size, siglip.MEAN, siglip.STD, squash=True)
    return read_preprocess(folder, size)


def has_processor_file(folder: Path) -> bool:
    """Return whether a folder holds the settings of an image processor."""
    return any((folder / name).is_file() for name in PROCESSOR_FILES)


def is_transformers_folder(folder: Path) -> bool:
    """Return whether a folder's config.json is one of transformers; timm has a file of the same name."""
    path = folder / CONFIG_FILE
    return path.is_file() and not {"model_type", "architectures"}.isdisjoint(read_json(path))


def _find_model_class(config: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the transformers class that saved a folder."""
    names = config.get("architectures") or []
    for name in names:
        if name in MODEL_CLASSES.values():
            return str(name)
    if any(name in _FLEXIBLE_RESOLUTION for name in names):
        raise ModelError(
            f"{folder} is a SigLIP 2 of flexible resolution: give one of a fixed resolution, such as "
            "google/siglip2-base-patch16-224"
        )
    if config.get("model_type") in MODEL_CLASSES:
        return MODEL_CLASSES[config["model_type"]]
    stated = ", ".join(names or [str(config.get("model_type", "no model_type"))])
    readable = " or ".join(MODEL_CLASSES.values())
    raise ModelError(f"{folder} holds {stated}: give a folder of {readable}, or one that sat2cap saved")


def _build_image_tower(
    config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path
) -> Any:
    """Return the image tower, with the projection that maps its output into CLIP's space."""
    values = dict(config.get("vision_config") or config)
    if kind.startswith("CLIP"):
        if "visual_projection.weight" not in weights:
            raise ModelError(
                f"{folder} has no visual_projection, so its numbers would not be in the space of texts: "
                "give the model saved as CLIPVisionModelWithProjection or CLIPModel"
            )
        # A tower saved alone has the projection's size in its own config, a whole model in the outer one.
        if kind == "CLIPModel":
            values["projection_dim"] = config.get("projection_dim", 512)
        return build_vision_tower({**values, "model_type": "clip_vision_model"}, weights, str(folder))
    return build_vision_tower({**values, "model_type": siglip.IMAGE}, weights, str(folder))


def _build_text_tower(
    config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path, scale: float
) -> TextTower | None:
    """Return the text tower of a whole model; None if the folder has no tokenizer."""
    if not has_tokenizer(folder):
        return None
    values = dict(config.get("text_config") or {})
    if kind == "CLIPModel":
        values |= {"model_type": "clip_text_model", "projection_dim": config.get("projection_dim", 512)}
    else:
        values["model_type"] = siglip.TEXT
    return build_text_tower(values, weights, load_tokenizer(folder), scale, str(folder))


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """Return all weights of a folder, in one file or several, as safetensors or pickles."""
    if (folder / WEIGHTS_FILE).is_file():
        return read_tensors(folder / WEIGHTS_FILE)
    if (folder / PICKLE_FILE).is_file():
        return read_pickled_tensors(folder / PICKLE_FILE)
    for index, read in ((INDEX_FILE, read_tensors), (PICKLE_INDEX_FILE, read_pickled_tensors)):
        if (folder / index).is_file():
            names = sorted(set(read_json(folder / index).get("weight_map", {}).values()))
            files = [read(folder / os.path.basename(name)) for name in names]
            return {key: tensor for tensors in files for key, tensor in tensors.items()}
    raise ModelError(
        f"{folder} has no weights ({WEIGHTS_FILE}, {INDEX_FILE} or {PICKLE_FILE}): download it whole"
    )


def read_preprocess(folder: Path, image_size: int) -> Preprocess:
    """Return the preprocessing that a folder's image processor describes; CLIP's own if there is none.

    Raises `ModelError` if it asks for a step that `Preprocess` does not have.
    """
    path = next((folder / name for name in PROCESSOR_FILES if (folder / name).is_file()), None)
    values = {} if path is None else read_json(path)
    values = values.get("image_processor", values)  # newer versions of transformers nest the settings
    size, crop = values.get("size", image_size), values.get("crop_size", image_size)
    squash = isinstance(size, dict) and "height" in size and not values.get("do_center_crop")
    if squash:
        edge, side = size["height"], size["width"]
    else:
        edge = size.get("shortest_edge", size.get("height")) if isinstance(size, dict) else size
        side = crop.get("height") if isinstance(crop, dict) else crop
    resample = _FILTER_NAMES.get(values.get("resample", 3))
    supported = all(values.get(f"do_{step}", True) for step in ("resize", "rescale", "normalize"))
    supported = supported and (squash or values.get("do_center_crop", True))
    if edge is None or side is None or resample is None or not supported or side != image_size:
        raise ModelError(
            f"{path} asks for preprocessing that this package does not support: "
            "give CLIP's or SigLIP's settings"
        )
    return Preprocess(
        size=int(side),
        mean=tuple(values.get("image_mean", CLIP_MEAN)),
        std=tuple(values.get("image_std", CLIP_STD)),
        resample=resample,  # type: ignore[arg-type]  # one of the four by the table above
        shortest_edge=None if edge == side else int(edge),
        squash=squash,
    )
