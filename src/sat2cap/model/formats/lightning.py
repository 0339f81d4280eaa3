"""Reading the authors' training checkpoints (PyTorch Lightning's ``.ckpt``) as data; keys: docs/models.md."""

import math
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sat2cap.errors import ModelError
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.pickles import read_pickle
from sat2cap.model.formats.published import SAT2CAP_GROUND, SAT2CAP_OVERHEAD
from sat2cap.model.networks import towers
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder, read_dynamic_encoder

SUFFIX = ".ckpt"

_PROJECTION = "visual_projection.weight"
_HEAD_WIDTH = 64
"""Width of an attention head in every CLIP; the shapes of the weights do not say it."""
_MAX_LOG_SCALE = 4.6052


def read_lightning(path: Path) -> Checkpoint:
    """Return the overhead tower, ground tower, Dynamic Encoder and temperature of the authors' training.

    The ground tower is left out if the file lacks its projection. There is no text tower: add that of the
    CLIP model that training started from. Raises `ModelError` if the file is no such checkpoint, or a pickle
    that would run code.
    """
    weights = _read_state_dict(path)
    overhead = _build_tower(weights, "imo_encoder.", path)
    if overhead is None:
        raise ModelError(
            f"{path} has no imo_encoder with its {_PROJECTION}: give a checkpoint of Sat2Cap's training"
        )
    scale = weights.get("temp_layer.logit_scale", torch.tensor(math.log(1 / 0.07)))
    size = int(overhead.config.image_size)
    return Checkpoint(
        overhead=overhead,
        ground=_build_tower(weights, "img_encoder.", path),
        text=None,
        dynamic=_read_dynamic(weights, path),
        logit_scale=math.exp(min(max(float(scale), 0.0), _MAX_LOG_SCALE)),
        encoding="reference",
        overhead_preprocess=SAT2CAP_OVERHEAD.with_size(size),
        ground_preprocess=SAT2CAP_GROUND.with_size(size),
        card={"name": path.stem, "source": str(path), "licence": "unknown", "kind": "Lightning"},
    )


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """Return all tensors under ``state_dict``, by name."""
    value = read_pickle(path, allowed=[Namespace])  # Lightning stores a script's arguments beside
    state = value.get("state_dict") if isinstance(value, dict) else None
    if not isinstance(state, Mapping):
        raise ModelError(f"{path} has no state_dict: give a checkpoint that PyTorch Lightning saved")
    return {str(name): tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _select_prefix(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the weights whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}


def _build_tower(weights: Mapping[str, Tensor], prefix: str, path: Path) -> Any | None:
    """Return the image tower whose weights begin with `prefix`, at any depth; None without a projection."""
    own = _select_prefix(weights, prefix)
    ends = [name.removesuffix(_PROJECTION) for name in own if name.endswith(_PROJECTION)]
    if not ends:
        return None
    own = _select_prefix(own, ends[0])
    try:
        config = _infer_config(own)
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} has a broken {prefix[:-1]} ({error}): save or download it again") from error
    return towers.build_vision_tower(config, own, str(path))


def _infer_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the architecture from the shapes of the weights; the activation is CLIP's quick GELU."""
    width, _, patch, _ = weights["vision_model.embeddings.patch_embedding.weight"].shape
    positions = len(weights["vision_model.embeddings.position_embedding.weight"])
    layers = [name.split(".")[3] for name in weights if name.startswith("vision_model.encoder.layers.")]
    return {
        "hidden_size": width,
        "intermediate_size": len(weights["vision_model.encoder.layers.0.mlp.fc1.weight"]),
        "num_hidden_layers": max(map(int, layers)) + 1,
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "image_size": math.isqrt(positions - 1) * patch,
        "patch_size": patch,
        "projection_dim": len(weights[_PROJECTION]),
        "hidden_act": "quick_gelu",
    }


def _read_dynamic(weights: Mapping[str, Tensor], path: Path) -> DynamicEncoder | None:
    """Return the Dynamic Encoder; None if training used no metadata."""
    own = _select_prefix(weights, "geo_encoder.")
    return read_dynamic_encoder(own, f"geo_encoder of {path}") if own else None
