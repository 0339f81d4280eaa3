"""Arrays that carry their grid, after what people do to them with xarray."""

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.errors import RegionError
from sat2cap.geo.frame import grid_of, on_grid

GRID = GeoBox((6, 9), Affine(10.0, 0, 500_000, 0, -20.0, 5_800_000), "EPSG:32631")
ARRAY = on_grid(np.arange(54.0).reshape(6, 9), GRID)


def test_the_grid_of_what_was_made_and_of_slices_is_exact():
    assert grid_of(ARRAY) == GRID
    assert grid_of(ARRAY.isel(y=slice(2, 5), x=slice(1, 9))) == GRID[2:5, 1:9]
    assert grid_of(ARRAY.isel(y=[3], x=[4])) == GRID[3:4, 4:5]


def test_turned_around_and_thinned_every_cell_stays_in_its_place():
    for some in (
        ARRAY.sortby("y"),
        ARRAY.isel(x=slice(None, None, -1)),
        ARRAY.isel(y=slice(1, None, 2), x=slice(None, None, 4)),
    ):
        grid = grid_of(some)
        rows, cols = np.meshgrid(
            np.arange(grid.shape[0]) + 0.5, np.arange(grid.shape[1]) + 0.5, indexing="ij"
        )
        x, y = grid.affine @ (cols, rows)
        np.testing.assert_allclose(x[0], some.x)
        np.testing.assert_allclose(y[:, 0], some.y)
    assert grid_of(ARRAY.isel(x=slice(None, None, 4))).affine.a == 40


def test_what_has_no_grid_says_why():
    for some, rule in (
        (ARRAY.drop_vars("spatial_ref"), "does not carry its place"),
        (ARRAY.isel(x=slice(0, 0)), "has no cells"),
        (ARRAY.isel(y=[0, 1, 4]), "not evenly spaced"),
    ):
        with pytest.raises(RegionError, match=rule):
            grid_of(some)
