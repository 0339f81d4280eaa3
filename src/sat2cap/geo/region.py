"""Regions: areas on Earth, written as a bounding box, a circle, or polygons in a file."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.errors import RegionError
from sat2cap.redaction import redact_secrets

# Shapes are imported once a text is known to name a region: saying what is wrong with it should not wait.
if TYPE_CHECKING:
    import shapely
    from odc.geo.geom import Geometry

_RADIUS = re.compile(r"(?P<value>[0-9.eE+-]+)\s*(?P<unit>m|km)?")
REGION_FORMS = (
    "give west,south,east,north in degrees, lon,lat,radius (such as 5km), "
    "or a GeoJSON, GeoPackage, shapefile, KML or GeoParquet"
)
"""How a region can be written, as the next step of error messages."""

_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]+:/|/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs|stdin)", re.IGNORECASE
)
_CIRCLE_POINTS = 128
_MAX_TEXT = 4096  # letters, as in the longest path of a file

Place = tuple[float, float]
"""``(lon, lat)`` in degrees."""


@dataclass(frozen=True)
class Region:
    """An area on Earth."""

    geometry: "Geometry"
    """Polygons in EPSG:4326, longitudes within -180 to 180: in two parts when across the antimeridian."""
    label: str
    """Its name: the text it was read from, or that of a file without folder and suffix; no secrets."""

    def __post_init__(self) -> None:
        """Leave the secrets of an address out of the label, which is stored and shown."""
        object.__setattr__(self, "label", redact_secrets(self.label))


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
    if len(text) > _MAX_TEXT:
        raise RegionError(f"region {text[:80]!r}… has {len(text)} letters; {REGION_FORMS}")
    parts = [part.strip() for part in text.split(",")]
    if _is_file_name(text):
        from sat2cap.geo.region_file import read_polygons

        return _make_region(read_polygons(text, layer, where), ", ".join([Path(text).stem, *where]))
    if len(parts) == 1 and Path(text).suffix:
        raise RegionError(f"region {text!r}: there is no such file; {REGION_FORMS}")
    if layer is not None or where:
        raise RegionError(
            f"region {text!r} is no file, so it has no layers or features to choose; {REGION_FORMS}"
        )
    if len(parts) == 4:
        shape = _bounding_box(text, *(_parse_number(part, text) for part in parts))
    elif len(parts) == 3:
        lon, lat = _parse_number(parts[0], text), _parse_number(parts[1], text)
        shape = _make_circle(text, lon, lat, _parse_radius_m(parts[2], text))
    else:
        raise RegionError(f"region {text!r} cannot be read; {REGION_FORMS}")
    return _make_region(shape, ",".join(parts))


def _make_region(shape: "shapely.Geometry", label: str) -> Region:
    from odc.geo.geom import Geometry

    return Region(Geometry(within_180(shape), "EPSG:4326"), label)


def _is_file_name(text: str) -> bool:
    """Return whether a text names a file or folder that exists, one for GDAL to open, or an address."""
    if not text:
        return False
    try:
        path = Path(text)
        is_named = text.startswith("/vsi") or is_address(text)
        return is_named or path.is_file() or ("," not in text and path.is_dir())
    except (OSError, ValueError):  # too long for a file name, or with a character that no name has
        return False


def is_address(path: str) -> bool:
    """Return whether a path is a URL, or a file system of GDAL that reads over a network."""
    return _ADDRESS.search(path) is not None


def parse_place(text: str) -> Place:
    """Return the place ``(lon, lat)`` that a text ``LON,LAT`` in degrees names.

    Raises `RegionError` for another text, and for a place that is not on Earth.

    >>> parse_place("4.9,52.37")
    (4.9, 52.37)
    """
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError as error:
        raise RegionError(f"place {text!r} is not LON,LAT in degrees; write 4.9,52.37") from error
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"place {text!r} is not on Earth; write LON,LAT in degrees, such as 4.9,52.37")
    return lon, lat


def lonlat_bounds(geometry: "Geometry") -> tuple[float, float, float, float]:
    """Return ``(west, south, east, north)`` of a geometry in EPSG:4326, in degrees within -180 to 180.

    West exceeds east if it crosses the antimeridian, as in a bounding box of `parse_region`.
    """
    box = geometry.boundingbox
    west, east = longitude_span(geometry)
    west, east = (edge - 360 if edge > 180 else edge for edge in (west, east))
    return west, box.bottom, east, box.top


def longitude_span(geometry: "Geometry") -> tuple[float, float]:
    """Return ``(west, east)`` of a geometry in EPSG:4326; east exceeds 180 if it crosses the antimeridian."""
    import numpy as np
    import shapely

    bounds = shapely.bounds(shapely.get_parts(geometry.geom))
    west, east = bounds[:, 0], bounds[:, 2]
    turn = np.where(east <= 0, 360, 0)
    # Parts on both sides of the antimeridian: the shorter way round is the region.
    if (east + turn).max() - (west + turn).min() < east.max() - west.min():
        west, east = west + turn, east + turn
    return float(west.min()), float(east.max())


def within_180(shape: "shapely.Geometry") -> "shapely.Geometry":
    """Return `shape` cut at the antimeridian, with longitudes within -180 to 180 (RFC 7946, 3.1.9)."""
    import numpy as np
    import shapely

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
        raise RegionError(f"region {text!r}: {part!r} is not a number; {REGION_FORMS}")
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


def _bounding_box(text: str, west: float, south: float, east: float, north: float) -> "shapely.Geometry":
    """Return a box in degrees, with east past 180 if it crosses the antimeridian. Raises `RegionError`."""
    if not -90 <= south < north <= 90:
        rule = "south must be less than north, both within -90 to 90"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north")
    if not (-180 <= west <= 180 and -180 <= east <= 360):
        rule = "west and east must be within -180 to 180"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north in degrees")
    is_line = west == east or west - east == 360  # 180 and -180 are one meridian
    if is_line or east - west > 360:
        rule = "west and east are the same" if is_line else "it is wider than the Earth"
        raise RegionError(f"region {text!r}: {rule}; the order is west,south,east,north")
    import shapely

    return shapely.box(west, south, east if east > west else east + 360, north)


def _make_circle(text: str, lon: float, lat: float, radius_m: float) -> "shapely.Geometry":
    """Return a circle on the ground as a polygon in degrees. Raises `RegionError`, which quotes `text`."""
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegionError(f"region {text!r}: the centre must be lon,lat in degrees; {REGION_FORMS}")
    import numpy as np
    import shapely

    from sat2cap.geo.earth import WGS84

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
