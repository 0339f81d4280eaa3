"""What a folder that transformers saved says of its model: class, towers and preprocessing, without torch."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sat2cap.errors import ModelError
from sat2cap.model.json_files import read_json
from sat2cap.model.networks import architectures
from sat2cap.model.preprocess import CLIP_MEAN, CLIP_STD, Preprocess

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLE_FILE = "pytorch_model.bin"
ADAPTER_FILE = "adapter_config.json"
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")

MODEL_CLASSES = {
    "clip": "CLIPModel",
    "clip_vision_model": "CLIPVisionModelWithProjection",
    "siglip": "SiglipModel",
    architectures.SIGLIP_IMAGE: "SiglipVisionModel",
}
"""Classes of transformers that can be read, by the `model_type` of their configs."""
BOTH_TOWERS = ("CLIPModel", "SiglipModel")
"""Those of them that have a text tower."""
_LARGEST_LOGARITHM = 100.0  # of a logit scale; training clamps it at 4.6
_FLEXIBLE_RESOLUTION = ("Siglip2Model", "Siglip2VisionModel")

ASSUMED_PREPROCESS = "assumed"
"""Key in a card for whose preprocessing, ``CLIP`` or ``SigLIP``, is used because the folder has none."""

DEFAULT_SCALE = 1 / 0.07
"""Logit scale of a model whose files do not have one."""


def read_scale(logarithm: Any, folder: Path) -> float:
    """Return the logit scale of which a model's files have the logarithm, one number in any shape.

    Raises `ModelError` if it is no finite number above 0.
    """
    values = [float(value) for value in logarithm.reshape(-1)]
    scale = math.exp(values[0]) if len(values) == 1 and values[0] < _LARGEST_LOGARITHM else math.nan
    if not (math.isfinite(scale) and scale > 0):
        raise ModelError(f"{folder} has a logit_scale that is no number: save or download it again")
    return scale


_KNOWN_STEPS = {f"do_{step}" for step in ("resize", "center_crop", "rescale", "normalize", "convert_rgb")}
_FILTER_NAMES = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


def is_transformers_folder(folder: Path) -> bool:
    """Return whether a folder's config.json is one of transformers; timm has a file of the same name."""
    path = folder / CONFIG_FILE
    return path.is_file() and not {"model_type", "architectures"}.isdisjoint(read_json(path))


def find_model_class(config: Mapping[str, Any], folder: Path) -> str:
    """Return the name of the transformers class that saved a folder.

    Raises `ModelError` if it is none of those that can be read.
    """
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


def image_tower_config(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the config of the image tower of a model of class `kind`."""
    values = dict(config.get("vision_config") or config)
    if kind.startswith("Siglip"):
        return {**values, "model_type": architectures.SIGLIP_IMAGE}
    # A tower saved alone has the projection's size in its own config, a whole model in the outer one.
    if kind == "CLIPModel":
        values["projection_dim"] = config.get("projection_dim", 512)
    return {**values, "model_type": architectures.CLIP_IMAGE}


def text_tower_config(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the config of the text tower of a whole model of class `kind`."""
    values = dict(config.get("text_config") or {})
    if kind == "CLIPModel":
        values["projection_dim"] = config.get("projection_dim", 512)
        return {**values, "model_type": architectures.CLIP_TEXT}
    return {**values, "model_type": architectures.SIGLIP_TEXT}


def check_projection(weights: Mapping[str, object], folder: Path) -> None:
    """Raise `ModelError` if the weights of a CLIP lack the projection into the space of texts."""
    if "visual_projection.weight" not in weights:
        raise ModelError(
            f"{folder} has no visual_projection, so its numbers would not be in the space of texts: "
            "give the model saved as CLIPVisionModelWithProjection or CLIPModel"
        )


def model_card(folder: Path, kind: str, spec: str) -> dict[str, Any]:
    """Return the card of a model of class `kind` that was named `spec`."""
    card = {"name": Path(spec).name, "source": spec, "licence": "unknown", "kind": kind}
    if kind != "CLIPModel" and not has_processor_file(folder):
        card[ASSUMED_PREPROCESS] = "SigLIP" if kind.startswith("Siglip") else "CLIP"
    return card


def safetensors_files(folder: Path) -> list[Path]:
    """Return the safetensors files with the weights of a folder, one or several; none if it has others."""
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if (folder / INDEX_FILE).is_file() and not (folder / PICKLE_FILE).is_file():
        names = sorted(set(read_json(folder / INDEX_FILE).get("weight_map", {}).values()))
        return [folder / os.path.basename(name) for name in names]
    return []


def choose_preprocess(folder: Path, kind: str, size: int) -> Preprocess:
    """Return the folder's preprocessing, or the default of the model's class if it has none."""
    if kind.startswith("Siglip") and not has_processor_file(folder):
        return Preprocess(size, architectures.SIGLIP_MEAN, architectures.SIGLIP_STD, squash=True)
    return read_preprocess(folder, size)


def refuse_other_weights(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise `ModelError` if a folder's weights are not the model's: quantised, or changed by an adapter."""
    if config.get("quantization_config"):
        raise ModelError(f"{folder} is quantised: give the model as float32, float16 or bfloat16")
    if (folder / ADAPTER_FILE).is_file():
        raise ModelError(
            f"{folder} has an adapter ({ADAPTER_FILE}), which is not applied: merge it into the model "
            "(merge_and_unload of peft), save that, and give its folder"
        )


def _has_known_steps(values: Mapping[str, Any]) -> bool:
    """Return whether an image processor takes the steps that `Preprocess` does, and no other."""
    needed = all(values.get(f"do_{step}", True) for step in ("resize", "rescale", "normalize"))
    more = [name for name, value in values.items() if value and name.startswith("do_")]
    more += [name for name in ("crop_pct", "offset", "pad_size") if values.get(name)]
    factor = values.get("rescale_factor", 1 / 255)
    rescales = isinstance(factor, int | float) and math.isclose(factor, 1 / 255, rel_tol=1e-3)
    return needed and rescales and set(more) <= _KNOWN_STEPS


def has_processor_file(folder: Path) -> bool:
    """Return whether a folder holds the settings of an image processor."""
    return any((folder / name).is_file() for name in PROCESSOR_FILES)


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
    supported = _has_known_steps(values) and (squash or values.get("do_center_crop", True))
    if isinstance(crop, dict) and crop.get("width", side) != side and not squash:
        supported = False
    if not isinstance(edge, int) or not isinstance(side, int):
        supported = False
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
