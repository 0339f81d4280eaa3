"""Grids of cells: they cover, they join, and the imagery grids under them fall in place."""

import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from pyproj import Geod

from sat2cap.errors import RegionError
from sat2cap.geo.frame import grid_of, on_grid
from sat2cap.geo.grid import (
    PatchGrid,
    cell_grid,
    cell_lonlat,
    cell_mask,
    local_crs,
    outline,
    patch_around,
    patch_box,
)
from sat2cap.geo.region import Region, parse_region


def square(left, bottom, right, top, crs="EPSG:32631"):
    """A region given in metres of `crs`."""
    geometry = Geometry(shapely.box(left, bottom, right, top), crs).to_crs("EPSG:4326", resolution=100)
    return Region(geometry, "square")


@pytest.mark.parametrize(
    ("lon", "lat", "epsg"),
    [
        (4.9, 52, 32631),
        (-180, 0, 32601),
        (179.99, -17, 32760),
        (180, 1, 32601),
        (-70, -33, 32719),
        (0, 85, 32661),
        (0, -81, 32761),
    ],
)
def test_local_crs(lon, lat, epsg):
    assert local_crs(lon, lat).epsg == epsg


@pytest.mark.parametrize("text", ["4.8,52.3,5.0,52.45", "-70.7,-33.5,-70.5,-33.4", "179.9,-17,-179.9,-16.8"])
@pytest.mark.parametrize("cell_m", [480.0, 100.0])
def test_grid_covers_the_region_and_is_snapped(text, cell_m):
    region = parse_region(text)
    grid = cell_grid(region, cell_m)
    assert grid.resolution.xy == (cell_m, -cell_m)
    assert grid.affine.c % cell_m == 0
    assert grid.affine.f % cell_m == 0
    outline = region.geometry.to_crs(grid.crs, resolution=0.001)
    assert grid.extent.buffer(0.01).contains(outline)
    assert not grid.pad(-1).extent.contains(outline)


def test_neighbouring_regions_have_grids_that_join():
    west, east = (cell_grid(square(x, 5_790_300, x + 10_000, 5_800_200)) for x in (500_000, 510_000))
    across = (east.affine.c - west.affine.c) / 480
    assert across == round(across)
    assert west.affine.f == east.affine.f


def test_a_given_crs_and_one_cell_at_least():
    grid = cell_grid(parse_region("4.9,52.37,5"), crs="EPSG:28992")
    assert grid.crs == "EPSG:28992"
    assert grid.shape == (1, 1)


@pytest.mark.parametrize(
    ("text", "cell_m", "crs", "rule"),
    [
        ("4,52,5,53", 0.0, None, "more than 0"),
        ("4,52,5,53", float("nan"), None, "more than 0"),
        ("4,52,5,53", 480.0, "EPSG:4326", "not in metres"),
        ("4,52,5,53", 480.0, "EPSG:2263", "not in metres"),
        ("4,52,5,53", 480.0, "EPSG:99999999", "not known"),
        ("-30,40,30,60", 480.0, None, "spans 60.0 degrees"),
        ("5,52,4,53", 480.0, None, "a west beyond the east goes around the Earth"),
        ("4,52,5,53", 0.1, None, "too many"),
        ("-100,-10,-80,10", 480.0, "EPSG:32631", "does not fit"),
    ],
)
def test_impossible_grids_are_refused_in_one_line(text, cell_m, crs, rule):
    with pytest.raises(RegionError) as caught:
        cell_grid(parse_region(text), cell_m, crs)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


def brute_force_mask(grid, region, touched):
    shape = region.geometry.to_crs(grid.crs, resolution=1e-3).geom
    mask = np.zeros(grid.shape, bool)
    for row, col in np.ndindex(*grid.shape):
        cell = grid[row : row + 1, col : col + 1].extent.geom
        mask[row, col] = shape.intersection(cell).area > 0 if touched else shape.contains(cell.centroid)
    return mask


@pytest.mark.parametrize("touched", [True, False])
def test_mask_agrees_with_asking_cell_by_cell(touched):
    holed = shapely.Polygon(
        [(4.8, 52.3), (5.1, 52.31), (4.95, 52.5)],
        [[(4.93, 52.35), (4.99, 52.35), (4.96, 52.4)]],
    )
    region = Region(Geometry(holed, "EPSG:4326"), "holed")
    grid = cell_grid(region, 250)
    mask = cell_mask(grid, region, touched=touched)
    assert mask.shape == tuple(grid.shape)
    assert min(grid.shape) > 64  # more than one block
    np.testing.assert_array_equal(mask, brute_force_mask(grid, region, touched))


def test_mask_counts_no_cell_that_only_meets_the_border():
    region = square(480_000, 5_760_000, 489_600, 5_769_600)
    grid = GeoBox((22, 22), cell_grid(region).pad(1).affine, "EPSG:32631")
    inner = cell_mask(grid, region, touched=False)
    assert inner.sum() == 400


def test_patch_box_tiles_its_block_exactly():
    grid = cell_grid(parse_region("4.8,52.3,5.0,52.45"))
    block = patch_box(grid, slice(3, 5), slice(7, 10), 224)
    assert block.shape == (448, 672)
    assert block.extent.geom.equals_exact(grid[3:5, 7:10].extent.geom, 1e-6)
    one = patch_box(grid, slice(4, 5), slice(8, 9), 224)
    assert block[224:448, 224:448] == one


