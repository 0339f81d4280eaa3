"""Imagery files: right pixels at right places, holes as alpha 0, one clear line for what cannot be used."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy
from rasterio.transform import from_origin
from servers import file_server

from sat2cap.errors import ImageryError
from sat2cap.geo.frame import grid_of
from sat2cap.geo.grid import LONLAT, cell_grid, patch_around, patch_box, transformer
from sat2cap.geo.region import parse_region
from sat2cap.imagery.overviews import choose_overview
from sat2cap.imagery.raster import open_raster

OVERHEAD = Path(__file__).parents[3] / "shared" / "data" / "overhead"
needs_rasters = pytest.mark.skipif(not OVERHEAD.exists(), reason="the shared real rasters are not here")
LEFT, TOP, STEP = 500_000.0, 5_800_000.0, 10.0


def write_tif(path, values, *, crs="EPSG:32631", colours=None, overviews=(), **profile):
    bands, height, width = values.shape
    transform = profile.pop("transform", from_origin(LEFT, TOP, STEP, STEP))
    profile = {"driver": "GTiff", "count": bands, "height": height, "width": width, **profile}
    with rasterio.open(path, "w", dtype=values.dtype, crs=crs, transform=transform, **profile) as file:
        file.write(values)
        if colours:
            file.colorinterp = [ColorInterp[name] for name in colours]
        if overviews:
            file.build_overviews(overviews)
    return str(path)


def ramp(height=80, width=96):
    """Red is the column, green the row, blue 7: every pixel says where it is."""
    row, col = np.mgrid[:height, :width]
    return np.stack([col + 1, row + 1, np.full_like(row, 7)]).astype(np.uint8)


def test_native_grid_gives_the_files_own_pixels(tmp_path):
    values = ramp()
    imagery = open_raster(write_tif(tmp_path / "a.tif", values))
    array = imagery.read(imagery.grid)
    assert array.dims == ("y", "x", "band")
    assert array.dtype == np.uint8
    assert list(array.band.values) == ["red", "green", "blue", "alpha"]
    np.testing.assert_array_equal(array.values[..., :3], np.moveaxis(values, 0, -1))
    assert (array.values[..., 3] == 255).all()
    assert grid_of(array) == imagery.grid
    assert imagery.info.gsd_m == pytest.approx(10, rel=1e-3)
    assert imagery.footprint.boundingbox.bbox == (LEFT, TOP - 800, LEFT + 960, TOP)


def test_shifted_and_finer_box_lands_on_the_right_pixels(tmp_path):
    imagery = open_raster(write_tif(tmp_path / "a.tif", ramp()))
    box = GeoBox((8, 12), Affine(STEP, 0, LEFT + 30 * STEP, 0, -STEP, TOP - 20 * STEP), "EPSG:32631")
    np.testing.assert_array_equal(imagery.read(box).values[0, :, 0], np.arange(31, 43))
    np.testing.assert_array_equal(imagery.read(box).values[:, 0, 1], np.arange(21, 29))
    other = imagery.read(box.to_crs("EPSG:3857")).values
    assert other[other.shape[0] // 2, other.shape[1] // 2, 0] == pytest.approx(36, abs=2)


def test_coarse_reads_average_unless_an_overview_fits(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (3, 256, 256), dtype=np.uint8)
    plain = open_raster(write_tif(tmp_path / "plain.tif", values))
    layered = open_raster(write_tif(tmp_path / "layered.tif", values, overviews=(2, 4, 8)))
    assert layered.overviews == (2, 4, 8)
    grid = GeoBox((32, 32), plain.grid.affine @ Affine.scale(8), plain.grid.crs)
    expected = values.reshape(3, 32, 8, 32, 8).mean((2, 4))
    pixels = np.moveaxis(plain.read(grid).values[..., :3], -1, 0)
    np.testing.assert_allclose(pixels, expected, atol=1)
    # Overviews are decimated by default, and lie where the pixels are that they repeat: overview pixel i is
    # centred on pixel 4 i, so that pixels 8 wide from -1.5 on cover two of them.
    assert layered.decimated
    affine = plain.grid.affine @ Affine.translation(8 - 1.5, 8 - 1.5) @ Affine.scale(8)
    with rasterio.open(layered.path, overview_level=1) as file:
        overview = file.read()[:, 2:62, 2:62].astype(float)
    expected = overview.reshape(3, 30, 2, 30, 2).mean((2, 4))
    pixels = np.moveaxis(layered.read(GeoBox((30, 30), affine, grid.crs)).values[..., :3], -1, 0)
    np.testing.assert_allclose(pixels, expected, atol=0.51)


def test_nodata_needs_every_band_and_outside_is_empty(tmp_path):
    values = ramp()
    values[:, :10] = 0
    values[0, 40:50] = 0  # one black channel is not a hole
    imagery = open_raster(write_tif(tmp_path / "a.tif", values, nodata=0))
    wide = GeoBox((100, 100), Affine(STEP, 0, LEFT - 2 * STEP, 0, -STEP, TOP + 10 * STEP), "EPSG:32631")
    pixels = imagery.read(wide).values
    there = np.zeros((100, 100), bool)
    there[20:90, 2:98] = True
    np.testing.assert_array_equal(pixels[..., 3] > 0, there)
    assert not pixels[~there].any()
    far = imagery.read(patch_around(-100, 10, 480, 16)).values
    assert not far.any()
    antipode = imagery.read(patch_around(-177, -52, 480, 16)).values
    assert not antipode.any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("alpha", [False, True])
def test_holes_are_alpha_0_in_every_type(tmp_path, dtype, alpha):
    values = np.full((3 + alpha, 20, 20), 100, dtype)
    values[:, :, :5] = 0
    if alpha:
        values[3, :, 5:] = 255 if dtype == "float32" else np.iinfo(dtype).max
    colours = ("red", "green", "blue", "alpha")[: 3 + alpha]
    path = write_tif(tmp_path / "a.tif", values, colours=colours, **({} if alpha else {"nodata": 0}))
    imagery = open_raster(path, stretch=(0, 200))
    pixels = imagery.read(imagery.grid).values
    assert (pixels[:, :5] == 0).all()
    assert (pixels[:, 5:] == [128, 128, 128, 255]).all()


def test_one_band_is_grey_and_bands_can_be_chosen(tmp_path):
    grey = open_raster(write_tif(tmp_path / "grey.tif", ramp()[:1]))
    pixels = grey.read(grey.grid).values
    np.testing.assert_array_equal(pixels[0, :, :3], np.repeat(np.arange(1, 97)[:, None], 3, 1))
    path = write_tif(tmp_path / "rgb.tif", ramp())
    swapped = open_raster(path, (3, 2, 1))
    np.testing.assert_array_equal(swapped.read(swapped.grid).values[0, 0, :3], [7, 1, 1])
    marked = write_tif(tmp_path / "bgr.tif", ramp(), colours=("blue", "green", "red"))
    assert open_raster(marked).bands == (3, 2, 1)


def test_stretch_maps_its_ends_to_0_and_255(tmp_path):
    values = np.broadcast_to(np.array([0, 500, 1000, 3000, 5000], np.uint16), (3, 5, 5)).copy()
    imagery = open_raster(write_tif(tmp_path / "a.tif", values), stretch=(500, 3000))
    assert list(imagery.read(imagery.grid).values[0, :, 0]) == [0, 0, 51, 255, 255]


def test_identity_follows_the_pixels_not_the_name(tmp_path):
    one = open_raster(write_tif(tmp_path / "one.tif", ramp()))
    same = open_raster(write_tif(tmp_path / "same.tif", ramp()))
    other = open_raster(write_tif(tmp_path / "other.tif", ramp() + 1))
    assert one.info.identity == same.info.identity
    choices = {one.info.identity, other.info.identity, open_raster(one.path, (1,)).info.identity}
    assert len(choices | {open_raster(one.path, stretch=(0, 100)).info.identity}) == 4
    assert one.info.uri == one.path


def test_it_travels_to_other_processes(tmp_path):
    imagery = open_raster(write_tif(tmp_path / "a.tif", ramp()))
    copy = pickle.loads(pickle.dumps(imagery))
    np.testing.assert_array_equal(copy.read(copy.grid), imagery.read(imagery.grid))


def test_unusable_files_are_one_clear_line(tmp_path):
    paths = {
        "no such file": (str(tmp_path / "none.tif"), {}),
        "no CRS": (write_tif(tmp_path / "nocrs.tif", ramp(), crs=None), {}),
        "no geotransform": (write_tif(tmp_path / "nogeo.tif", ramp(), transform=Affine.identity()), {}),
        "not 8-bit": (write_tif(tmp_path / "deep.tif", ramp().astype(np.uint16)), {}),
        "complex numbers": (write_tif(tmp_path / "radar.tif", ramp().astype(np.complex64)), {}),
        "CRS that has no place on Earth": (
            write_tif(tmp_path / "site.tif", ramp(), crs='LOCAL_CS["site",UNIT["metre",1]]'),
            {},
        ),
        "colour table": (write_tif(tmp_path / "table.tif", ramp()[:1], colours=("palette",)), {}),
        "say which to use": (write_tif(tmp_path / "five.tif", np.repeat(ramp()[:1], 5, 0)), {}),
        "bands 1 to 3": (write_tif(tmp_path / "rgb.tif", ramp()), {"bands": (1, 2, 9)}),
        "the lower first": (write_tif(tmp_path / "rgb.tif", ramp()), {"stretch": (10, 10)}),
        "has values of 4 bits": (write_tif(tmp_path / "nibbles.tif", ramp() % 16, nbits=4), {}),
        "stores white as 0": (write_tif(tmp_path / "negative.tif", ramp()[:1], photometric="MINISWHITE"), {}),
        "does not tell apart": (write_tif(tmp_path / "whole.tif", ramp()), {"stretch": (0, 0.3)}),
    }
    text = tmp_path / "text.tif"
    text.write_text("not an image")
    paths["cannot be read"] = (str(text), {})
    for rule, (path, options) in paths.items():
        with pytest.raises(ImageryError) as caught:
            open_raster(path, **options)
        assert rule in str(caught.value)
        assert path in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_stretch_of_physical_values_is_answered_in_stored_ones(tmp_path):
    path = write_tif(tmp_path / "a.tif", ramp().astype(np.uint16))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.0001,) * 3, (-0.1,) * 3
    with pytest.raises(ImageryError, match="that is 1000,4000 of those"):
        open_raster(path, stretch=(0, 0.3))
    assert open_raster(path, stretch=(1000, 4000)).stretch == (1000, 4000)


def test_a_file_of_several_rasters_names_them(tmp_path):
    path = tmp_path / "two.gpkg"
    for name, extra in (("north", {}), ("south", {"APPEND_SUBDATASET": "YES"})):
        write_tif(path, ramp(), driver="GPKG", RASTER_TABLE=name, **extra)
    with pytest.raises(ImageryError, match=f"GPKG:{path}:north, GPKG:{path}:south"):
        open_raster(str(path))
    assert open_raster(f"GPKG:{path}:south").bands == (1, 2, 3)


def test_a_truncated_file_fails_on_reading(tmp_path):
    rng = np.random.default_rng(0)
    path = write_tif(tmp_path / "a.tif", rng.integers(0, 256, (3, 256, 256), dtype=np.uint8))
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])
    imagery = open_raster(path)
    with pytest.raises(ImageryError, match="cannot be read"):
        imagery.read(imagery.grid)


def test_an_overview_is_at_least_twice_as_fine_as_what_is_read():
    pyramid = (2, 4, 8, 16, 32)
    for ratio in np.geomspace(1, 60, 50):
        factor, level = choose_overview(pyramid, ratio)
        assert ratio / factor > 1.97 or factor == 1
        assert ratio / factor < 4.04, "and not finer than it must be"
        assert level is None or pyramid[level] == factor
    assert choose_overview((), 50) == choose_overview(pyramid, 1.9) == (1, None)


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize(("factor", "most"), [(2, 0.3), (5, 1.5), (8, 0.7)])
def test_a_coarse_read_off_the_grid_is_the_mean_of_its_ground(tmp_path, beside, factor, most):
    """Half a pixel off the overviews' grid, where an overview just as fine would differ by some levels."""
    noise = np.random.default_rng(0).normal(0, 25, (5, 3, 512, 512))
    layers = [
        layer[:, : 512 // size, : 512 // size].repeat(size, 1).repeat(size, 2)
        for layer, size in zip(noise, (1, 4, 16, 32, 64), strict=True)
    ]
    values = (128 + sum(layers)).clip(0, 255).astype(np.uint8)
    path = write_tif(tmp_path / "a.tif", values)
    with rasterio.Env(TIFF_USE_OVR=beside), rasterio.open(path, "r+") as file:
        file.build_overviews((2, 4, 8), Resampling.average)
    imagery = open_raster(path)
    assert imagery.overviews == (2, 4, 8)
    first, count = 8 + factor / 2, int(480 / factor)
    affine = imagery.grid.affine @ Affine.translation(first, first) @ Affine.scale(factor)
    pixels = imagery.read(GeoBox((count, count), affine, imagery.grid.crs)).values[..., :3]
    low, pixel = first + np.arange(count)[:, None] * factor, np.arange(512)
    weights = np.clip(np.minimum(low + factor, pixel + 1) - np.maximum(low, pixel), 0, None) / factor
    expected = np.stack([weights @ band @ weights.T for band in values.astype(float)], -1)
    assert np.abs(pixels - expected).mean() < most
    assert expected.std() > 10


def test_averaged_overviews_stay_where_they_are(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 256, 256), dtype=np.uint8)
    path = write_tif(tmp_path / "a.tif", values)
    with rasterio.open(path, "r+") as file:
        file.build_overviews((2, 4), Resampling.average)
    imagery = open_raster(path)
    assert not imagery.decimated
    grid = GeoBox((64, 64), imagery.grid.affine @ Affine.scale(4), imagery.grid.crs)
    expected = values.reshape(3, 64, 4, 64, 4).mean((2, 4))
    np.testing.assert_allclose(np.moveaxis(imagery.read(grid).values[..., :3], -1, 0), expected, atol=1)


