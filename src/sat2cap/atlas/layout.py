"""Which files an atlas consists of: Zarr v3 arrays of uncompressed chunks. The page is docs/atlas.md."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

PLAN = "_sat2cap/plan.json"
"""What the atlas is to be; the first file written."""
JOURNAL = "_sat2cap/journal.jsonl"
"""What has been written, with its hashes."""
ROOT = "zarr.json"
"""The group's metadata; the last file written, so that only a finished atlas opens in Zarr."""


class CellStatus(IntEnum):
    """Why a cell has an embedding or has none."""

    NONE = 0
    """Outside the region; or not computed yet, while the atlas is unfinished."""
    OK = 1
    """There is an embedding."""
    IMAGERY_MISSING = 2
    """The imagery has no pixels there, or too few."""
    IMAGERY_FAILED = 3
    """Reading the imagery failed."""
    NOT_FINITE = 4
    """The model gave a number that is not finite, or too large for float16."""


STATUS_MEANINGS = {
    CellStatus.NONE: "outside the region, or not computed yet",
    CellStatus.OK: "embedded",
    CellStatus.IMAGERY_MISSING: "the imagery has no pixels there, or too few",
    CellStatus.IMAGERY_FAILED: "reading the imagery failed",
    CellStatus.NOT_FINITE: "the model gave a number that is not finite",
}
"""In words, by code; also in the atlas's own attributes."""


@dataclass(frozen=True)
class Chunk:
    """A block of cells that is computed, written and journalled as one."""

    index: tuple[int, int]
    """Row and column among the chunks."""
    rows: slice
    """The cells' rows, cut at the grid's edge."""
    cols: slice
    """The cells' columns, cut at the grid's edge."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells down and across."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


@dataclass(frozen=True)
class ChunkedArray:
    """One array of the atlas, with the metadata Zarr needs. Chunks are little-endian, C order, full size."""

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype[Any]
    fill: float
    """What a missing chunk, and the part of a chunk beyond the grid, holds."""
    attributes: dict[str, Any]

    def file(self, *index: int) -> str:
        """The path of a chunk inside the atlas."""
        return "/".join([self.name, "c", *map(str, index)]) if self.shape else f"{self.name}/c"

    def cell_file(self, row: int, col: int) -> str:
        """The path of a chunk of cells, whatever axes come before y and x; those are never divided."""
        return self.file(*[0] * (len(self.dims) - 2), row, col)

    def metadata(self) -> dict[str, Any]:
        """The array's zarr.json."""
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

    def encode(self, values: NDArray[Any]) -> bytes:
        """One chunk's bytes; `values` may be smaller than the chunk along any dimension."""
        full = np.full(self.chunk, self.fill, dtype=self.dtype)
        full[tuple(slice(0, size) for size in values.shape)] = values
        return full.astype(self.dtype.newbyteorder("<"), copy=False).tobytes()

    def chunk_bytes(self) -> int:
        """The size of every chunk file."""
        return math.prod(self.chunk) * self.dtype.itemsize


def cell_arrays(shape: Sequence[int], chunk: int, dim: int, dtype: str) -> dict[str, ChunkedArray]:
    """The arrays written chunk by chunk: embeddings, scale (int8 only) and status, by name."""

    def array(
        name: str, kind: str, fill: float, attributes: dict[str, Any], deep: bool = False
    ) -> ChunkedArray:
        dims = ("time", "embedding", "y", "x") if deep else ("time", "y", "x")
        depth = (1, dim) if deep else (1,)
        full = attributes | {"grid_mapping": "spatial_ref"}
        return ChunkedArray(name, dims, (*depth, *shape), (*depth, chunk, chunk), np.dtype(kind), fill, full)

    names = {f"{status.value}": meaning for status, meaning in STATUS_MEANINGS.items()}
    arrays = [array("status", "uint8", 0, {"flag_meanings": names})]
    if dtype == "int8":
        note = "value = embeddings * scale; a scale that is not a number means no data"
        arrays = [
            array("embeddings", "int8", 0, {"long_name": "unnormalised embedding, quantised"}, deep=True),
            array("scale", "float32", np.nan, {"long_name": note}),
            *arrays,
        ]
    else:
        name = "unnormalised embedding; not a number means no data"
        arrays = [array("embeddings", "float16", np.nan, {"long_name": name}, deep=True), *arrays]
    return {array.name: array for array in arrays}


def iter_chunks(wanted: NDArray[np.bool_], chunk: int) -> Iterator[Chunk]:
    """The chunks that hold a wanted cell, row by row."""
    height, width = wanted.shape
    for top in range(0, height, chunk):
        for left in range(0, width, chunk):
            rows, cols = slice(top, min(top + chunk, height)), slice(left, min(left + chunk, width))
            if wanted[rows, cols].any():
                yield Chunk((top // chunk, left // chunk), rows, cols)
