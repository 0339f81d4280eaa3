"""Held-out photos beside what a model makes of their places: what its scores are calibrated with."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat2cap.errors import ModelError

Floats = NDArray[np.float32]

MOST = 2000
"""Photos that a checkpoint carries: 2,000 of 512 numbers are 4 MB."""

_NAMES = ("ground", "overhead", "features")


@dataclass(frozen=True, eq=False)
class Calibration:
    """N photos that were not trained on, and the places and times they were taken at.

    The photos are in the space of the texts, so CLIP can say which of them fit any prompt, and their places
    what the model scores it there: together they tell what a score is worth, without labels.
    """

    ground: Floats
    """`[N, D]`, of length 1: the photos."""
    overhead: Floats
    """`[N, D]`, not normalised, without the Dynamic Encoder's offset: their places from above."""
    features: Floats
    """`[N, F]`: place and time as the Dynamic Encoder reads them; F is 0 without one."""

    def tensors(self) -> dict[str, Tensor]:
        """As they are stored: half precision for embeddings, which are known no better."""
        kept = {"ground": torch.float16, "overhead": torch.float16, "features": torch.float32}
        return {name: torch.from_numpy(getattr(self, name)).to(dtype) for name, dtype in kept.items()}

    def stored(self) -> "Calibration":
        """What reading it again gives."""
        return read_calibration(self.tensors(), self.ground.shape[1], "calibration")


def calibration_of(ground: Floats, overhead: Floats, features: Floats) -> Calibration:
    """Of held-out pairs, `[N, D]`, `[N, D]` and `[N, F]`: at most `MOST` of them, evenly spread."""
    rows = np.linspace(0, len(ground) - 1, min(MOST, len(ground))).round().astype(int)
    return Calibration(ground[rows], overhead[rows], features[rows]).stored()


def read_calibration(weights: Mapping[str, Tensor], dim: int, where: str) -> Calibration:
    """What `Calibration.tensors` gave, for a model of `dim` numbers; `where` names it in errors."""
    missing = [name for name in _NAMES if name not in weights]
    if missing:
        raise ModelError(f"{where} lacks {', '.join(missing)}: save the checkpoint again")
    ground, overhead, features = (weights[name].float().numpy() for name in _NAMES)
    if ground.shape != overhead.shape or ground.shape != (len(features), dim) or features.ndim != 2:
        shapes = ", ".join(str(list(weights[name].shape)) for name in _NAMES)
        raise ModelError(f"{where} has shapes {shapes}, not [N, {dim}] twice and [N, F]: save it again")
    return Calibration(ground, overhead, features)
