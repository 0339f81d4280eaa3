"""The cells of an atlas in blocks, as the compiled loops take them, read from the atlas's own chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, Chunk
from sat2cap.model import Encoding, encode_metadata, place_feature_count
from sat2cap.query.engine import kernel_numpy
from sat2cap.query.engine.loops import Loops, choose_loops

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """n neighbouring blocks of B cells each.

    A block is one chunk of the atlas, its cells row by row; chunks at the edge of the grid have full size
    too. The embeddings O are ``stored * scale``. Cells without an embedding have NaN in `inverse`. All arrays
    are read-only.
    """

    start: int
    """Index of the first block among all blocks of the atlas."""
    chunks: Sequence[Chunk]
    """The n chunks of the atlas that the blocks hold."""
    stored: NDArray[Any]
    """Embeddings as they are on disk, `[n, D, B]`: int8, or uint16 with the bits of float16."""
    scale: Floats
    """Factor of each cell's stored numbers, `[n, B]`; 1 for float16."""
    inverse: Floats
    """1 / ‖stored‖ of each cell, `[n, B]`."""
    load_place: Callable[[], Floats]
    """Computes or reads `place`, which a query without a date does not need."""
    shared_ranges: "BlockRanges | None" = None
    """Ranges of all blocks of the atlas, if the source keeps them from one query to the next."""
    loops: Loops = kernel_numpy
    """What computes with these cells."""

    @cached_property
    def place(self) -> Floats:
        """The P place features of each cell for the Dynamic Encoder, `[n, P, B]` (`place_features`)."""
        return read_only(self.load_place())

    def place_ranges(self) -> tuple[Floats, Floats]:
        """Return the smallest and the largest value of each place feature in each block.

        Both float32 `[n, P]`. Ranges of the whole atlas are remembered between queries.
        """
        if self.shared_ranges is None:
            return self.place.min(axis=2), self.place.max(axis=2)
        return self.shared_ranges.at(self.start, self.place)


@dataclass(frozen=True, eq=False)
class BlockRanges:
    """Ranges of place features of N blocks, computed when first needed and kept: they suit every date."""

    low: Floats
    """Smallest value of each of P features in each block, `[N, P]`."""
    high: Floats
    """Largest value of each of P features in each block, `[N, P]`."""
    is_computed: NDArray[np.bool_]
    """Whether a block's ranges have been computed, `[N]`."""

    @classmethod
    def empty(cls, blocks: int, features: int) -> "BlockRanges":
        """Return room for the ranges of N blocks with P features, none computed yet."""
        low, high = (np.empty((blocks, features), np.float32) for _ in range(2))
        return cls(low, high, np.zeros(blocks, bool))

    def at(self, start: int, place: Floats) -> tuple[Floats, Floats]:
        """Return the ranges of the n blocks from `start`, whose place features are `[n, P, B]`.

        Threads may call this at once: each would write the same numbers.
        """
        rows = slice(start, start + len(place))
        if not self.is_computed[rows].all():
            self.low[rows], self.high[rows] = place.min(axis=2), place.max(axis=2)
            self.is_computed[rows] = True
        return self.low[rows], self.high[rows]


class BlockSource(Protocol):
    """Where the scan reads blocks from: the atlas's chunks, or its prepared folder."""

    @property
    def chunks(self) -> Sequence[Chunk]:
        """The chunk of every block, in the order of `read`."""
        ...

    def read(self, start: int, stop: int, loops: Loops | None = None) -> Cells:
        """Read the blocks from `start` to before `stop`, to compute with `loops`. Raises `AtlasError`.

        None chooses the loops for as many cells as are read.
        """
        ...


@dataclass(frozen=True)
class AtlasBlocks:
    """The blocks of an atlas, read from its chunk files."""

    atlas: Atlas
    encoding: Encoding

    @cached_property
    def chunks(self) -> list[Chunk]:
        """The chunks that hold at least one wanted cell."""
        return list(self.atlas.chunks())

    def read(self, start: int, stop: int, loops: Loops | None = None) -> Cells:
        """Read the blocks from `start` to before `stop` from their chunk files.

        The lengths of the embeddings are computed by `loops`; None chooses them by the number of cells.
        Raises `AtlasError` if a file is damaged.
        """
        chunks, atlas = self.chunks[start:stop], self.atlas
        side = atlas.spec.chunk
        names = ("embeddings", "scale") if atlas.spec.dtype == "int8" else ("embeddings",)
        loops = loops or choose_loops(len(chunks) * side**2)
        stored: NDArray[Any] = np.empty((len(chunks), atlas.dim, side**2), atlas.spec.dtype)
        scale = np.ones((len(chunks), side**2), np.float32)
        rooms = (stored, scale)[: len(names)]

        def read_chunk(number: int) -> None:
            atlas.read_chunk(names, chunks[number], [room[number] for room in rooms])

        atlas.store.map(read_chunk, range(len(chunks)))
        stored = stored.view(np.uint16) if atlas.spec.dtype == "float16" else stored
        inverse = np.empty_like(scale)
        loops.inverse_lengths(read_only(stored), inverse)
        inverse[np.isnan(scale)] = np.nan

        def load_place() -> Floats:
            return np.stack([self._place_features(chunk) for chunk in chunks])

        return Cells(start, chunks, stored, read_only(scale), read_only(inverse), load_place, loops=loops)

    def _place_features(self, chunk: Chunk) -> Floats:
        """Return the place features of a chunk's cells, `[P, B]`.

        Cells beyond the grid's edges repeat the features of the cells at the edge, which keeps the ranges of
        the block, and so the number of hidden units that may change sign in it, small.
        """
        from sat2cap.geo import cell_lonlat  # with pyproj, which a query without a date does not need

        lon, lat = cell_lonlat(self.atlas.plain_grid[chunk.rows, chunk.cols])
        on_earth = np.isfinite(lon) & np.isfinite(lat)
        lon, lat = np.where(on_earth, lon, 0), np.where(on_earth, lat, 0)
        missing = [(0, self.atlas.spec.chunk - size) for size in chunk.shape]
        features = place_features(lon.ravel(), lat.ravel(), self.encoding).reshape(*chunk.shape, -1)
        padded = np.pad(features, [*missing, (0, 0)], mode="edge")
        return np.ascontiguousarray(padded.reshape(-1, features.shape[-1]).T)


def place_features(lon: NDArray[np.float64], lat: NDArray[np.float64], encoding: Encoding) -> Floats:
    """Return the features of N places that the Dynamic Encoder reads, float32 `[N, P]`.

    `lon` and `lat` are in degrees; P is `place_feature_count(encoding)`, most often 4.
    """
    # the features of the moment are dropped, so any moment will do
    return encode_metadata(lat, lon, 2015, 1, 1, 0, encoding)[:, : place_feature_count(encoding)]


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array of any shape read-only, in place, and return it.

    Mapped files are read-only too, so numba compiles each loop for one type of array instead of two.
    """
    array.flags.writeable = False
    return array
