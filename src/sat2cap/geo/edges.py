"""Dividing long edges before a shape is projected, so that they bend as they should."""

import shapely
from odc.geo.geom import Geometry


def divide_long_edges(geometry: Geometry, longest: float) -> Geometry:
    """Return a shape without edges longer than `longest`, in units of its CRS: each is cut into equal parts.

    A `longest` of 0, as of a shape without extent, divides nothing. odc-geo's own `segmented` takes some
    hundred times as long, and leaves an edge whole whose ends are both within `longest` of x = 0: a border
    along the meridian of Greenwich.
    """
    return Geometry(shapely.segmentize(geometry.geom, longest), geometry.crs) if longest > 0 else geometry
