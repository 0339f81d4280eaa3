"""The cosine between texts and normalise(O + E(where, when)), for whole blocks of stored embeddings O.

E = W2·relu(W1·x + b1) + b2 is the Dynamic Encoder's offset. It is never written out for the cells: over a
block of cells, which is small, nearly every hidden number is surely above zero or surely below it, and then E
is affine in the P numbers x of the place (4, most often). With M hidden numbers that change sign within
the block::

    E           = Rᵀz           where z = (x, 1, the M hidden numbers), R [P + 1 + M, D] is the block's
    (O + E)·T   = O·T + z·(R T)
    ‖O + E‖²    = ‖O‖² + z·(2 R O + R Rᵀ z)

so that a date not asked before costs about five more texts, and another text at that date next to nothing.
What is sure is found by interval arithmetic, so this is exact whatever M is; only the cost depends on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo import When
from sat2cap.model import Checkpoint, encode_metadata, place_feature_count
from sat2cap.query.engine import kernel
from sat2cap.query.engine.blocks import Cells

Floats = NDArray[np.float32]

_OFF, _ON, _MIXED = 0, 1, 2


@dataclass(frozen=True)
class Offset:
    """The Dynamic Encoder at one moment, H hidden numbers."""

    when: When
    weights: Floats
    """`[H, P + 1]`: what the numbers of the place, and one, add up to before the ReLU at this moment."""
    w2: Floats
    """`[D, H]`."""
    b2: Floats
    """`[D]`."""

    def vectors(self, place: Floats) -> Floats:
        """E of N places `[N, P]` (`place_features`), float32 `[N, D]`: for a few cells, or to check with."""
        hidden = np.maximum(place @ self.weights[:, :-1].T + self.weights[:, -1], 0)
        return np.asarray(hidden @ self.w2.T + self.b2, np.float32)

    def signs(self, low: Floats, high: Floats) -> NDArray[np.uint8]:
        """`[n, H]`: which hidden numbers are on, off or mixed in n blocks with such `Cells.ranges`."""
        weights, constant = self.weights[:, :-1].T, self.weights[:, -1]
        rising, falling = np.maximum(weights, 0), np.minimum(weights, 0)
        least = low @ rising + high @ falling + constant
        most = high @ rising + low @ falling + constant
        return np.where(least >= 0, _ON, np.where(most <= 0, _OFF, _MIXED)).astype(np.uint8)


def dynamic_offset_at(checkpoint: Checkpoint, when: When) -> Offset | None:
    """The offset of a checkpoint at a moment; None if it has no Dynamic Encoder."""
    if checkpoint.dynamic is None:
        return None
    state = checkpoint.dynamic.state_dict()
    w1, b1, w2, b2 = (
        state[name].detach().float().cpu().numpy()
        for name in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    )
    time = encode_metadata(0, 0, when.year, when.month, when.day, when.hour, checkpoint.encoding)
    first = place_feature_count(checkpoint.encoding)
    moment = w1[:, first:] @ time[0, first:] + b1
    return Offset(when, np.column_stack([w1[:, :first], moment]), w2, b2)


@dataclass(frozen=True, eq=False)
class Moment:
    """What is the same for every text at one date: 1 / ‖O + E‖ of N blocks of B cells."""

    inverse: Floats
    """`[N, B]`."""
    known: NDArray[np.bool_]
    """`[N]`: of which blocks it has been worked out."""

    @classmethod
    def unknown(cls, shape: tuple[int, ...]) -> "Moment":
        """Of `[N, B]` cells, nothing known yet."""
        return cls(np.empty(shape, np.float32), np.zeros(shape[0], bool))

    def part(self, start: int, count: int) -> "Moment":
        """A view of some blocks."""
        return Moment(self.inverse[start : start + count], self.known[start : start + count])


@dataclass(frozen=True)
class _Piece:
    """One affine piece of an offset: R of the module's docstring and its products, C = P + 1 + M."""

    rows: Floats
    """R `[C, D]`."""
    gram: Floats
    """R Rᵀ `[C, C]`."""
    text_rows: Floats
    """T·Rᵀ `[K, C]`."""
    relu: Floats
    """Weights of the M hidden numbers `[M, P + 1]`."""


class Cosines:
    """Unit texts `[K, D]` and an offset or none, with all that is the same for every cell worked out once."""

    def __init__(self, texts: Floats, offset: Offset | None) -> None:
        self.texts = np.ascontiguousarray(texts)
        self.offset = offset
        self._pieces: dict[bytes, _Piece] = {}

    def __call__(self, cells: Cells, moment: Moment | None = None) -> Floats:
        """`[K, n, B]` of n blocks; NaN where there is no embedding. `moment` remembers lengths at a date."""
        cosines = np.empty((len(self.texts), *cells.scale.shape), np.float32)
        if self.offset is None:
            kernel.static_cosines(cells.stored, cells.inverse, self.texts, cosines)
            return cosines
        shape = cells.scale.shape
        moment = Moment.unknown(shape) if moment is None else moment.part(cells.start, shape[0])
        for pattern, members in _alike(self.offset.signs(*cells.ranges())):
            piece = self._piece(pattern)
            kernel.dynamic_cosines(
                members, cells.stored, cells.scale, cells.inverse, cells.place,
                self.texts, piece.rows, piece.gram, piece.text_rows, piece.relu,
                moment.known, moment.inverse, cosines,
            )  # fmt: skip
        moment.known[:] = True
        return cosines

    @cached_property
    def _products(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """W2 and b2 side by side `[D, H + 1]`, their products `[H + 1, H + 1]` and those with the texts."""
        assert self.offset is not None
        columns = np.column_stack([self.offset.w2, self.offset.b2]).astype(np.float64)
        # not with @: to wake BLAS's threads for this can take longer than the whole scan when cores are busy
        gram, texts = np.einsum("dh,dg->hg", columns, columns), np.einsum("kd,dh->kh", self.texts, columns)
        return columns, gram, texts

    def _piece(self, pattern: NDArray[np.uint8]) -> _Piece:
        """The piece of a pattern of `Offset.signs` `[H]`."""
        key = pattern.tobytes()
        if key not in self._pieces:
            assert self.offset is not None
            columns, gram, texts = self._products
            mixed = np.flatnonzero(pattern == _MIXED)
            linear = self.offset.weights.shape[1]
            choose = np.zeros((len(pattern) + 1, linear + len(mixed)))  # z to hidden numbers and one
            choose[:-1, :linear] = self.offset.weights * (pattern == _ON)[:, None]
            choose[-1, linear - 1] = 1
            choose[mixed, linear + np.arange(len(mixed))] = 1
            parts = (choose.T @ columns.T, choose.T @ gram @ choose, texts @ choose)
            rows, products, text_rows = (np.ascontiguousarray(part, np.float32) for part in parts)
            self._pieces[key] = _Piece(rows, products, text_rows, self.offset.weights[mixed])
        return self._pieces[key]


def _alike(signs: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Each different row of `[n, H]` and which rows are like it; most often all are."""
    left = np.arange(len(signs))
    while left.size:
        same = (signs[left] == signs[left[0]]).all(axis=1)
        yield signs[left[0]], left[same]
        left = left[~same]
