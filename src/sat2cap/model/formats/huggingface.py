"""Reading models that transformers saved: CLIP and SigLIP, whole or the image tower alone."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.damage import checked
from sat2cap.model.formats.pickles import read_pickled_tensors
from sat2cap.model.formats.transformers_config import (
    BOTH_TOWERS,
    CONFIG_FILE,
    DEFAULT_SCALE,
    INDEX_FILE,
    PICKLE_FILE,
    WEIGHTS_FILE,
    check_projection,
    choose_preprocess,
    find_model_class,
    image_tower_config,
    model_card,
    read_scale,
    refuse_other_weights,
    text_tower_config,
)
from sat2cap.model.json_files import read_json
from sat2cap.model.networks.towers import (
    TextTower,
    build_text_tower,
    build_vision_tower,
    load_tokenizer,
    read_tensors,
)
from sat2cap.model.tokenization import has_tokenizer

PICKLE_INDEX_FILE = "pytorch_model.bin.index.json"


def read_transformers(folder: Path, spec: str) -> Checkpoint:
    """Return the model in a folder, without Dynamic Encoder.

    The image tower of a whole model embeds both overhead images and ground photos, as in the paper's
    baseline. Raises `ModelError` if the model is of another class or incomplete.
    """
    config = read_json(folder / CONFIG_FILE)
    kind = find_model_class(config, folder)
    refuse_other_weights(folder, config)
    weights = _read_weights(folder)
    vision = _build_image_tower(config, kind, weights, folder)
    whole = kind in BOTH_TOWERS
    preprocess = choose_preprocess(folder, kind, int(vision.config.image_size))
    scale = read_scale(weights["logit_scale"], folder) if "logit_scale" in weights else DEFAULT_SCALE
    return Checkpoint(
        overhead=vision,
        ground=vision if whole else None,
        text=_build_text_tower(config, kind, weights, folder, scale) if whole else None,
        dynamic=None,
        logit_scale=scale,
        encoding="reference",
        overhead_preprocess=preprocess,
        ground_preprocess=preprocess,
        card=model_card(folder, kind, spec),
    )


def _build_image_tower(
    config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path
) -> Any:
    """Return the image tower, with the projection that maps its output into CLIP's space."""
    if kind.startswith("CLIP"):
        check_projection(weights, folder)
    return build_vision_tower(image_tower_config(config, kind), weights, str(folder))


def _build_text_tower(
    config: Mapping[str, Any], kind: str, weights: Mapping[str, Tensor], folder: Path, scale: float
) -> TextTower | None:
    """Return the text tower of a whole model; None if the folder has no tokenizer."""
    if not has_tokenizer(folder):
        return None
    values = checked(text_tower_config(config, kind))  # here, as the tokenizer's library reads it too
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
