"""Files of polygons as people have them: heights, GeoParquet, archives with folders, tables of styles."""

import json
import sqlite3
import zipfile

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import pyproj
import pytest
import shapely

from sat2cap.api.inputs import to_region
from sat2cap.errors import RegionError
from sat2cap.geo.region import lonlat_bounds, parse_region
from sat2cap.maps.places import read_places

BOX = shapely.box(4.8, 52.3, 5.0, 52.4)
OTHER = shapely.box(6.0, 52.3, 6.1, 52.4)
HIGH = shapely.force_3d(BOX, 7.0)


def table(*shapes, crs="EPSG:4326"):
    return geopandas.GeoDataFrame({"n": range(len(shapes))}, geometry=list(shapes), crs=crs)


def assert_is_box(path, **options):
    geometry = parse_region(str(path), **options).geometry.geom
    assert not geometry.has_z
    assert geometry.symmetric_difference(BOX).area < 1e-9


def kml(name="p"):
    places = " ".join(f"{x},{y},7" for x, y in BOX.exterior.coords)
    ring = f"<outerBoundaryIs><LinearRing><coordinates>{places}</coordinates></LinearRing></outerBoundaryIs>"
    placemark = f"<Placemark><name>{name}</name><Polygon>{ring}</Polygon></Placemark>"
    return f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{placemark}</Document></kml>'


def test_heights_are_left_aside(tmp_path):
    for suffix in ("geojson", "gpkg", "shp", "parquet"):
        path = tmp_path / f"high.{suffix}"
        data = table(HIGH)
        data.to_parquet(path) if suffix == "parquet" else data.to_file(path)
        assert_is_box(path)
    (tmp_path / "a.kml").write_text(kml())
    assert_is_box(tmp_path / "a.kml")
    with zipfile.ZipFile(tmp_path / "a.kmz", "w") as archive:
        archive.write(tmp_path / "a.kml", "doc.kml")
    assert_is_box(tmp_path / "a.kmz")
    mixed = {"type": "GeometryCollection", "geometries": [shapely.geometry.mapping(HIGH)]}
    (tmp_path / "c.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": mixed}))
    assert_is_box(tmp_path / "c.geojson")


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_geoparquet_of_any_encoding_and_crs(tmp_path, encoding):
    table(BOX, OTHER).to_crs("EPSG:28992").to_parquet(
        tmp_path / "a.parquet", geometry_encoding=encoding, schema_version="1.1.0"
    )
    geometry = parse_region(str(tmp_path / "a.parquet"), where=["n=0"]).geometry.geom
    assert geometry.symmetric_difference(BOX).area < 1e-4
    assert parse_region(str(tmp_path / "a.parquet")).geometry.geom.area > geometry.area


def test_parquet_with_wkb_and_no_metadata_is_in_degrees(tmp_path):
    columns = {"geom": [shapely.to_wkb(BOX)], "n": [1]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert_is_box(tmp_path / "a.parquet")
    assert_is_box(tmp_path / "a.parquet", where=["n=1"])


def test_tables_of_styles_are_no_layers(tmp_path):
    path = tmp_path / "a.gpkg"
    table(BOX).to_file(path, layer="land")
    with sqlite3.connect(path) as base:
        base.execute("create table layer_styles (id integer primary key, styleName text)")
        base.execute(
            "insert into gpkg_contents (table_name, data_type, identifier) "
            "values ('layer_styles', 'attributes', 'layer_styles')"
        )
    assert_is_box(path)
    assert_is_box(path, layer="land")


def zip_files(path, names, folder):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(folder / name, f"deep/down/{name}")
        archive.writestr("__MACOSX/deep/down/._a.shp", b"\x00\x05")
        archive.writestr("deep/readme.txt", "polygons")


def test_a_file_in_a_folder_of_an_archive_is_found(tmp_path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    table(BOX).to_file(folder / "a.shp")
    zip_files(tmp_path / "one.zip", sorted(path.name for path in folder.iterdir()), folder)
    assert_is_box(tmp_path / "one.zip")
    table(OTHER).to_file(folder / "b.shp")
    zip_files(tmp_path / "two.zip", sorted(path.name for path in folder.iterdir()), folder)
    assert_is_box(tmp_path / "two.zip", layer="a")
    with pytest.raises(RegionError, match="has 2 layers; choose one with --layer: a, b"):
        parse_region(str(tmp_path / "two.zip"))
    table(OTHER).to_file(folder / "c.geojson")
    zip_files(tmp_path / "three.zip", ["a.shp", "a.shx", "a.dbf", "a.prj", "c.geojson"], folder)
    with pytest.raises(RegionError, match=r"several files; name one, as /vsizip/.*deep/down/a\.shp"):
        parse_region(str(tmp_path / "three.zip"))


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        (shapely.Point(np.nan, 1), "no numbers"),
        (shapely.Polygon([(1e300, 1), (2, 1), (2, 2)]), "longitudes beyond 360"),
        (shapely.Polygon([(700, 1), (2, 1), (2, 2)]), "longitudes beyond 360"),
        (shapely.Polygon([(1, 100), (2, 1), (2, 2)]), "latitudes beyond 90"),
    ],
)
def test_coordinates_that_are_nowhere_on_earth_are_one_line(tmp_path, shape, rule):
    geojson = {"type": "Feature", "properties": {"name": "a"}, "geometry": shapely.geometry.mapping(shape)}
    (tmp_path / "x.geojson").write_text(json.dumps(geojson))
    with pytest.raises(RegionError, match=rule) as caught:
        parse_region(str(tmp_path / "x.geojson"))
    assert "\n" not in str(caught.value)
    if shape.geom_type == "Point":
        assert read_places(tmp_path / "x.geojson") == []