def test_what_is_not_a_finite_number_is_no_data(tmp_path):
    values = np.full((3, 20, 20), 100, np.float32)
    values[:, :5] = np.nan
    values[0, 10:12] = np.nan  # without one of its bands a colour cannot be made
    values[1, 12:14] = np.inf
    values[2, 14:16] = -np.inf
    for extra in ({}, {"nodata": -9999.0}, {"nodata": np.nan}):
        imagery = open_raster(
            write_tif(tmp_path / f"{len(str(extra))}.tif", values, **extra), stretch=(0, 200)
        )
        pixels = imagery.read(imagery.grid).values
        there = np.ones((20, 20), bool)
        there[:5] = there[10:16] = False
        np.testing.assert_array_equal(pixels[..., 3] > 0, there, err_msg=str(extra))
        assert (pixels[there] == [128, 128, 128, 255]).all()


def test_a_mask_beside_the_colours_is_honoured(tmp_path):
    path = write_tif(tmp_path / "a.tif", ramp())
    with rasterio.open(path, "r+") as file:
        mask = np.full(file.shape, 255, np.uint8)
        mask[20:30, 40:60] = 0
        file.write_mask(mask)
    imagery = open_raster(path)
    np.testing.assert_array_equal(imagery.read(imagery.grid).values[..., 3] > 0, mask > 0)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_a_world_cut_at_the_antimeridian_is_read_across(tmp_path, crs):
    """Red is the longitude's column: no pixel may come from elsewhere, nor be blurred with what is."""
    row, col = np.mgrid[:180, :360]
    values = np.stack([col % 200, row, np.full_like(row, 7)]).astype(np.uint8)
    step = 1.0 if crs == "EPSG:4326" else 20037508.342789244 / 180
    transform = from_origin(-180 * step, 90 * step, step, step)
    imagery = open_raster(write_tif(tmp_path / "a.tif", values, crs=crs, transform=transform))
    for lon in (179.5, 180.0, -179.2):
        box = patch_around(lon, 10, 400_000, 16)
        middle = imagery.read(box).values[8]
        assert (middle[:, 3] == 255).all()
        x, y = box.affine @ (np.arange(16) + 0.5, np.full(16, 8.5))
        lons, _ = transformer(box.crs, LONLAT).transform(x, y)
        west, east = lons > 0, lons < 0
        assert west.any()
        assert east.any()
        expected = np.where(west, (lons + 180 - 0.5).clip(max=359) - 200, (lons + 180 - 0.5).clip(min=0))
        np.testing.assert_allclose(middle[:, 0], expected, atol=1)


