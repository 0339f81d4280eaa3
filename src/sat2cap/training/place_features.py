"""Features that a linear model reads: of a patch from a frozen network, of place and time at random."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.model import Checkpoint, DynamicEncoder, Encoding, Precision, encode_metadata, feature_count
from sat2cap.progress import Progress
from sat2cap.training.adaptation import merged_copy
from sat2cap.training.data.decoded_file import find_decoded_file
from sat2cap.training.data.patches import Pairs, calendar_fields, check_count, decode_in_chunks, decode_patch

Floats = NDArray[np.float32]

_CHUNK = 256
_PROJECTION = "visual_projection"


@dataclass(frozen=True, eq=False)
class PlaceRows:
    """Features of N pairs, row by row in the pair set's order."""

    vectors: Floats
    """Vector of each place: shape (N, A)."""
    moments: NDArray[np.float64]
    """Latitude and longitude in degrees, year, month, day and fractional hour: shape (N, 6)."""

    def encode_features(self, encoding: Encoding) -> Floats:
        """Return place and time as features of an encoding: float32, shape (N, F)."""
        lat, lon, year, month, day, hour = self.moments.T
        return encode_metadata(lat, lon, year, month, day, hour, encoding)


class PlaceFeatures(Protocol):
    """A source of one vector for each place, and the way from its vectors to a model."""

    @property
    def identity(self) -> str:
        """Hash of all that decides the vectors."""
        ...

    def read(self, pairs: Pairs, split: str, limit: int | None, cache: Path, progress: Progress) -> PlaceRows:
        """Return the vectors of the first `limit` pairs of a split, or of all.

        `cache` is the pair set's folder of caches, where trainings leave what they decoded.
        """
        ...

    def project(self, weight: Floats) -> Checkpoint:
        """Return the model whose overhead embedding is `weight` (D, A) times the vector of a place."""
        ...


@dataclass(frozen=True, eq=False)
class ClipFeatures:
    """The vectors of a frozen CLIP's image tower, not normalised: the features of method ``linear``.

    `project` multiplies the tower's last layer, a linear one, by the weight, so that the model has the form
    of any other and needs nothing new to be stored or run.
    """

    clip: Checkpoint
    precision: Precision

    def __post_init__(self) -> None:
        if not hasattr(self.clip.overhead, _PROJECTION):
            raise ModelError(
                f"{self.clip.card.get('name', 'this model')} has no projection behind its image tower, as "
                'SigLIP: method "linear" needs a CLIP model'
            )

    @property
    def identity(self) -> str:
        """Hash of the model."""
        return self.clip.identity

    def read(self, pairs: Pairs, split: str, limit: int | None, cache: Path, progress: Progress) -> PlaceRows:
        """Return the vectors of pairs, embedding a chunk of patches at a time, so that none is stored.

        Patches that a training has decoded to a file of `cache` are read from there. Raises `PairsError` if
        an image is broken or pairs are missing.
        """
        count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
        vectors, moments = np.zeros((count, self.clip.dim), np.float32), np.zeros((count, 6))
        done = 0
        progress("embedding overhead patches", 0, count)
        for patches, chunk_moments in self._read_chunks(pairs, split, count, cache):
            rows = slice(done, done + len(patches))
            vectors[rows] = self.clip.embed_overhead(patches, precision=self.precision, prepared=True)
            moments[rows] = chunk_moments
            done += len(patches)
            progress("embedding overhead patches", done, count)
        check_count(pairs, split, done, count)
        return PlaceRows(vectors, moments)

    def _read_chunks(
        self, pairs: Pairs, split: str, count: int, cache: Path
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
        """Yield patches (b, P, P, 3) and moments (b, 6) of the first `count` pairs."""
        preprocess = self.clip.overhead_preprocess
        decoded = find_decoded_file(pairs, split, preprocess, cache)
        if decoded is not None:
            for start in range(0, count, _CHUNK):
                rows = np.arange(start, min(start + _CHUNK, count))
                yield decoded.patches[rows], decoded.moments[rows]
            return
        for chunk, patches in decode_in_chunks(
            islice(pairs.read(split), count),
            _CHUNK,
            lambda pair: decode_patch(pair.overhead, pair.key, preprocess),
        ):
            moments = [(pair.lat, pair.lon, *calendar_fields(pair.taken)) for pair in chunk]
            yield np.stack(patches), np.array(moments)

    def project(self, weight: Floats) -> Checkpoint:
        """Return the CLIP model with the overhead tower's projection multiplied by `weight` (D, D)."""
        tower: Any = merged_copy(self.clip.overhead)
        with torch.no_grad():
            layer = getattr(tower, _PROJECTION)
            matrix = torch.from_numpy(weight.astype(np.float64))
            layer.weight.copy_(matrix @ layer.weight.detach().cpu().double())
        return replace(self.clip, overhead=tower, dynamic=None, calibration=None)


def random_features(encoding: Encoding, hidden: int, seed: int) -> tuple[Floats, Floats]:
    """Return weight (H, F) and bias (H,) of random features ``max(0, w x + b)`` of place and time.

    The weights are normal and the biases uniform in -2 to 2, so that the kinks of the ramps lie among the
    sines and cosines x of the encoding.
    """
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(hidden, feature_count(encoding)))
    return weight.astype(np.float32), rng.uniform(-2, 2, hidden).astype(np.float32)


def linear_dynamic(weight: Floats, bias: Floats, coefficients: Floats, offset: Floats) -> DynamicEncoder:
    """Return the Dynamic Encoder of random features (H, F), (H,) with coefficients (D, H) and offset (D,)."""
    dynamic = DynamicEncoder(len(offset), *weight.shape)
    values = {"fc1.weight": weight, "fc1.bias": bias, "fc2.weight": coefficients, "fc2.bias": offset}
    dynamic.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in values.items()})
    return dynamic.eval()
