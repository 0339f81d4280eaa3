"""Dividing long edges before a shape is projected, so that they bend as they should."""

import numpy as np
import shapely
from odc.geo.geom import Geometry


def divide_skipped_edges(geometry: Geometry, longest: float) -> Geometry:
    """Return a shape that odc-geo divides into edges of at most `longest`, in units of its CRS.

    Its `segmented`, and `to_crs` with a resolution, leave an edge whole whose ends are both within `longest`
    of x = 0, however long it is: a border along the meridian of Greenwich would stay straight in every CRS.
    A shape with such an edge is divided here; any other is returned as it is.
    """
    rings = shapely.get_rings(shapely.get_parts(geometry.geom))
    if not len(rings):
        return geometry
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    first, second, is_edge = xy[:-1], xy[1:], ring[:-1] == ring[1:]
    is_skipped = is_edge & (first[:, 0] ** 2 + second[:, 0] ** 2 < longest**2)
    if not (is_skipped & (np.hypot(*(second - first).T) > longest)).any():
        return geometry
    return Geometry(shapely.segmentize(geometry.geom, longest), geometry.crs)
