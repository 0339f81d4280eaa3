"""Files of polygons as people have them: heights, GeoParquet, archives with folders, tables of styles."""

import json
import sqlite3
import zipfile

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import shapely

from sat2cap.errors import RegionError
from sat2cap.geo.region import parse_region
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
