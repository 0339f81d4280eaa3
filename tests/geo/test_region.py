"""Regions as people write them."""

import math
import zipfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Geod

from sat2cap.errors import RegionError
from sat2cap.geo.region import longitude_span, lonlat_bounds, parse_region

REGIONS = Path(__file__).parents[3] / "shared" / "data" / "regions"


def ground_area_km2(region):
    return abs(Geod(ellps="WGS84").geometry_area_perimeter(region.geometry.geom)[0]) / 1e6


def test_bounding_box_with_leading_minus():
    region = parse_region("-3.5, -10.2, -3.4, -10.1")
    assert region.geometry.boundingbox.bbox == (-3.5, -10.2, -3.4, -10.1)
    assert region.geometry.crs == "EPSG:4326"
    assert region.label == "-3.5,-10.2,-3.4,-10.1"


@pytest.mark.parametrize("text", ["179,-17,-178,-16", "179,-17,182,-16"])
def test_west_beyond_east_crosses_the_antimeridian(text):
    region = parse_region(text)
    boxes = sorted(part.bounds for part in region.geometry.geom.geoms)
    assert boxes == [(-180, -17, -178, -16), (179, -17, 180, -16)]
    assert longitude_span(region.geometry) == (179, 182)


def test_longitude_span_of_the_world_and_of_an_ordinary_box():
    assert longitude_span(parse_region("-180,-60,180,60").geometry) == (-180, 180)
    assert longitude_span(parse_region("-5,50,5,51").geometry) == (-5, 5)


@pytest.mark.parametrize(
    ("text", "radius_m"), [("4.9,52.37,5km", 5000), ("4.9,52.37,800", 800), ("1,2,50 m", 50)]
)
def test_circle_has_its_radius(text, radius_m):
    region = parse_region(text)
    lon, lat = map(float, text.split(",")[:2])
    lons, lats = shapely.get_coordinates(region.geometry.geom).T
    same = [lon] * len(lons), [lat] * len(lons)
    distance = Geod(ellps="WGS84").inv(*same, lons, lats)[2]
    assert distance == pytest.approx([radius_m] * len(lons))
    assert ground_area_km2(region) == pytest.approx(math.pi * radius_m**2 / 1e6, rel=2e-3)


def test_circle_across_the_antimeridian_is_whole():
    region = parse_region("179.99,-17,5km")
    assert len(region.geometry.geom.geoms) == 2
    assert ground_area_km2(region) == pytest.approx(25 * math.pi, rel=2e-3)


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp"])
def test_files_in_any_crs_are_joined_and_named(tmp_path, suffix):
    boxes = [shapely.box(4.8, 52.3, 4.9, 52.4), shapely.box(4.9, 52.3, 5.0, 52.4)]
    table = geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:4326")
    path = tmp_path / f"two boxes.{suffix}"
    (table if suffix == "geojson" else table.to_crs("EPSG:28992")).to_file(path)
    region = parse_region(str(path))
    assert region.label == "two boxes"
    assert region.geometry.boundingbox.bbox == pytest.approx((4.8, 52.3, 5.0, 52.4), abs=1e-5)
    assert ground_area_km2(region) == pytest.approx(
        ground_area_km2(parse_region("4.8,52.3,5.0,52.4")), rel=1e-3
    )


def test_a_self_crossing_polygon_is_mended(tmp_path):
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    path = tmp_path / "bow.geojson"
    geopandas.GeoDataFrame(geometry=[bow], crs="EPSG:4326").to_file(path)
    region = parse_region(str(path))
    assert region.geometry.geom.is_valid
    assert region.geometry.geom.area == pytest.approx(0.5)


def test_files_without_polygons_are_refused(tmp_path):
    path = tmp_path / "points.geojson"
    geopandas.GeoDataFrame(geometry=[shapely.Point(4, 52)], crs="EPSG:4326").to_file(path)
    with pytest.raises(RegionError, match="no polygons"):
        parse_region(str(path))
    path.write_text("{}")
    with pytest.raises(RegionError, match="cannot be read"):
        parse_region(str(path))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "cannot be read"),
        ("amsterdam", "cannot be read"),
        ("missing.geojson", "no such file"),
        ("a,b,c,d", "'a' is not a number"),
        ("1,2,nan,3", "'nan' is not a number"),
        ("1,3,2,2", "south must be less than north"),
        ("1,2,2,91", "within -90 to 90"),
        ("1,2,1,3", "the same"),
        ("-200,2,1,3", "within -180 to 180"),
        ("-180,2,190,3", "wider than the Earth"),
        ("4,52,0", "more than 0"),
        ("4,52,5miles", "not a radius"),
        ("4,95,5km", "lon,lat"),
        ("4,89.99,5km", "pole"),
    ],
)
def test_refused_in_one_line(text, rule):
    with pytest.raises(RegionError) as caught:
        parse_region(text)
    assert rule in str(caught.value)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not REGIONS.exists(), reason="the shared real regions are not here")
def test_real_files():
    assert 190 < ground_area_km2(parse_region(str(REGIONS / "amsterdam.geojson"))) < 260
    world = parse_region(str(REGIONS / "ne_110m_admin_0_countries.shp"))
    assert 140e6 < ground_area_km2(world) < 155e6  # land, Antarctica included: about 147 million km2


