"""One map of several: scores on the grids of several UTM zones, placed on one grid in another CRS."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo import GridArray, GridPart, PlainGrid, locate_cells


@dataclass(frozen=True, eq=False)
class Placement:
    """Which cell of several grids each pixel of a map shows; it serves any scores on these grids."""

    grid: PlainGrid
    """Grid of the map."""
    cells: NDArray[np.int64]
    """Cell of each pixel, `[y, x]`, counted on from grid to grid; -1 for none."""

    @classmethod
    def of(cls, parts: Sequence[GridPart], grid: PlainGrid) -> "Placement":
        """Find out which cell of `parts` each pixel of `grid` shows: the one that holds its centre.

        This is the costly step, and is the same for every score; see `geo.locate_cells`.
        """
        return cls(grid, locate_cells(parts, grid))

    def one_pixel_a_cell(self) -> NDArray[np.bool_]:
        """Return a mask, bool `[y, x]`, of one pixel for each cell: the middle one of those that show it.

        Statistics over cells use it, as a cell may fill several pixels.
        """
        flat = self.cells.ravel()
        order = np.argsort(flat, kind="stable")
        order = order[np.searchsorted(flat[order], 0) :]  # -1 is no cell
        starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
        stops = np.append(starts[1:], len(order))
        mask = np.zeros(flat.shape, bool)
        mask[order[(starts + stops - 1) // 2]] = True
        return mask.reshape(self.cells.shape)

    def place(self, scores: Sequence[GridArray]) -> GridArray:
        """Return one map of scores on the grids, each pixel with the score of its cell; NaN for none.

        All scores have the same leading dimensions, whose coordinates, as the attributes, are the first's.
        """
        first = scores[0]
        leading = first.values.shape[:-2]
        flat = [score.values.reshape(*leading, -1) for score in scores]
        nothing = np.full((*leading, 1), np.nan, first.values.dtype)
        values = np.concatenate([*flat, nothing], axis=-1)  # its last is what the cell -1 takes
        return replace(first, values=values[..., self.cells], grid=self.grid)
