"""How well a map agrees with the truth: pure functions of scores and labels of the same cells, any shape.

A cell whose score is NaN has no data and is left out. Where a figure is not defined (one class only, a
constant map) it is NaN, and the caller says what that means.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError


def auroc(score: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive cell scores above a negative one, a tie counting one half."""
    values, labels = _cells(score, positive)
    truth = labels.astype(bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    above = _average_ranks(values)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def average_precision(score: ArrayLike, positive: ArrayLike) -> float:
    """Mean precision over the positive cells, best score first; cells that tie enter together."""
    values, labels = _cells(score, positive)
    truth = labels.astype(bool)
    if not truth.any():
        return float("nan")
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)  # last cell of each tied run
    hits = np.cumsum(truth[order])[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * (hits / (last + 1))).sum() / truth.sum())


def spearman(score: ArrayLike, truth: ArrayLike) -> float:
    """Rank correlation, -1 to 1, tied values sharing their average rank."""
    a, b = (_average_ranks(side) for side in _cells(score, truth))
    a, b = a - a.mean(), b - b.mean()
    spread = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / spread) if spread > 0 else float("nan")


def _cells(score: ArrayLike, truth: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as flat float64, without the cells that have no data in either."""
    a, b = np.asarray(score, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != b.shape:
        raise InputError(
            f"scores and truth have shapes {a.shape} and {b.shape}; bring them to one grid first"
        )
    known = ~(np.isnan(a) | np.isnan(b))
    if not known.any():
        raise InputError(f"none of {a.size} cells has both a score and a truth; check that they overlap")
    return a[known], b[known]


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each value from 1, tied values sharing the mean of their ranks."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[group], dtype=np.float64)