@pytest.mark.parametrize(
    ("cell_m", "patch_m"), [(480, 480), (120, 480), (100, 480), (37.5, 300), (1000, 480)]
)
def test_patches_lie_around_the_centres_of_their_cells_to_half_a_pixel(cell_m, patch_m):
    grid = GeoBox((40, 50), cell_grid(parse_region("4.8,52.3,5.0,52.45"), cell_m).affine, "EPSG:32631")
    patches, pixel_m = PatchGrid(grid, patch_m, 224), patch_m / 224
    for rows, cols in [
        (slice(0, 1), slice(0, 1)),
        (slice(3, 17), slice(7, 32)),
        (slice(39, 40), slice(49, 50)),
    ]:
        box = patches.pixel_box(rows, cols)
        down, across = patches.patch_starts(rows), patches.patch_starts(cols)
        assert box.resolution.xy == pytest.approx((pixel_m, -pixel_m))
        assert box.shape == (down[-1] - down[0] + 224, across[-1] - across[0] + 224)
        for row, col in [(0, 0), (len(down) - 1, len(across) - 1)]:
            top, left = down[row] - down[0], across[col] - across[0]
            middle = box.affine @ (left + 112, top + 112)
            centre = grid.affine @ (cols.start + col + 0.5, rows.start + row + 0.5)
            assert middle == pytest.approx(centre, abs=pixel_m / 2 * 1.001)


def test_a_patch_has_the_same_pixels_whatever_block_it_is_read_with():
    patches = PatchGrid(cell_grid(parse_region("4.8,52.3,5.0,52.45"), 100), 480, 224)
    alone = patches.pixel_box(slice(9, 10), slice(6, 7))
    block = patches.pixel_box(slice(4, 12), slice(2, 9))
    top = patches.patch_starts(slice(9, 10))[0] - patches.patch_starts(slice(4, 5))[0]
    left = patches.patch_starts(slice(6, 7))[0] - patches.patch_starts(slice(2, 3))[0]
    cut = block[top : top + 224, left : left + 224]
    assert tuple(cut.affine) == pytest.approx(tuple(alone.affine))
    assert patches.pixel_box(slice(0, 1), slice(0, 1)).extent.centroid.coords[0] == pytest.approx(
        patches.cells[0:1, 0:1].extent.centroid.coords[0]
    )


@pytest.mark.parametrize("edge", [0.0, 0.05, -0.05, 3.0])
def test_a_border_along_a_meridian_bends_in_utm_at_greenwich_too(edge):
    """The border is 30 degrees long; left straight it would be kilometres off at its middle."""
    region = parse_region(f"{edge},35,6,65")
    grid = cell_grid(region, 2000, "EPSG:32631")
    mask = cell_mask(grid, region, touched=False)
    lon, lat = cell_lonlat(grid)
    inside = (lon > edge) & (lon < 6) & (lat > 35) & (lat < 65)
    assert (mask != inside).sum() <= 5  # borders are polylines, which are up to a few metres off


def test_patch_around_is_centred_and_of_its_size():
    for lon, lat in [(4.9, 52.37), (-70.6, -33.4), (179.999, -17)]:
        box = patch_around(lon, lat, 480, 800)
        assert box.shape == (800, 800)
        assert box.resolution.xy == pytest.approx((0.6, -0.6))
        middle = box.extent.centroid.to_crs("EPSG:4326").coords[0]
        assert Geod(ellps="WGS84").inv(lon, lat, *middle)[2] < 1e-3
    with pytest.raises(RegionError):
        patch_around(4.9, float("inf"), 480, 800)


def test_a_grid_that_overhangs_the_earth_has_an_outline_on_it():
    """Cells of a million metres on a world map: the outermost reach beyond where the projection ends."""
    grid = cell_grid(parse_region("-180,-80,180,80"), 1_000_000, "EPSG:6933")
    west, south, east, north = outline(grid).boundingbox.bbox
    assert -180 <= west < -175
    assert 175 < east <= 180
    assert -90 <= south < -60
    assert 60 < north <= 90


def test_cell_lonlat_are_the_centres():
    grid = cell_grid(parse_region("4.8,52.3,5.0,52.45"))
    lon, lat = cell_lonlat(grid)
    assert lon.shape == lat.shape == tuple(grid.shape)
    centre = grid[5:6, 9:10].extent.centroid.to_crs("EPSG:4326").coords[0]
    assert (lon[5, 9], lat[5, 9]) == pytest.approx(centre, abs=1e-9)
    assert lat[0, 0] > lat[-1, 0]


def test_arrays_carry_their_grid_through_slices_and_rioxarray_reads_it():
    rioxarray = pytest.importorskip("rioxarray")
    assert rioxarray
    grid = cell_grid(parse_region("4.8,52.3,5.0,52.45"))
    values = np.arange(grid.shape[0] * grid.shape[1], dtype=np.float32).reshape(1, *grid.shape)
    array = on_grid(values, grid, ("prompt", "y", "x"), {"prompt": ["a"]}, {"unit": "cosine"})
    assert grid_of(array) == grid
    assert grid_of(array[0, 4:9, 2:3]) == grid[4:9, 2:3]
    assert array.rio.crs == "EPSG:32631"
    assert array.rio.transform() == grid.affine
    with pytest.raises(RegionError, match="place on Earth"):
        grid_of(array.drop_vars("spatial_ref"))