@pytest.mark.parametrize(
    ("left", "places", "within"),
    [
        (179.5, (179.7, 180.0, -179.7), "179.5,-180.5"),
        (359.5, (-0.3, 0.0, 0.3), "-0.5,0.5"),
        (-180.5, (179.7, 180.0, -179.7), "179.5,-180.5"),
    ],
)
def test_longitudes_beyond_180_are_the_same_ground(tmp_path, left, places, within):
    """Files around the antimeridian, and those that count from 0 to 360."""
    row, col = np.mgrid[:100, :200]
    values = np.stack([col + 10, row, np.full_like(row, 7)]).astype(np.uint8)
    transform = from_origin(left, 10.25, 0.005, 0.005)
    imagery = open_raster(write_tif(tmp_path / "a.tif", values, crs="EPSG:4326", transform=transform))
    west, east = (float(edge) for edge in within.split(","))
    split_parts = [(west, east)] if west < east and east - west < 2 else [(west, 180), (-180, west + 1 - 360)]
    expected = shapely.union_all([shapely.box(w, 9.75, e, 10.25) for w, e in split_parts])
    assert imagery.footprint.geom.symmetric_difference(expected).area < 1e-6
    for lon in places:
        box = patch_around(lon, 10, 20_000, 32)
        middle = imagery.read(box).values[16]
        assert (middle[:, 3] == 255).all()
        x, y = box.affine @ (np.arange(32) + 0.5, np.full(32, 16.5))
        lons, _ = transformer(box.crs, LONLAT).transform(x, y)
        red = (lons - left) % 360 / 0.005 - 0.5 + 10
        np.testing.assert_allclose(middle[:, 0], red, atol=1)


