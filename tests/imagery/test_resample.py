"""Resampling along a raster: against GDAL's warping, and against where pyproj says that pixels lie."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT

from sat2cap.geo.grid import LONLAT
from sat2cap.imagery import raster
from sat2cap.imagery.pixels import source_pixels_per_pixel, split_parts
from sat2cap.imagery.raster import RasterImagery, open_raster
from sat2cap.imagery.resample import align_grid

UTM, RD = "EPSG:32631", "EPSG:28992"
RASTER = GeoBox((300, 400), Affine(2, 0, 120_000, 0, -2, 487_000), RD)  # Amsterdam


def picture(kind: str = "uint8", bands: int = 3) -> np.ndarray:
    """Smooth and rough, `[bands, 300, 400]`."""
    random = np.random.default_rng(0)
    row, col = np.mgrid[:300, :400]
    waves = [127 + 60 * np.sin(col / (5 + b)) + 40 * np.cos(row / (9 - b)) for b in range(bands)]
    values = np.stack(waves) + random.normal(0, 8, (bands, 300, 400))
    return (np.clip(values, 0, 255) * (1 if kind == "uint8" else 100)).astype(kind)


def box_over(crs: str, step: float, side: int, *, turn: float = 0.0, off: float = 0.0) -> GeoBox:
    """A square around the raster's middle, `off` metres to the east."""
    x, y = RASTER.affine @ (200, 150)
    x, y = Transformer.from_crs(RD, crs, always_xy=True).transform(x + off, y)
    middle = Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(step, -step)
    return GeoBox((side, side), middle @ Affine.translation(-side / 2 + 0.3, -side / 2 - 0.4), crs)


