"""Shapes of any CRS in degrees: whole where they cross the antimeridian, and where a pole is inside."""

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from sat2cap.geo.earth import transformer
from sat2cap.geo.region import within_180

_EDGES = 500  # into which a ring is divided at least, so that its edges bend as they should
_ALL_AROUND = 359.9  # degrees, as files round the edges of the map of the world


def shapes_in_degrees(shapes: NDArray[np.object_], crs: object) -> NDArray[np.object_]:
    """Return N shapely geometries of a CRS in degrees (EPSG:4326), without heights.

    Where neighbouring corners of a shape in a projected CRS are more than half a turn apart in longitude, it
    crosses the antimeridian or encloses a pole: its polygons are then cut at the antimeridian, and closed
    along the pole. Other shapes have their corners transformed, no more.
    """
    flat = shapely.force_2d(shapes)
    source = CRS.from_user_input(crs)
    to_degrees = transformer(source.to_wkt(), "EPSG:4326")
    moved = shapely.transform(flat, lambda xy: np.column_stack(to_degrees.transform(*xy.T)))
    if source.is_geographic:
        return np.asarray(moved)
    return np.array(
        [
            in_degrees if find_long_edge(in_degrees) is None else _cut_polygons(shape, source)
            for shape, in_degrees in zip(flat, moved, strict=True)
        ],
        dtype=object,
    )


def find_long_edge(shapes: shapely.Geometry | NDArray[np.object_]) -> tuple[float, float] | None:
    """Return the longitudes of the ends of an edge of polygons that is longer than 180 degrees; None without.

    An edge all around the Earth is none: it is the border of a map of the world.
    """
    rings = shapely.get_rings(shapely.get_parts(shapely.get_parts(shapes)))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lon = xy[:, 0]
    with np.errstate(invalid="ignore"):
        length = np.where(np.diff(ring) == 0, np.abs(np.diff(lon)), 0)
        long = np.flatnonzero((length > 180) & (length < _ALL_AROUND))
    return (float(lon[long[0]]), float(lon[long[0] + 1])) if long.size else None


def _cut_polygons(shape: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    """Return the polygons of a shape in degrees, longitudes within -180 to 180."""
    polygons = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    cut = []
    for polygon in polygons[shapely.get_type_id(polygons) == 3]:
        outer, *holes = (_ring_area(ring, crs) for ring in shapely.get_rings(polygon))
        cut.append(shapely.difference(outer, shapely.union_all(holes)))
    return shapely.union_all(cut)


def _ring_area(ring: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    """Return the area that a ring encloses in degrees, with the pole if it runs around one."""
    xy = shapely.get_coordinates(shapely.segmentize(ring, shapely.length(ring) / _EDGES))
    lon, lat = transformer(crs.to_wkt(), "EPSG:4326").transform(*xy.T)
    lon = np.unwrap(np.asarray(lon), period=360)
    corners = np.column_stack([lon, lat])
    if abs(lon[-1] - lon[0]) > 180:  # once around
        pole = _enclosed_pole(ring, crs)
        corners = np.vstack([corners, [(lon[-1], pole), (lon[0], pole)]])
    return within_180(shapely.make_valid(shapely.Polygon(corners)))


def _enclosed_pole(ring: shapely.Geometry, crs: CRS) -> float:
    """Return the latitude of the pole that a ring runs around."""
    x, y = transformer("EPSG:4326", crs.to_wkt()).transform([0, 0], [-90, 90])
    inside = shapely.contains_xy(shapely.Polygon(ring), x, y)
    return 90.0 if inside[1] else -90.0
