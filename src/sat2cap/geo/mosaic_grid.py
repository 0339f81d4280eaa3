"""The grid of one map of several grids, in another CRS, with pixels no larger on the ground than cells."""

import math
from collections.abc import Sequence

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from sat2cap.errors import RegionError
from sat2cap.geo.earth import WGS84, cell_at, cell_lonlat, transformer
from sat2cap.geo.grid import outline
from sat2cap.geo.grid_array import PlainGrid
from sat2cap.geo.utm_zones import UtmZone, utm_codes
from sat2cap.geo.web_mercator import MAX_LATITUDE_DEG

GridPart = tuple[UtmZone | None, PlainGrid]
"""A grid with the UTM zone whose places it holds; None if it holds all that lie on it."""

EQUAL_AREA = "EPSG:6933"
"""The CRS of a map of several zones, if none is asked for: equal ground has equal area."""
_DEGREES = "EPSG:4326"
_MAX_PIXELS = 2**28
_EDGE_PARTS = 256
_SAME_SIZE = 0.01
"""Pixels that come out so nearly as large as cells, as a share, are made as large."""
_ROWS_AT_ONCE = 256


def default_mosaic_crs(parts: Sequence[GridPart]) -> str:
    """Return the CRS of a map of several UTM zones: `EQUAL_AREA`, as an authority's code.

    If the parts lie on both sides of the antimeridian it is the same projection around 180 degrees, as WKT.
    """
    turned = "+proj=cea +lat_ts=30 +lon_0=180 +datum=WGS84 +units=m"
    return str(CRS(turned).to_wkt()) if _is_across_antimeridian(parts) else EQUAL_AREA


def picture_mosaic_crs(parts: Sequence[GridPart]) -> str:
    """Return the CRS of a map of several UTM zones that people look at: Web Mercator, ``EPSG:3857``.

    If the parts lie on both sides of the antimeridian it is Mercator around 150 degrees east, ``EPSG:3832``.
    """
    return "EPSG:3832" if _is_across_antimeridian(parts) else "EPSG:3857"


def _is_across_antimeridian(parts: Sequence[GridPart]) -> bool:
    """Return whether the shorter way around all parts, polar caps aside, crosses the antimeridian."""
    bounds = [_owned_outline(part).bounds for part in parts if part[0] is None or not part[0].is_polar]
    if not bounds:
        return False
    west, east = np.array(bounds)[:, [0, 2]].T
    turned_west, turned_east = np.where(west < 0, west + 360, west), np.where(east < 0, east + 360, east)
    return bool(east.max() - west.min() > 180 > turned_east.max() - turned_west.min())


def mosaic_grid(parts: Sequence[GridPart], crs: str, pixel_m: float | None = None) -> PlainGrid:
    """Return the grid in `crs`, north up, of one map of the places that several parts hold.

    Its pixels are square, and nowhere on the ground higher or wider than a cell, so that no row of cells
    falls between them, or have the side `pixel_m`; their edges are multiples of their side. Raises
    `RegionError` if `crs` is not known or not in metres, no place has coordinates in it, or there were more
    than 2**28 pixels.
    """
    target = _metric_crs(crs)
    shapes = [_owned_outline(part) for part in parts]
    lon, lat = np.concatenate([_points_of(shape) for shape in shapes]).T
    if target.to_epsg() == 3857:
        lat = np.clip(lat, -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG)
    x, y = (np.asarray(axis) for axis in transformer(_DEGREES, crs).transform(lon, lat))
    on_map = np.isfinite(x) & np.isfinite(y)
    if not on_map.any():
        raise RegionError(f"the atlas has no place in {crs}; give another CRS, such as {EQUAL_AREA}")
    x, y = x[on_map], y[on_map]
    if pixel_m is None:
        pixel_m = _pixel_side(min(abs(grid.affine.a) for _, grid in parts), crs, x, y)
    left, top = math.floor(x.min() / pixel_m), math.ceil(y.max() / pixel_m)
    width, height = math.ceil(x.max() / pixel_m) - left, top - math.floor(y.min() / pixel_m)
    if width * height > _MAX_PIXELS:
        size = f"{height} x {width} pixels of {pixel_m:g} m"
        raise RegionError(f"the map in {_short(crs)} would be {size}, too many; ask for a region of it")
    affine = Affine(pixel_m, 0, left * pixel_m, 0, -pixel_m, top * pixel_m)
    return PlainGrid((max(height, 1), max(width, 1)), affine, str(crs))


