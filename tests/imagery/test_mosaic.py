"""Folders of files as one image."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from PIL import Image
from rasterio.transform import from_origin

from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.imagery.bands import BandRendering
from sat2cap.imagery.mosaic import open_folder
from sat2cap.imagery.raster import open_raster
from sat2cap.miniworld.world import MiniImagery, World

OVERHEAD = Path(__file__).parents[3] / "shared" / "data" / "overhead"
WORLD = MiniImagery(World(3))
LEFT, TOP, STEP = 500_000.0, 5_800_000.0, 4.0


def write(path: Path, grid: GeoBox, rgb: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": str(grid.crs), "nodata": 0}
    with rasterio.open(
        path, "w", height=grid.shape[0], width=grid.shape[1], transform=grid.affine, **profile
    ) as file:
        file.write(np.moveaxis(rgb, -1, 0))


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """Ground of 400 x 600 pixels in six sheets, one of them in another folder, one missing."""
    folder = tmp_path_factory.mktemp("sheets")
    whole = GeoBox((400, 600), from_origin(LEFT, TOP, STEP, STEP), "EPSG:32631")
    rgb = np.maximum(WORLD.read(whole).values[..., :3], 1)
    for row in range(2):
        for col in range(3):
            part = np.s_[row * 200 : row * 200 + 200, col * 200 : col * 200 + 200]
            if (row, col) != (1, 2):
                name = f"{row}{col}.tif" if col else f"west/{row}{col}.tif"
                write(folder / name, whole[part], rgb[part])
    return folder, whole, rgb


def test_sheets_join_as_if_they_were_one(sheets):
    folder, whole, rgb = sheets
    mosaic = open_folder(str(folder))
    pixels = mosaic.read(whole).values
    there = np.ones((400, 600), bool)
    there[200:, 400:] = False
    np.testing.assert_array_equal(pixels[..., 3] > 0, there)
    np.testing.assert_array_equal(pixels[there][:, :3], rgb[there])
    assert len(mosaic.files) == 5
    area = mosaic.footprint.to_crs("EPSG:32631").area
    assert area == pytest.approx(5 * (200 * STEP) ** 2, rel=1e-3)
    again = pickle.loads(pickle.dumps(mosaic))
    np.testing.assert_array_equal(again.read(whole).values, pixels)


def test_a_read_in_another_projection_has_no_seams(sheets, tmp_path):
    folder, whole, rgb = sheets
    write(tmp_path / "one.tif", whole, rgb)
    one = open_raster(str(tmp_path / "one.tif"))
    lon, lat = whole[:200, :].extent.centroid.to_crs("EPSG:4326").coords[0]
    box = patch_around(lon, lat, 700, 150).to_crs("EPSG:3857")
    mosaic, single = open_folder(str(folder)).read(box).values, one.read(box).values
    np.testing.assert_array_equal(mosaic[..., 3], single[..., 3])
    difference = np.abs(mosaic.astype(int) - single.astype(int))[..., :3]
    assert difference.mean() < 0.5
    assert (difference > 16).mean() < 0.02, "pixels at the edge of a sheet lack a neighbour, no more"


def test_only_files_under_the_read_are_opened(sheets):
    folder, whole, _ = sheets
    mosaic = open_folder(str(folder))
    (folder / "west" / "00.tif").rename(folder / "west" / "away")
    try:
        assert (mosaic.read(whole[:100, 300:500]).values[..., 3] > 0).all()
        with pytest.raises(ImageryError, match=r"00\.tif"):
            mosaic.read(whole[:100, :100])
    finally:
        (folder / "west" / "away").rename(folder / "west" / "00.tif")


def test_the_finest_shows_where_files_overlap(sheets, tmp_path):
    _, whole, rgb = sheets
    write(tmp_path / "a_coarse.tif", whole.zoom_out(4), np.full((100, 150, 3), 200, np.uint8))
    write(tmp_path / "b_fine.tif", whole[100:200, 100:200], rgb[100:200, 100:200])
    pixels = open_folder(str(tmp_path)).read(whole).values
    np.testing.assert_array_equal(pixels[101:199, 101:199, :3], rgb[101:199, 101:199])
    assert (pixels[:90, :, :3] == 200).all()


def test_files_of_different_offsets_are_equally_bright(tmp_path):
    """As Sentinel-2 from baseline 04.00 on, which stores 1000 more; the stretch is that of most files."""
    grid = GeoBox((20, 60), from_origin(LEFT, TOP, STEP, STEP), "EPSG:32631")
    for number, (name, offset, scale) in enumerate((("a", 0, 1e-4), ("b", -0.1, 1e-4), ("c", 0, 1e-4))):
        part = grid[:, number * 20 : number * 20 + 20]
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "crs": str(grid.crs)}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", height=20, width=20, transform=part.affine, **profile
        ) as file:
            file.write(np.full((1, 20, 20), round((0.2 - offset) / scale), np.uint16))
            file.scales, file.offsets = (scale,), (offset,)
    folder = open_folder(str(tmp_path), BandRendering(None, (0, 4000)))
    assert (folder.read(grid).values == [128, 128, 128, 255]).all()


def test_one_stretch_for_numbers_of_several_kinds_is_refused(tmp_path):
    grid = GeoBox((20, 20), from_origin(LEFT, TOP, STEP, STEP), "EPSG:32631")
    profile = {"driver": "GTiff", "count": 1, "height": 20, "width": 20, "crs": str(grid.crs)}

    def write_as(name: str, dtype: str) -> None:
        with rasterio.open(tmp_path / name, "w", dtype=dtype, transform=grid.affine, **profile) as file:
            file.write(np.full((1, 20, 20), 100, dtype))

    write_as("a.tif", "uint16")
    write_as("b.tif", "int16")
    assert len(open_folder(str(tmp_path), BandRendering(None, (0, 3000))).files) == 2
    write_as("c.tif", "uint8")
    with pytest.raises(ImageryError, match=r"a\.tif is uint16, c\.tif is uint8"):
        open_folder(str(tmp_path), BandRendering(None, (0, 3000)))


def test_identity_follows_the_files(sheets, tmp_path):
    _, whole, rgb = sheets
    write(tmp_path / "a.tif", whole[:50, :50], rgb[:50, :50])
    first = open_folder(str(tmp_path)).info.identity
    assert open_folder(str(tmp_path)).info.identity == first
    write(tmp_path / "b.tif", whole[:50, 50:100], rgb[:50, 50:100])
    assert open_folder(str(tmp_path)).info.identity != first


def test_what_cannot_be_used_is_one_clear_line(tmp_path):
    with pytest.raises(ImageryError, match=r"has no \.tif"):
        open_folder(str(tmp_path))
    (tmp_path / "bad.tif").write_text("not an image")
    with pytest.raises(ImageryError, match=r"bad\.tif.*, or take it out of folder"):
        open_folder(str(tmp_path))


def test_what_is_left_out_of_a_folder_is_named(sheets, tmp_path):
    """The hidden files of macOS, a preview without a place, and a format that is not looked for."""
    _, whole, rgb = sheets
    write(tmp_path / "a.tif", whole[:50, :50], rgb[:50, :50])
    (tmp_path / "._a.tif").write_bytes(b"\x00\x05\x16\x07" + bytes(100))
    (tmp_path / ".trash").mkdir()
    (tmp_path / ".trash" / "b.tif").write_text("not an image")
    Image.fromarray(rgb[:50, :50]).save(tmp_path / "preview.png")
    (tmp_path / "c.nc").write_text("not an image")
    (tmp_path / "readme.txt").write_text("sheets")
    mosaic = open_folder(str(tmp_path))
    assert [Path(file.path).name for file in mosaic.files] == ["a.tif"]
    assert [text.partition(" (")[0] for text in sorted(mosaic.skipped)] == [
        "._a.tif",
        ".trash/b.tif",
        "c.nc",
        "preview.png",
    ]
    assert open_folder(str(tmp_path)).info.identity == mosaic.info.identity
    (tmp_path / "a.tif").unlink()
    with pytest.raises(ImageryError, match=r"has no \.tif.*left out: .*preview\.png \(a picture without"):
        open_folder(str(tmp_path))


@pytest.mark.skipif(not OVERHEAD.exists(), reason="the shared real rasters are not here")
def test_two_real_mosaics_overlap_as_one(tmp_path):
    for name in ("mosaic_cog1.tif", "mosaic_cog2.tif"):
        (tmp_path / name).symlink_to(OVERHEAD / name)
    both = open_folder(str(tmp_path), BandRendering(stretch=(0, 20000)))
    split_parts = [open_raster(str(OVERHEAD / f"mosaic_cog{n}.tif"), stretch=(0, 20000)) for n in (1, 2)]
    box = patch_around(-74.0, 46.0, 250_000, 250)
    alphas = [part.read(box).values[..., 3] > 0 for part in split_parts]
    together = both.read(box).values
    np.testing.assert_array_equal(together[..., 3] > 0, alphas[0] | alphas[1])
    assert (alphas[0] & ~alphas[1]).any()
    assert (alphas[1] & ~alphas[0]).any()
