"""The extent of a grid in degrees, in numbers where that is enough: without the import of shapes."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo.earth import transformer
from sat2cap.geo.grid_array import PlainGrid

_POINTS_PER_SIDE = 64


def lonlat_extent(grid: PlainGrid) -> tuple[float, float, float, float]:
    """Return ``(west, south, east, north)`` of a grid in degrees, as `lonlat_bounds` of its `outline` does.

    West exceeds east if it crosses the antimeridian. Raises `RegionError` if no part of it is on Earth.
    """
    x, y = _ring(grid)
    lon, lat = (np.asarray(part) for part in transformer(grid.crs, "EPSG:4326").transform(x, y))
    is_plain = np.isfinite([lon, lat]).all() and np.abs(np.diff(lon)).max() < 180  # no pole, no antimeridian
    if is_plain and np.abs(lon).max() <= 180:
        return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
    from sat2cap.geo.grid import outline
    from sat2cap.geo.region import lonlat_bounds

    return lonlat_bounds(outline(grid.as_geobox()))


def _ring(grid: PlainGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(x, y)`` around a grid: its corners, and points between them where `outline` has them."""
    rows, cols = grid.shape
    corners = [grid.affine @ corner for corner in ((0, 0), (0, rows), (cols, rows), (cols, 0), (0, 0))]
    xs, ys = zip(*corners, strict=True)
    step = max(max(xs) - min(xs), max(ys) - min(ys)) / _POINTS_PER_SIDE
    points = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        length = float(np.hypot(x1 - x0, y1 - y0))
        along = np.arange(0, length, step)[:, None] / length
        points.append((1 - along) * (x0, y0) + along * (x1, y1))
    x, y = np.concatenate([*points, [corners[-1]]]).T
    return x, y
