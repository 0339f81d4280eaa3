"""Zonal statistics: equal to sums over finely divided cells, whatever the CRS, the shape or the gaps."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo import WGS84
from sat2cap.geo.frame import on_grid
from sat2cap.zones import choropleth, count_missed, parse_statistic, rank_zones, read_zones, write_zones
from sat2cap.zones.coverage import cell_areas_km2
from sat2cap.zones.table import zone_statistics

UTM = GeoBox((40, 50), Affine(480, 0, 600_000, 0, -480, 5_800_000), "EPSG:32631")
MERCATOR = GeoBox((40, 50), Affine(700, 0, 500_000, 0, -700, 6_800_000), "EPSG:3857")
DEGREES = GeoBox((40, 50), Affine(0.01, 0, 4.5, 0, -0.01, 52.4), "EPSG:4326")
STATISTICS = [parse_statistic(text) for text in ("mean", "max", "share-above=0.5", "area-above=0.5")]


def score_on(grid, seed=1, holes=0.2, **attrs):
    """Random scores, 0 to 1, with a share of cells without data."""
    random = np.random.default_rng(seed)
    values = random.random(grid.shape).astype(np.float32)
    values[random.random(grid.shape) < holes] = np.nan
    return on_grid(values, grid, attrs={"prompt": "a busy street", "scale": "cosine", **attrs})


def random_polygon(random, grid):
    """A star-shaped polygon with a hole, somewhere on the grid."""
    left, bottom, right, top = grid.boundingbox
    centre = random.uniform((left, bottom), (right, top))
    size = (right - left) * random.uniform(0.02, 0.3)

    def ring(scale):
        angle = np.sort(random.uniform(0, 2 * np.pi, 12))
        radius = size * scale * random.uniform(0.6, 1.0, 12)
        return centre + np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

    return shapely.make_valid(shapely.Polygon(ring(1.0)).difference(shapely.Polygon(ring(0.2))))


def brute_force(score, grid, polygon):
    """Statistics by intersecting the polygon with the square of every cell."""
    cell_km2 = cell_areas_km2(grid)
    values, weights = [], []
    for row in range(grid.shape[0]):
        for col in range(grid.shape[1]):
            (left, top), (right, bottom) = grid.affine @ (col, row), grid.affine @ (col + 1, row + 1)
            square = shapely.box(left, bottom, right, top)
            share = shapely.area(shapely.intersection(square, polygon)) / shapely.area(square)
            if share > 0 and np.isfinite(score.values[row, col]):
                values.append(float(score.values[row, col]))
                weights.append(share * cell_km2[row, col])
    values, weights = np.array(values), np.array(weights)
    above = weights[values > 0.5].sum()
    return (weights @ values / weights.sum(), values.max(), above / weights.sum(), above), weights.sum()


@pytest.mark.parametrize("grid", [UTM, MERCATOR, DEGREES], ids=["utm", "mercator", "degrees"])
def test_random_polygons_agree_with_brute_force(grid):
    random, score = np.random.default_rng(7), score_on(grid)
    polygons = [random_polygon(random, grid) for _ in range(12)]
    zones = gpd.GeoDataFrame({"name": range(12)}, geometry=polygons, crs=str(grid.crs))
    table = zone_statistics(score, zones, STATISTICS)
    for number, polygon in enumerate(polygons):
        expected, covered = brute_force(score, grid, polygon)
        row = table.iloc[number]
        np.testing.assert_allclose([row[s.name] for s in STATISTICS], expected, rtol=1e-6)
        assert row["covered_share"] * row["area_km2"] == pytest.approx(covered, rel=1e-3)


@pytest.mark.parametrize("grid", [UTM, MERCATOR, DEGREES], ids=["utm", "mercator", "degrees"])
def test_cell_areas_are_those_of_the_ellipsoid(grid):
    areas = cell_areas_km2(grid)
    for row, col in ((0, 0), (20, 25), (39, 49)):
        corners = [grid.affine @ (col + x, row + y) for x, y in ((0, 0), (0, 1), (1, 1), (1, 0))]
        square = gpd.GeoSeries(
            [shapely.Polygon(corners).segmentize(abs(grid.affine.a) / 20)], crs=str(grid.crs)
        )
        expected = abs(WGS84.geometry_area_perimeter(square.to_crs("EPSG:4326")[0])[0]) / 1e6
        assert areas[row, col] == pytest.approx(expected, rel=2e-5)


def test_zones_in_another_crs_give_the_same(tmp_path):
    random, score = np.random.default_rng(3), score_on(UTM)
    zones = gpd.GeoDataFrame(geometry=[random_polygon(random, UTM) for _ in range(6)], crs="EPSG:32631")
    here = zone_statistics(score, zones, STATISTICS)
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:28992"):
        there = zone_statistics(score, zones.to_crs(crs), STATISTICS)
        for statistic in ("mean", "share-above=0.5", "covered_share"):
            np.testing.assert_allclose(there[statistic], here[statistic], atol=2e-4)
        assert there.crs == crs


def test_without_data_is_not_zero_and_what_is_missed_is_counted():
    values = np.full(UTM.shape, np.nan, np.float32)
    values[:20] = 0.4
    left, bottom, right, top = UTM.boundingbox
    middle = (bottom + top) / 2
    shapes = {
        "upper": shapely.box(left, middle, right, top),
        "half": shapely.box(left, bottom, right, top),
        "lower": shapely.box(left, bottom, right, middle),
        "elsewhere": shapely.box(left - 9e4, bottom, left - 8e4, top),
        "null": None,
        "empty": shapely.Polygon(),
        "beyond": shapely.box(left - (right - left), middle, right, top),
    }
    zones = gpd.GeoDataFrame({"name": list(shapes)}, geometry=list(shapes.values()), crs="EPSG:32631")
    table = zone_statistics(on_grid(values, UTM), zones, [parse_statistic("mean")]).set_index("name")
    assert table["mean"].to_dict() == {
        **dict.fromkeys(("upper", "half", "beyond"), pytest.approx(0.4)),
        **dict.fromkeys(("lower", "elsewhere", "null", "empty"), pytest.approx(np.nan, nan_ok=True)),
    }
    shares = table["covered_share"]
    assert shares["upper"] == pytest.approx(1, abs=1e-3)
    assert shares["half"] == pytest.approx(0.5, abs=1e-3)
    assert shares["beyond"] == pytest.approx(0.5, abs=1e-3)
    assert (shares["lower"], shares["elsewhere"]) == (0, 0)
    assert count_missed(table) == 4
    assert list(rank_zones(table, "mean").index) == ["upper", "half", "beyond"]


def test_a_ring_that_crosses_itself_holes_and_many_parts():
    left, bottom, _, _ = UTM.boundingbox
    ring = np.array([(1, 1), (2, 2), (2, 1), (1, 2)]) * 4800 + np.array([left, bottom])
    bow_tie = shapely.Polygon(ring)
    parts = shapely.make_valid(bow_tie)
    zones = gpd.GeoDataFrame(geometry=[bow_tie, parts, shapely.force_3d(parts)], crs="EPSG:32631")
    table = zone_statistics(score_on(UTM, holes=0), zones, STATISTICS)
    assert table["mean"].nunique() == 1
    assert table["area_km2"].iloc[0] == pytest.approx(4.8 * 4.8 / 2, rel=1e-2)


def test_a_zone_across_the_antimeridian_is_one_zone():
    grid = GeoBox((60, 60), Affine(480, 0, 620_000, 0, -480, 7_380_000), "EPSG:32660")
    values = np.full(grid.shape, 0.25, np.float32)
    inner = shapely.box(179.9, 66.3, 180.1, 66.4)
    zones = gpd.GeoDataFrame(geometry=[inner], crs="EPSG:4326")
    table = zone_statistics(on_grid(values, grid), zones, [parse_statistic("mean")])
    expected = abs(WGS84.geometry_area_perimeter(inner.segmentize(0.01))[0]) / 1e6
    assert table["mean"][0] == pytest.approx(0.25)
    assert table["area_km2"][0] == pytest.approx(expected, rel=1e-3)
    assert 0.9 < table["covered_share"][0] <= 1


def test_percentiles_weigh_cells_by_their_ground():
    values, km2 = np.array([0.9, 0.1, 0.5]), np.array([1.0, 6.0, 3.0])
    quantiles = {
        text: parse_statistic(text).compute(values, km2)
        for text in ("p0", "p60", "p61", "median", "p90", "p91")
    }
    assert quantiles == {"p0": 0.1, "p60": 0.1, "p61": 0.5, "median": 0.1, "p90": 0.5, "p91": 0.9}


def test_prompts_and_dates_become_columns():
    random = np.random.default_rng(0)
    times = np.array(["2024-01-15T12:00", "2024-07-15T12:00"], "datetime64[s]")
    score = on_grid(
        random.random((2, 2, *UTM.shape)).astype(np.float32), UTM, ("prompt", "time", "y", "x"),
        {"prompt": ["snow", "beach"], "time": times}, {"scale": "cosine", "model": "m"},
    )  # fmt: skip
    zones = gpd.GeoDataFrame({"town": ["A"]}, geometry=[shapely.box(*UTM.boundingbox)], crs="EPSG:32631")
    table = zone_statistics(score, zones, [parse_statistic("mean"), parse_statistic("max")])
    columns = list(table.attrs["columns"])
    assert columns[:2] == ["snow, 2024-01-15T12:00, mean", "snow, 2024-01-15T12:00, max"]
    assert list(table.columns) == ["town", "area_km2", "covered_share", *columns, "geometry"]
    assert table[columns[-1]][0] == pytest.approx(float(score.isel(prompt=1, time=1).max()))
    assert table.attrs["columns"][columns[-1]] == {
        "prompt": "beach", "when": "2024-07-15T12:00", "statistic": "max",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".csv"])
def test_files_hold_the_table(tmp_path, suffix):
    zones = gpd.GeoDataFrame(
        {"name": ["in", "out"], "since": pd.to_datetime(["2001-02-03", None])},
        geometry=[shapely.box(*UTM.boundingbox), shapely.box(0, 0, 1, 1)], crs="EPSG:32631",
    )  # fmt: skip
    table = zone_statistics(score_on(UTM), zones, [parse_statistic("mean")])
    path = tmp_path / f"zones{suffix}"
    write_zones(table, path)
    read = pd.read_csv(path) if suffix == ".csv" else read_zones(path)
    assert list(read["name"]) == ["in", "out"]
    assert read["mean"][0] == pytest.approx(table["mean"][0], rel=1e-12)
    assert np.isnan(read["mean"][1])
    if suffix == ".geojson":
        assert json.loads(path.read_text())["features"][1]["properties"]["mean"] is None
    if suffix == ".gpkg":
        about = json.loads(pyogrio.read_info(path)["layer_metadata"]["sat2cap"])
        assert about["prompt"] == "a busy street"


def test_a_choropleth_gives_each_pixel_the_value_of_its_zone():
    left, bottom, right, top = UTM.boundingbox
    middle = (left + right) / 2
    halves = [shapely.box(left, bottom, middle, top), shapely.box(middle, bottom, right, top)]
    zones = gpd.GeoDataFrame(geometry=halves, crs="EPSG:32631")
    table = zone_statistics(score_on(UTM), zones, [parse_statistic("mean")])
    drawn = choropleth(table)
    assert drawn.sizes["prompt"] == 1
    assert max(drawn.shape) == 1600
    np.testing.assert_allclose(drawn.values[0, 5, [3, -3]], table["mean"], rtol=1e-6)
    assert drawn.attrs["scale"] == "cosine"
    share = choropleth(zone_statistics(score_on(UTM), zones, [parse_statistic("share-above=0.5")]))
    assert share.attrs["scale"] == "share of the ground"


def refuse(message):
    return pytest.raises(InputError, match=message)


def test_what_cannot_be_is_refused_in_one_line(tmp_path):
    score, box = score_on(UTM), shapely.box(*UTM.boundingbox)
    mean = [parse_statistic("mean")]
    with refuse("do not say their CRS"):
        zone_statistics(score, gpd.GeoDataFrame(geometry=[box]), mean)
    with refuse("have no polygons; give areas"):
        zone_statistics(score, gpd.GeoDataFrame(geometry=[shapely.Point(4, 52)], crs="EPSG:4326"), mean)
    with refuse("have a column 'mean' already"):
        zone_statistics(score, gpd.GeoDataFrame({"mean": [1]}, geometry=[box], crs="EPSG:32631"), mean)
    for text in ("average", "p101", "share-above=", "share-above=nan", "area-above=x", ""):
        with refuse(f"statistic {text!r} is not known; give mean, min"):
            parse_statistic(text)
    with refuse("cannot be read"):
        read_zones(tmp_path / "none.gpkg")
    two = zone_statistics(
        score, gpd.GeoDataFrame(geometry=[box], crs="EPSG:32631"), [*mean, parse_statistic("area-above=0.5")]
    )
    with refuse("different units"):
        choropleth(two)
    with refuse("does not come from zone statistics"):
        choropleth(gpd.GeoDataFrame(geometry=[box], crs="EPSG:32631"))


def test_a_score_from_bottom_to_top_is_the_same():
    score = score_on(UTM)
    zones = gpd.GeoDataFrame(geometry=[random_polygon(np.random.default_rng(5), UTM)], crs="EPSG:32631")
    upside_down = score.isel(y=slice(None, None, -1))
    assert isinstance(upside_down, xr.DataArray)
    pd.testing.assert_frame_equal(
        pd.DataFrame(zone_statistics(score, zones, STATISTICS).drop(columns="geometry")),
        pd.DataFrame(zone_statistics(upside_down, zones, STATISTICS).drop(columns="geometry")),
    )
