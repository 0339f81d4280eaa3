"""Layout of an atlas on disk: Zarr v3 arrays of uncompressed chunks (docs/atlas.md).

A **cell** is one pixel of the atlas's grid and has one embedding. A **chunk** is a square of cells, 32 by 32
unless the plan says otherwise, cut off at the grid's edges. It is computed, written and journalled as one,
and is one file per array::

    chunks of a grid of 70 x 40 cells:    (0, 0)  (0, 1)      32 rows
                                          (1, 0)  (1, 1)      32 rows
                                          (2, 0)  (2, 1)       6 rows
                                            32      8 columns
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOURNAL = "_sat2cap/journal.jsonl"
"""Path of the journal, which lists finished chunks with the hashes of their files."""
ROOT = "zarr.json"
"""Path of the group's metadata; the last file written, so that Zarr opens only a finished atlas."""


class CellStatus(IntEnum):
    """Why a cell has an embedding or has none."""

    NONE = 0
    """Cell outside the region, or, in an unfinished atlas, not computed yet."""
    OK = 1
    """Cell with an embedding."""
    IMAGERY_MISSING = 2
    """Cell where the imagery has no pixels, or too few."""
    IMAGERY_FAILED = 3
    """Cell whose imagery could not be read; repairing the atlas tries again."""
    NOT_FINITE = 4
    """Cell whose embedding has a value that is not finite, or is too large for float16."""


STATUS_MEANINGS = {
    CellStatus.NONE: "outside the region, or not computed yet",
    CellStatus.OK: "embedded",
    CellStatus.IMAGERY_MISSING: "the imagery has no pixels there, or too few",
    CellStatus.IMAGERY_FAILED: "reading the imagery failed",
    CellStatus.NOT_FINITE: "the model gave a number that is not finite",
}
"""Each status in words; also in the attributes of the atlas."""


@dataclass(frozen=True)
class Chunk:
    """A square of cells that is computed, written and journalled as one."""

    index: tuple[int, int]
    """Row and column of the chunk, counted in chunks."""
    rows: slice
    """Rows of the grid that it covers, cut off at the grid's edge."""
    cols: slice
    """Columns of the grid that it covers, cut off at the grid's edge."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in cells, at most the chunk size."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


@dataclass(frozen=True)
class ChunkedArray:
    """One array of the atlas with its Zarr metadata.

    Chunk files are uncompressed, little-endian, in C order, and full size also at the grid's edges.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float
    """Value of every element in a missing chunk, and in the part of a chunk beyond the grid."""
    attributes: dict[str, Any]

    def chunk_path(self, *index: int) -> str:
        """Return the path inside the atlas of the chunk with this index, one number per dimension."""
        return "/".join([self.name, "c", *map(str, index)]) if self.shape else f"{self.name}/c"

    def cell_chunk_path(self, row: int, col: int) -> str:
        """Return the path of the chunk in this row and column; axes before y and x have one chunk."""
        return self.chunk_path(*[0] * (len(self.dims) - 2), row, col)

    def metadata(self) -> dict[str, Any]:
        """Return the content of the array's zarr.json."""
        fill = "NaN" if np.isnan(self.fill) else self.dtype.type(self.fill).item()
        one_byte = self.dtype.itemsize == 1
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(self.shape),
            "data_type": self.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunk)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": fill,
            "codecs": [
                {"name": "bytes"} if one_byte else {"name": "bytes", "configuration": {"endian": "little"}}
            ],
            "attributes": self.attributes,
            "dimension_names": list(self.dims),
            "storage_transformers": [],
        }

    def encode_chunk(self, values: NDArray[Any]) -> bytes:
        """Return the bytes of one chunk as Zarr stores it: little-endian, C order, not compressed.

        `values` has the shape of the chunk, or a smaller one where the grid ends; the rest is the fill value.
        """
        full = np.full(self.chunk, self.fill, dtype=self.dtype)
        full[tuple(slice(0, size) for size in values.shape)] = values
        return full.astype(self.dtype.newbyteorder("<"), copy=False).tobytes()

    def chunk_bytes(self) -> int:
        """Return the size in bytes of every chunk file."""
        return math.prod(self.chunk) * self.dtype.itemsize


def cell_arrays(shape: Sequence[int], chunk: int, dim: int, dtype: str) -> dict[str, ChunkedArray]:
    """Return, by name, the arrays written chunk by chunk: embeddings, scale (int8 only) and status.

    `shape` is the grid's in cells, `chunk` the side of a chunk in cells, `dim` the length of an embedding.
    """

    def make_array(
        name: str, kind: str, fill: float, attributes: dict[str, Any], deep: bool = False
    ) -> ChunkedArray:
        dims = ("time", "embedding", "y", "x") if deep else ("time", "y", "x")
        depth = (1, dim) if deep else (1,)
        full = attributes | {"grid_mapping": "spatial_ref"}
        return ChunkedArray(name, dims, (*depth, *shape), (*depth, chunk, chunk), np.dtype(kind), fill, full)

    names = {f"{status.value}": meaning for status, meaning in STATUS_MEANINGS.items()}
    arrays = [make_array("status", "uint8", 0, {"flag_meanings": names})]
    if dtype == "int8":
        note = "value = embeddings * scale; a scale that is not a number means no data"
        arrays = [
            make_array(
                "embeddings", "int8", 0, {"long_name": "unnormalised embedding, quantised"}, deep=True
            ),
            make_array("scale", "float32", np.nan, {"long_name": note}),
            *arrays,
        ]
    else:
        name = "unnormalised embedding; not a number means no data"
        arrays = [make_array("embeddings", "float16", np.nan, {"long_name": name}, deep=True), *arrays]
    return {array.name: array for array in arrays}


def iter_chunks(wanted: NDArray[np.bool_], chunk: int) -> Iterator[Chunk]:
    """Yield the chunks that contain a wanted cell, row by row.

    `wanted` is a mask of the grid's cells ``(rows, columns)``, `chunk` the side of a chunk in cells. Chunks
    at the lower and right edges are as small as what is left of the grid.
    """
    height, width = wanted.shape
    for top in range(0, height, chunk):
        for left in range(0, width, chunk):
            rows, cols = slice(top, min(top + chunk, height)), slice(left, min(left + chunk, width))
            if wanted[rows, cols].any():
                yield Chunk((top // chunk, left // chunk), rows, cols)
