"""Dividing long edges of shapes."""

from itertools import pairwise

import pytest
import shapely
from odc.geo.geom import Geometry

from sat2cap.geo.edges import divide_long_edges


@pytest.mark.parametrize("left", [-1.0, 0.0, 7.0])
def test_no_edge_is_longer_than_asked_and_the_area_is_the_same(left: float) -> None:
    ring = shapely.box(left, 0, left + 2, 100).symmetric_difference(shapely.box(left + 0.5, 10, left + 1, 90))
    divided = divide_long_edges(Geometry(ring, "EPSG:32631"), 3.0)
    for part in (divided.geom.exterior, *divided.geom.interiors):
        corners = shapely.get_coordinates(part)
        assert max(shapely.length(shapely.linestrings([*pairwise(corners)]))) <= 3.0
    assert divided.geom.equals(ring)
    assert divided.crs == "EPSG:32631"


def test_a_shape_without_extent_is_left_as_it_is() -> None:
    point = Geometry(shapely.Point(4.9, 52.4), "EPSG:4326")
    assert divide_long_edges(point, 0.0).geom.equals(point.geom)
    assert divide_long_edges(point, 0.1).geom.equals(point.geom)
