"""Silhouettes (Rousseeuw 1987): how much nearer a point is to its own cluster than to the next one."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError

Floats = NDArray[np.float64]

_BLOCK_BYTES = 64 << 20


def point_silhouettes(
    rows: NDArray[np.floating], labels: ArrayLike, sample: NDArray[np.int64] | None = None
) -> Floats:
    """s(i) by Euclidean distance for the points `sample` [S] of `rows` [N, D], or for all: float64 [S].

    Exact: distances are to all N points, however few are sampled, so that large k is not judged by clusters
    that the sample has emptied. 0 for a point that is alone in its cluster. Raises `InputError` unless there
    are between 2 and N - 1 clusters.
    """
    clusters = ClusterOrder(labels, len(rows))
    ordered = np.asarray(rows, np.float64)[clusters.order]
    squares = np.einsum("nd,nd->n", ordered, ordered)
    chosen = np.arange(len(rows)) if sample is None else sample
    position = np.argsort(clusters.order)[chosen]
    out = np.empty(len(chosen))
    step = max(1, _BLOCK_BYTES // (8 * len(rows)))
    for start in range(0, len(chosen), step):
        block = position[start : start + step]
        square = squares[block, None] + squares - 2 * (ordered[block] @ ordered.T)
        square[np.arange(len(block)), block] = 0.0
        out[start : start + step] = clusters.silhouettes(np.sqrt(np.maximum(square, 0)), block)
    return out


class ClusterOrder:
    """Points ordered by cluster, so that a cluster's distances lie side by side."""

    def __init__(self, labels: ArrayLike, count: int) -> None:
        _, group, self.size = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
        if len(group) != count or not 2 <= len(self.size) < count:
            raise InputError(
                f"{len(self.size)} clusters of {len(group)} labels cannot be judged for {count} points; "
                f"a silhouette needs 2 to {count - 1} clusters, and a label for each point"
            )
        self.order = np.argsort(group.reshape(-1), kind="stable")
        self.first = np.cumsum(self.size) - self.size
        self.group = group.reshape(-1)[self.order]

    def silhouettes(self, distances: Floats, position: NDArray[np.intp]) -> Floats:
        """s of points at `position` in the order, given their distances `[b, N]` to all in that order."""
        sums = np.add.reduceat(distances, self.first, axis=1)
        each, own = np.arange(len(position)), self.group[position]
        other_members = self.size[own] - 1
        inside = sums[each, own] / np.maximum(other_members, 1)
        means = sums / self.size
        means[each, own] = np.inf
        outside = means.min(axis=1)
        most = np.maximum(inside, outside)
        spread = np.divide(outside - inside, most, out=np.zeros_like(most), where=most > 0)
        return np.where(other_members > 0, spread, 0.0)
