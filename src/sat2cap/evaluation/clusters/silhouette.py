"""Silhouettes of clustered points (Rousseeuw 1987).

With a(i) the mean distance of point i to the other members of its cluster, and b(i) the least mean
distance to the members of another cluster, the silhouette is s(i) = (b(i) - a(i)) / max(a(i), b(i)): from
-1, a point in the wrong cluster, to 1, a point far from all others.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import InputError

Floats = NDArray[np.float64]

_BLOCK_BYTES = 64 << 20


def point_silhouettes(
    rows: NDArray[np.floating], labels: ArrayLike, sample: NDArray[np.int64] | None = None
) -> Floats:
    """Return the silhouettes of the points `sample` `[S]` of `rows` `[N, D]`, or of all: float64 `[S]`.

    `labels` `[N]` name each point's cluster; distances are Euclidean. Exact: they are taken to all N points,
    however few are sampled, so that large k is not judged by clusters that the sample has emptied. A point
    that is alone in its cluster has 0. Raises `InputError` unless there
    are between 2 and N - 1 clusters.
    """
    clusters = _OrderedClusters(labels, len(rows))
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


class _OrderedClusters:
    """Points ordered by cluster, so that the distances to one cluster lie side by side.

    ::

        labels            2 0 1 0 2
        order             1 3 2 0 4     the points 1 and 3 of cluster 0, then 2 of 1, then 0 and 4 of 2
        first             0   2 3       where each cluster begins in that order
    """

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
        """Return silhouettes of the points at `position` in the order: float64 `[B]`.

        `distances` `[B, N]` are theirs to all points, in that order.
        """
        sums = np.add.reduceat(distances, self.first, axis=1)
        numbers, own = np.arange(len(position)), self.group[position]
        other_members = self.size[own] - 1
        inside = sums[numbers, own] / np.maximum(other_members, 1)
        means = sums / self.size
        means[numbers, own] = np.inf
        outside = means.min(axis=1)
        larger = np.maximum(inside, outside)
        silhouettes = np.divide(outside - inside, larger, out=np.zeros_like(larger), where=larger > 0)
        return np.where(other_members > 0, silhouettes, 0.0)
