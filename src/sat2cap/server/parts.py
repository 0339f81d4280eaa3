"""The part of an atlas that a page has in view: a block of its cells."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import Query
from odc.geo.geobox import GeoBox

from sat2cap.errors import RegionError
from sat2cap.geo import LONLAT, transformer

_SAMPLES = 33
"""Points along each side of a box that are looked at: a straight edge in degrees is a curve on a grid."""


@dataclass(frozen=True)
class Part:
    """A block of a grid's cells; empty if its rows or columns are."""

    rows: slice
    cols: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.rows.stop - self.rows.start, self.cols.stop - self.cols.start


async def read_bounds(
    bbox: Annotated[
        str | None,
        Query(
            description="Only the cells in this box, as west,south,east,north in degrees.",
            examples=["4.7,52.2,5.1,52.5"],
        ),
    ] = None,
) -> tuple[float, float, float, float] | None:
    """Return west, south, east, north of a request, degrees; None for the whole atlas.

    A box whose west is greater than its east crosses the antimeridian; longitudes beyond 180, as a map
    that was panned around the Earth has them, are understood too. Raises `RegionError`.
    """
    if bbox is None:
        return None
    try:
        west, south, east, north = (float(part) for part in bbox[:200].split(","))
    except ValueError:
        raise RegionError(f"bbox {bbox[:60]!r} is not west,south,east,north in degrees") from None
    if not all(map(math.isfinite, (west, south, east, north))):
        raise RegionError(f"bbox {bbox[:60]!r} holds what is not a number; give degrees")
    if not (-90 <= south <= north <= 90 and abs(west) <= 720 and abs(east) <= 720):
        raise RegionError(f"bbox {bbox[:60]!r} is not on Earth; give west,south,east,north in degrees")
    if west > east:
        east += 360 * math.ceil((west - east) / 360)
    return west, south, east, north


def part_within(grid: GeoBox, bounds: tuple[float, float, float, float] | None) -> Part:
    """Return the smallest block of cells that is sure to hold all that lie in a box in degrees.

    It may hold a few more, and is empty for a box beside the grid. None for the whole grid, which is also
    the answer for a box that goes once around the Earth.
    """
    height, width = grid.shape
    whole = Part(slice(0, height), slice(0, width))
    if bounds is None or bounds[2] - bounds[0] >= 360:
        return whole
    west, south, east, north = bounds
    lon, lat = np.meshgrid(np.linspace(west, east, _SAMPLES), np.linspace(south, north, _SAMPLES))
    x, y = transformer(LONLAT, grid.crs).transform((lon + 180) % 360 - 180, lat)
    x, y = np.asarray(x, float), np.asarray(y, float)
    if grid.crs.geographic:  # such a grid may count on beyond 180
        middle = grid.affine.c + grid.affine.a * width / 2
        x = middle + (x - middle + 180) % 360 - 180
    on_grid = np.isfinite(x) & np.isfinite(y)
    if not on_grid.any():
        return Part(slice(0, 0), slice(0, 0))
    cols, rows = ~grid.affine @ (x[on_grid], y[on_grid])
    return Part(_cover(rows, height), _cover(cols, width))


def _cover(places: np.ndarray, size: int) -> slice:
    """Return the cells from the lowest to the highest of `places`, in cells, with what curves may add."""
    low, high = float(places.min()), float(places.max())
    margin = 1 + (high - low) / _SAMPLES
    start, stop = math.floor(low - margin), math.ceil(high + margin)
    start, stop = min(max(start, 0), size), min(max(stop, 0), size)
    return slice(start, stop) if start < stop else slice(0, 0)
