"""Ranking a published atlas's cells from a short copy of their embeddings, then scoring the best exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from sat2cap.errors import AtlasError
from sat2cap.publishing.depths import array_name

Floats = NDArray[np.float32]

CANDIDATES = 4
"""Cells scored exactly for each that is asked for."""


@dataclass(frozen=True, eq=False)
class RankedCells:
    """The best cells for a text, best first."""

    rows: NDArray[np.intp]
    """Row of each cell in the grid, `[N]`."""
    cols: NDArray[np.intp]
    """Column of each cell, `[N]`."""
    cosines: Floats
    """Exact cosine of each cell, float32 `[N]`."""


def rank_cells(
    group: zarr.Group, text: Floats, count: int, depth: int, candidates: int | None = None
) -> RankedCells:
    """Return the `count` best cells of a published group for a text's unit vector, float32 `[D]`.

    All cells are ranked by the copy with `depth` numbers, and the first `candidates` of them (by default four
    times `count`) are scored with their embeddings; only the chunks that hold those are read. A cell that the
    short copy ranks worse than that is missed. Without a date: the Dynamic Encoder is not added. Raises
    `AtlasError` if the group has no copy of that depth.
    """
    declared = [entry["dimensions"] for entry in _declared_depths(group)][:-1]
    if depth not in declared:
        rule = f"has copies of {declared}" if declared else "has no short copies"
        raise AtlasError(f"this group {rule}, not of {depth}; publish it with: --depth {depth}")
    approximate = approximate_cosines(group, text, depth)
    finite_cells = np.flatnonzero(np.isfinite(approximate.ravel()))
    candidate_count = min(candidates or CANDIDATES * count, finite_cells.size)
    best = finite_cells
    if candidate_count:
        by_cosine = np.argpartition(-approximate.ravel()[finite_cells], candidate_count - 1)
        best = finite_cells[by_cosine[:candidate_count]]
    rows, cols = np.unravel_index(np.sort(best), approximate.shape)
    cosines = _exact_cosines(group, text, rows, cols)
    order = np.argsort(-cosines, kind="stable")[:count]
    return RankedCells(rows[order], cols[order], cosines[order])


def _declared_depths(group: zarr.Group) -> list[dict[str, Any]]:
    """Return the entries of ``geoemb:depths``, the full embeddings last."""
    entries: Any = group.attrs.get("geoemb:depths", [{"dimensions": 0}])
    return list(entries)


def _read(group: zarr.Group, name: str, *window: Any) -> NDArray[Any]:
    """Return the values of an array of the group, all of them or a window."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[window or ...])


def approximate_cosines(group: zarr.Group, text: Floats, depth: int) -> Floats:
    """Return the cosine of every cell by a copy with `depth` numbers, float32 `[y, x]`, NaN for no data."""
    rotation, mean = _read(group, "rotation")[:depth], _read(group, "mean")
    direction = rotation @ text
    array = group[array_name(depth)]
    assert isinstance(array, zarr.Array)
    height, width = array.shape[-2:]
    step = (array.shards or array.chunks)[-2]
    products = np.empty((height, width), np.float32)
    for top in range(0, height, step):  # a row of shards at a time
        rows = slice(top, min(top + step, height))
        stored = np.asarray(array[0, :, rows]).reshape(depth, -1)
        products[rows] = (direction @ stored.astype(np.float32)).reshape(-1, width)
    scale, length = (_read(group, name, 0) for name in ("scale_rotated", "length"))
    result: Floats = (products * scale + mean @ text) / length
    return result


def _exact_cosines(group: zarr.Group, text: Floats, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Floats:
    """Return the exact cosines of these cells, float32 `[N]`, reading each chunk that holds one of them once.

    The cosine does not depend on a cell's scale, so that the scales are not read.
    """
    array = group["embeddings"]
    assert isinstance(array, zarr.Array)
    side = array.chunks[-1]
    cosines = np.empty(len(rows), np.float32)
    chunk_of = (rows // side) * (array.shape[-1] // side + 1) + cols // side
    for chunk in np.unique(chunk_of):
        in_chunk = np.flatnonzero(chunk_of == chunk)
        top, left = rows[in_chunk[0]] // side * side, cols[in_chunk[0]] // side * side
        values = np.asarray(array[0, :, top : top + side, left : left + side]).astype(np.float32)
        cells = values[:, rows[in_chunk] - top, cols[in_chunk] - left]
        cosines[in_chunk] = (text @ cells) / np.linalg.norm(cells, axis=0)
    return cosines
