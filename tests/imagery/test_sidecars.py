"""Files beside a raster hold its mask, nodata values, grid, CRS, overviews or camera; and marks of bands."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import from_origin
from servers import file_server

from sat2cap.errors import ImageryError
from sat2cap.imagery.bands import BandRendering, parse_rendering
from sat2cap.imagery.gdal import is_remote
from sat2cap.imagery.opening import open_source
from sat2cap.imagery.raster import RasterImagery, open_raster

AFFINE = from_origin(500_000, 5_800_000, 2, 2)
WORLD_FILE = "2\n0\n0\n-2\n500001\n5799999\n"
"""The same in a world file, which names the centre of the first pixel."""
CRS_AUX = "<PAMDataset><SRS>{}</SRS></PAMDataset>".format(
    rasterio.CRS.from_epsg(32631).to_wkt().replace('"', "&quot;")
)


def write(path: Path, values: np.ndarray, **profile) -> str:
    bands, height, width = values.shape
    profile = {"driver": "GTiff", "crs": "EPSG:32631", "transform": AFFINE, **profile}
    with rasterio.open(
        path, "w", height=height, width=width, count=bands, dtype=values.dtype, **profile
    ) as file:
        file.write(values)
    return str(path)


def ground(size: int = 128) -> np.ndarray:
    """Red is the column, green the row, blue 60."""
    row, col = np.mgrid[:size, :size]
    return np.stack([col + 1, row + 1, np.full_like(row, 60)]).astype(np.uint8)


def alpha_of(imagery: RasterImagery) -> np.ndarray:
    return imagery.read(imagery.grid).values[..., 3]


def test_a_mask_file_is_no_data(tmp_path):
    path = write(tmp_path / "a.tif", ground())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        mask = np.full(file.shape, 255, np.uint8)
        mask[:50] = 0
        file.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists()
    np.testing.assert_array_equal(alpha_of(open_raster(path)), mask)


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize("mask_last", [True, False])
def test_a_mask_is_no_data_at_every_size(tmp_path, internal, mask_last):
    """A mask that is written after the overviews has none, and GDAL calls all of them valid."""
    path = write(tmp_path / "a.tif", ground(512))
    mask = np.full((512, 512), 255, np.uint8)
    mask[:256] = 0

    def write_mask() -> None:
        with rasterio.open(path, "r+") as file:
            file.write_mask(mask)

    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal, TIFF_USE_OVR=not internal):
        if not mask_last:
            write_mask()
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4, 8], Resampling.average)
        if mask_last:
            write_mask()
    imagery = open_raster(path)
    assert imagery.overviews == (2, 4, 8)
    for factor in (2, 4, 16):
        there = np.arange(512 // factor) * factor >= 256
        alpha = imagery.read(imagery.grid.zoom_out(factor)).values[..., 3]
        np.testing.assert_array_equal(alpha > 0, np.repeat(there[:, None], 512 // factor, 1))


def test_nodata_values_beside_the_file_are_no_data(tmp_path):
    values = ground()
    values[:, :, :30] = 0
    path = write(tmp_path / "a.tif", values)
    bands = "".join(
        f'<PAMRasterBand band="{b}"><NoDataValue>0</NoDataValue></PAMRasterBand>' for b in (1, 2, 3)
    )
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    alpha = alpha_of(open_raster(path))
    assert not alpha[:, :30].any()
    assert (alpha[:, 30:] == 255).all()


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("nodata", [0, 255, 7])
def test_nodata_values_are_no_data_at_every_size(tmp_path, external, beside, nodata):
    """GDAL does not tell a GeoTIFF's overviews of a nodata value that is stated beside the file."""
    values = np.full((3, 256, 256), 100, np.uint8)
    values[:, :128] = nodata
    path = write(tmp_path / "a.tif", values, **({} if beside else {"nodata": nodata}))
    with rasterio.Env(TIFF_USE_OVR=external), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.average)
    if beside:
        bands = "".join(
            f'<PAMRasterBand band="{b}"><NoDataValue>{nodata}</NoDataValue></PAMRasterBand>'
            for b in (1, 2, 3)
        )
        (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{bands}</PAMDataset>")
    imagery = open_raster(path)
    assert imagery.overviews == (2, 4)
    for factor in (1, 2, 4, 8):
        pixels = imagery.read(imagery.grid.zoom_out(factor)).values
        assert not pixels[: 128 // factor].any()
        assert (pixels[128 // factor :] == [100, 100, 100, 255]).all()


@pytest.mark.parametrize("suffix", [".tfw", ".tifw", ".wld"])
def test_a_world_file_places_a_tiff(tmp_path, suffix):
    path = write(tmp_path / "a.tif", ground(), transform=None)
    (tmp_path / f"a{suffix}").write_text(WORLD_FILE)
    assert open_raster(path).grid.affine == AFFINE


@pytest.mark.parametrize(("kind", "suffix"), [("png", ".pgw"), ("jpg", ".jgw"), ("png", ".wld")])
def test_a_picture_with_a_world_file_and_a_crs_is_imagery(tmp_path, kind, suffix):
    Image.fromarray(np.moveaxis(ground(), 0, -1)).save(tmp_path / f"a.{kind}", quality=95)
    (tmp_path / f"a{suffix}").write_text(WORLD_FILE)
    (tmp_path / f"a.{kind}.aux.xml").write_text(CRS_AUX)
    imagery = open_raster(str(tmp_path / f"a.{kind}"))
    assert imagery.grid == GeoBox((128, 128), AFFINE, "EPSG:32631")
    pixels = imagery.read(imagery.grid).values[..., :3].astype(int)
    assert np.abs(pixels - np.moveaxis(ground(), 0, -1)).mean() < 3
    in_folder = open_source(str(tmp_path))
    np.testing.assert_array_equal(in_folder.read(imagery.grid), imagery.read(imagery.grid))


def test_overviews_beside_the_file_are_used(tmp_path):
    path = write(tmp_path / "a.tif", ground(256))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.average)
    assert (tmp_path / "a.tif.ovr").exists()
    assert open_raster(path).overviews == (2, 4)


def test_a_camera_model_beside_the_file_is_said(tmp_path):
    path = write(tmp_path / "a.tif", ground(), transform=None, crs=None)
    lines = ["LINE_OFF: 64", "SAMP_OFF: 64", "LAT_OFF: 52", "LONG_OFF: 5", "HEIGHT_OFF: 0"]
    lines += ["LINE_SCALE: 64", "SAMP_SCALE: 64", "LAT_SCALE: 0.1", "LONG_SCALE: 0.1", "HEIGHT_SCALE: 100"]
    for name in ("LINE_NUM", "LINE_DEN", "SAMP_NUM", "SAMP_DEN"):
        lines += [f"{name}_COEFF_{number}: {1 if number == 1 else 0}" for number in range(1, 21)]
    (tmp_path / "a_RPC.TXT").write_text("\n".join(lines))
    with pytest.raises(ImageryError, match="camera model"):
        open_raster(path)


def test_statistics_that_a_program_writes_beside_a_file_leave_its_identity(tmp_path):
    path = write(tmp_path / "a.tif", ground())
    identity = open_raster(path).info.identity
    beside = tmp_path / "a.tif.aux.xml"
    band = '<PAMDataset><PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'
    beside.write_text(band.format('<Metadata><MDI key="STATISTICS_MEAN">7</MDI></Metadata>'))
    assert open_raster(path).info.identity == identity
    beside.write_text(band.format("<NoDataValue>7</NoDataValue>"))
    assert open_raster(path).info.identity != identity


def test_over_http_a_folder_is_not_listed(tmp_path):
    write(tmp_path / "a.tif", ground())
    with file_server(tmp_path) as (root, _):
        imagery = open_raster(f"{root}/a.tif")
        assert (alpha_of(imagery) == 255).all()
    assert all(map(is_remote, ("https://a/b.tif", "s3://b/a.tif", "/vsicurl/https://a/b.tif")))
    assert is_remote("/vsizip//vsicurl/https://a/b.zip/c.tif")
    assert not any(
        map(is_remote, ("a.tif", "/a/b.tif", "/vsizip/a.zip/b.tif", "GPKG:a.gpkg:t", "file:///a.tif"))
    )


def near_infrared(tmp_path, **profile) -> tuple[str, np.ndarray]:
    """Water, where near infrared is 0, in the east; the band is marked as alpha."""
    values = np.concatenate([ground(), np.full((1, 128, 128), 150, np.uint8)])
    values[3, :, 64:] = 0
    path = write(tmp_path / "naip.tif", values, photometric="RGB", alpha="YES", **profile)
    with rasterio.open(path) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    return path, values


def test_a_recipe_beats_the_mark_of_a_band(tmp_path):
    """The fourth band of NAIP is often marked as alpha; the recipe states that it is near infrared."""
    path, values = near_infrared(tmp_path)
    recipe = open_source(path, parse_rendering(recipe="rgbn"))
    pixels = recipe.read(recipe.grid).values
    assert (pixels[..., 3] == 255).all()
    np.testing.assert_array_equal(np.moveaxis(pixels[..., :3], -1, 0), values[:3])
    for turned in (recipe.grid.rotate(20), recipe.grid.zoom_out(3)):
        rows, cols = (slice(side * 2 // 5, side * 3 // 5) for side in turned.shape)
        assert (recipe.read(turned).values[rows, cols, 3] == 255).all()
    marked = open_source(path)
    assert not alpha_of(marked)[:, 64:].any()
    assert marked.info.identity != recipe.info.identity


def test_a_band_chosen_as_a_colour_is_not_transparency(tmp_path):
    path, values = near_infrared(tmp_path)
    infrared = open_source(path, BandRendering((4, 1, 2)))
    pixels = infrared.read(infrared.grid).values
    assert (pixels[..., 3] == 255).all()
    np.testing.assert_array_equal(pixels[..., 0], values[3])
    assert not alpha_of(open_source(path, BandRendering((3, 2, 1))))[:, 64:].any()


@pytest.mark.parametrize("turn", [0, 20])
def test_one_compressed_strip_is_read_at_every_size(tmp_path, turn):
    """GDAL's warper cannot read such a file with an alpha band added; whole windows can be read."""
    values = np.random.default_rng(0).integers(1, 255, (3, 2500, 2500)).astype(np.uint8)
    values[:, :100, :100] = 0
    path = write(
        tmp_path / "a.tif", values, blockysize=2500, compress="deflate", interleave="pixel", nodata=0
    )
    imagery = open_raster(path)
    pixels = imagery.read(imagery.grid.zoom_out(10).rotate(turn)).values
    if turn == 0:
        expected = values.reshape(3, 250, 10, 250, 10).mean((2, 4))
        np.testing.assert_allclose(np.moveaxis(pixels[..., :3], -1, 0), expected, atol=0.6)
        assert not pixels[:10, :10, 3].any()
    else:
        assert pixels[125, 125, 3] == 255


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "float64"])
def test_every_number_type_warps_around_holes(tmp_path, dtype):
    values = np.full((3, 60, 60), 100, dtype)
    values[:, 20:30, 20:30] = 0
    imagery = open_raster(write(tmp_path / "a.tif", values, nodata=0), stretch=(0, 200))
    pixels = imagery.read(imagery.grid).values
    there = (values != 0).all(0)
    np.testing.assert_array_equal(pixels[..., 3] > 0, there)
    assert (pixels[there] == [128, 128, 128, 255]).all()