def area_km2(geometry):
    parts = shapely.get_parts(shapely.segmentize(geometry, 0.5))
    return sum(abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(part)[0]) for part in parts) / 1e6


AROUND_A_POLE = {
    # in equal-area CRSs, so that areas on the ground are those in the plane
    "south pole": (shapely.Point(0, 0).buffer(2e6, 64), 6932),
    "off the centre": (shapely.Point(4e5, 4e5).buffer(1e6, 64), 6931),
    "without the pole": (shapely.Point(0, 0).buffer(3e6, 64) - shapely.Point(0, 0).buffer(1e6, 64), 6931),
}


@pytest.mark.parametrize("case", AROUND_A_POLE)
def test_a_pole_may_be_inside(tmp_path, case):
    """A ring around it has no area in degrees, before it is closed along the pole."""
    shape, crs = AROUND_A_POLE[case]
    table(shape, crs=crs).to_file(tmp_path / "a.gpkg")
    geometry = parse_region(str(tmp_path / "a.gpkg")).geometry.geom
    assert area_km2(geometry) == pytest.approx(shape.area / 1e6, rel=2e-3)
    assert to_region(table(shape, crs=crs)).geometry.geom.equals(geometry)
    assert geometry.bounds[::2] == (-180, 180)
    pole = 90 if crs == 6931 else -90
    assert geometry.intersects(shapely.Point(30, 0.9999 * pole)) == ("without" not in case)


@pytest.mark.parametrize(
    ("shape", "crs", "west", "east"),
    [
        (shapely.box(2.0e7, 0, 2.1e7, 1e6), 3857, 179.6631, -171.3538),
        (shapely.box(2.5e6, -1e6, 5e6, 1e6), 3832, 172.4579, -165.0842),
    ],
)
def test_a_projected_shape_across_the_antimeridian_goes_the_short_way(tmp_path, shape, crs, west, east):
    table(shape, crs=crs).to_file(tmp_path / "a.gpkg")
    region = parse_region(str(tmp_path / "a.gpkg"))
    assert lonlat_bounds(region.geometry)[::2] == pytest.approx((west, east), abs=1e-3)


def test_an_edge_the_long_way_round_causes_a_warning(tmp_path):
    """GeoJSON means what it says (RFC 7946, 3.1.9), which is seldom what was meant."""
    shape = shapely.Polygon([(179, -17), (-179, -17), (-179, -16), (179, -16)])
    table(shape).to_file(tmp_path / "a.geojson")
    with pytest.warns(UserWarning, match=r"edge from longitude -?179 to -?179, .* cut it there"):
        assert parse_region(str(tmp_path / "a.geojson")).geometry.geom.area == pytest.approx(358)


def test_180_and_minus_180_are_one_meridian():
    with pytest.raises(RegionError, match="west and east are the same"):
        parse_region("180,0,-180,1")


def test_a_shapefile_that_lacks_a_part_is_one_clear_line(tmp_path):
    table(BOX).to_file(tmp_path / "a.shp")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in tmp_path.glob("a.*"):
            if file.suffix in (".shp", ".dbf", ".prj"):
                archive.write(file, file.name)
    with pytest.raises(RegionError, match="has no layer that can be read"):
        parse_region(str(tmp_path / "a.zip"))


def test_what_holds_no_polygons_is_one_clear_line(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"n": [1]}), tmp_path / "numbers.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    pyarrow.parquet.write_table(pyarrow.table({"geom": [b"\x01\x02"]}), tmp_path / "broken.parquet")
    table(shapely.Point(4, 52)).to_parquet(tmp_path / "points.parquet")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    for name, rule in {
        "numbers.parquet": "no column of geometries",
        "text.parquet": "cannot be read",
        "broken.parquet": "cannot be read",
        "points.parquet": "no polygons",
        "empty.zip": "cannot be read",
    }.items():
        with pytest.raises(RegionError, match=rule) as caught:
            parse_region(str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(RegionError, match="leave --layer out"):
        parse_region(str(tmp_path / "points.parquet"), layer="a")


@pytest.mark.parametrize("text", ["a" * 5000, "x,y\0,z,w", "/" * 5000])
def test_texts_that_no_file_is_called_are_refused(text):
    with pytest.raises(RegionError) as caught:
        parse_region(text)
    assert len(str(caught.value)) < 600
