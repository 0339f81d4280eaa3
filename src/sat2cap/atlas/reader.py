"""Reading an atlas with numpy, directly from its chunk files."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.atlas.chunk_files import ChunkFiles, new_chunk
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk, ChunkedArray, cell_arrays, iter_chunks
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.atlas.published import ShardFiles
from sat2cap.errors import AtlasError
from sat2cap.files import digest
from sat2cap.geo import PlainGrid
from sat2cap.stores import Store

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, eq=False)  # two masks have no single truth of being equal; compare identities
class Atlas:
    """An opened atlas, finished or not. It holds no open file, so it can be sent to other processes.

    atlas = open_atlas("amsterdam.zarr")
    for chunk in atlas.chunks():
        embeddings = atlas.read(chunk.rows, chunk.cols)    # float32 [h, w, D], NaN where there is none
    """

    store: Store
    """Where its files are: a folder, by convention ``NAME.zarr``, or an address such as ``s3://…``."""
    spec: AtlasSpec
    """Specification that the atlas was made from."""
    shards: ShardFiles | None = None
    """The chunks of a published copy; None for an atlas with files of its own for each chunk."""
    published_from: str | None = None
    """Hash of the content that a published copy was made from; None for what is no copy."""

    @property
    def members(self) -> "tuple[Atlas, ...]":
        """The atlases in one CRS that it consists of: itself, or the parts of a wide atlas."""
        return (self,)

    @property
    def name(self) -> str:
        """Its folder or address in messages, without secrets."""
        return self.store.name

    @property
    def path(self) -> Path:
        """Its folder. Raises `AtlasError` if it is not in a folder of this machine."""
        if self.store.folder is None:
            raise AtlasError(f"atlas {self.name!r} is not in a folder of this machine; copy it here first")
        return self.store.folder

    @property
    def grid(self) -> "GeoBox":
        """Grid with one pixel per cell."""
        return self.spec.grid

    @property
    def plain_grid(self) -> PlainGrid:
        """`grid` as plain numbers, which needs no odc-geo."""
        return self.spec.plain_grid

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.spec.dim

    @property
    def identity(self) -> str:
        """Hash of everything that decides the bytes: `AtlasSpec.identity`."""
        return self.spec.identity

    @property
    def fingerprint(self) -> str:
        """Hash of the current content. Repairing cells of a finished atlas changes it, but not `identity`."""
        if self.published_from is not None:
            return digest(self.identity, self.published_from)
        return digest(self.identity, hashlib.sha256(self.store.get(JOURNAL)).hexdigest())

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """Mask of the region's cells, bool `[y, x]`."""
        return self.spec.wanted

    @property
    def model(self) -> dict[str, Any]:
        """``identity``, ``source`` and ``card`` of the model."""
        return self.spec.model

    @property
    def imagery(self) -> dict[str, Any]:
        """The imagery's record, with its provenance."""
        return self.spec.imagery

    @property
    def attribution(self) -> str:
        """Whom to credit for the imagery."""
        return str(self.spec.imagery.get("attribution", ""))

    @property
    def licence(self) -> str:
        """Licence of the imagery."""
        return str(self.spec.imagery.get("licence", "unknown"))

    @property
    def complete(self) -> bool:
        """Whether it is finished: every wanted chunk is written, and the group's metadata is published."""
        return self.store.stamp(ROOT) is not None

    @cached_property
    def arrays(self) -> dict[str, ChunkedArray]:
        """The arrays written chunk by chunk, by name."""
        spec = self.spec
        return cell_arrays(spec.plain_grid.shape, spec.chunk, spec.dim, spec.dtype)

    @cached_property
    def chunk_files(self) -> ChunkFiles | ShardFiles:
        """The files of the chunks, for reading."""
        wanted = frozenset(chunk.index for chunk in self.chunks())
        return self.shards or ChunkFiles(self.store, self.identity, tuple(self.arrays.values()), wanted)

    @property
    def status(self) -> NDArray[np.uint8]:
        """`CellStatus` of every cell, uint8 `[y, x]`."""
        height, width = self.plain_grid.shape
        return self._read_cells(["status"], slice(0, height), slice(0, width))[0]

    def chunks(self) -> Iterator[Chunk]:
        """Yield the chunks that contain a wanted cell, row by row from the north.

        Reading whole chunks is fastest, as each is one file.

        >>> for chunk in atlas.chunks():
        ...     embeddings = atlas.read(chunk.rows, chunk.cols)
        """
        return iter_chunks(self.spec.wanted, self.spec.chunk)

    def read(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Return unnormalised embeddings of a block of cells, float32 `[h, w, D]`; NaN where there is none.

        `rows` and `cols` are slices of the grid without a step. A file is compared with its checksum when it
        is first read in this process. Raises `AtlasError` if a file cannot be read, has the wrong size or
        checksum, or is missing although it is journalled.
        """
        raw, scale = self.read_raw(rows, cols)
        values = np.ascontiguousarray(np.moveaxis(raw, 0, -1)).astype(np.float32)
        if scale is not None:
            values *= scale[..., None]
        return values

    def require_original(self) -> None:
        """Raise `AtlasError` for a published copy, which is only read."""
        if self.published_from is not None:
            raise AtlasError(
                f"{self.name!r} is a published copy, which is only read; give the atlas that it was made "
                "from, then publish that again"
            )

    @property
    def wanted_grid(self) -> PlainGrid:
        """The block of its grid that holds the region's cells."""
        rows, cols = (np.flatnonzero(self.wanted.any(axis=axis)) for axis in (1, 0))
        block = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
        return self.plain_grid[block]

    def read_places(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.float32]:
        """Return unnormalised embeddings of the cells that N places (degrees) lie in, float32 `[N, D]`.

        Rows are NaN for places outside the atlas or without an embedding. Raises `AtlasError` as `read` does.
        """
        from sat2cap.geo import cell_at

        row, col = cell_at(self.plain_grid, lon, lat)
        side, (height, width) = self.spec.chunk, self.plain_grid.shape
        values = np.full((np.size(lon), self.dim), np.nan, np.float32)
        for top, left in np.unique(np.stack([row, col])[:, row >= 0] // side, axis=1).T * side:
            in_chunk = (row // side == top // side) & (col // side == left // side)
            block = self.read(slice(top, min(top + side, height)), slice(left, min(left + side, width)))
            values[in_chunk] = block[row[in_chunk] - top, col[in_chunk] - left]
        return values

    def read_raw(self, rows: slice, cols: slice) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Return embeddings as they are stored, with their scales.

        These are ``(int8 [D, h, w], float32 [h, w])``, where value = stored * scale, or ``(float16 [D, h, w],
        None)``. NaN in the scale, or in float16 values, marks a cell without embedding. Both are of the same
        time, also while another process writes. Raises `AtlasError` as `read` does.
        """
        names = ["embeddings", "scale"] if self.spec.dtype == "int8" else ["embeddings"]
        values, *scale = self._read_cells(names, rows, cols)
        return values, scale[0] if scale else None

    def read_chunk(self, names: Sequence[str], chunk: Chunk, outs: Sequence[NDArray[Any]]) -> None:
        """Read one whole chunk of the arrays `names` into `outs`, each `[..., side, side]`, padding included.

        It is faster than `read_raw` if `outs` are reused. Raises `AtlasError` as `read` does.
        """
        self.chunk_files.read_together([self.arrays[name] for name in names], chunk.index, outs)

    def _read_cells(self, names: Sequence[str], rows: slice, cols: slice) -> list[NDArray[Any]]:
        """Return a block of cells of each array, without its time axis.

        Each chunk that overlaps the block is read, and the overlap is copied to its place in the results.
        """
        top, bottom, row_step = rows.indices(self.plain_grid.shape[0])
        left, right, col_step = cols.indices(self.plain_grid.shape[1])
        if row_step != 1 or col_step != 1:
            raise AtlasError("an atlas is read in whole blocks; give slices without a step")
        arrays, side = [self.arrays[name] for name in names], self.spec.chunk
        shape = max(bottom - top, 0), max(right - left, 0)
        outs = [np.empty((*array.shape[1:-2], *shape), array.dtype) for array in arrays]

        def copy_chunk(index: tuple[int, int]) -> None:
            row, col = index
            y0, y1 = max(top, row * side), min(bottom, (row + 1) * side)
            x0, x1 = max(left, col * side), min(right, (col + 1) * side)
            chunks = [new_chunk(array) for array in arrays]
            self.chunk_files.read_together(arrays, index, chunks)
            for out, values in zip(outs, chunks, strict=True):
                block = values[..., y0 - row * side : y1 - row * side, x0 - col * side : x1 - col * side]
                out[..., y0 - top : y1 - top, x0 - left : x1 - left] = block

        rows_of_chunks = range(top // side, -(-bottom // side))
        cols_of_chunks = range(left // side, -(-right // side))
        self.store.map(copy_chunk, product(rows_of_chunks, cols_of_chunks))
        return outs
