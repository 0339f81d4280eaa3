"""Rasters that GDAL writes without a word and that few tools expect: each is read right, or is one line."""

import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import from_origin

from sat2cap.errors import ImageryError
from sat2cap.imagery.bands import DEFAULT_RENDERING
from sat2cap.imagery.mosaic import open_folder
from sat2cap.imagery.opening import open_source
from sat2cap.imagery.raster import open_raster

SIDE, STEP = 64, 10.0
PLACE = from_origin(500_000, 5_800_000, STEP, STEP)


def write(path, values, transform=PLACE, crs="EPSG:32631", **profile):
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, **profile}
    with rasterio.open(path, "w", dtype=values.dtype, crs=crs, transform=transform, **profile) as file:
        file.write(values)
    return path


def noise(high=256, dtype="uint8"):
    return np.random.default_rng(0).integers(0, high, (3, SIDE, SIDE)).astype(dtype)


def read(path, stretch=None, coarser=1):
    """Colours ``[3, h, w]`` of the middle of a raster, on pixels so many times larger."""
    part = GeoBox((32, 32), PLACE @ Affine.translation(16, 16), "EPSG:32631").zoom_out(coarser)
    array = open_raster(str(path), stretch=stretch).read(part).values
    assert (array[..., 3] == 255).all()
    return np.moveaxis(array[..., :3], -1, 0)


def mean_of_blocks(values, side):
    count, height, width = values.shape
    return values.astype(float).reshape(count, height // side, side, width // side, side).mean((2, 4))


@pytest.mark.parametrize(
    "transform",
    [
        Affine(10, 0, 500_000, 0, 0, 5_800_000),
        Affine(10, 10, 500_000, 10, 10, 5_800_000),
        Affine(np.nan, 0, 500_000, 0, -10, 5_800_000),
        Affine(10, 0, np.inf, 0, -10, 5_800_000),
    ],
)
def test_a_geotransform_that_places_no_pixel_is_one_line(tmp_path, transform):
    path = write(tmp_path / "a.tif", noise(), transform)
    with pytest.raises(ImageryError, match=r"by which its pixels have no size; .* gdal_edit\.py"):
        open_raster(str(path))


@pytest.mark.parametrize("place", [(5e9, 5.8e6, 10, 10), (5e5, 5.8e6, 1e9, 1e9)])
def test_a_place_beyond_the_earth_is_one_line(tmp_path, place):
    path = write(tmp_path / "a.tif", noise(), from_origin(*place))
    with pytest.raises(ImageryError, match="lies beyond the Earth by its own geotransform"):
        open_raster(str(path))


def test_a_geocentric_crs_is_one_line(tmp_path):
    with pytest.raises(ImageryError, match="CRS that has no place on Earth"):
        open_raster(str(write(tmp_path / "a.tif", noise(), crs="EPSG:4978")))


@pytest.mark.parametrize("place", ["upside down", "mirrored", "turned"])
def test_pixels_in_another_order_are_read_where_they_lie(tmp_path, place):
    values, full = noise(), SIDE * STEP
    stored, transform = {
        "upside down": (values[:, ::-1], Affine(10, 0, 500_000, 0, 10, 5_800_000 - full)),
        "mirrored": (values[:, :, ::-1], Affine(-10, 0, 500_000 + full, 0, -10, 5_800_000)),
        "turned": (values.transpose(0, 2, 1), Affine(0, 10, 500_000, -10, 0, 5_800_000)),
    }[place]
    path = write(tmp_path / "a.tif", np.ascontiguousarray(stored), transform)
    np.testing.assert_array_equal(read(path), values[:, 16:48, 16:48])


@pytest.mark.parametrize("dtype", ["uint32", "int64", "uint64", "float64"])
@pytest.mark.parametrize("coarser", [1, 2])
def test_large_numbers_keep_their_differences(tmp_path, dtype, coarser):
    """As float32, three billion and a hundred more are one number; as int32, they are negative."""
    values = noise(201, "float64") + 3e9
    path = write(tmp_path / "a.tif", values.astype(dtype))
    means = mean_of_blocks(values[:, 16:48, 16:48], coarser)
    expected = (means - 3e9) * 255 / 200
    assert np.abs(read(path, (3e9, 3e9 + 200), coarser) - expected).max() <= 0.51


@pytest.mark.parametrize("high", [1, 3, 100])
def test_means_of_few_values_lie_between_them(tmp_path, high):
    values = noise(high + 1)
    path = write(tmp_path / "a.tif", values, nbits=max(1, int(high).bit_length()))
    expected = mean_of_blocks(values[:, 16:48, 16:48], 2) * 255 / high
    assert np.abs(read(path, (0, high), 2) - expected).max() <= 0.51


def test_bands_of_several_types_are_read_together(tmp_path):
    values = noise()
    write(tmp_path / "a.tif", values)
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename relativeToVRT="1">'
        f"a.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band, kind in ((1, "Byte"), (2, "UInt16"), (3, "Float32"))
    )
    (tmp_path / "a.vrt").write_text(
        f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}"><SRS>EPSG:32631</SRS>'
        f"<GeoTransform>500000,10,0,5800000,0,-10</GeoTransform>{bands}</VRTDataset>"
    )
    np.testing.assert_array_equal(read(tmp_path / "a.vrt", (0, 255)), values[:, 16:48, 16:48])


