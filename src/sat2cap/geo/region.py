"""Regions as people write them: a bounding box, a file of polygons, or a circle."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely
from odc.geo.geom import Geometry
from pyproj import Geod

from sat2cap.errors import RegionError

_FORMS = (
    "give west,south,east,north in degrees, lon,lat,radius (such as 5km), or a GeoJSON or GeoPackage file"
)
_RADIUS = re.compile(r"(?P<value>[0-9.eE+-]+)\s*(?P<unit>m|km)?")
_CIRCLE_POINTS = 128
_POLYGONS = ("Polygon", "MultiPolygon")


@dataclass(frozen=True)
class Region:
    """An area on Earth."""

    geometry: Geometry
    """Polygons in EPSG:4326, longitudes within -180 to 180: in two parts when across the antimeridian."""
    label: str
    """What to call it: the text it was read from, or the file's name without folder and suffix."""


def parse_region(text: str) -> Region:
    """Read ``west,south,east,north`` (degrees), ``lon,lat,radius`` (metres or ``5km``) or a file of polygons.

    A bounding box whose west is greater than its east crosses the antimeridian. Raises `RegionError`.
    """
    text = text.strip()
    parts = [part.strip() for part in text.split(",")]
    if Path(text).is_file():
        shape, label = read_polygons(Path(text)), Path(text).stem
    elif len(parts) == 4:
        shape, label = _bounding_box(text, *(_number(part, text) for part in parts)), ",".join(parts)
    elif len(parts) == 3:
        lon, lat = _number(parts[0], text), _number(parts[1], text)
        shape, label = _circle(text, lon, lat, _radius_m(parts[2], text)), ",".join(parts)
    elif Path(text).suffix:
        raise RegionError(f"region {text!r}: there is no such file; {_FORMS}")
    else:
        raise RegionError(f"region {text!r} cannot be read; {_FORMS}")
    return Region(Geometry(within_180(shape), "EPSG:4326"), label)


def longitude_span(geometry: Geometry) -> tuple[float, float]:
    """``(west, east)`` of a geometry in EPSG:4326, degrees; east exceeds 180 across the antimeridian."""
    bounds = shapely.bounds(shapely.get_parts(geometry.geom))
    west, east = bounds[:, 0], bounds[:, 2]
    turn = np.where(east <= 0, 360, 0)
    # Parts on both sides of the antimeridian: the shorter way round is the region.
    if (east + turn).max() - (west + turn).min() < east.max() - west.min():
        west, east = west + turn, east + turn
    return float(west.min()), float(east.max())


def within_180(shape: shapely.Geometry) -> shapely.Geometry:
    """Cut at the antimeridian and move every part to longitudes within -180 to 180 (RFC 7946, 3.1.9)."""
    west, _, east, _ = shapely.bounds(shape)
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in (-1, 0, 1):
        part = shapely.intersection(shape, shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90))
        parts.append(shapely.transform(part, lambda xy, turn=turn: xy - [360 * turn, 0]))
    pieces = shapely.get_parts(shapely.get_parts(np.asarray(parts)))
    return shapely.union_all(pieces[shapely.area(pieces) > 0])


def _number(part: str, text: str) -> float:
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RegionError(f"region {text!r}: {part!r} is not a number; {_FORMS}")
    return value


def _radius_m(part: str, text: str) -> float:
    form = _RADIUS.fullmatch(part)
    if form is None:
        raise RegionError(f"region {text!r}: {part!r} is not a radius; write metres, or kilometres as 5km")
    radius = _number(form["value"], text) * (1000 if form["unit"] == "km" else 1)
    if radius <= 0:
        raise RegionError(
            f"region {text!r}: the radius must be more than 0; write metres, or kilometres as 5km"
        )
    return radius


def _bounding_box(text: str, west: float, south: float, east: float, north: float) -> shapely.Geometry:
    if not -90 <= south < north <= 90:
        rule = "south must be less than north, both within -90 to 90"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north")
    if not (-180 <= west <= 180 and -180 <= east <= 360):
        rule = "west and east must be within -180 to 180"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north in degrees")
    if west == east or east - west > 360:
        rule = "west and east are the same" if west == east else "it is wider than the Earth"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north")
    return shapely.box(west, south, east if east > west else east + 360, north)


def _circle(text: str, lon: float, lat: float, radius_m: float) -> shapely.Geometry:
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"region {text!r}: the centre must be lon,lat in degrees; {_FORMS}")
    geod = Geod(ellps="WGS84")
    to_pole_m = geod.inv(lon, lat, lon, math.copysign(90, lat))[2]
    if radius_m >= to_pole_m:
        raise RegionError(
            f"region {text!r}: the circle contains a pole; make the radius smaller, or give a file"
        )
    bearing = np.linspace(0, 360, _CIRCLE_POINTS, endpoint=False)
    same = np.ones_like(bearing)
    lons, lats, _ = geod.fwd(lon * same, lat * same, bearing, radius_m * same)
    lons = lon + (np.asarray(lons) - lon + 180) % 360 - 180  # continuous around the centre
    return shapely.Polygon(np.column_stack([lons, lats]))


def read_polygons(path: Path, where: tuple[str, str] | None = None) -> shapely.Geometry:
    """All polygons of a vector file as one shape in degrees, WGS 84; with `where`, of the rows whose column
    has that value. Raises `RegionError`."""
    try:
        table = geopandas.read_file(path)
    except Exception as error:  # GDAL's drivers raise many kinds, all meaning unreadable
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RegionError(f"region {str(path)!r} cannot be read as polygons ({reason}); {_FORMS}") from None
    if not isinstance(table, geopandas.GeoDataFrame):
        raise RegionError(f"region {str(path)!r} is a table without shapes; {_FORMS}")
    if where is not None:
        table = _rows(path, table, *where)
    if table.crs is None:
        raise RegionError(f"region {str(path)!r} does not say its CRS; add one, for example in QGIS")
    shapes = shapely.make_valid(table.to_crs("EPSG:4326").geometry.dropna().to_numpy())
    pieces = shapely.get_parts(shapely.get_parts(shapes))  # make_valid may put multipolygons in collections
    pieces = pieces[np.isin(shapely.get_type_id(pieces), [3, 6])]
    if pieces.size == 0:
        raise RegionError(f"region {str(path)!r} has no polygons; {_FORMS}")
    south, north = shapely.total_bounds(pieces)[[1, 3]]
    if not (np.isfinite([south, north]).all() and south >= -90 and north <= 90):
        raise RegionError(f"region {str(path)!r} has latitudes beyond 90 degrees; check the CRS it declares")
    return shapely.union_all(pieces)


def _rows(path: Path, table: geopandas.GeoDataFrame, column: str, value: str) -> geopandas.GeoDataFrame:
    names = [name for name in table.columns if name != table.geometry.name]
    if column not in names:
        raise RegionError(f"region {str(path)!r} has no column {column!r}; use one of {', '.join(names)}")
    chosen = table[table[column].astype(str) == value]
    if chosen.empty:
        known = ", ".join(sorted(set(table[column].astype(str)))[:8])
        raise RegionError(f"region {str(path)!r} has no row where {column} is {value!r}; it has {known} ...")
    return chosen
