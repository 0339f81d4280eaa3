"""Part of an atlas: a block of its grid, and of that the cells of a region."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import Atlas, Chunk
from sat2cap.errors import RegionError
from sat2cap.geo import Region, cell_mask, lonlat_bounds, outline

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Window:
    """Where scores are wanted."""

    grid: GeoBox
    """Of the block."""
    rows: slice
    """The block within the atlas's grid, as are `cols`."""
    cols: slice
    mask: NDArray[np.bool_] | None = None
    """Which cells of the block, `[y, x]`; None for all."""

    def touches(self, chunk: Chunk) -> bool:
        """Whether it wants a cell of a chunk."""
        rows, cols = _overlap(self.rows, chunk.rows), _overlap(self.cols, chunk.cols)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return False
        return self.mask is None or bool(self.mask[_shift(rows, self.rows), _shift(cols, self.cols)].any())

    def put(self, blocks: Floats, chunks: Sequence[Chunk], side: int, layers: Floats) -> None:
        """Write `blocks` `[P, n, B]`, values of chunks of `side` cells a side, into `layers` `[P, y, x]`."""
        for start, stop in _strips(chunks):
            first, width = chunks[start], side * (stop - start)
            rows = _overlap(self.rows, first.rows)
            cols = _overlap(self.cols, slice(first.cols.start, first.cols.start + width))
            apart = blocks[:, start:stop].reshape(len(blocks), -1, side, side)
            strip = apart.swapaxes(1, 2).reshape(len(blocks), side, width)
            part = strip[:, _shift(rows, first.rows), _shift(cols, first.cols)]
            here = _shift(rows, self.rows), _shift(cols, self.cols)
            if self.mask is not None:
                part = np.where(self.mask[here], part, np.float32(np.nan))
            layers[:, here[0], here[1]] = part


def whole(atlas: Atlas) -> Window:
    """All of an atlas."""
    height, width = atlas.grid.shape
    return Window(atlas.grid, slice(0, height), slice(0, width))


def within(atlas: Atlas, region: Region) -> Window:
    """The cells of an atlas that any of `region` covers. Raises `RegionError` when there are none."""
    mask = cell_mask(atlas.grid, region) & atlas.wanted
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        extent = ",".join(f"{edge:.4f}" for edge in lonlat_bounds(outline(atlas.grid)))
        raise RegionError(
            f"region {region.label!r} covers no cell of atlas {str(atlas.path)!r}; give one within {extent}"
        )
    block = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
    return Window(atlas.grid[block], *block, mask[block])


def _overlap(one: slice, other: slice) -> slice:
    return slice(max(one.start, other.start), min(one.stop, other.stop))


def _shift(part: slice, frame: slice) -> slice:
    return slice(part.start - frame.start, part.stop - frame.start)


def _strips(chunks: Sequence[Chunk]) -> Iterator[tuple[int, int]]:
    """Chunks that lie side by side, from and to."""
    start = 0
    for number in range(1, len(chunks) + 1):
        row, col = chunks[start].index
        if number == len(chunks) or chunks[number].index != (row, col + number - start):
            yield start, number
            start = number
