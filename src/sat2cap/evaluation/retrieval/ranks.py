"""The exact rank of the right answer among all, for galleries of any size (table 1 of the paper).

The rank of query i is 1 and the number of wrong gallery rows that score at least as high as the best right
one. So ties count against the query: a model that gives every row the same embedding earns the last rank,
not the first. Right is row i and every other row of the same place.
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
    """Rank of the best right row of `gallery` for each row of `query`, by inner product: int64 [N].

    Both are [N, D], row i of one for row i of the other; they may be memory maps, of which a block of
    queries is read at a time. `place` [N] numbers the place of each row; None if all differ.

    Exact to float64: products are taken in float32 and those too close to call again in float64. Equal
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


class _Members:
    """The rows of each place, one behind the other."""

    def __init__(self, place: Integers) -> None:
        _, group, count = np.unique(place, return_inverse=True, return_counts=True)
        self.row = np.argsort(group, kind="stable")
        self.first = (np.cumsum(count) - count)[group.reshape(-1)]
        """Where the rows of each row's place begin in `row`, [N]."""
        self.count = count[group.reshape(-1)]


class _Answers:
    """The distinct rows of a gallery, and which of them are right for each query."""

    def __init__(
        self, rows: Float32, owner: NDArray[np.intp], weight: NDArray[np.intp], members: _Members | None
    ) -> None:
        self.rows, self.owner, self.weight, self.members = rows, owner, weight, members
        self.length = float(np.linalg.norm(rows, axis=1).max()) if len(rows) else 0.0

    def best(self, query: Float32, index: NDArray[np.intp]) -> tuple[NDArray[np.intp], Integers]:
        """The distinct row that is right and scores best, and how many right rows score no less, [B] each."""
        best, tied = self.owner[index], np.ones(len(index), np.int64)
        if self.members is None:
            return best, tied
        for nth in range(1, int(self.members.count[index].max(initial=1))):
            some = np.flatnonzero(self.members.count[index] > nth)
            # from the second on, skipping the query's own row, which is where it began
            other = self.members.row[self.members.first[index[some]] + nth]
            own = other == index[some]
            other = np.where(own, self.members.row[self.members.first[index[some]]], other)
            candidate = self.owner[other]
            lead = _score_lead(query[some], self.rows, candidate, best[some])
            tied[some] = np.where(lead > 0, 1, tied[some] + (lead == 0))
            best[some] = np.where(lead > 0, candidate, best[some])
        return best, tied


def _place_members(count: int, place: Integers | None) -> _Members | None:
    if place is None:
        return None
    if len(place) != count:
        raise PairsError(f"{len(place)} places are given for {count} rows; give one a row")
    return None if len(np.unique(place)) == count else _Members(np.asarray(place))


def _score_lead(
    query: Float32, rows: Float32, one: NDArray[np.intp], other: NDArray[np.intp]
) -> NDArray[np.float64]:
    """By how much `one` row outscores the `other` for each query, in float64; 0 for equal rows."""
    difference = rows[one].astype(np.float64) - rows[other]
    return np.asarray(np.einsum("nd,nd->n", query.astype(np.float64), difference))


def _check_shapes(query: Floats, gallery: Floats) -> Float32:
    if query.ndim != 2 or query.shape != gallery.shape:
        shapes = f"{query.shape} and {gallery.shape}"
        raise PairsError(
            f"query and gallery have shapes {shapes}; both must be [N, D], row i of one for row i"
        )
    return _finite_float32(gallery)


def _finite_float32(rows: Floats) -> Float32:
    if not np.isfinite(rows).all():
        raise PairsError("an embedding is not finite, so it has no rank; leave such pairs out")
    # Adding zero makes -0.0 and 0.0 the same bytes.
    return np.asarray(np.asarray(rows, np.float32) + np.float32(0))


def _block_ranks(query: Float32, index: NDArray[np.intp], answers: _Answers) -> Integers:
    """Ranks of a block of queries [B, D], which are the rows `index` of all."""
    each, rows = np.arange(len(query)), answers.rows
    best, tied = answers.best(query, index)
    scores = query @ rows.T
    own = scores[each, best]
    # How far rounding can move a float32 product of length D, for the longest row.
    slack = 2 * query.shape[1] * np.finfo(np.float32).eps * np.linalg.norm(query, axis=1) * answers.length
    above = scores > (own + slack)[:, None]
    unsure = (scores >= (own - slack)[:, None]) ^ above
    unsure[each, best] = False
    row, col = np.divmod(np.flatnonzero(unsure), len(rows))
    higher = _at_least_own(query, rows, best, row, col)
    count = _weighted_count(above, answers.weight) + answers.weight[best]
    np.add.at(count, row[higher], answers.weight[col[higher]])
    return np.asarray(count - tied + 1)


def _weighted_count(chosen: NDArray[np.bool_], weight: NDArray[np.intp]) -> Integers:
    """Sum of the weights [M] of the chosen columns in each row of [B, M]; most weights are 1."""
    heavy = np.flatnonzero(weight > 1)
    return np.asarray(
        np.count_nonzero(chosen, axis=1) + chosen[:, heavy] @ (weight[heavy] - 1), dtype=np.int64
    )


def _at_least_own(
    query: Float32, rows: Float32, best: NDArray[np.intp], row: NDArray[np.intp], col: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Whether query `row[k]` scores gallery row `col[k]` at least as high as its own, in float64."""
    if len(row) > _RECHECKS_PER_ROW * len(query):
        exact = query.astype(np.float64) @ rows.T.astype(np.float64)
        return np.asarray(exact[row, col] >= exact[row, best[row]])
    return np.asarray(_score_lead(query[row], rows, col, best[row]) >= 0)
