"""The cells of an atlas in blocks, as the compiled loops take them, read from the atlas's own chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, Chunk
from sat2cap.geo import cell_lonlat
from sat2cap.model import Encoding, encode_metadata, place_feature_count
from sat2cap.query.engine import kernel

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """n blocks of B cells; a block is a chunk of the atlas, its cells row by row, full size at the edges.

    The embeddings O are ``stored * scale``. Cells without one have NaN in `inverse`. All are read-only.
    """

    start: int
    """Where the first block stands among all of the atlas."""
    chunks: Sequence[Chunk]
    """What the blocks are, n of them."""
    stored: NDArray[Any]
    """`[n, D, B]`, int8, or uint16 with the bits of float16."""
    scale: Floats
    """`[n, B]`."""
    inverse: Floats
    """1 / ‖stored‖, `[n, B]`."""
    find_place: Callable[[], Floats]
    """Gives `place`, which a query without a date does not need."""
    known_ranges: "Ranges | None" = None
    """Of all the atlas's blocks, if what was found out once is kept."""

    @cached_property
    def place(self) -> Floats:
        """P numbers of each cell's place (`place_feature_count`), for the Dynamic Encoder, `[n, P, B]`."""
        return read_only(self.find_place())

    def ranges(self) -> tuple[Floats, Floats]:
        """The least and the greatest of each number of `place` in each block, `[n, P]` both."""
        if self.known_ranges is None:
            return self.place.min(axis=2), self.place.max(axis=2)
        return self.known_ranges.of(self.start, self.place)


@dataclass(frozen=True, eq=False)
class Ranges:
    """`Cells.ranges` of N blocks, found when they are first asked for: every date needs the same."""

    low: Floats
    """`[N, P]`, as is `high`."""
    high: Floats
    known: NDArray[np.bool_]
    """`[N]`: of which blocks they have been found."""

    @classmethod
    def unknown(cls, blocks: int, numbers: int) -> "Ranges":
        """Of N blocks and P numbers of a place, nothing known yet."""
        low, high = (np.empty((blocks, numbers), np.float32) for _ in range(2))
        return cls(low, high, np.zeros(blocks, bool))

    def of(self, start: int, place: Floats) -> tuple[Floats, Floats]:
        """Those of the n blocks from `start`, whose places are `[n, P, B]`; threads may ask at once."""
        part = slice(start, start + len(place))
        if not self.known[part].all():
            self.low[part], self.high[part] = place.min(axis=2), place.max(axis=2)
            self.known[part] = True
        return self.low[part], self.high[part]


class Source(Protocol):
    """Where cells come from."""

    @property
    def chunks(self) -> Sequence[Chunk]:
        """Every block, in the order of `read`."""
        ...

    def read(self, start: int, stop: int) -> Cells:
        """The blocks from `start` to before `stop`. Raises `AtlasError`."""
        ...


@dataclass(frozen=True)
class AtlasCells:
    """The cells of an atlas from its chunk files."""

    atlas: Atlas
    encoding: Encoding

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Those that hold a cell of the region."""
        return list(self.atlas.chunks())

    def read(self, start: int, stop: int) -> Cells:
        """Raises `AtlasError` when a file is cut short."""
        chunks, atlas = self.chunks[start:stop], self.atlas
        side = atlas.spec.chunk
        stored: NDArray[Any] = np.empty((len(chunks), atlas.dim, side**2), atlas.spec.dtype)
        scale = np.ones((len(chunks), side**2), np.float32)
        for number, chunk in enumerate(chunks):
            atlas.read_chunk("embeddings", chunk, stored[number])
            if atlas.spec.dtype == "int8":
                atlas.read_chunk("scale", chunk, scale[number])
        stored = stored.view(np.uint16) if atlas.spec.dtype == "float16" else stored
        inverse = np.empty_like(scale)
        kernel.inverse_lengths(read_only(stored), inverse)
        inverse[np.isnan(scale)] = np.nan

        def find_place() -> Floats:
            return np.stack([self._place(chunk) for chunk in chunks])

        return Cells(start, chunks, stored, read_only(scale), read_only(inverse), find_place)

    def _place(self, chunk: Chunk) -> Floats:
        """`[P, B]`; beyond the grid's edges the places of the cells at the edge, which keeps blocks small."""
        lon, lat = cell_lonlat(self.atlas.grid[chunk.rows, chunk.cols])
        on_earth = np.isfinite(lon) & np.isfinite(lat)
        lon, lat = np.where(on_earth, lon, 0), np.where(on_earth, lat, 0)
        beyond = [(0, self.atlas.spec.chunk - size) for size in chunk.shape]
        features = place_features(lon.ravel(), lat.ravel(), self.encoding).reshape(*chunk.shape, -1)
        padded = np.pad(features, [*beyond, (0, 0)], mode="edge")
        return np.ascontiguousarray(padded.reshape(-1, features.shape[-1]).T)


def place_features(lon: NDArray[np.float64], lat: NDArray[np.float64], encoding: Encoding) -> Floats:
    """The P numbers of N places that the Dynamic Encoder reads, float32 `[N, P]`; degrees."""
    # the moment's numbers are left out, so any moment will do
    return encode_metadata(lat, lon, 2015, 1, 1, 0, encoding)[:, : place_feature_count(encoding)]


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same array, locked: as a mapped file's are, so that the loops are compiled once for both."""
    array.flags.writeable = False
    return array
