"""Areas whose photos are left out, such as a country, read from a boundary file."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.files import digest
from sat2cap.geo import KM_PER_DEGREE, parse_region


@dataclass(frozen=True)
class Area:
    """Polygons on Earth, with the file or condition that they were read from."""

    spec: str
    """Text that the user wrote: a file, or ``FILE:COLUMN=VALUE``."""
    shape: shapely.Geometry
    """Polygons in degrees, WGS 84."""

    def contains_points(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which of N points lie inside the area, as a bool array (N,).

        `lon` and `lat` are degrees, float64 (N,). A point with a coordinate that is not finite is outside.
        """
        shapely.prepare(self.shape)
        west, south, east, north = self.shape.bounds
        inside: NDArray[np.bool_] = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        inside[inside] = shapely.contains_xy(self.shape, lon[inside], lat[inside])
        return inside

    def as_dict(self) -> dict[str, str]:
        """Return the area for the manifest: the text it was read from, and a hash of its polygons."""
        return {"area": self.spec, "identity": digest(shapely.to_wkb(self.shape))}


def read_area(spec: str, margin_km: float = 0.0) -> Area:
    """Read an area from a vector file, or from those of its rows that satisfy a condition.

        read_area("countries.shp")
        read_area("countries.shp:ADM0_A3=USA", margin_km=20)

    With `margin_km` the polygons are widened by about that distance, for borders too coarse to include every
    island and coast. Raises `RegionError` if the file cannot be read or no row satisfies the condition.
    """
    path, colon, condition = spec.rpartition(":")
    equals = "=" in condition
    region = parse_region(path, where=(condition,)) if colon and equals else parse_region(spec)
    shape = region.geometry.geom
    if not margin_km:
        return Area(spec, shape)
    return Area(f"{spec} and {margin_km:g} km around", _add_margin(shape, margin_km))


def _add_margin(shape: shapely.Geometry, margin_km: float) -> shapely.Geometry:
    """Widen each polygon by a margin and return the union.

    Each polygon is buffered in degrees of latitude, after its longitudes were scaled by the cosine of the
    latitude of its centroid. For a polygon as tall as the contiguous US the east-west margin is up to a sixth
    off at its northern and southern ends.
    """
    widened_polygons = []
    for polygon in shapely.get_parts(shape):
        scale = np.array([max(0.05, np.cos(np.radians(polygon.centroid.y))), 1.0])
        scaled = shapely.transform(polygon, lambda xy, scale=scale: xy * scale)
        widened = shapely.buffer(scaled, margin_km / KM_PER_DEGREE, quad_segs=4)
        widened_polygons.append(shapely.transform(widened, lambda xy, scale=scale: xy / scale))
    return shapely.union_all(widened_polygons)