def resample_aligned(values: np.ndarray, box: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    aligned = align_grid(RASTER, box)
    assert aligned is not None
    (top, bottom), (left, right) = aligned.window
    return aligned.resample(values[:, top:bottom, left:right])


def resample_by_gdal(values: np.ndarray, box: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """By area where the box is coarser than the raster, as the loop has it."""
    profile = {"driver": "GTiff", "dtype": values.dtype, "count": len(values)}
    height, width = RASTER.shape
    coarser = source_pixels_per_pixel(RASTER, box) > 1
    options = {
        "crs": str(box.crs),
        "transform": box.affine,
        "height": box.shape[0],
        "width": box.shape[1],
        "resampling": Resampling.average if coarser else Resampling.bilinear,
        "add_alpha": True,
        "tolerance": 0.001,
    }
    with MemoryFile() as memory:
        with memory.open(**profile, height=height, width=width, crs=RD, transform=RASTER.affine) as file:
            file.write(values)
        with memory.open() as file, WarpedVRT(file, **options) as warped:
            resampled = warped.read()
    return resampled[:-1], resampled[-1] > 0


@pytest.mark.parametrize("crs", [RD, UTM, "EPSG:3857"])
@pytest.mark.parametrize("step", [0.7, 2.0, 2.6, 3.8])
def test_it_gives_what_gdal_gives(crs: str, step: float) -> None:
    box = box_over(crs, step, 130)
    (resampled, inside), (expected, there) = (
        resample_aligned(picture(), box),
        resample_by_gdal(picture(), box),
    )
    assert inside.all()
    assert there.all()
    off = np.abs(resampled.astype(int) - expected)
    assert off.mean() < 0.4
    assert off.max() <= 5
    assert expected.std() > 20


@pytest.mark.parametrize("kind", ["uint16", "int16"])
@pytest.mark.parametrize("bands", [1, 3])
def test_other_integers_and_grey(kind: str, bands: int) -> None:
    values, box = picture(kind, bands), box_over(UTM, 2.6, 90)
    (resampled, _), (expected, _) = resample_aligned(values, box), resample_by_gdal(values, box)
    assert resampled.dtype == kind
    assert resampled.shape == (bands, 90, 90)
    assert np.abs(resampled.astype(int) - expected).mean() < 15
    assert expected.std() > 2000


@pytest.mark.parametrize("step", [0.5, 2.0, 2.14, 3.9])
@pytest.mark.parametrize(("crs", "turn"), [(RD, 0.0), (UTM, 0.0), (UTM, 4.0), ("EPSG:3857", -3.0)])
def test_a_pixel_lies_where_its_coordinates_are(step: float, crs: str, turn: float) -> None:
    """Values are a hundred times their place, so a hundredth of a pixel shows.

    Where pixels are coarser than the file's, the weights, like GDAL's, follow a slope to a few hundredths.
    """
    row, col = np.mgrid[:300, :400]
    box = box_over(crs, step, 130, turn=turn)
    resampled, inside = resample_aligned(np.stack([col, row]).astype(np.uint16) * 100, box)
    down, right = np.mgrid[:130, :130] + 0.5
    x, y = Transformer.from_crs(crs, RD, always_xy=True).transform(*(box.affine @ (right, down)))
    wanted = np.stack(~RASTER.affine @ (np.asarray(x), np.asarray(y))) - 0.5
    far = inside & (np.abs(wanted - [[[199.5]], [[149.5]]]) < [[[196]], [[146]]]).all(0)  # from the edges
    assert far.mean() > 0.4
    off = (resampled / 100 - wanted)[:, far]
    assert np.abs(off).max() < (0.02 if step <= 1 else 0.1)
    assert np.abs(off.mean(1)).max() < 0.006, "values are whole: half a hundredth is lost"


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize(
    ("crs", "step", "turn", "off"),
    [(RD, 2.0, 0.0, 0.0), (UTM, 1.0, 0.0, 0.0), (UTM, 5.3, 2.0, 300.0), (UTM, 0.4, -3.0, 380.0)],
)
def test_in_numpy_it_is_the_same_but_for_halves(kind, crs, step, turn, off) -> None:
    values, box = picture(kind), box_over(crs, step, 150, turn=turn, off=off)
    aligned = align_grid(RASTER, box)
    assert aligned is not None
    (top, bottom), (left, right) = aligned.window
    part = values[:, top:bottom, left:right]
    expected, inside = aligned.resample(part)
    plain, plain_inside = aligned.resample(part, compiled=False)
    np.testing.assert_array_equal(plain_inside, inside)
    assert inside.any()
    difference = np.abs(plain.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.005
    assert plain.dtype == expected.dtype


def test_its_own_grid_gives_its_own_pixels() -> None:
    values = picture()
    resampled, inside = resample_aligned(values, RASTER)
    np.testing.assert_array_equal(resampled, values)
    assert inside.all()
    resampled, inside = resample_aligned(values, RASTER[100:160, 33:333])
    np.testing.assert_array_equal(resampled, values[:, 100:160, 33:333])


@pytest.mark.parametrize("step", [0.3, 2.0, 3.8])
def test_the_edge_is_where_gdal_has_it(step: float) -> None:
    box = box_over(RD, step, 130, off=400)
    (resampled, inside), (expected, there) = (
        resample_aligned(picture(), box),
        resample_by_gdal(picture(), box),
    )
    assert 0.2 < there.mean() < 0.8
    np.testing.assert_array_equal(inside, there)
    assert not resampled[:, ~inside].any()
    assert np.abs(resampled.astype(int) - expected)[:, there].mean() < 0.4
    flat, inside = resample_aligned(np.full((3, 300, 400), 201, np.uint8), box)
    assert (flat[:, inside] == 201).all()
    assert not resample_aligned(picture(), box_over(RD, step, 130, off=5000))[1].any()


def test_what_does_not_run_along_is_left_to_gdal() -> None:
    assert align_grid(RASTER, box_over(RD, 2, 90, turn=30)) is None
    assert align_grid(RASTER, box_over(RD, 2, 90, turn=90)) is None
    assert align_grid(RASTER, box_over(RD, 2, 90, turn=3)) is not None
    world = GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), LONLAT)
    fine = world.zoom_out(1 / 120)
    for reach_m, bends in ((0, False), (3_000_000, True)):  # Mercator's rows, north of the equator
        north = GeoBox((64, 64), Affine(1000, 0, 0, 0, -1000, reach_m + 64_000), "EPSG:3832")
        assert (align_grid(fine, north) is None) == bends
    fiji = GeoBox((64, 64), Affine(1000, 0, 3_307_000, 0, -1000, 32_000), "EPSG:3832")
    assert align_grid(world, fiji) is None, "the raster is cut there"


def write(path, values: np.ndarray, **profile) -> RasterImagery:
    bands, height, width = values.shape
    profile |= {"driver": "GTiff", "count": bands, "dtype": values.dtype, "height": height, "width": width}
    with rasterio.open(path, "w", crs=RD, transform=RASTER.affine, **profile) as file:
        file.write(values)
    return open_raster(str(path))


def test_a_file_without_holes_is_read_without_warping(tmp_path, monkeypatch) -> None:
    plain, full = write(tmp_path / "a.tif", picture()), write(tmp_path / "b.tif", picture().clip(1), nodata=0)
    box, warps = box_over(UTM, 2.14, 130), []
    warp = raster.warp_window
    monkeypatch.setattr(raster, "warp_window", lambda *args: warps.append(args) or warp(*args))
    assert (plain.read(box).values[..., 3] == 255).all()
    assert (full.read(box).values[..., 3] == 255).all()
    assert not warps
    values = picture().clip(1)
    values[:, 150, 200] = 0
    holed = write(tmp_path / "c.tif", values, nodata=0)
    pixels = holed.read(box).values
    assert len(warps) == 1
    difference = np.abs(pixels.astype(int) - plain.read(box).values)[pixels[..., 3] > 0]
    assert difference.max() <= 40, "beside the hole its neighbours count for more"
    assert (difference > 3).mean() < 0.01


@pytest.mark.parametrize("step", [2.0, 2.9, 5.0, 16.0])
@pytest.mark.parametrize("turn", [0.0, 3.0])
def test_a_coarser_pixel_is_the_mean_of_its_ground(step: float, turn: float) -> None:
    """Against the mean of 40 x 40 points in each pixel, each of the colour of the raster pixel it is in."""
    values, box = picture(), box_over(RD, step, 30, turn=turn)
    resampled, inside = resample_aligned(values, box)
    points = (np.arange(30 * 40) + 0.5) / 40
    x, y = box.affine @ tuple(np.meshgrid(points, points))
    cols, rows = ~RASTER.affine @ (x, y)
    fine = values[:, rows.astype(int), cols.astype(int)].reshape(3, 30, 40, 30, 40).mean((2, 4))
    assert inside.all()
    assert np.abs(resampled - fine).mean() < (0.3 if turn == 0 else 1.0)
    assert fine.std() > 5


def test_a_read_in_parts_has_no_seams(tmp_path, monkeypatch) -> None:
    values = picture().clip(1)
    values[:, 20:30, 30:40] = 0
    imagery, box = write(tmp_path / "a.tif", values, nodata=0), box_over(UTM, 2.14, 130)
    at_once = imagery.read(box).values.astype(int)
    monkeypatch.setattr("sat2cap.imagery.pixels._PART_PX", 50)
    assert len(list(split_parts(box))) == 9
    in_parts = imagery.read(box).values.astype(int)
    assert np.abs(in_parts - at_once).mean() < 0.2
    assert np.abs(in_parts - at_once).max() <= 3
