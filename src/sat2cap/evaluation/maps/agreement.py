"""Agreement of a map with the truth: pure functions of scores and labels of the same cells, any shape.

A cell whose score is NaN has no data and is left out. A metric that is not defined (one class only, a
constant map) is NaN, and the caller decides what that means.

Cells are grouped into runs of equal score, best first, and all metrics are computed from the numbers of
positive and negative cells of each run::

    score       0.9  0.7  0.7  0.2            runs        0.9  0.7  0.2
    positive     1    0    1    0             positives    1    1    0
                                              negatives    0    1    1

So cells that tie enter together, and resampling changes the numbers only, never the order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError

Floats = NDArray[np.float64]


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Return the chance that a positive cell scores above a negative one, ties counting one half: 0 to 1.

    `score` and `positive` (true or false) are of the same cells. NaN if all cells are of one class. Raises
    `InputError` for shapes that differ, or if no cell has both.
    """
    return _auroc_of_runs(*_label_runs(score, positive))


def spearman(score: ArrayLike, truth: ArrayLike) -> float:
    """Return the rank correlation (Spearman), -1 to 1; tied values share their average rank.

    NaN if either is constant. Raises `InputError` for shapes that differ, or if no cell has both.
    """
    score_groups, truth_groups = (_value_groups(values) for values in _finite_cells(score, truth))
    return _rank_correlation(score_groups, truth_groups, np.ones(len(score_groups)))


@dataclass(frozen=True)
class Agreement:
    """Scores and truths of N cells, sorted once, so that metrics for many weights of the cells are cheap."""

    score_groups: NDArray[np.intp]
    """Number of each cell's score among the distinct scores, 0 being the least, `[N]`."""
    truth_groups: NDArray[np.intp]
    """The same of the truth."""
    positive: NDArray[np.bool_]

    @classmethod
    def from_cells(cls, score: ArrayLike, truth: ArrayLike, positive: NDArray[np.bool_]) -> "Agreement":
        """Return the agreement of N cells that all have a score and a truth, `[N]` each."""
        return cls(
            _value_groups(np.asarray(score, np.float64)),
            _value_groups(np.asarray(truth, np.float64)),
            positive,
        )

    def weighted_metrics(self, weight: Floats | None = None) -> dict[str, float]:
        """Return ``auroc``, ``average_precision``, ``f1`` (at its best threshold) and ``spearman``.

        Each cell counts `weight` `[N]` times, once if None.
        """
        weight = np.ones(len(self.score_groups)) if weight is None else weight
        runs = _weighted_runs(self.score_groups, self.positive, weight)
        return {
            "auroc": _auroc_of_runs(*runs),
            "average_precision": _average_precision(*runs),
            "f1": _best_f1(*runs),
            "spearman": _rank_correlation(self.score_groups, self.truth_groups, weight),
        }


def _finite_cells(score: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Return both as flat float64, without the cells that are NaN in either. Raises `InputError`."""
    scores, truths = np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if scores.shape != truths.shape:
        raise InputError(
            f"scores and truth have shapes {scores.shape} and {truths.shape}; bring them to one grid first"
        )
    has_both = ~(np.isnan(scores) | np.isnan(truths))
    if not has_both.any():
        raise InputError(f"none of {scores.size} cells has both a score and a truth; check that they overlap")
    return scores[has_both], truths[has_both]


def _value_groups(values: Floats) -> NDArray[np.intp]:
    """Return the number of each value among the distinct values, 0 being the least."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _label_runs(score: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats]:
    """Return the numbers of positive and negative cells of each run of equal scores, best first."""
    values, labels = _finite_cells(score, positive)
    return _weighted_runs(_value_groups(values), labels.astype(bool), np.ones(len(values)))


def _weighted_runs(
    group: NDArray[np.intp], positive: NDArray[np.bool_], weight: Floats
) -> tuple[Floats, Floats]:
    """Return the weights of the positive and the negative cells of each run of equal scores, best first."""
    count = int(group.max()) + 1
    totals = np.asarray(np.bincount(group, weight, count), np.float64)
    positives = np.asarray(np.bincount(group, weight * positive, count), np.float64)
    return positives[::-1], (totals - positives)[::-1]


def _auroc_of_runs(positives: Floats, negatives: Floats) -> float:
    """Return the share of (positive, negative) pairs of cells in which the positive scores higher."""
    beaten = negatives.sum() - np.cumsum(negatives) + negatives / 2
    pair_count = positives.sum() * negatives.sum()
    return float((positives * beaten).sum() / pair_count) if pair_count > 0 else float("nan")


def _average_precision(positives: Floats, negatives: Floats) -> float:
    """Compute the mean precision over the positive cells, best score first; ties enter together."""
    hits, seen = np.cumsum(positives), np.cumsum(positives + negatives)
    if not positives.sum() > 0:
        return float("nan")
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    return float((positives * precision).sum() / positives.sum())


def _best_f1(positives: Floats, negatives: Floats) -> float:
    """Compute the greatest F1, 2 TP / (2 TP + FP + FN), of all thresholds on the score."""
    if not positives.sum() > 0:
        return float("nan")
    hits, seen = np.cumsum(positives), np.cumsum(positives + negatives)
    return float((2 * hits / (seen + positives.sum())).max())


def _rank_correlation(a: NDArray[np.intp], b: NDArray[np.intp], weight: Floats) -> float:
    """Return the weighted Pearson correlation of the ranks of two groupings of the same cells."""
    x, y = (_weighted_ranks(groups, weight) for groups in (a, b))
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    spread = np.sqrt((weight * x * x).sum() * (weight * y * y).sum())
    return float((weight * x * y).sum() / spread) if spread > 0 else float("nan")


def _weighted_ranks(group: NDArray[np.intp], weight: Floats) -> Floats:
    """Return the rank of each cell from 1; the cells of a group share the mean of their ranks."""
    count = np.bincount(group, weight)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[group])
