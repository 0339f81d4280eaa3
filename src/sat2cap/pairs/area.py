"""Areas whose photos are left out, such as a country, read from a boundary file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.files import digest
from sat2cap.geo.region import read_polygons


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


def read_area(spec: str) -> Area:
    """Polygons of a vector file, ``countries.shp``, or of some of its rows, ``countries.shp:ADM0_A3=USA``.

    Raises `RegionError`.
    """
    path, colon, condition = spec.rpartition(":")
    column, equals, value = condition.partition("=")
    if colon and equals:
        return Area(spec, read_polygons(Path(path), (column, value)))
    return Area(spec, read_polygons(Path(spec)))
