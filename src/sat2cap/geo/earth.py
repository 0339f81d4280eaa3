"""Arithmetic on the Earth: metres per degree, points on a sphere, ground lengths and true north of a grid.

Two models of the Earth are in use, and which one a place takes is part of its results. Distances that decide
which photos, pairs or cells belong together use a sphere; lengths that people read use the WGS 84 ellipsoid.
"""

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Geod, Transformer

from sat2cap.geo.grid_array import PlainGrid

# Asking for a map needs none of odc-geo, whose import takes longer than the map.
if TYPE_CHECKING:
    from odc.geo import crs
    from odc.geo.geobox import GeoBox

AnyCrs: TypeAlias = "crs.CRS | str"
"""A CRS of odc-geo, or its text, such as ``EPSG:32631``."""
AnyGrid: TypeAlias = "GeoBox | PlainGrid"
"""A grid, with or without what odc-geo can do with it."""

_DEGREES = "EPSG:4326"

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth, the IUGG's R1, in metres."""

M_PER_DEGREE = 111_195.0
"""Metres per degree of latitude on a sphere of 6371 km; the ellipsoid differs by at most 0.6 %."""

KM_PER_DEGREE = 111.195
"""The same in kilometres: a constant of its own, as dividing by 1000 rounds differently."""

M_PER_DEGREE_AT_EQUATOR = 111_320.0
"""Metres per degree of longitude along the equator of WGS 84."""

WGS84 = Geod(ellps="WGS84")
"""The ellipsoid, for lengths and areas on the ground."""


@lru_cache(maxsize=256)
def transformer(source: AnyCrs, target: AnyCrs) -> Transformer:
    """Return the transformation between two CRSs; x (or longitude) comes first, whatever the CRSs say.

    Transformers are cached, as making one takes milliseconds.

    >>> x, y = transformer("EPSG:4326", "EPSG:3857").transform(180, 0)
    >>> round(x)
    20037508
    """
    return Transformer.from_crs(_to_pyproj(source), _to_pyproj(target), always_xy=True)


def _to_pyproj(crs: AnyCrs) -> CRS:
    return CRS.from_user_input(crs) if isinstance(crs, str) else crs.proj


def unit_vectors(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points of a sphere of radius 1, float64 `[N, 3]`, from degrees `[N]`.

    The straight line (chord) between two of them is ``2 * sin(angle / 2)`` long, `angle` at the centre.
    """
    east, north = np.radians(lon), np.radians(lat)
    return np.column_stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)])


def ground_metres(grid: AnyGrid) -> float:
    """Return the metres on the ground of one CRS unit eastward, at the middle of the grid.

    About 1 in a UTM zone, about 0.62 in EPSG:3857 at 52 degrees north.
    """
    x, y = _grid_centre(grid)
    step = abs(grid.affine.a)
    lon, lat = transformer(grid.crs, _DEGREES).transform(x + np.array([0, step]), np.full(2, y))
    return float(WGS84.inv(lon[0], lat[0], lon[1], lat[1])[2] / step)


def north_degrees(grid: AnyGrid) -> float:
    """Return the direction of true north at the middle of a grid, in degrees counter-clockwise from up.

    0 where grid north is true north, as on the central meridian of a UTM zone.
    """
    x, y = _grid_centre(grid)
    lon, lat = transformer(grid.crs, _DEGREES).transform(x, y)
    sign = 1 if lat < 89 else -1  # next to the pole a step north would pass over it: step south instead
    x_end, y_end = transformer(_DEGREES, grid.crs).transform(lon, lat + sign * 0.01)
    return math.degrees(math.atan2(-sign * (x_end - x), sign * (y_end - y)))


def cell_at(grid: AnyGrid, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return ``(row, col)`` of the cells that points (degrees, any shape) lie in, int64 of that shape each.

    A point outside the grid, or without a place in its CRS, gets (-1, -1).
    """
    x, y = transformer(_DEGREES, grid.crs).transform(np.asarray(lon, float), np.asarray(lat, float))
    with np.errstate(invalid="ignore"):  # points without a place in the CRS are infinite
        col, row = ~grid.affine @ (np.asarray(x), np.asarray(y))
        inside = (row >= 0) & (row < grid.shape[0]) & (col >= 0) & (col < grid.shape[1])
        cells = [np.where(inside, np.floor(np.where(inside, axis, 0)), -1) for axis in (row, col)]
    return cells[0].astype(np.int64), cells[1].astype(np.int64)


def cell_lonlat(grid: AnyGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(lon, lat)`` of the cell centres of a grid in degrees, float64 ``[y, x]`` each.

    Longitudes are within -180 to 180.
    """
    row, col = np.meshgrid(np.arange(grid.shape[0]) + 0.5, np.arange(grid.shape[1]) + 0.5, indexing="ij")
    to_crs: Any = grid.affine  # takes arrays, too
    x, y = to_crs @ (col, row)
    lon, lat = transformer(grid.crs, _DEGREES).transform(x, y)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def _grid_centre(grid: AnyGrid) -> NDArray[np.float64]:
    """Return ``(x, y)`` of the middle of `grid`, in units of its CRS."""
    return np.array(grid.affine @ (grid.shape[1] / 2, grid.shape[0] / 2))
