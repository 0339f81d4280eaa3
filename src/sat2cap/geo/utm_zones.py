"""UTM zones as a partition of the Earth, so that every place lies in exactly one of them.

There are 60 zones of six degrees on each side of the equator, from 80 S to 84 N, and a polar cap (UPS) beyond
at each end. A zone holds its western and southern edge, but not its eastern and northern one. The exceptions
around Norway and Svalbard are not made: with them, neighbours would not be of one width.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat2cap.errors import RegionError

if TYPE_CHECKING:
    import shapely

    from sat2cap.geo.grid_array import PlainGrid
    from sat2cap.geo.region import Region

SOUTHERN_EDGE, NORTHERN_EDGE = -80.0, 84.0
"""Latitudes beyond which there are no UTM zones."""
_ZONE_DEG = 6
_UPS_NORTH, _UPS_SOUTH = 32661, 32761
_BLOCK_CELLS = 64
_NAME = re.compile(r"utm(0[1-9]|[1-5]\d|60)([ns])|ups([ns])")
_MARGIN_DEG, _POLAR_MARGIN_DEG = 1e-4, 1e-3
"""Ground beside a zone whose cells it has as well: more than a straightened edge can be off."""


@dataclass(frozen=True)
class UtmZone:
    """One UTM zone north or south of the equator, or a polar cap."""

    epsg: int
    """Code of its CRS, such as 32631."""

    @property
    def name(self) -> str:
        """Its name in paths and messages, such as ``utm31n``; the polar caps are ``upsn`` and ``upss``."""
        hemisphere = "n" if self.epsg < 32700 else "s"
        return f"ups{hemisphere}" if self.is_polar else f"utm{self.epsg % 100:02d}{hemisphere}"

    @property
    def crs(self) -> str:
        """Its CRS, such as ``EPSG:32631``."""
        return f"EPSG:{self.epsg}"

    @property
    def is_polar(self) -> bool:
        """Whether it is a polar cap."""
        return self.epsg in (_UPS_NORTH, _UPS_SOUTH)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """``(west, south, east, north)`` in degrees; west is never more than east."""
        if self.is_polar:
            south, north = (NORTHERN_EDGE, 90.0) if self.epsg == _UPS_NORTH else (-90.0, SOUTHERN_EDGE)
            return -180.0, south, 180.0, north
        west = float(_ZONE_DEG * (self.epsg % 100) - 186)
        south, north = (0.0, NORTHERN_EDGE) if self.epsg < 32700 else (SOUTHERN_EDGE, 0.0)
        return west, south, west + _ZONE_DEG, north

    def holds(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
        """Return which places in degrees, of any shape, lie in this zone: bool of the same shape.

        The western and the southern edge belong to a zone; a place that is not finite lies in none.
        """
        return np.asarray(utm_codes(lon, lat) == self.epsg)

    def clip(self, shape: "shapely.Geometry", margin_deg: float = 0.0) -> "shapely.Geometry":
        """Return the part of a shape in degrees, within -180 to 180, that lies in this zone or beside it.

        `margin_deg` is how far beside it, across the antimeridian, too.
        """
        import shapely

        from sat2cap.geo.region import within_180

        west, south, east, north = self.bounds
        south, north = max(south - margin_deg, -90.0), min(north + margin_deg, 90.0)
        if not self.is_polar:
            west, east = west - margin_deg, east + margin_deg
        return shapely.intersection(shape, within_180(shapely.box(west, south, east, north)))


def utm_codes(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int32]:
    """Return the EPSG code of the zone that each place (degrees, any shape) lies in; 0 if it is not finite.

    >>> utm_codes([5.99, 6.0, 4.9], [52.0, 52.0, -1.0])
    array([32631, 32632, 32731], dtype=int32)
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    finite = np.isfinite(lon) & np.isfinite(lat)
    turned = np.where(finite, lon + 180, 0) % 360
    codes = np.where(lat >= 0, 32601, 32701) + (turned // _ZONE_DEG).astype(np.int32)
    codes = np.where(lat > NORTHERN_EDGE, _UPS_NORTH, np.where(lat < SOUTHERN_EDGE, _UPS_SOUTH, codes))
    return np.where(finite, codes, 0).astype(np.int32)


def cells_in_zone(grid: "PlainGrid", zone: UtmZone) -> NDArray[np.bool_]:
    """Return which cells of a grid in a zone's CRS have their centre in the zone, bool ``[y, x]``.

    What lies clearly inside or outside is told by the corners of blocks, so that only the cells near an edge
    are projected.
    """
    from sat2cap.geo.earth import cell_lonlat

    inside = np.zeros(grid.shape, bool)
    for rows, cols, corners in _corner_blocks(grid):
        is_clear = not zone.is_polar and _is_clear_of_edges(corners, zone.bounds)
        if is_clear:
            inside[rows, cols] = bool(zone.holds(*corners[:, 0]))
        else:
            inside[rows, cols] = zone.holds(*cell_lonlat(grid[rows, cols]))
    return inside


def _corner_blocks(grid: "PlainGrid") -> Iterator[tuple[slice, slice, NDArray[np.float64]]]:
    """Yield blocks of cells with the longitudes and latitudes of their corners, ``[2, 4]``."""
    from sat2cap.geo.earth import transformer

    height, width = grid.shape
    tops = np.unique([*range(0, height, _BLOCK_CELLS), height])
    lefts = np.unique([*range(0, width, _BLOCK_CELLS), width])
    col, row = np.meshgrid(lefts, tops)
    to_crs: Any = grid.affine  # takes arrays, too
    lonlat = np.array(transformer(grid.crs, "EPSG:4326").transform(*(to_crs @ (col, row))))
    for i, (top, bottom) in enumerate(pairwise(tops)):
        for j, (left, right) in enumerate(pairwise(lefts)):
            corners = lonlat[:, i : i + 2, j : j + 2].reshape(2, 4)
            yield slice(int(top), int(bottom)), slice(int(left), int(right)), corners


def _is_clear_of_edges(corners: NDArray[np.float64], bounds: tuple[float, float, float, float]) -> bool:
    """Return whether a block with these corners lies wholly on one side of each edge of a zone.

    Edges bend between corners, by far less than the margin of a quarter of the block.
    """
    if not np.isfinite(corners).all():
        return False
    low, high = corners.min(axis=1), corners.max(axis=1)
    margin = (high - low) / 4
    if high[0] - low[0] > 180:  # across the antimeridian
        return False
    edges = ((0, bounds[0]), (1, bounds[1]), (0, bounds[2]), (1, bounds[3]))
    return all(not low[axis] - margin[axis] <= edge <= high[axis] + margin[axis] for axis, edge in edges)


def parse_utm_zone(name: str) -> UtmZone:
    """Return the zone of a name such as ``utm31n`` or ``upsn``. Raises `RegionError` for any other text.

    >>> parse_utm_zone("utm31n").epsg
    32631
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise RegionError(f"{name[:40]!r} is no UTM zone; such as utm31n, utm19s, upsn")
    number, hemisphere, cap = match.groups()
    base = 32600 if (hemisphere or cap) == "n" else 32700
    return UtmZone(base + (int(number) if number else 61))


def split_by_utm_zone(region: "Region") -> dict[UtmZone, "Region"]:
    """Return the part of a region that belongs to each zone, from west to east and south to north.

    A part reaches a few metres beyond its zone, so that the cells that hold the zone's very edge are among
    those that it touches. Where a place there belongs is for `UtmZone.holds` to say.
    """
    codes = _codes_between(*region.geometry.geom.bounds)
    zones = sorted(map(UtmZone, codes), key=lambda zone: zone.bounds[:2])
    parts = {zone: region_in_zone(region, zone) for zone in zones}
    return {zone: part for zone, part in parts.items() if part is not None}


def region_in_zone(region: "Region", zone: UtmZone) -> "Region | None":
    """Return the part of a region that lies in a zone; None if none does.

    A few metres beside the zone are included, so that cells which its edge crosses are in both zones.
    """
    from odc.geo.geom import Geometry

    from sat2cap.geo.region import Region

    shape = region.geometry.geom
    if not zone.clip(shape).area > 0:
        return None
    wide = zone.clip(shape, _POLAR_MARGIN_DEG if zone.is_polar else _MARGIN_DEG)
    return Region(Geometry(wide, "EPSG:4326"), region.label)


def _codes_between(west: float, south: float, east: float, north: float) -> set[int]:
    """Return the codes of all zones that a box in degrees, within -180 to 180, may reach."""
    first, last = math.floor((west + 180) / _ZONE_DEG), min(math.floor((east + 180) / _ZONE_DEG), 59)
    lon = np.arange(first, last + 1) * _ZONE_DEG - 177.0
    bands = [lat for lat in (-85.0, -1.0, 1.0, 85.0) if _band(lat)[0] < north and _band(lat)[1] > south]
    return {int(code) for lat in bands for code in utm_codes(lon, np.full(lon.shape, lat))}


def _band(lat: float) -> tuple[float, float]:
    """Return the southern and northern edge of the zones at a latitude."""
    _, south, _, north = UtmZone(int(utm_codes(0.0, lat))).bounds
    return south, north
