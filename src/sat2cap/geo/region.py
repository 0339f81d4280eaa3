"""Regions: areas on Earth, written as a bounding box, a circle, or polygons in a file."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from odc.geo.geom import Geometry

from sat2cap.errors import RegionError
from sat2cap.geo.earth import WGS84

_FORMS = (
    "give west,south,east,north in degrees, lon,lat,radius (such as 5km), "
    "or a GeoJSON, GeoPackage or shapefile"
)
_RADIUS = re.compile(r"(?P<value>[0-9.eE+-]+)\s*(?P<unit>m|km)?")
_CIRCLE_POINTS = 128
_MAX_LISTED = 12  # names in an error message

Place = tuple[float, float]
"""``(lon, lat)`` in degrees."""


@dataclass(frozen=True)
class Region:
    """An area on Earth."""

    geometry: Geometry
    """Polygons in EPSG:4326, longitudes within -180 to 180: in two parts when across the antimeridian."""
    label: str
    """Its name: the text it was read from, or that of a file without folder and suffix."""


def parse_region(text: str, *, layer: str | None = None, where: Sequence[str] = ()) -> Region:
    """Return the region that a text names.

    Forms are ``west,south,east,north`` in degrees, ``lon,lat,radius`` in metres or as ``5km``, and the path
    of a file of polygons. A bounding box whose west is greater than its east crosses the antimeridian.
    `layer` chooses the layer of a file, needed if there are several; `where` chooses features, of which
    every ``FIELD=VALUE`` must be true. Raises `RegionError` if the text has none of these forms, or the
    file cannot be read, has no polygons, or does not say its CRS.

    Example:
        parse_region("4.9,52.37,5km")
        parse_region("countries.gpkg", layer="land", where=["name=Iceland"])
    """
    text = text.strip()
    parts = [part.strip() for part in text.split(",")]
    if text.startswith("/vsi") or Path(text).is_file() or (text and len(parts) == 1 and Path(text).is_dir()):
        label = ", ".join([Path(text).stem, *where])
        return Region(Geometry(within_180(_read_polygons(text, layer, where)), "EPSG:4326"), label)
    if Path(text).suffix and len(parts) == 1:
        raise RegionError(f"region {text!r}: there is no such file; {_FORMS}")
    if layer is not None or where:
        raise RegionError(f"region {text!r} is no file, so it has no layers or features to choose; {_FORMS}")
    if len(parts) == 4:
        shape = _bounding_box(text, *(_parse_number(part, text) for part in parts))
    elif len(parts) == 3:
        lon, lat = _parse_number(parts[0], text), _parse_number(parts[1], text)
        shape = _make_circle(text, lon, lat, _parse_radius_m(parts[2], text))
    else:
        raise RegionError(f"region {text!r} cannot be read; {_FORMS}")
    return Region(Geometry(within_180(shape), "EPSG:4326"), ",".join(parts))


def parse_place(text: str) -> Place:
    """Return the place that ``LON,LAT`` in degrees names. Raises `RegionError` if it is not one on Earth."""
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RegionError(f"place {text!r} is not LON,LAT in degrees; write 4.9,52.37") from error
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"place {text!r} is not on Earth; write LON,LAT in degrees, such as 4.9,52.37")
    return lon, lat


def lonlat_bounds(geometry: Geometry) -> tuple[float, float, float, float]:
    """Return ``(west, south, east, north)`` of a geometry in EPSG:4326, in degrees within -180 to 180.

    West exceeds east if it crosses the antimeridian, as in a bounding box of `parse_region`.
    """
    box = geometry.boundingbox
    west, east = longitude_span(geometry)
    west, east = (edge - 360 if edge > 180 else edge for edge in (west, east))
    return west, box.bottom, east, box.top


def longitude_span(geometry: Geometry) -> tuple[float, float]:
    """Return ``(west, east)`` of a geometry in EPSG:4326; east exceeds 180 if it crosses the antimeridian."""
    bounds = shapely.bounds(shapely.get_parts(geometry.geom))
    west, east = bounds[:, 0], bounds[:, 2]
    turn = np.where(east <= 0, 360, 0)
    # Parts on both sides of the antimeridian: the shorter way round is the region.
    if (east + turn).max() - (west + turn).min() < east.max() - west.min():
        west, east = west + turn, east + turn
    return float(west.min()), float(east.max())


def within_180(shape: shapely.Geometry) -> shapely.Geometry:
    """Return `shape` cut at the antimeridian, with longitudes within -180 to 180 (RFC 7946, 3.1.9)."""
    west, _, east, _ = shapely.bounds(shape)
    if west >= -180 and east <= 180:
        return shape
    parts = []
    for turn in (-1, 0, 1):
        part = shapely.intersection(shape, shapely.box(-180 + 360 * turn, -90, 180 + 360 * turn, 90))
        parts.append(shapely.transform(part, lambda xy, turn=turn: xy - [360 * turn, 0]))
    pieces = shapely.get_parts(shapely.get_parts(np.asarray(parts)))
    return shapely.union_all(pieces[shapely.area(pieces) > 0])


def _parse_number(part: str, text: str) -> float:
    """Return `part` of the region `text` as a finite number."""
    try:
        value = float(part)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RegionError(f"region {text!r}: {part!r} is not a number; {_FORMS}")
    return value


def _parse_radius_m(part: str, text: str) -> float:
    """Return `part` of the region `text`, such as ``5km``, in metres."""
    match = _RADIUS.fullmatch(part)
    if match is None:
        raise RegionError(f"region {text!r}: {part!r} is not a radius; write metres, or kilometres as 5km")
    radius = _parse_number(match["value"], text) * (1000 if match["unit"] == "km" else 1)
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


def _make_circle(text: str, lon: float, lat: float, radius_m: float) -> shapely.Geometry:
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"region {text!r}: the centre must be lon,lat in degrees; {_FORMS}")
    to_pole_m = WGS84.inv(lon, lat, lon, math.copysign(90, lat))[2]
    if radius_m >= to_pole_m:
        raise RegionError(
            f"region {text!r}: the circle contains a pole; make the radius smaller, or give a file"
        )
    bearing = np.linspace(0, 360, _CIRCLE_POINTS, endpoint=False)
    ones = np.ones_like(bearing)
    lons, lats, _ = WGS84.fwd(lon * ones, lat * ones, bearing, radius_m * ones)
    lons = lon + (np.asarray(lons) - lon + 180) % 360 - 180  # continuous around the centre
    return shapely.Polygon(np.column_stack([lons, lats]))


def _read_polygons(path: str, layer: str | None, where: Sequence[str]) -> shapely.Geometry:
    """Return the polygons of a file joined to one geometry, in degrees."""
    table = _read_layer(path, layer)
    for condition in where:
        table = table[_matching_rows(path, table, condition)]
    if table.crs is None:
        raise RegionError(f"region {path!r} does not say its CRS; add one, for example in QGIS")
    shapes = shapely.make_valid(table.to_crs("EPSG:4326").geometry.dropna().to_numpy())
    pieces = shapely.get_parts(shapely.get_parts(shapes))  # make_valid may put multipolygons in collections
    pieces = pieces[np.isin(shapely.get_type_id(pieces), [3, 6])]
    if pieces.size == 0:
        raise RegionError(f"region {path!r} has no polygons; {_FORMS}")
    south, north = shapely.total_bounds(pieces)[[1, 3]]
    if not (np.isfinite([south, north]).all() and south >= -90 and north <= 90):
        raise RegionError(f"region {path!r} has latitudes beyond 90 degrees; check the CRS it declares")
    return shapely.union_all(pieces)


def _read_layer(path: str, layer: str | None) -> geopandas.GeoDataFrame:
    """Return one layer of a file: `layer`, or the only one."""
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        chosen = layers[0] if layer is None and len(layers) == 1 else layer
        table = geopandas.read_file(path, layer=chosen) if chosen in layers else None
    except Exception as error:  # GDAL's drivers raise many kinds, all meaning unreadable
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RegionError(f"region {path!r} cannot be read as polygons ({reason}); {_FORMS}") from None
    if table is None:
        rule = f"has no layer {layer!r}" if layer is not None else f"has {len(layers)} layers"
        raise RegionError(f"region {path!r} {rule}; choose one with --layer: {_list_names(layers)}")
    if not isinstance(table, geopandas.GeoDataFrame):
        raise RegionError(f"region {path!r} has no polygons in layer {chosen!r}; {_FORMS}")
    return table


def _matching_rows(path: str, table: geopandas.GeoDataFrame, condition: str) -> NDArray[np.bool_]:
    """Return which rows have the value that ``FIELD=VALUE`` names, bool ``[N]``.

    Numbers are compared as numbers, all else as text.
    """
    field, equals, value = (part.strip() for part in condition.partition("="))
    fields = [str(name) for name in table.columns if name != table.geometry.name]
    if not equals or field not in fields:
        rule = f"is not FIELD=VALUE with a field of {path!r}"
        raise RegionError(f"filter {condition!r} {rule}; it has: {_list_names(fields)}")
    column = table[field]
    if column.dtype.kind in "iuf":
        try:
            rows: NDArray[np.bool_] = (column == float(value)).to_numpy()
        except ValueError:
            rows = np.zeros(len(table), bool)
    else:
        rows = (column.astype(str) == (value.capitalize() if column.dtype.kind == "b" else value)).to_numpy()
    if not rows.any():
        values = column.dropna() if column.dtype.kind in "iuf" else column.dropna().astype(str)
        existing = _list_names([str(value) for value in sorted(set(values))])
        raise RegionError(f"no feature of {path!r} has {field}={value}; it has: {existing}")
    return rows


def _list_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
