"""Exact retrieval ranks, for galleries of any size (table 1 of the paper).

The right answers to query i are gallery row i and every other row of the same place. The rank of the
query is 1 plus the number of wrong rows that score at least as high as its best right answer. So ties
count against the query: a model that gives every row the same embedding earns the last rank, not the
first.

A worked example: gallery rows 0 to 3, of which 0 and 2 are of one place, and the scores of query 0::

    row      0     1     2     3
    score   0.5   0.7   0.6   0.6        best right answer: row 2, 0.6
    counts         x           x         wrong and at least 0.6: rows 1 and 3, so the rank is 3
"""

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PairsError

_BLOCK_BYTES = 16 << 20
_RECHECKS_PER_ROW = 64

Floats = NDArray[np.floating]
Float32 = NDArray[np.float32]
Integers = NDArray[np.int64]


def match_ranks(query: Floats, gallery: Floats, place: Integers | None = None) -> Integers:
    """Return the rank of the best right row of `gallery` for each row of `query`: int64 `[N]`, from 1.

    Rows are scored by inner product. Both are `[N, D]`, and row i of one answers row i of the other; they may
    be memory maps, of which a block of queries is read at a time. `place` `[N]` numbers the place of each
    row; None if all differ.

    Exact to float64: products are computed in float32, and those too close to call again in float64. Equal
    gallery rows always tie. Needs 100 MB beside the inputs and once more the size of the gallery. Raises
    `PairsError` for shapes that differ, and for values that are not finite.
    """
    gallery = _check_shapes(query, gallery)
    rows, owner, weight = np.unique(gallery, axis=0, return_inverse=True, return_counts=True)
    answers = _Answers(rows, owner.reshape(-1), weight, _place_members(len(query), place))
    del gallery
    out = np.empty(len(query), dtype=np.int64)
    step = max(1, _BLOCK_BYTES // (4 * max(len(rows), 1)))
    for start in range(0, len(query), step):
        block = slice(start, min(start + step, len(query)))
        out[block] = _block_ranks(_finite_float32(query[block]), np.arange(block.start, block.stop), answers)
    return out


class _PlaceMembers:
    """The rows of each place, one behind the other in a single array."""

    def __init__(self, place: Integers) -> None:
        _, group, count = np.unique(place, return_inverse=True, return_counts=True)
        self.rows = np.argsort(group, kind="stable")
        self.first = (np.cumsum(count) - count)[group.reshape(-1)]
        """Where in `rows` the members of each row's place begin, `[N]`."""
        self.count = count[group.reshape(-1)]
        """Number of rows of each row's place, `[N]`."""


class _Answers:
    """The distinct rows of a gallery, and which of them are right for each query.

    `rows` `[M, D]` are the distinct rows, `owner` `[N]` is the distinct row that each gallery row equals,
    `weight` `[M]` counts how many gallery rows equal each, and `members` lists the rows of each place.
    """

    def __init__(
        self, rows: Float32, owner: NDArray[np.intp], weight: NDArray[np.intp], members: _PlaceMembers | None
    ) -> None:
        self.rows, self.owner, self.weight, self.members = rows, owner, weight, members
        self.longest = float(np.linalg.norm(rows, axis=1).max()) if len(rows) else 0.0

    def best_rows(self, query: Float32, index: NDArray[np.intp]) -> tuple[NDArray[np.intp], Integers]:
        """Return the distinct right row that scores best, and how many right rows tie with it, `[B]` each.

        `query` `[B, D]` are the queries of rows `index` `[B]`.
        """
        best, tied = self.owner[index], np.ones(len(index), np.int64)
        if self.members is None:
            return best, tied
        for nth in range(1, int(self.members.count[index].max(initial=1))):
            remaining = np.flatnonzero(self.members.count[index] > nth)
            # from the second on, skipping the query's own row, which is where it began
            other = self.members.rows[self.members.first[index[remaining]] + nth]
            own = other == index[remaining]
            other = np.where(own, self.members.rows[self.members.first[index[remaining]]], other)
            candidate = self.owner[other]
            lead = _score_lead(query[remaining], self.rows, candidate, best[remaining])
            tied[remaining] = np.where(lead > 0, 1, tied[remaining] + (lead == 0))
            best[remaining] = np.where(lead > 0, candidate, best[remaining])
        return best, tied


def _place_members(count: int, place: Integers | None) -> _PlaceMembers | None:
    """Return the members of every place, or None if every row has a place of its own."""
    if place is None:
        return None
    if len(place) != count:
        raise PairsError(f"{len(place)} places for {count} rows; give one place for each row")
    return None if len(np.unique(place)) == count else _PlaceMembers(np.asarray(place))


def _score_lead(
    query: Float32, rows: Float32, first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return by how much row `first` outscores row `second` for each query, float64; 0 for equal rows."""
    difference = rows[first].astype(np.float64) - rows[second]
    return np.asarray(np.einsum("nd,nd->n", query.astype(np.float64), difference))


def _check_shapes(query: Floats, gallery: Floats) -> Float32:
    """Return the gallery as finite float32. Raises `PairsError` unless both are `[N, D]`."""
    if query.ndim != 2 or query.shape != gallery.shape:
        shapes = f"{query.shape} and {gallery.shape}"
        raise PairsError(
            f"query and gallery have shapes {shapes}; both must be [N, D], row i of one for row i"
        )
    return _finite_float32(gallery)


def _finite_float32(rows: Floats) -> Float32:
    """Return `rows` as float32. Raises `PairsError` for a value that is not finite."""
    if not np.isfinite(rows).all():
        raise PairsError("an embedding is not finite, so it has no rank; leave such pairs out")
    # adding zero makes -0.0 and 0.0 the same bytes.
    return np.asarray(np.asarray(rows, np.float32) + np.float32(0))


def _block_ranks(query: Float32, index: NDArray[np.intp], answers: _Answers) -> Integers:
    """Return the ranks of a block of queries `[B, D]`, which are the rows `index` of all.

    Most wrong rows score so much above or below the best right one that float32 settles it. Where the
    difference is within the rounding error, `unsure`, the two products are compared again in float64::

        score - best right score    < -slack    within +-slack     > slack
        counts against the query       no         if >= 0 in f64      yes
    """
    query_numbers, rows = np.arange(len(query)), answers.rows
    best, tied = answers.best_rows(query, index)
    scores = query @ rows.T
    own = scores[query_numbers, best]
    # the most that rounding can move a float32 product of length D, for the longest row
    slack = 2 * query.shape[1] * np.finfo(np.float32).eps * np.linalg.norm(query, axis=1) * answers.longest
    above = scores > (own + slack)[:, None]
    unsure = (scores >= (own - slack)[:, None]) ^ above
    unsure[query_numbers, best] = False
    row, col = np.divmod(np.flatnonzero(unsure), len(rows))
    higher = _at_least_own(query, rows, best, row, col)
    count = _weighted_count(above, answers.weight) + answers.weight[best]
    np.add.at(count, row[higher], answers.weight[col[higher]])
    return np.asarray(count - tied + 1)


def _weighted_count(chosen: NDArray[np.bool_], weight: NDArray[np.intp]) -> Integers:
    """Return the sum of the weights `[M]` of the chosen columns in each row of `[B, M]`.

    Most weights are 1, so columns are counted, and only the heavier ones are weighed.
    """
    heavy = np.flatnonzero(weight > 1)
    return np.asarray(
        np.count_nonzero(chosen, axis=1) + chosen[:, heavy] @ (weight[heavy] - 1), dtype=np.int64
    )


def _at_least_own(
    query: Float32, rows: Float32, best: NDArray[np.intp], row: NDArray[np.intp], col: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Return whether query `row[k]` scores gallery row `col[k]` at least as high as its best right row.

    Computed in float64: pair by pair, or as a whole matrix where there are many pairs.
    """
    if len(row) > _RECHECKS_PER_ROW * len(query):
        exact = query.astype(np.float64) @ rows.T.astype(np.float64)
        return np.asarray(exact[row, col] >= exact[row, best[row]])
    return np.asarray(_score_lead(query[row], rows, col, best[row]) >= 0)
