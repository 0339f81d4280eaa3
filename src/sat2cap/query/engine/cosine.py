"""The cosine between texts and normalise(O + E(place, moment)), for whole blocks of stored embeddings O.

The Dynamic Encoder's offset is a network with one hidden layer of H units::

    E = W2 · relu(W1 · x + b1) + b2            x: features of a cell's place and of the moment

The moment's features are the same for every cell, so their share of W1 · x is added to b1 once
(`dynamic_offset_at`), and x from here on means the P features of the place, most often 4.

Writing E out for every cell would cost D · H multiplications a cell. It is not needed: a block of cells is
small on the globe, so nearly every hidden unit is above zero in all of its cells (then relu(v) = v) or below
zero in all of them (then relu(v) = 0). Where that is sure, E is affine in x. Let M be the number of hidden
units that may change sign within the block; these are carried along as they are. Then, for one cell::

    z           = (x, 1, the M hidden units)              C = P + 1 + M numbers
    E           = Rᵀ z                                    R [C, D] is the same for the whole block
    (O + E)·T   = O·T + z·(R T)                           R T [C] is computed once for each text T
    ‖O + E‖²    = ‖O‖² + z·(2 R O + (R Rᵀ) z)             R Rᵀ [C, C] is computed once

So a date that was not asked for before costs the C products R O, about as much as five more texts, and
another text at the same date next to nothing.

Example with D = 1, P = 1 and two hidden units: x runs from 0.1 to 0.2 in a block, unit 0 is relu(3x + 1) and
unit 1 is relu(x - 0.15), W2 = (2, 5), b2 = 7. Unit 0 lies in [1.3, 1.6], so it is surely on; unit 1 lies in
[-0.05, 0.05], so it is mixed and M = 1. E = 2 (3x + 1) + 5 relu(x - 0.15) + 7 = 6 x + 9 · 1 + 5 relu(x -
0.15), hence z = (x, 1, relu(x - 0.15)) and R = (6, 9, 5).

Interval arithmetic decides what is sure, so the result is exact whatever M is; only the cost depends on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo import When
from sat2cap.model import QueryModel, encode_metadata, place_feature_count
from sat2cap.query.engine.blocks import Cells

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_OFF, _ON, _MIXED = 0, 1, 2
"""State of a hidden unit within a block: below zero everywhere, above zero everywhere, or not sure."""


@dataclass(frozen=True)
class DynamicOffset:
    """The Dynamic Encoder at one moment: a network from P place features over H hidden units to D numbers."""

    when: When
    hidden_weights: Floats
    """First layer `[H, P + 1]`: weights of the place features, then the constant at this moment."""
    output_weights: Floats
    """Second layer W2, `[D, H]`."""
    output_bias: Floats
    """b2, `[D]`."""

    def vectors(self, place: Floats) -> Floats:
        """Return E of N places, float32 `[N, D]`, from their features `[N, P]` (`place_features`).

        Written out in full, so for a few cells only, or to check the scan with.
        """
        hidden = np.maximum(place @ self.hidden_weights[:, :-1].T + self.hidden_weights[:, -1], 0)
        return np.asarray(hidden @ self.output_weights.T + self.output_bias, np.float32)

    def hidden_states(self, low: Floats, high: Floats) -> NDArray[np.uint8]:
        """Return the state of each hidden unit in n blocks, `[n, H]`: `_OFF`, `_ON` or `_MIXED`.

        `low` and `high` `[n, P]` are the ranges of the blocks' place features (`Cells.place_ranges`). A
        unit's smallest value takes the low end of features with positive weight and the high end of the
        others.
        """
        weights, constant = self.hidden_weights[:, :-1].T, self.hidden_weights[:, -1]
        positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
        smallest = low @ positive + high @ negative + constant
        largest = high @ positive + low @ negative + constant
        return np.where(smallest >= 0, _ON, np.where(largest <= 0, _OFF, _MIXED)).astype(np.uint8)


def dynamic_offset_at(checkpoint: QueryModel, when: When) -> DynamicOffset | None:
    """Return the Dynamic Encoder of a checkpoint at one moment; None if the checkpoint has none.

    Of the first layer's input only the place then varies: the features of the date, times their weights,
    become part of the bias, so that a cell costs P features instead of all.
    """
    dynamic = checkpoint.dynamic_weights
    if dynamic is None:
        return None
    w1 = dynamic.hidden_weights
    features = encode_metadata(0, 0, when.year, when.month, when.day, when.hour, checkpoint.encoding)
    place_count = place_feature_count(checkpoint.encoding)
    constant = w1[:, place_count:] @ features[0, place_count:] + dynamic.hidden_bias
    hidden_weights = np.column_stack([w1[:, :place_count], constant])
    return DynamicOffset(when, hidden_weights, dynamic.output_weights, dynamic.output_bias)


@dataclass(frozen=True, eq=False)
class DateLengths:
    """1 / ‖O + E‖ of N blocks of B cells at one date, which every text needs; filled in block by block."""

    inverse: Floats
    """1 / ‖O + E‖, `[N, B]`."""
    is_computed: NDArray[np.bool_]
    """Whether a block's lengths have been computed, `[N]`."""

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> "DateLengths":
        """Return room for the lengths of `[N, B]` cells, none computed yet."""
        return cls(np.empty(shape, np.float32), np.zeros(shape[0], bool))

    def view(self, start: int, count: int) -> "DateLengths":
        """Return a view of `count` blocks from `start`; what is written into it is kept."""
        return DateLengths(self.inverse[start : start + count], self.is_computed[start : start + count])


