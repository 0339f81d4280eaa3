"""The metadata is valid by the conventions' own schemas, and the format's page tells the truth."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from small_atlas import SHAPE, build, make_spec
from stac_schemas import stac_problems

from sat2cap.atlas.conventions import as_uri, group_metadata
from sat2cap.atlas.layout import STATUS_MEANINGS
from sat2cap.atlas.plan import VERSION
from sat2cap.atlas.stac import item_name, make_item

SCHEMAS = Path(__file__).parent / "schemas"
PAGE = Path(__file__).parents[2] / "docs" / "atlas.md"


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_group_metadata_is_valid_geoemb(tmp_path, dtype):
    atlas = build(tmp_path / "a.zarr", make_spec(dtype=dtype))
    group = json.loads((atlas.path / "zarr.json").read_text())
    schema = json.loads((SCHEMAS / "geoemb.schema.json").read_text())
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    checker.validate(group)
    attributes = group["attributes"]
    assert ("geoemb:quantization" in attributes) == (dtype == "int8")
    assert attributes["geoemb:data_type"] == dtype
    assert attributes["geoemb:chip_layout"]["stride"] == [224, 224]
    assert attributes["geoemb:gsd"] == pytest.approx(480 / 224)
    broken = json.loads(json.dumps(group))
    del broken["attributes"]["geoemb:chip_layout"]
    assert not checker.is_valid(broken)


def test_proj_and_spatial_say_where_it_is(atlas):
    attributes = json.loads((atlas.path / "zarr.json").read_text())["attributes"]
    assert {entry["name"] for entry in attributes["zarr_conventions"]} == {"geoemb:", "proj:", "spatial"}
    assert attributes["proj:code"] == "EPSG:32631"
    assert Affine(*attributes["spatial:transform"]) == atlas.grid.affine
    assert attributes["spatial:bbox"] == list(atlas.grid.boundingbox.bbox)
    assert attributes["spatial:shape"] == list(SHAPE)
    assert attributes["spatial:dimensions"] == ["y", "x"]
    laea = "+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84 +units=m"
    nameless = group_metadata(make_spec(grid=GeoBox(SHAPE, atlas.grid.affine, laea)))["attributes"]
    assert "proj:code" not in nameless
    assert nameless["proj:wkt2"].startswith("PROJCRS")


def test_consolidated_metadata_is_each_arrays_own(atlas):
    members = json.loads((atlas.path / "zarr.json").read_text())["consolidated_metadata"]["metadata"]
    assert set(members) == {file.parent.name for file in atlas.path.glob("*/zarr.json")}
    for name, member in members.items():
        assert json.loads((atlas.path / name / "zarr.json").read_text()) == member


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_the_stac_item_is_valid_and_points_at_the_atlas(tmp_path, dtype):
    atlas = build(tmp_path / "a place.zarr", make_spec(dtype=dtype))
    item = tmp_path / item_name(atlas.path.name)
    value = json.loads(item.read_text())
    assert stac_problems(value) == []
    assert item.name == "a place.stac.json"
    assert (tmp_path / value["assets"]["embeddings"]["href"]).resolve() == atlas.path.resolve()
    west, south, east, north = value["bbox"]
    assert 4.7 < west < east < 5.0
    assert 52.3 < south < north < 52.6
    for name in ("assets", "bbox", "stac_version"):
        assert stac_problems({key: entry for key, entry in value.items() if key != name})
    assert stac_problems(value | {"properties": {"datetime": None}})


def test_an_item_across_the_antimeridian_is_in_two_parts():
    grid = GeoBox(SHAPE, Affine(480, 0, 818_400, 0, -480, 8_100_000), "EPSG:32760")
    value = make_item("a.zarr", make_spec(grid=grid))
    assert stac_problems(value) == []
    assert value["geometry"]["type"] == "MultiPolygon"
    west, _, east, _ = value["bbox"]
    assert 179.9 < west <= 180
    assert -180 <= east < -179.9


def test_an_item_around_a_pole():
    grid = GeoBox(SHAPE, Affine(480, 0, 2_000_000 - 1680, 0, -480, 2_000_000 + 2400), "EPSG:32661")
    value = make_item("a.zarr", make_spec(grid=grid))
    assert stac_problems(value) == []
    assert value["bbox"][3] == 90
    assert value["bbox"][1] > 89.9


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("https://example.org/a.tif", "https://example.org/a.tif"),
        ("miniworld:7", "miniworld:7"),
        ("my maps/a.tif", "file:my%20maps/a.tif"),
        ("/data/a.tif", "file:///data/a.tif"),
        ("", "urn:sat2cap:unknown"),
    ],
)
def test_as_uri(text, uri):
    assert as_uri(text) == uri


def page_reader():
    code, _ = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return code


def test_the_pages_reader_reads_an_atlas_without_this_package(atlas):
    code = page_reader()
    assert "sat2cap" not in code
    assert len([line for line in code.splitlines() if line.strip()]) == 3
    names = {}
    exec(code.replace('"amsterdam.zarr"', repr(str(atlas.path))), names)
    import numpy as np

    got = names["embeddings"].transpose("y", "x", "embedding").values
    np.testing.assert_array_equal(got, atlas.read(slice(None), slice(None)))
    assert got.dtype == np.float32


def test_the_page_has_the_version_the_codes_and_the_files(atlas):
    page = PAGE.read_text()
    assert f"Format version {VERSION}," in page
    for status, meaning in STATUS_MEANINGS.items():
        assert f"| {status.value} | {meaning} |" in page
    for entry in atlas.path.iterdir():
        assert entry.name in page
