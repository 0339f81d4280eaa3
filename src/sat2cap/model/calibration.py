"""Held-out photos and their places, embedded: the data that calibrates a model's scores."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.model.weights import Tensors, as_float32, digest_arrays

Floats = NDArray[np.float32]

MAX_CALIBRATION_PHOTOS = 2000
"""Largest number of photos that a checkpoint carries: 2,000 embeddings of 512 numbers take 4 MB."""

_STORED_DTYPES = {"ground": np.float16, "overhead": np.float16, "features": np.float32}
"""Each array's name in the file and its type: half precision loses nothing that embeddings are known to."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """N photos that were not used in training, with the places and times they were taken at.

    The photos are in the same space as texts, so CLIP can say which of them fit any prompt. The model scores
    the photos' places for that prompt. Both together tell, without labels, how likely a place with a given
    score is to show what the prompt says.
    """

    ground: Floats
    """Embeddings of the photos, float32 `[N, D]`, of unit length."""
    overhead: Floats
    """Overhead embeddings of the photos' places, float32 `[N, D]`, unnormalised and without the Dynamic
    Encoder's offset."""
    features: Floats
    """Encoded place and time of each photo, float32 `[N, F]`; F is 0 for a model without Dynamic Encoder."""

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays by name as they are stored.

        For N photos: both embeddings, float16 ``(N, D)``, and features of place and time, float32 ``(N, F)``.
        """
        return {name: getattr(self, name).astype(dtype) for name, dtype in _STORED_DTYPES.items()}

    @property
    def identity(self) -> str:
        """Hash of the arrays as they are stored."""
        return digest_arrays(sorted(self.as_arrays().items()))

    def rounded_as_stored(self) -> "Calibration":
        """Return a copy whose values are rounded to float16, as writing and reading it would round them.

        A model that has just been calibrated then gives the same chances as the folder it is written to.
        """
        return read_calibration(self.as_arrays(), self.ground.shape[1], "calibration")


def make_calibration(ground: Floats, overhead: Floats, features: Floats) -> Calibration:
    """Return a calibration of at most `MAX_CALIBRATION_PHOTOS` of N held-out pairs, evenly spread over them.

    `ground` is `[N, D]` of unit length, `overhead` `[N, D]` unnormalised, `features` `[N, F]`; see
    `Calibration`. Values are rounded as they will be stored, so that a model scores the same before it is
    saved and after.
    """
    rows = np.linspace(0, len(ground) - 1, min(MAX_CALIBRATION_PHOTOS, len(ground))).round().astype(int)
    return Calibration(ground[rows], overhead[rows], features[rows]).rounded_as_stored()


def read_calibration(tensors: Tensors, dim: int, where: str) -> Calibration:
    """Return the stored calibration of a model whose embeddings have `dim` numbers.

    Raises `ModelError`, which names the file as `where`, if an array is missing or has another shape.
    """
    missing = [name for name in _STORED_DTYPES if name not in tensors]
    if missing:
        raise ModelError(f"{where} lacks {', '.join(missing)}: save the checkpoint again")
    ground, overhead, features = (as_float32(tensors[name]) for name in _STORED_DTYPES)
    if ground.shape != overhead.shape or ground.shape != (len(features), dim) or features.ndim != 2:
        shapes = ", ".join(str(list(tensors[name].shape)) for name in _STORED_DTYPES)
        raise ModelError(f"{where} has shapes {shapes}, not [N, {dim}] twice and [N, F]: save it again")
    if not all(np.isfinite(array).all() for array in (ground, overhead, features)):
        raise ModelError(f"{where} has numbers that are not finite: save the checkpoint again")
    return Calibration(ground, overhead, features)
