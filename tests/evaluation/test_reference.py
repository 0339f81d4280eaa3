"""Land cover as shares of cells: real polygons and a real raster, hand-made ones, the made-up planet."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from sklearn.metrics import roc_auc_score

from sat2cap.errors import InputError
from sat2cap.evaluation.maps.agreement import auroc
from sat2cap.evaluation.maps.class_shares import class_shares
from sat2cap.evaluation.maps.classes import SCHEMES, load_classes, reference_identity
from sat2cap.geo.grid import cell_grid, cell_lonlat
from sat2cap.geo.region import parse_region
from sat2cap.miniworld.planet.cover import LandCover, classify_land_cover
from sat2cap.miniworld.planet.land import sample_terrain, to_web_mercator
from sat2cap.miniworld.world import World

SLOVENIA = Path(__file__).parents[2].parent / "shared" / "data" / "landcover" / "slovenia"
needs_slovenia = pytest.mark.skipif(not SLOVENIA.exists(), reason="../shared/data/landcover is not here")

CLASSES = """
column = "LULC_ID"
[[class]]
name = "grassland"
values = [3]
prompts = ["a meadow"]
[[class]]
name = "forest"
values = [2]
prompts = ["a forest"]
"""
GRID = GeoBox((10, 10), Affine(100, 0, 465_181.05, 0, -100, 5_080_254.63), "EPSG:32633")


def written(folder: Path, text: str = CLASSES) -> Path:
    path = folder / "classes.toml"
    path.write_text(text)
    return path


def raster(path: Path, values: np.ndarray, affine: Affine, crs: str | None = "EPSG:32633", **more) -> str:
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1}
    with rasterio.open(
        path, "w", **profile, dtype=values.dtype, transform=affine, **({"crs": crs} if crs else {}), **more
    ) as file:
        file.write(values, 1)
    return str(path)


@needs_slovenia
def test_real_polygons_and_the_real_raster_made_of_them_agree(tmp_path: Path) -> None:
    """LULC.npy is LULC.gpkg on 10 m pixels over bbox.geojson."""
    ring = np.array(json.loads((SLOVENIA / "bbox.geojson").read_text())["coordinates"][0])
    codes = np.load(SLOVENIA / "LULC.npy")[..., 0].astype(np.uint8)
    (left, bottom), (right, top) = ring.min(0), ring.max(0)
    pixel = Affine((right - left) / codes.shape[1], 0, left, 0, -(top - bottom) / codes.shape[0], top)
    path = raster(tmp_path / "lulc.tif", codes, pixel)
    classes = written(tmp_path)
    by_polygon = class_shares(load_classes(classes, str(SLOVENIA / "LULC.gpkg")), GRID)
    by_raster = class_shares(load_classes(classes, path), GRID)
    assert np.isfinite(by_polygon).mean() > 0.9
    known = np.isfinite(by_polygon) & np.isfinite(by_raster)
    assert np.abs(by_polygon - by_raster)[known].mean() < 0.03
    assert by_polygon[0][known[0]].mean() > 0.1
    # the greatest greenness of the year as a map of forest: real, and weak, for meadows are green too
    ndvi = np.load(SLOVENIA / "MAX_NDVI.npy")[:100, :100, 0].reshape(10, 10, 10, 10).mean((1, 3))
    share = by_raster[1]
    found = auroc(ndvi, np.where(np.isnan(share), np.nan, share >= 0.5))
    known = np.isfinite(share)
    assert found == pytest.approx(roc_auc_score(share[known] >= 0.5, ndvi[known]))
    assert 0.55 < found < 0.8


def test_shares_of_a_raster_by_hand_and_what_is_unknown(tmp_path: Path) -> None:
    values = np.zeros((32, 48), np.uint8)
    values[:, :16], values[:, 16:32], values[:, 32:] = 3, 2, 255
    values[:16, :8] = 2  # half of a cell
    values[16:, 16:24] = 9  # no class of these, but known
    path = raster(tmp_path / "r.tif", values, Affine(10, 0, 465_000, 0, -10, 5_080_000), nodata=255)
    grid = GeoBox((2, 4), Affine(160, 0, 465_000, 0, -160, 5_080_000), "EPSG:32633")
    grass, forest = class_shares(load_classes(written(tmp_path), path), grid)
    nan = np.nan
    np.testing.assert_array_equal(grass, [[0.5, 0, nan, nan], [1, 0, nan, nan]])
    np.testing.assert_array_equal(forest, [[0.5, 1, nan, nan], [0, 0.5, nan, nan]])


def test_polygons_by_hand_by_name_and_in_another_crs(tmp_path: Path) -> None:
    west, east = box(465_000, 5_079_680, 465_240, 5_080_000), box(465_240, 5_079_680, 465_400, 5_080_000)
    table = gpd.GeoDataFrame({"kind": ["wood", None]}, geometry=[west, east], crs="EPSG:32633")
    table.to_crs(4326).to_file(tmp_path / "p.geojson", driver="GeoJSON")
    text = CLASSES.replace("LULC_ID", "kind").replace("[3]", '["wood"]').replace("[2]", '["water"]')
    grid = GeoBox((2, 3), Affine(160, 0, 465_000, 0, -160, 5_080_000), "EPSG:32633")
    wood, water = class_shares(load_classes(written(tmp_path, text), str(tmp_path / "p.geojson")), grid)
    np.testing.assert_allclose(wood[0], [1, 0.5, 0], atol=0.07)
    assert (water[0, :2] == 0).all()
    assert np.isfinite(wood[0, 2]), "half of it lies under a polygon without a name, which is known"


def test_a_column_may_hold_numbers_text_and_nothing(tmp_path: Path) -> None:
    """As drivers give it: objects of Python, None among them."""
    places = [box(465_000 + 160 * n, 5_079_840, 465_160 + 160 * n, 5_080_000) for n in range(4)]
    table = gpd.GeoDataFrame({"kind": ["wood", None, "7", "sea"]}, geometry=places, crs="EPSG:32633")
    table["kind"] = table["kind"].astype(object)
    table.loc[4] = ["sea", None]  # a polygon without a shape
    table["code"] = [12.0, np.nan, 13.0, 12.0, 12.0]
    table["day"] = pd.to_datetime(["2020-01-02", None, "2020-01-03", "2020-01-02", None])
    table.to_parquet(tmp_path / "p.parquet")
    grid = GeoBox((1, 4), Affine(160, 0, 465_000, 0, -160, 5_080_000), "EPSG:32633")
    for column, one, other, expected in (
        ("kind", '["wood"]', '["7"]', ([1, 0, 0, 0], [0, 0, 1, 0])),
        ("code", "[12]", "[13]", ([1, 0, 0, 1], [0, 0, 1, 0])),
        ("day", '["2020-01-02 00:00:00"]', '["x"]', ([1, 0, 0, 1], [0, 0, 0, 0])),
    ):
        text = CLASSES.replace("LULC_ID", column).replace("[3]", one).replace("[2]", other)
        found = class_shares(load_classes(written(tmp_path, text), str(tmp_path / "p.parquet")), grid)
        np.testing.assert_array_equal(found[:, 0], expected)


def test_the_planet_is_covered_as_its_own_code_says(tmp_path: Path) -> None:
    grid = cell_grid(parse_region("-69.92,46.09,-69.85,46.14"))
    given = load_classes("miniworld", "miniworld:2")
    shares = class_shares(given, grid)
    assert shares.shape == (len(given.classes), *grid.shape)
    # one cell again, from its own sixteen by sixteen points
    fine = GeoBox((16, 16), grid[3:4, 4:5].affine @ Affine.scale(1 / 16), grid.crs)
    x, y = to_web_mercator(*cell_lonlat(fine))
    kinds = classify_land_cover(sample_terrain(x[None], y[None], World(2).seed), World(2).seed)
    for kind, share in zip(given.classes, shares[:, 3, 4], strict=True):
        codes = [LandCover[str(value).upper().replace(" ", "_")] for value in kind.values]
        assert share == pytest.approx(np.isin(kinds, codes).mean()), kind.name


def test_every_scheme_that_ships_can_be_read() -> None:
    assert set(SCHEMES) == {"worldcover", "esri", "corine", "miniworld"}
    for name in SCHEMES:
        given = load_classes(name, "somewhere.tif")
        values = [value for kind in given.classes for value in kind.values]
        assert len(values) == len(set(values)) >= 8
        assert all(kind.prompts for kind in given.classes)


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        (CLASSES.replace("values = [3]", ""), "r.tif", "either values or a truth"),
        ("[[class]]\nname = 'a'\nprompts = ['b']\nvalues = [1]", "r.tif", "at least 2"),
        (CLASSES.replace("grassland", "forest"), "r.tif", "name 'forest' may stand only once"),
        (CLASSES.replace("grassland", "mean"), "r.tif", "what the means"),
        (CLASSES.replace("[3]", "[3, 2]"), "r.tif", "value 2 may stand only once"),
        (CLASSES.replace("prompts", "prompt"), "r.tif", "prompts"),
        (CLASSES, None, "--reference"),
        (CLASSES, "none.tif", "no such file"),
        (CLASSES, "none.gpkg", "cannot be read"),
        (CLASSES, "miniworld:2", "covers nothing"),
        (CLASSES, "miniworld:x", "names no planet"),
        (CLASSES.replace("[3]", '["a"]'), "{raster}", "numbers"),
        (CLASSES, "{bare}", "no CRS"),
        (CLASSES.replace("LULC_ID", "colour"), "{polygons}", "column 'colour'"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, text: str, reference: str | None, message: str) -> None:
    values, affine = np.zeros((4, 4), np.uint8), Affine(10, 0, 465_000, 0, -10, 5_080_000)
    places = {
        "{raster}": raster(tmp_path / "a.tif", values, affine),
        "{bare}": raster(tmp_path / "b.tif", values, affine, crs=None),
        "{polygons}": str(tmp_path / "p.geojson"),
    }
    gpd.GeoDataFrame({"kind": [1]}, geometry=[box(0, 0, 1, 1)], crs=4326).to_file(places["{polygons}"])
    where = None if reference is None else places.get(reference, reference)
    with pytest.raises(InputError, match=message):
        class_shares(load_classes(written(tmp_path, text), where), GRID)


def test_the_identity_changes_with_the_bytes_and_the_classes(tmp_path: Path) -> None:
    path = Path(raster(tmp_path / "r.tif", np.zeros((4, 4), np.uint8), Affine(10, 0, 0, 0, -10, 0)))
    classes = written(tmp_path)
    first = reference_identity(load_classes(classes, str(path)))
    assert reference_identity(load_classes(classes, str(path))) == first
    raster(path, np.ones((4, 4), np.uint8), Affine(10, 0, 0, 0, -10, 0))
    assert reference_identity(load_classes(classes, str(path))) != first
    other = written(tmp_path, CLASSES.replace("a forest", "trees"))
    assert reference_identity(load_classes(other, str(path)))[3] != first[3]


def test_the_identity_changes_with_every_file_that_is_read(tmp_path: Path) -> None:
    """A class's own truth, and the table of a shapefile, which is a file of its own."""
    truth = Path(raster(tmp_path / "t.tif", np.zeros((4, 4), np.uint8), Affine(10, 0, 0, 0, -10, 0)))
    table = gpd.GeoDataFrame({"LULC_ID": [2]}, geometry=[box(0, 0, 9, 9)], crs="EPSG:32633")
    table.to_file(tmp_path / "p.shp")
    given = load_classes(
        written(tmp_path, CLASSES.replace("values = [3]", 'truth = "t.tif"')), str(tmp_path / "p.shp")
    )
    first = reference_identity(given)
    assert reference_identity(given) == first
    raster(truth, np.ones((4, 4), np.uint8), Affine(10, 0, 0, 0, -10, 0))
    second = reference_identity(given)
    assert second != first
    before = (tmp_path / "p.shp").read_bytes()
    table.assign(LULC_ID=3).to_file(tmp_path / "p.shp")
    assert (tmp_path / "p.shp").read_bytes() == before, "what changed is in the .dbf"
    assert reference_identity(given) != second


def test_all_that_is_wrong_with_classes_is_said_at_once(tmp_path: Path) -> None:
    text = CLASSES.replace("values = [3]", "").replace("values = [2]", 'values = [2]\nthreshold = "x"')
    with pytest.raises(InputError, match=r"either values or a truth.*threshold"):
        load_classes(written(tmp_path, text), "r.tif")
