"""Areas whose photos are left out, such as a country, read from a boundary file."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.files import digest
from sat2cap.geo import KM_PER_DEGREE, parse_region


@dataclass(frozen=True)
class Area:
    """Polygons, with what they were read from."""

    spec: str
    """What the user wrote: a file, or ``FILE:COLUMN=VALUE``."""
    shape: shapely.Geometry
    """Degrees, WGS 84."""

    def contains(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which places (degrees, `[N]`) lie inside; False where a coordinate is not finite."""
        shapely.prepare(self.shape)
        west, south, east, north = self.shape.bounds
        inside: NDArray[np.bool_] = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        inside[inside] = shapely.contains_xy(self.shape, lon[inside], lat[inside])
        return inside

    def as_dict(self) -> dict[str, str]:
        """What it was read from, and a hash of its polygons."""
        return {"area": self.spec, "identity": digest(shapely.to_wkb(self.shape))}


def read_area(spec: str, margin_km: float = 0.0) -> Area:
    """Polygons of a vector file, ``countries.shp``, or of some of its rows, ``countries.shp:ADM0_A3=USA``.

    With `margin_km` also what lies about so near to them, for borders too coarse to hold islands and coasts.
    Raises `RegionError`.
    """
    path, colon, condition = spec.rpartition(":")
    equals = "=" in condition
    region = parse_region(path, where=(condition,)) if colon and equals else parse_region(spec)
    shape = region.geometry.geom
    if not margin_km:
        return Area(spec, shape)
    return Area(f"{spec} and {margin_km:g} km around", _wider(shape, margin_km))


def _wider(shape: shapely.Geometry, margin_km: float) -> shapely.Geometry:
    """Each polygon and a margin; degrees of longitude are as long as at its middle, a sixth off in the US."""
    pieces = []
    for piece in shapely.get_parts(shape):
        scale = np.array([max(0.05, np.cos(np.radians(piece.centroid.y))), 1.0])
        flat = shapely.transform(piece, lambda xy, scale=scale: xy * scale)
        grown = shapely.buffer(flat, margin_km / KM_PER_DEGREE, quad_segs=4)
        pieces.append(shapely.transform(grown, lambda xy, scale=scale: xy / scale))
    return shapely.union_all(pieces)
