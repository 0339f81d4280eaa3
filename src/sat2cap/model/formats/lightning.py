"""The authors' training checkpoints: PyTorch Lightning's ``.ckpt``, read as data (keys in docs/models.md)."""

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
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder, read_dynamic

SUFFIX = ".ckpt"

_PROJECTION = "visual_projection.weight"
_HEAD_WIDTH = 64
"""Of every CLIP's attention; the weights themselves do not say it."""
_MAX_LOG_SCALE = 4.6052


def read_lightning(path: Path) -> Checkpoint:
    """Overhead tower, ground tower if it is whole, Dynamic Encoder and temperature of the authors' training.

    There is no text tower: join it with the CLIP model that the towers began as. `ModelError` for a file that
    is no such checkpoint, or a pickle that would run code.
    """
    weights = _state_dict(path)
    overhead = _tower(weights, "imo_encoder.", path)
    if overhead is None:
        raise ModelError(
            f"{path} has no imo_encoder with its {_PROJECTION}: give a checkpoint of Sat2Cap's training"
        )
    scale = weights.get("temp_layer.logit_scale", torch.tensor(math.log(1 / 0.07)))
    size = int(overhead.config.image_size)
    return Checkpoint(
        overhead=overhead,
        ground=_tower(weights, "img_encoder.", path),
        text=None,
        dynamic=_dynamic(weights, path),
        logit_scale=math.exp(min(max(float(scale), 0.0), _MAX_LOG_SCALE)),
        encoding="reference",
        overhead_preprocess=SAT2CAP_OVERHEAD.of_size(size),
        ground_preprocess=SAT2CAP_GROUND.of_size(size),
        card={"name": path.stem, "source": str(path), "licence": "unknown", "kind": "Lightning"},
    )


def _state_dict(path: Path) -> dict[str, Tensor]:
    """All tensors under ``state_dict``."""
    value = read_pickle(path, also=[Namespace])  # of a script's arguments, which Lightning keeps beside
    found = value.get("state_dict") if isinstance(value, dict) else None
    if not isinstance(found, Mapping):
        raise ModelError(f"{path} has no state_dict: give a checkpoint that PyTorch Lightning saved")
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _under(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}


def _tower(weights: Mapping[str, Tensor], prefix: str, path: Path) -> Any | None:
    """A `CLIPVisionModelWithProjection` below `prefix`, at whatever depth; None without its projection."""
    own = _under(weights, prefix)
    ends = [name.removesuffix(_PROJECTION) for name in own if name.endswith(_PROJECTION)]
    if not ends:
        return None
    own = _under(own, ends[0])
    try:
        config = _config(own)
    except (KeyError, ValueError) as error:
        raise ModelError(f"{path} has a broken {prefix[:-1]} ({error}): save or download it again") from error
    return towers.vision_tower(config, own, str(path))


def _config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The architecture, from the shapes of its weights; CLIP's quick GELU."""
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


def _dynamic(weights: Mapping[str, Tensor], path: Path) -> DynamicEncoder | None:
    """h of the paper; None in a training without metadata."""
    own = _under(weights, "geo_encoder.")
    return read_dynamic(own, f"geo_encoder of {path}") if own else None
