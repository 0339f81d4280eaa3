"""How well a map agrees with the truth: pure functions of scores and labels of the same cells, any shape.

A cell whose score is NaN has no data and is left out. Where a figure is not defined (one class only, a
constant map) it is NaN, and the caller says what that means.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError

Floats = NDArray[np.float64]


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive cell scores above a negative one, a tie counting one half."""
    return _auroc_of_runs(*_label_runs(score, positive))


def spearman(score: ArrayLike, truth: ArrayLike) -> float:
    """Rank correlation, -1 to 1, tied values sharing their average rank."""
    a, b = (_value_groups(side) for side in _finite_cells(score, truth))
    return _rank_correlation(a, b, np.ones(len(a)))


@dataclass(frozen=True)
class Agreement:
    """Scores and truths of N cells sorted once, for the same figures under many weights of the cells."""

    by_score: NDArray[np.intp]
    """Which of the distinct scores, from the least, each cell has."""
    by_truth: NDArray[np.intp]
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, score: ArrayLike, truth: ArrayLike, positive: NDArray[np.bool_]) -> "Agreement":
        """From cells that all have a score and a truth, ``[N]`` each."""
        return cls(
            _value_groups(np.asarray(score, np.float64)),
            _value_groups(np.asarray(truth, np.float64)),
            positive,
        )

    def figures(self, weight: Floats | None = None) -> dict[str, float]:
        """auroc, average_precision, f1 (the best) and spearman; each cell counts `weight` times."""
        weight = np.ones(len(self.by_score)) if weight is None else weight
        runs = _weighted_runs(self.by_score, self.positive, weight)
        return {
            "auroc": _auroc_of_runs(*runs),
            "average_precision": _average_precision(*runs),
            "f1": _best_f1(*runs),
            "spearman": _rank_correlation(self.by_score, self.by_truth, weight),
        }


def _finite_cells(score: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Both as flat float64, without the cells that have no data in either."""
    a, b = np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(
            f"scores and truth have shapes {a.shape} and {b.shape}; bring them to one grid first"
        )
    has_both = ~(np.isnan(a) | np.isnan(b))
    if not has_both.any():
        raise InputError(f"none of {a.size} cells has both a score and a truth; check that they overlap")
    return a[has_both], b[has_both]


def _value_groups(values: Floats) -> NDArray[np.intp]:
    """Which of the distinct values, from the least, each one is."""
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _label_runs(score: ArrayLike, positive: ArrayLike) -> tuple[Floats, Floats]:
    values, labels = _finite_cells(score, positive)
    return _weighted_runs(_value_groups(values), labels.astype(bool), np.ones(len(values)))


def _weighted_runs(
    group: NDArray[np.intp], positive: NDArray[np.bool_], weight: Floats
) -> tuple[Floats, Floats]:
    """How many positive and negative cells each distinct score has, best score first."""
    count = int(group.max()) + 1
    both = np.asarray(np.bincount(group, weight, count), np.float64)
    positives = np.asarray(np.bincount(group, weight * positive, count), np.float64)
    return positives[::-1], (both - positives)[::-1]


def _auroc_of_runs(positives: Floats, negatives: Floats) -> float:
    beaten = negatives.sum() - np.cumsum(negatives) + negatives / 2
    pairs = positives.sum() * negatives.sum()
    return float((positives * beaten).sum() / pairs) if pairs > 0 else float("nan")


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
    """Of the ranks of two sets of groups."""
    x, y = (_weighted_ranks(side, weight) for side in (a, b))
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    spread = np.sqrt((weight * x * x).sum() * (weight * y * y).sum())
    return float((weight * x * y).sum() / spread) if spread > 0 else float("nan")


def _weighted_ranks(group: NDArray[np.intp], weight: Floats) -> Floats:
    """Rank of each cell from 1, those of a group sharing the mean of theirs."""
    count = np.bincount(group, weight)
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[group])
