"""Copying the cells of an atlas into sharded Zarr arrays, one shard at a time.

A shard is one object of the store that holds a square of chunks and, at its end, an index of where each
begins. A reader fetches the index and then only the chunks that it needs; a country is hundreds of objects
instead of hundreds of thousands. Chunks and index end with their CRC-32C (C). ::

    a shard of 4 x 4 chunks     [chunk C][chunk C] … [chunk C][index of 16 positions C]
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec

from sat2cap.atlas import Atlas, AtlasSpec, cell_arrays
from sat2cap.progress import Progress
from sat2cap.publishing.attributes import array_attributes
from sat2cap.publishing.depths import Depths, array_name

SHARD_BYTES = 128 * 2**20
"""Largest size of a shard of embeddings: what one process holds in memory, and one object of a store."""
CHECKSUM = Crc32cCodec()
"""What ends every chunk with its checksum, which readers of Zarr compare."""
LARGEST_SIDE = 16
"""Chunks along a side of a shard at most: with 32 cells to a chunk, 512 cells."""


@dataclass(frozen=True)
class CellArray:
    """An array of the published group that has values for each cell."""

    name: str
    dims: tuple[str, ...]
    depth: int | None
    """Numbers a cell, or None for one number without an axis of its own."""
    dtype: np.dtype[Any]
    fill: float
    attributes: dict[str, Any]


def shard_side(spec: AtlasSpec) -> int:
    """Return how many chunks lie along the side of a shard: a power of two, as large as the limits allow."""
    chunk_bytes = spec.chunk**2 * spec.dim * np.dtype(spec.dtype).itemsize
    widest = math.ceil(max(spec.grid.shape) / spec.chunk)
    side = 1
    while side < min(LARGEST_SIDE, widest) and (2 * side) ** 2 * chunk_bytes <= SHARD_BYTES:
        side *= 2
    return side


def list_cell_arrays(spec: AtlasSpec, depths: Depths | None) -> list[CellArray]:
    """Return the arrays that hold the cells, the status last: a shard whose status is there is whole."""
    stored = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
    by_name = {}
    for array in stored.values():
        depth = array.shape[1] if "embedding" in array.dims else None
        by_name[array.name] = CellArray(
            array.name, array.dims, depth, array.dtype, array.fill, array.attributes
        )
    status = by_name.pop("status")
    return [*by_name.values(), *_rotated_arrays(depths), status]


def _rotated_arrays(depths: Depths | None) -> Iterator[CellArray]:
    """Yield the arrays of the short copies, with what is needed to use them."""
    if depths is None:
        return
    mapping = {"grid_mapping": "spatial_ref"}
    dims = ("time", "y", "x")
    for size in depths.sizes:
        note = f"first {size} principal components of embedding - mean; value = stored * scale_rotated"
        deep = ("time", f"component_d{size}", "y", "x")
        yield CellArray(array_name(size), deep, size, np.dtype("int8"), 0, {"long_name": note, **mapping})
    scale = {"long_name": "scale of the rotated copies; NaN means no data", **mapping}
    yield CellArray("scale_rotated", dims, None, np.dtype("float32"), np.nan, scale)
    length = {"long_name": "Euclidean length of the embedding; NaN means no data", **mapping}
    yield CellArray("length", dims, None, np.dtype("float32"), np.nan, length)


def create_cell_array(group: zarr.Group, array: CellArray, spec: AtlasSpec) -> zarr.Array[Any]:
    """Create one array of the published group, or open the one that an interrupted run made."""
    if array.name in group:
        existing = group[array.name]
        assert isinstance(existing, zarr.Array)
        return existing
    side = shard_side(spec) * spec.chunk
    deep = (1,) if array.depth is None else (1, array.depth)
    # Zstandard makes int8 embeddings only a tenth smaller (docs/LOG.md), and their bytes can then not be used
    # as they are; a scale or a status is worth it
    compressors = [CHECKSUM] if array.depth is not None else [ZstdCodec(level=5), CHECKSUM]
    return group.create_array(
        array.name,
        shape=(*deep, *spec.grid.shape),
        chunks=(*deep, spec.chunk, spec.chunk),
        shards=(*deep, side, side),
        dtype=array.dtype,
        fill_value=array.dtype.type(array.fill),
        compressors=compressors,
        dimension_names=array.dims,
        attributes=array_attributes(array.dims, array.attributes),
    )


def copy_cells(atlas: Atlas, group: zarr.Group, depths: Depths | None, progress: Progress) -> None:
    """Write the cells of all arrays, shard by shard; shards that an interrupted run finished are kept."""
    arrays = {
        array.name: create_cell_array(group, array, atlas.spec)
        for array in list_cell_arrays(atlas.spec, depths)
    }
    status = atlas.status
    windows = list(_shard_windows(atlas.spec))
    for number, (rows, cols) in enumerate(windows):
        progress("publishing shards", number, len(windows))
        shard_status = status[rows, cols]
        if shard_status.any() and not np.array_equal(arrays["status"][0, rows, cols], shard_status):
            for name, values in _read_shard(atlas, depths, rows, cols).items():
                arrays[name][0, ..., rows, cols] = values
            arrays["status"][0, rows, cols] = shard_status  # last: it says that the shard is whole
    progress("publishing shards", len(windows), len(windows))


def _shard_windows(spec: AtlasSpec) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of every shard, cut off at the grid's edges."""
    side = shard_side(spec) * spec.chunk
    height, width = spec.grid.shape
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def _read_shard(atlas: Atlas, depths: Depths | None, rows: slice, cols: slice) -> dict[str, NDArray[Any]]:
    """Return the values of a shard by array name, without the time axis."""
    stored, scale = atlas.read_raw(rows, cols)
    values: dict[str, NDArray[Any]] = {"embeddings": stored}
    if scale is not None:
        values["scale"] = scale
    if depths is not None:
        rotated = np.empty((max(depths.sizes), *stored.shape[1:]), np.int8)
        factors, lengths = (np.empty(stored.shape[1:], np.float32) for _ in range(2))
        for row in range(stored.shape[1]):  # a row at a time, so that float32 copies stay small
            line = np.moveaxis(stored[:, row], 0, -1).astype(np.float32)
            line = line if scale is None else line * scale[row][:, None]
            numbers, factors[row], lengths[row] = depths.rotate(line)
            rotated[:, row] = numbers.T
        values |= {array_name(size): rotated[:size] for size in depths.sizes}
        values |= {"scale_rotated": factors, "length": lengths}
    return values