@pytest.fixture
def three_towns(tmp_path):
    """A GeoPackage of two layers: squares of one degree with a name and a number each, and points."""
    path = tmp_path / "land.gpkg"
    shapes = [shapely.box(lon, 10, lon + 1, 11) for lon in (0, 20, 40)]
    columns = {"name": ["Ax", "Be", "Be"], "level": [1, 2, 3], "open": [True, False, True]}
    geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4326").to_file(path, layer="towns")
    wells = geopandas.GeoDataFrame(geometry=[shapely.Point(4, 52)], crs="EPSG:4326")
    wells.to_file(path, layer="wells")
    return str(path)


@pytest.mark.parametrize(
    ("where", "boxes"),
    [
        ([], [0, 20, 40]),
        (["name=Ax"], [0]),
        (["name = Be"], [20, 40]),
        (["name=Be", "level=3"], [40]),
        (["level=2.0"], [20]),
        (["open=true"], [0, 40]),
        (["open=False"], [20]),
    ],
)
def test_a_layer_and_features_of_a_file(three_towns, where, boxes):
    region = parse_region(three_towns, layer="towns", where=where)
    expected = shapely.union_all([shapely.box(lon, 10, lon + 1, 11) for lon in boxes])
    assert region.geometry.geom.equals(expected)
    assert region.label == ", ".join(["land", *where])


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, "has 2 layers; choose one with --layer: towns, wells"),
        ({"layer": "roads"}, "no layer 'roads'; choose one with --layer: towns, wells"),
        ({"layer": "wells"}, "no polygons"),
        ({"layer": "towns", "where": ["name=Ce"]}, "has name=Ce; it has: Ax, Be"),
        ({"layer": "towns", "where": ["level=x"]}, "has level=x; it has: 1, 2, 3"),
        ({"layer": "towns", "where": ["size=1"]}, "it has: name, level, open"),
        ({"layer": "towns", "where": ["name"]}, "is not FIELD=VALUE"),
        ({"layer": "towns", "where": ["name=Ax", "level=2"]}, "has level=2; it has: 1"),
    ],
)
def test_a_choice_that_leaves_nothing_lists_what_there_is(three_towns, options, rule):
    with pytest.raises(RegionError) as caught:
        parse_region(three_towns, **options)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_an_archive_are_files_too(three_towns, tmp_path):
    """A folder of shapefiles is one data set to GDAL, and so is what lies in a zip."""
    towns = geopandas.read_file(three_towns, layer="towns")
    (tmp_path / "shapes").mkdir()
    towns.to_file(tmp_path / "shapes" / "towns.shp")
    with zipfile.ZipFile(tmp_path / "towns.zip", "w") as archive:
        for file in (tmp_path / "shapes").iterdir():
            archive.write(file, file.name)
    expected = parse_region(three_towns, layer="towns", where=["name=Ax"]).geometry.geom
    for text in (tmp_path / "shapes", tmp_path / "towns.zip", f"/vsizip/{tmp_path}/towns.zip/towns.shp"):
        assert parse_region(str(text), where=["name=Ax"]).geometry.geom.equals(expected)
    with pytest.raises(RegionError, match="cannot be read"):
        parse_region("/vsizip/no.zip/towns.shp")


def test_numbers_are_listed_as_numbers(tmp_path):
    squares = [shapely.box(lon, 0, lon + 1, 1) for lon in range(11)]
    path = tmp_path / "n.gpkg"
    geopandas.GeoDataFrame({"n": range(11)}, geometry=squares, crs="EPSG:4326").to_file(path)
    with pytest.raises(RegionError, match="it has: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"):
        parse_region(str(path), where=["n=11"])


@pytest.mark.parametrize(
    "text", ["4.5,52,5,52.5", "-71.2,42.3,-71,42.4", "179.5,-17,-179.5,-16", "-180,-60,180,60"]
)
def test_bounds_are_a_bounding_box_as_it_is_written(text):
    bounds = lonlat_bounds(parse_region(text).geometry)
    np.testing.assert_allclose(bounds, [float(part) for part in text.split(",")])


def test_only_files_have_layers_and_features():
    for options in ({"layer": "a"}, {"where": ["a=b"]}):
        with pytest.raises(RegionError, match="no file"):
            parse_region("4,52,5,53", **options)


@pytest.mark.skipif(not REGIONS.exists(), reason="the shared real regions are not here")
def test_one_province_and_one_country_of_real_files():
    """Areas on land and inland water by the statistical offices: Utrecht 1,560 km², Switzerland 41,290."""
    utrecht = parse_region(str(REGIONS / "the-netherlands.geojson"), where=["name=Utrecht"])
    assert ground_area_km2(utrecht) == pytest.approx(1560, rel=0.1)
    assert utrecht.geometry.geom.contains(shapely.Point(5.12, 52.09))
    countries = str(REGIONS / "ne_110m_admin_0_countries.shp")
    swiss = parse_region(countries, where=["ISO_A3=CHE"])
    assert ground_area_km2(swiss) == pytest.approx(41_290, rel=0.15)  # drawn for a map of the whole world
    with pytest.raises(RegionError, match=r"it has: Africa, Antarctica"):
        parse_region(countries, where=["CONTINENT=Atlantis"])
