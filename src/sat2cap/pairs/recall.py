"""Metrics of retrieval ranks, for training and evaluation: recall at a depth, median, mean, and chance."""

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PairsError

Weight = NDArray[np.float64]

DEPTHS = (1, 5, 10)
"""Depths k of R@k."""


def retrieval_metrics(ranks: NDArray[np.int64], weight: Weight | None = None) -> dict[str, float]:
    """Return ``r1``, ``r5``, ``r10``, ``median_rank`` and ``mean_rank`` of ranks (table 1 of the paper).

    `ranks` are int64 ``[N]``, from 1; row i counts ``weight[i]`` times, once if `weight` is None. R@k is the
    share of ranks that are at most k, 0 to 1. Raises `PairsError` if there are no ranks.

        retrieval_metrics(np.array([1, 2, 7]))["r5"]  # 2 / 3
    """
    if len(ranks) == 0:
        raise PairsError("there are no ranks to summarise: the split has no pairs; choose another split")
    weight = np.ones(len(ranks)) if weight is None else weight
    total = weight.sum()
    recall = {f"r{k}": float(weight[ranks <= k].sum() / total) for k in DEPTHS}
    mean = float((weight * ranks).sum() / total)
    return {**recall, "median_rank": _weighted_median(ranks, weight), "mean_rank": mean}


def chance_metrics(place: NDArray[np.int64]) -> dict[str, float]:
    """Return the expected `retrieval_metrics` of random guessing, for the place numbers `[N]` of a gallery.

    Every row of the query's own place is a right answer. With p right rows and n wrong ones, the rank of the
    best right one is above k exactly when the first k rows are all wrong.
    """
    right, queries = np.unique(np.bincount(place)[place], return_counts=True)
    total = len(place)

    def recall_at(k: int) -> float:
        """Return the expected share of queries with a rank of at most k."""
        depth = np.arange(k)[:, None]
        missed = np.prod(np.clip((total - right - depth) / np.maximum(total - depth, 1), 0, 1), axis=0)
        return float(((1 - missed) * queries).sum() / total)

    mean = float(((1 + (total - right) / (right + 1)) * queries).sum() / total)
    low, high = 1, total
    while low < high:  # the least rank that half of the queries reach
        middle = (low + high) // 2
        low, high = (low, middle) if recall_at(middle) >= 0.5 else (middle + 1, high)
    median = (total + 1) / 2 if (right == 1).all() else float(low)
    return {**{f"r{k}": recall_at(k) for k in DEPTHS}, "median_rank": median, "mean_rank": mean}


def _weighted_median(ranks: NDArray[np.int64], weight: Weight) -> float:
    """Return the median of the ranks, each counted as often as its weight."""
    order = np.argsort(ranks, kind="stable")
    below, half = np.cumsum(weight[order]), weight.sum() / 2
    last = len(ranks) - 1
    middle = (min(int(np.searchsorted(below, half, side)), last) for side in ("left", "right"))
    return float(np.mean([ranks[order[index]] for index in middle]))