def test_an_object_store_without_keys_says_how_a_public_bucket_is_read(monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_NO_SIGN_REQUEST", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    with pytest.raises(ImageryError, match="for a public bucket, set AWS_NO_SIGN_REQUEST=YES"):
        open_raster("s3://bucket/ortho.tif")


def test_points_or_a_camera_instead_of_a_grid_are_one_clear_line(tmp_path):
    path = write_tif(tmp_path / "a.tif", ramp(), transform=Affine.identity())
    with rasterio.open(path, "r+") as file:
        corners = [(0, 0, 5.0, 52.0), (0, 96, 5.1, 52.0), (80, 0, 5.0, 51.9)]
        file.gcps = ([GroundControlPoint(r, c, x, y) for r, c, x, y in corners], "EPSG:4326")
    with pytest.raises(ImageryError, match=r"3 ground control points and no grid; .*gdalwarp"):
        open_raster(path)


def test_mbtiles_and_vrt_read_as_the_file_they_were_made_of(tmp_path):
    source = OVERHEAD / "aerial_korea_0.6m.tif"
    if not source.exists():
        pytest.skip("the shared real rasters are not here")
    truth = open_raster(str(source))
    copy(str(source), str(tmp_path / "a.mbtiles"), driver="MBTiles", TILE_FORMAT="PNG")
    with rasterio.open(tmp_path / "a.mbtiles", "r+") as file:
        file.build_overviews((2, 4, 8), Resampling.average)
    copy(str(source), str(tmp_path / "a.vrt"), driver="VRT")
    lon, lat = truth.footprint.centroid.to_crs(LONLAT).coords[0]
    box = patch_around(lon, lat, 300, 200)
    for name, tolerance in (("a.mbtiles", 4), ("a.vrt", 0)):
        imagery = open_raster(str(tmp_path / name))
        difference = np.abs(imagery.read(box).values.astype(int) - truth.read(box).values.astype(int))
        assert difference.mean() <= tolerance, name
    assert len(open_raster(str(tmp_path / "a.mbtiles")).overviews) >= 2


def test_over_http_a_coarse_read_fetches_a_part_of_the_file(tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (3, 2048, 2048), dtype=np.uint8)
    plain = write_tif(tmp_path / "plain.tif", values, tiled=True, blockxsize=256, blockysize=256)
    copy(plain, str(tmp_path / "a.tif"), driver="COG", OVERVIEW_RESAMPLING="AVERAGE", COMPRESS="NONE")
    size = (tmp_path / "a.tif").stat().st_size
    with file_server(tmp_path) as (root, server):
        imagery = open_raster(f"{root}/a.tif")
        at_open = server.sent
        box = GeoBox((256, 256), imagery.grid.affine @ Affine.scale(8), imagery.grid.crs)
        near = open_raster(str(tmp_path / "a.tif")).read(box)
        np.testing.assert_array_equal(imagery.read(box), near)
        assert at_open < 3 * 2**20, "a few blocks, to know its pixels by; the same for a larger file"
        assert server.sent - at_open < size / 8, "the overview, not the whole"


def test_an_object_store_is_read_by_its_address(tmp_path, monkeypatch):
    (tmp_path / "bucket").mkdir()
    near = open_raster(write_tif(tmp_path / "bucket" / "a.tif", ramp()))
    with file_server(tmp_path) as (root, server):
        for name, value in {
            "AWS_S3_ENDPOINT": root.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
        }.items():
            monkeypatch.setenv(name, value)
        imagery = open_raster("s3://bucket/a.tif")
        np.testing.assert_array_equal(imagery.read(imagery.grid), near.read(near.grid))
        assert server.sent > 0
        with pytest.raises(ImageryError, match=r"s3://bucket/none\.tif"):
            open_raster("s3://bucket/none.tif")


@needs_rasters
@pytest.mark.parametrize(
    ("name", "options", "gsd_m"),
    [
        ("TCI.tif", {}, 100),
        ("RGB.byte.tif", {}, 300),
        ("aerial_korea_0.6m.tif", {}, 0.471),  # Web Mercator: shorter on the ground than in its CRS
        ("drone_alpha.tif", {}, 0.353),
        ("cog_dateline.tif", {"stretch": (0, 20000)}, 100),
        ("sentinel2/patch_252161.tif", {"bands": (4, 3, 2), "stretch": (0, 3000)}, 10),
    ],
)
def test_real_files_read_as_rasterio_says(name, options, gsd_m):
    imagery = open_raster(str(OVERHEAD / name), **options)
    assert imagery.info.gsd_m == pytest.approx(gsd_m, rel=2e-3)
    pixels = imagery.read(imagery.grid).values
    with rasterio.open(imagery.path) as file:
        there, values = file.dataset_mask() > 0, file.read(list(imagery.bands)).astype(float)
    np.testing.assert_array_equal(pixels[..., 3] > 0, there)
    low, high = options.get("stretch", (0, 255))
    shown = np.clip(np.rint((values - low) * 255 / (high - low)), 0, 255)
    shown = np.broadcast_to(shown, (3, *there.shape))
    np.testing.assert_allclose(np.moveaxis(pixels, -1, 0)[:3, there], shown[:, there], atol=1)


@needs_rasters
def test_a_block_of_cells_is_its_patches_side_by_side():
    imagery = open_raster(str(OVERHEAD / "aerial_korea_0.6m.tif"))
    lon, lat = imagery.footprint.centroid.to_crs("EPSG:4326").coords[0]
    grid = cell_grid(parse_region(f"{lon},{lat},150"), cell_m=96)
    block = imagery.read(patch_box(grid, slice(0, 3), slice(0, 3), 48)).values.astype(int)
    patch = imagery.read(patch_box(grid, slice(1, 2), slice(1, 2), 48)).values.astype(int)
    assert block.shape == (144, 144, 4)
    assert np.abs(block[48:96, 48:96] - patch).mean() < 1.5  # GDAL places pixels to an eighth of one


@needs_rasters
def test_both_sides_of_the_antimeridian_have_pixels():
    imagery = open_raster(str(OVERHEAD / "cog_dateline.tif"), stretch=(0, 20000))
    for lon in (179.9, -179.9):
        assert (imagery.read(patch_around(lon, 52, 5000, 32)).values[..., 3] > 0).all()
