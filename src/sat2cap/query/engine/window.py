"""The part of an atlas that is scored: a block of its grid, and within that the cells of a region."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, Chunk
from sat2cap.errors import RegionError
from sat2cap.geo import PlainGrid

if TYPE_CHECKING:
    from sat2cap.geo import Region

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Window:
    """The cells for which scores are wanted."""

    grid: PlainGrid
    """Grid of the window, h × w cells."""
    rows: slice
    """Rows of the window in the atlas's grid."""
    cols: slice
    """Columns of the window in the atlas's grid."""
    mask: NDArray[np.bool_] | None = None
    """Which cells of the window are wanted, bool `[h, w]`; None for all."""

    def touches(self, chunk: Chunk) -> bool:
        """Return whether any wanted cell of this window lies in a chunk.

        Chunks that it does not touch are not read.
        """
        rows, cols = _intersect(self.rows, chunk.rows), _intersect(self.cols, chunk.cols)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return False
        return self.mask is None or bool(
            self.mask[_relative_to(rows, self.rows), _relative_to(cols, self.cols)].any()
        )

    def write_blocks(self, blocks: Floats, chunks: Sequence[Chunk], side: int, layers: Floats) -> None:
        """Copy the scores of chunks into the layers of the window, `[P, h, w]`; NaN for cells outside `mask`.

        `blocks` is `[P, n, side²]`: n chunks of side × side cells, row by row. Neighbouring chunks are joined
        into strips first, so that a strip is one copy. Two chunks of 2 × 2 cells, side by side::

            blocks  [[a b c d], [e f g h]]    ->    strip  [[a b e f],
                                                            [c d g h]]
        """
        for start, stop in _find_strips(chunks):
            first, width = chunks[start], side * (stop - start)
            rows = _intersect(self.rows, first.rows)
            cols = _intersect(self.cols, slice(first.cols.start, first.cols.start + width))
            by_chunk = blocks[:, start:stop].reshape(len(blocks), -1, side, side)
            strip = by_chunk.swapaxes(1, 2).reshape(len(blocks), side, width)
            scores = strip[:, _relative_to(rows, first.rows), _relative_to(cols, first.cols)]
            target = _relative_to(rows, self.rows), _relative_to(cols, self.cols)
            if self.mask is not None:
                scores = np.where(self.mask[target], scores, np.float32(np.nan))
            layers[:, target[0], target[1]] = scores


def whole_window(atlas: Atlas) -> Window:
    """Return the window of all cells of an atlas."""
    height, width = atlas.plain_grid.shape
    return Window(atlas.plain_grid, slice(0, height), slice(0, width))


def region_window(atlas: Atlas, region: "Region") -> Window:
    """Return the window of the atlas's cells that a region covers, in part or in full.

    Raises `RegionError` if there are none.
    """
    from sat2cap.geo import cell_mask, lonlat_bounds, outline

    mask = cell_mask(atlas.grid, region) & atlas.wanted
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if rows.size == 0:
        extent = ",".join(f"{edge:.4f}" for edge in lonlat_bounds(outline(atlas.grid)))
        raise RegionError(
            f"region {region.label!r} covers no cell of atlas {atlas.name!r}; give one within {extent}"
        )
    block = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
    return Window(atlas.plain_grid[block], *block, mask[block])


def _intersect(first: slice, second: slice) -> slice:
    """Return the range that two ranges share; it is empty if its start is not below its stop."""
    return slice(max(first.start, second.start), min(first.stop, second.stop))


def _relative_to(part: slice, frame: slice) -> slice:
    """Return a range of the grid as a range within `frame`."""
    return slice(part.start - frame.start, part.stop - frame.start)


def _find_strips(chunks: Sequence[Chunk]) -> Iterator[tuple[int, int]]:
    """Yield ``(start, stop)`` of chunks that lie side by side in one row of chunks."""
    start = 0
    for number in range(1, len(chunks) + 1):
        row, col = chunks[start].index
        if number == len(chunks) or chunks[number].index != (row, col + number - start):
            yield start, number
            start = number