def locate_cells(parts: Sequence[GridPart], target: PlainGrid) -> NDArray[np.int64]:
    """Return the cell that holds the centre of each pixel of a grid, int64 `[y, x]`; -1 where none does.

    Cells are counted on from part to part, row by row. A pixel belongs to the part of the UTM zone that its
    centre lies in, so each has one cell at most, and none falls between two zones.
    """
    starts = np.cumsum([0, *(math.prod(grid.shape) for _, grid in parts)])
    cells = np.full(target.shape, -1, np.int64)
    for top in range(0, target.shape[0], _ROWS_AT_ONCE):
        rows = slice(top, min(top + _ROWS_AT_ONCE, target.shape[0]))
        lon, lat = cell_lonlat(target[rows, :])
        codes = utm_codes(lon, lat)
        for (zone, grid), start in zip(parts, starts, strict=False):
            in_zone = codes != 0 if zone is None else codes == zone.epsg
            row, col = cell_at(grid, lon[in_zone], lat[in_zone])
            cells[rows][in_zone] = np.where(row >= 0, start + row * grid.shape[1] + col, -1)
    return cells


def _metric_crs(crs: str) -> CRS:
    """Return the CRS of a text. Raises `RegionError` if it is not known or not in metres."""
    try:
        target = CRS.from_user_input(crs)
    except (CRSError, ValueError, TypeError):
        raise RegionError(
            f"CRS {crs[:60]!r} is not known; give one in metres, such as {EQUAL_AREA}"
        ) from None
    if not target.is_projected or {axis.unit_name for axis in target.axis_info} != {"metre"}:
        raise RegionError(f"CRS {_short(crs)} is not in metres; give one that is, such as {EQUAL_AREA}")
    return target


def _owned_outline(part: GridPart) -> shapely.Geometry:
    """Return the area in degrees whose places a part holds."""
    zone, grid = part
    shape = outline(grid.as_geobox()).geom
    return shape if zone is None else zone.clip(shape)


def _points_of(shape: shapely.Geometry) -> NDArray[np.float64]:
    """Return points along the edges of a shape, `[N, 2]`, close enough that they bend as they should."""
    west, south, east, north = shape.bounds
    divided = shapely.segmentize(shape, max(east - west, north - south) / _EDGE_PARTS)
    return np.asarray(shapely.get_coordinates(divided))


def _pixel_side(cell_m: float, crs: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the side of a pixel, in metres of the CRS, nowhere longer than `cell_m` on the ground."""
    to_degrees = transformer(crs, _DEGREES)
    lon, lat = to_degrees.transform(x, y)
    longest = 0.0
    for dx, dy in ((cell_m, 0.0), (0.0, cell_m)):
        next_lon, next_lat = to_degrees.transform(x + dx, y + dy)
        ends = np.array([lon, lat, next_lon, next_lat])
        ends = ends[:, np.isfinite(ends).all(0)]
        length_m = WGS84.inv(*ends)[2]
        longest = max(longest, float(np.max(length_m, initial=0.0)) / cell_m)
    side = cell_m / longest if longest > 0 else cell_m
    if abs(side / cell_m - 1) < _SAME_SIZE:
        return cell_m
    finest = 1.0 if side >= 10 else 0.001
    return math.floor(side / finest) * finest


def _short(crs: str) -> str:
    return crs if len(crs) <= 40 else f"{crs[:40]}…"
