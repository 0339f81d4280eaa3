"""A grid on the round Earth: how long its units are there, and where north is."""

import math
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer


def ground_metres(grid: GeoBox) -> float:
    """Metres on the ground to one CRS unit eastward, at the middle of the grid."""
    middle = _middle(grid)
    step = abs(grid.affine.a)
    to_lonlat = Transformer.from_crs(grid.crs.proj, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(middle[0] + np.array([0, step]), np.full(2, middle[1]))
    return float(Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])[2] / step)


def north_degrees(grid: GeoBox) -> float:
    """Which way north is at the middle of the grid: degrees counter-clockwise from straight up."""
    middle = _middle(grid)
    to_lonlat = Transformer.from_crs(grid.crs.proj, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(*middle)
    back = Transformer.from_crs("EPSG:4326", grid.crs.proj, always_xy=True)
    x, y = back.transform(lon, lat + (0.01 if lat < 89 else -0.01))
    sign = 1 if lat < 89 else -1
    return math.degrees(math.atan2(-sign * (x - middle[0]), sign * (y - middle[1])))


def _middle(grid: GeoBox) -> Any:
    return np.array(grid.affine * (grid.shape[1] / 2, grid.shape[0] / 2))