def test_a_number_of_bits_that_is_none_is_not_heeded(tmp_path):
    values = noise()
    path = write(tmp_path / "a.tif", values)
    bits = '<Metadata domain="IMAGE_STRUCTURE"><MDI key="NBITS">x</MDI></Metadata>'
    band = f'<PAMRasterBand band="1">{bits}</PAMRasterBand>'
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    np.testing.assert_array_equal(read(path), values[:, 16:48, 16:48])


def with_overviews(path, resampling, *, beside=False):
    with rasterio.Env(TIFF_USE_OVR=beside), rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], resampling)
    return path


@pytest.mark.parametrize("what", ["of black", "of no data", "of another file"])
def test_overviews_that_show_something_else_are_named_and_not_read(tmp_path, what):
    """Built before the pixels were written, or beside a file that was replaced."""
    values = noise(60) + 1  # dark, as a forest
    path = write(tmp_path / "a.tif", values, nodata=0 if what == "of no data" else None)
    if what == "of another file":
        larger = write(tmp_path / "larger.tif", np.tile(noise(), (1, 4, 4)))
        with_overviews(larger, Resampling.average, beside=True)
        shutil.move(f"{larger}.ovr", f"{path}.ovr")
    else:
        with_overviews(path, Resampling.average)
        with rasterio.open(path, "r+", overview_level=0) as finest:
            finest.write(np.zeros((3, SIDE // 2, SIDE // 2), np.uint8))
    with pytest.warns(UserWarning, match=r"a\.tif' has overviews that do not show what it shows.*gdaladdo"):
        pixels = read(path, coarser=4)
    assert np.abs(pixels - mean_of_blocks(values[:, 16:48, 16:48], 4)).max() <= 0.51


@pytest.mark.parametrize(
    "name", ["nearest", "average", "bilinear", "cubic", "lanczos", "gauss", "mode", "rms"]
)
@pytest.mark.parametrize("what", ["noise", "ramp", "edge"])
def test_overviews_of_every_filter_are_read(tmp_path, name, what):
    row, col = np.mgrid[:SIDE, :SIDE]
    values = {
        "noise": noise(),
        "ramp": np.stack([3 * col, 4 * row, col + row]).astype(np.uint8),
        "edge": np.stack([np.where(col > 30, 255, 0)] * 3).astype(np.uint8),
    }[what]
    path = with_overviews(write(tmp_path / "a.tif", values), Resampling[name])
    assert open_raster(str(path)).overviews == (2, 4)


def test_overviews_with_holes_are_read(tmp_path):
    """Means leave holes out, which takes most of the pixels below, and would not be their plain mean."""
    values = noise(200, "int16") + 1
    values[:, np.random.default_rng(1).random((SIDE, SIDE)) < 0.4] = -9999
    path = with_overviews(write(tmp_path / "a.tif", values, nodata=-9999), Resampling.average)
    assert open_raster(str(path), stretch=(0, 200)).overviews == (2, 4)


def test_an_empty_name_is_no_folder(monkeypatch, tmp_path):
    """It would be the folder of the process, whatever images lie there."""
    write(tmp_path / "a.tif", noise())
    monkeypatch.chdir(tmp_path)
    assert open_folder(".", DEFAULT_RENDERING).footprint.area > 0
    for name in ("", " "):
        with pytest.raises(ImageryError, match="the name of the imagery is empty"):
            open_source(name)
