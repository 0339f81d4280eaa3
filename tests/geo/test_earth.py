"""Arithmetic on the Earth, compared with pyproj, odc-geo and morecantile."""

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.geo import (
    EARTH_RADIUS_M,
    EQUATOR_M,
    LONLAT,
    M_PER_DEGREE,
    MAX_LATITUDE_DEG,
    cell_at,
    cell_lonlat,
    seamless_blocks,
    square_blocks,
    tile_affine,
    tile_position,
    transformer,
    unit_vectors,
)


def random_points(count: int = 2000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.uniform(-180, 180, count), random.uniform(-85, 85, count)


def test_a_degree_is_as_long_as_the_sphere_says() -> None:
    assert pytest.approx(2 * np.pi * EARTH_RADIUS_M / 360, rel=1e-5) == M_PER_DEGREE
    vectors = unit_vectors(np.array([0.0, 90.0, 33.0]), np.array([0.0, 0.0, 90.0]))
    np.testing.assert_allclose(vectors, np.eye(3), atol=1e-15)


def test_transformers_are_cached() -> None:
    grid = GeoBox((2, 2), Affine(480, 0, 0, 0, -480, 0), "EPSG:32631")
    assert transformer(grid.crs, LONLAT) is transformer(grid.crs, LONLAT)


@pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:3857"])
def test_cell_at_finds_the_cell_of_every_centre(crs: str) -> None:
    grid = GeoBox((30, 40), Affine(480, 0, 480_000, 0, -480, 5_800_000), crs)
    row, col = cell_at(grid, *cell_lonlat(grid))
    np.testing.assert_array_equal(np.stack([row, col]), np.indices(grid.shape))
    outside = cell_at(grid, [100.0, 0.0, np.nan], [-80.0, 90.0, 0.0])
    np.testing.assert_array_equal(outside, -np.ones((2, 3)))


def test_blocks_are_as_large_as_they_say() -> None:
    lon, lat = random_points(200_000)
    row, column = seamless_blocks(lon, lat, 500)
    square = square_blocks(lon, lat, 500_000, south_west_deg=(0, 0))
    _, seamless = np.unique(np.stack([row, column]), axis=1, return_inverse=True)
    for block in (seamless.ravel(), square):
        side = np.array([np.ptp(lat[block == number]) for number in range(0, block.max(), 50)])
        assert side.max() <= 500_000 / M_PER_DEGREE
        assert np.median(side) > 0.9 * 500_000 / M_PER_DEGREE
    east, west = (seamless_blocks(np.array([at]), np.array([50.01]), 500) for at in (180.0, -180.0))
    assert east[0] == west[0]
    assert east[1] == west[1] == 0


def test_square_blocks_divide_as_the_intervals_of_earlier_reports() -> None:
    lon, lat = random_points(200_000, seed=1)
    row = np.floor(lat * 111.195 / 10)
    column = np.floor(lon * 111.195 * np.cos(np.radians((row + 0.5) * 10 / 111.195)) / 10)
    _, expected = np.unique(np.stack([row, column]), axis=1, return_inverse=True)
    np.testing.assert_array_equal(square_blocks(lon, lat, 10_000, (0, 0)), expected.ravel())


@pytest.mark.parametrize("zoom", [0, 1, 9, 17])
def test_web_mercator_tiles_are_those_of_morecantile(zoom: int) -> None:
    tms = pytest.importorskip("morecantile").tms.get("WebMercatorQuad")
    lon, lat = random_points(50)
    columns, rows = tile_position(lon, lat, zoom)
    for column, row, east, north in zip(columns, rows, lon, lat, strict=True):
        tile = tms.tile(east, north, zoom)
        assert (int(column), int(row)) == (tile.x, tile.y)
        bounds = tms.xy_bounds(tile)
        affine = tile_affine(zoom, tile.x, tile.y, 256)
        corners = (*(affine @ (0, 256)), *(affine @ (256, 0)))
        np.testing.assert_allclose(corners, (bounds.left, bounds.bottom, bounds.right, bounds.top), atol=1e-3)


def test_the_square_of_web_mercator() -> None:
    assert tile_position(0.0, 0.0, 1) == (1.0, 1.0)
    np.testing.assert_allclose(tile_position(180.0, -MAX_LATITUDE_DEG, 3), (8, 8), atol=1e-9)
    assert tile_affine(0, 0, 0, 256) @ (128, 128) == (0, 0)
    assert pytest.approx(EQUATOR_M) == 40_075_016.686