@dataclass(frozen=True)
class _AffinePiece:
    """The offset for one combination of hidden states: R of the module's docstring and its products.

    C = P + 1 + M, where M is the number of mixed hidden units.
    """

    rows: Floats
    """R, `[C, D]`."""
    gram: Floats
    """R Rᵀ, `[C, C]`."""
    text_products: Floats
    """Products of K texts with the rows of R, `[K, C]`."""
    mixed_weights: Floats
    """First-layer weights of the M mixed hidden units, `[M, P + 1]`."""


class Cosines:
    """Computes the cosines of K texts with cells, at one moment or none.

    What is the same for every cell is computed once and kept.
    """

    def __init__(self, texts: Floats, offset: DynamicOffset | None) -> None:
        """`texts` are unit vectors `[K, D]`; `offset` None compares them with the stored embeddings alone."""
        self.texts = np.ascontiguousarray(texts)
        self.offset = offset
        self._pieces: dict[bytes, _AffinePiece] = {}

    def __call__(self, cells: Cells, lengths: DateLengths | None = None) -> Floats:
        """Return the cosines of all texts with n blocks of cells, float32 `[K, n, B]`; NaN for no embedding.

        `lengths` of the whole atlas are read where they have been computed, and filled in where not. Threads
        may share them: a thread reads only what was marked as computed when it began, and marks only what it
        has written.
        """
        cosines = np.empty((len(self.texts), *cells.scale.shape), np.float32)
        if self.offset is None:
            cells.loops.static_cosines(cells.stored, cells.inverse, self.texts, cosines)
            return cosines
        shape = cells.scale.shape
        lengths = DateLengths.empty(shape) if lengths is None else lengths.view(cells.start, shape[0])
        is_computed = lengths.is_computed.copy()
        for states, blocks in _group_equal_rows(self.offset.hidden_states(*cells.place_ranges())):
            piece = self._piece_of(states)
            cells.loops.dynamic_cosines(
                blocks, cells.stored, cells.scale, cells.inverse, cells.place,
                self.texts, piece.rows, piece.gram, piece.text_products, piece.mixed_weights,
                is_computed, lengths.inverse, cosines,
            )  # fmt: skip
        lengths.is_computed[:] = True
        return cosines

    @cached_property
    def _output_products(self) -> tuple[Doubles, Doubles, Doubles]:
        """W2 and b2 side by side `[D, H + 1]`, their products `[H + 1, H + 1]`, and those with the texts.

        Every piece is a small linear combination of these.
        """
        assert self.offset is not None
        columns = np.column_stack([self.offset.output_weights, self.offset.output_bias]).astype(np.float64)
        # not with @: to wake BLAS's threads for this can take longer than the whole scan when cores are busy
        gram, texts = np.einsum("dh,dg->hg", columns, columns), np.einsum("kd,dh->kh", self.texts, columns)
        return columns, gram, texts

    def _piece_of(self, states: NDArray[np.uint8]) -> _AffinePiece:
        """Return the affine piece for hidden states `[H]` (`DynamicOffset.hidden_states`).

        `select` `[H + 1, C]` maps z to the hidden units and the constant 1 that multiplies b2: a unit that is
        on is its affine function of (x, 1), one that is off is 0, a mixed one is its own number in z.
        """
        key = states.tobytes()
        if key not in self._pieces:
            assert self.offset is not None
            columns, gram, texts = self._output_products
            mixed = np.flatnonzero(states == _MIXED)
            affine = self.offset.hidden_weights.shape[1]
            select = np.zeros((len(states) + 1, affine + len(mixed)))
            select[:-1, :affine] = self.offset.hidden_weights * (states == _ON)[:, None]
            select[-1, affine - 1] = 1
            select[mixed, affine + np.arange(len(mixed))] = 1
            products = (select.T @ columns.T, select.T @ gram @ select, texts @ select)
            rows, piece_gram, text_products = (np.ascontiguousarray(part, np.float32) for part in products)
            mixed_weights = self.offset.hidden_weights[mixed]
            self._pieces[key] = _AffinePiece(rows, piece_gram, text_products, mixed_weights)
        return self._pieces[key]


def _group_equal_rows(states: NDArray[np.uint8]) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Yield each distinct row of `[n, H]` with the indices of its equals; most often there is one."""
    remaining = np.arange(len(states))
    while remaining.size:
        equal = (states[remaining] == states[remaining[0]]).all(axis=1)
        yield states[remaining[0]], remaining[equal]
        remaining = remaining[~equal]
