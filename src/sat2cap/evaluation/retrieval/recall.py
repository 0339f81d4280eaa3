"""Figures made of ranks: recall at a depth, median and mean (table 1 of the paper); and of guessing."""

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PairsError

Weight = NDArray[np.float64]

DEPTHS = (1, 5, 10)


def retrieval_metrics(ranks: NDArray[np.int64], weight: Weight | None = None) -> dict[str, float]:
    """R@1, R@5, R@10 as fractions, median and mean rank, of ranks [N]; row i counts weight[i] times."""
    if len(ranks) == 0:
        raise PairsError("there are no ranks to summarise: the split has no pairs; choose another split")
    weight = np.ones(len(ranks)) if weight is None else weight
    total = weight.sum()
    recall = {f"r{k}": float(weight[ranks <= k].sum() / total) for k in DEPTHS}
    mean = float((weight * ranks).sum() / total)
    return {**recall, "median_rank": _median(ranks, weight), "mean_rank": mean}


def chance_metrics(place: NDArray[np.int64]) -> dict[str, float]:
    """What guessing gives in the mean, for the places `[N]` of a gallery: `retrieval_metrics` of no model.

    With p right rows and n wrong ones, the best right one is below depth k when the k best are all wrong.
    """
    right, queries = np.unique(np.bincount(place)[place], return_counts=True)
    total = len(place)

    def found(k: int) -> float:
        """Share of queries with a rank of at most k."""
        depth = np.arange(k)[:, None]
        missed = np.prod(np.clip((total - right - depth) / np.maximum(total - depth, 1), 0, 1), axis=0)
        return float(((1 - missed) * queries).sum() / total)

    mean = float(((1 + (total - right) / (right + 1)) * queries).sum() / total)
    low, high = 1, total
    while low < high:  # the least rank that half of the queries reach
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) >= 0.5 else (middle + 1, high)
    median = (total + 1) / 2 if (right == 1).all() else float(low)
    return {**{f"r{k}": found(k) for k in DEPTHS}, "median_rank": median, "mean_rank": mean}


def _median(ranks: NDArray[np.int64], weight: Weight) -> float:
    """Of the ranks, each as often as its weight."""
    order = np.argsort(ranks, kind="stable")
    below, half = np.cumsum(weight[order]), weight.sum() / 2
    last = len(ranks) - 1
    middle = (min(int(np.searchsorted(below, half, side)), last) for side in ("left", "right"))
    return float(np.mean([ranks[order[index]] for index in middle]))
