"""What the server answers: scores that are those of a map, and one clear sentence for everything else."""

import base64
import io
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from served import HEIGHT, WIDTH, make_client

import sat2cap
from sat2cap.errors import AtlasError, InputError, JobError
from sat2cap.geo import cell_lonlat
from sat2cap.maps import few_photos_warning
from sat2cap.query import photo_support
from sat2cap.server import ServerSettings
from sat2cap.server.scores import quantise_scores

NORTH = "/api/atlases/the-north"
MAY = "2024-05-20T08:00"


@pytest.fixture(scope="module")
def opened(folder, checkpoint):
    atlas = sat2cap.open(folder / "The North.zarr", checkpoint)
    atlas.scan.expect_many()  # as the server, whose numbers are compared exactly
    return atlas


def place(opened, row, col):
    lon, lat = cell_lonlat(opened.atlas.grid)
    return {"lon": round(float(lon[row, col]), 6), "lat": round(float(lat[row, col]), 6)}


def cell_with_data(score):
    return tuple(int(index) for index in np.argwhere(np.isfinite(score.values))[100])


def test_atlases_are_listed_and_a_broken_one_takes_no_other_down(client, folder):
    atlases = {entry["id"]: entry for entry in client.get("/api/atlases").json()}
    assert set(atlases) == {"the-north", "the-north-2", "broken"}
    assert "its plan cannot be read" in atlases["broken"]["problem"]
    assert str(folder) not in json.dumps(atlases), "paths of the server stay there"
    assert atlases["the-north"]["knows_time"]
    assert atlases["the-north"]["cells"] == HEIGHT * (WIDTH - 1)
    answer = client.get("/api/atlases/broken/scores", params={"prompt": "snow"})
    assert answer.status_code == 400
    assert "its plan cannot be read" in answer.json()["detail"]


def test_the_mesh_places_cells_in_web_mercator(client, opened):
    described = client.get(NORTH).json()
    mesh = np.array(described["mesh"]["xy"]).reshape(17, 17, 2)
    assert described["grid"]["shape"] == [HEIGHT, WIDTH]
    x, y = opened.atlas.grid.affine @ (WIDTH, HEIGHT)
    xs, ys = rasterio.warp.transform(opened.atlas.grid.crs.to_wkt(), "EPSG:3857", [x], [y])
    half = 20037508.342789244
    expected = [(xs[0] + half) / (2 * half), (half - ys[0]) / (2 * half)]
    np.testing.assert_allclose(mesh[-1, -1], expected, atol=1e-9)


@pytest.mark.parametrize("scale", ["cosine", "percentile", "contrast"])
@pytest.mark.parametrize("when", [None, MAY])
def test_scores_are_those_of_a_map_within_a_level(client, opened, scale, when):
    query = {"prompt": "snow", "scale": scale} | ({"when": when} if when else {})
    answer = client.get(f"{NORTH}/scores", params=query)
    about = json.loads(answer.headers["x-score"])
    levels = np.frombuffer(answer.content, np.uint8).reshape(about["shape"])
    expected = opened.map("snow", when, scale=scale).values
    np.testing.assert_array_equal(levels == 0, np.isnan(expected))
    scores = about["low"] + (levels.astype(float) - 1) * (about["high"] - about["low"]) / 254
    valid = levels > 0
    assert np.abs(scores - expected)[valid].max() <= (about["high"] - about["low"]) / 500
    assert about["low"] == pytest.approx(float(np.nanmin(expected)))
    assert about["p50"] == pytest.approx(np.nanmedian(expected), abs=(about["high"] - about["low"]) / 120)


def test_scores_carry_the_notice_of_chances_that_few_photos_speak_for(client, opened, monkeypatch):
    def read_notice(**query):
        answer = client.get(f"{NORTH}/scores", params=query)
        return json.loads(answer.headers["x-score"])["few_photos"]

    assert read_notice(prompt="skiers", scale="contrast") is None
    monkeypatch.setattr(photo_support, "FEWEST_PHOTOS", 500)  # more than the model has
    expected = few_photos_warning(opened.map("skaters", scale="contrast").attrs)
    assert expected.startswith("few held-out photos fit (skaters: about ")
    assert read_notice(prompt="skaters", scale="contrast") == expected
    assert read_notice(prompt="skaters", scale="cosine") is None
    both = read_notice(prompt="skaters", minus="swimmers", scale="contrast")
    assert "skaters: about" in both
    assert "swimmers: about" in both


def test_a_map_without_data_and_one_of_equal_scores(opened):
    score = opened.map("snow")
    empty = quantise_scores(score.where(False))
    assert not empty.levels.any()
    assert np.isnan(empty.low)
    assert set(np.unique(quantise_scores(score * 0 + 2).levels)) == {0, 1}


def test_search_is_that_of_the_library(client, opened):
    answer = client.get(f"{NORTH}/search", params={"prompt": "snow", "top": 3, "apart_m": 0})
    features = answer.json()["features"]
    expected = opened.search("snow", top=3, apart_m=0)
    assert [feature["properties"]["rank"] for feature in features] == [1, 2, 3]
    np.testing.assert_allclose([f["properties"]["score"] for f in features], expected["score"], rtol=1e-6)


def test_a_point_has_score_percentile_chance_and_phrases(client, opened):
    score = opened.map("snow", MAY)
    row, col = cell_with_data(score)
    answer = client.get(
        f"{NORTH}/point", params={"prompt": "snow", "when": MAY, **place(opened, row, col)}
    ).json()
    assert answer["score"] == pytest.approx(float(score.values[row, col]), rel=1e-6)
    assert answer["percentile"] == pytest.approx(
        float((score.values <= score.values[row, col]).sum() / np.isfinite(score.values).sum() * 100)
    )
    assert answer["chance"] == pytest.approx(
        float(opened.map("snow", MAY, scale="contrast").values[row, col]), abs=1e-5
    )
    assert len(answer["phrases"]) == 5
    row, col = (int(index) for index in np.argwhere(np.isnan(score.values[:, :-1]))[0])
    assert (
        client.get(f"{NORTH}/point", params={"prompt": "snow", **place(opened, row, col)}).json()["score"]
        is None
    )


def test_a_series_through_the_year(client, opened):
    row, col = cell_with_data(opened.map("snow"))
    query = {"prompt": "snow", "over": "months", "when": "2021", **place(opened, row, col)}
    answer = client.get(f"{NORTH}/series", params=query | {"when": "2021-03"}).json()
    assert answer["when"][0] == "2021-01-15T12:00"
    expected = [float(opened.map("snow", when).values[row, col]) for when in answer["when"]]
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-5)
    day = client.get(f"{NORTH}/series", params=query | {"when": "2021-03-04", "over": "hours"}).json()
    assert len(day["scores"]) == 24


def test_posted_zones_get_statistics(client, opened):
    west, south, east, north = client.get(NORTH).json()["bounds"]
    middle = (west + east) / 2
    ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
    feature = {"type": "Feature", "properties": {"name": "half", "nested": {"a": 1}},
               "geometry": {"type": "Polygon", "coordinates": [ring]}}  # fmt: skip
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow", "stat": ["mean", "max"]}, json=feature)
    properties = answer.json()["features"][0]["properties"]
    import geopandas
    import shapely

    expected = opened.zones(geopandas.GeoDataFrame(geometry=[shapely.Polygon(ring)], crs="EPSG:4326"), "snow")
    assert properties["mean"] == pytest.approx(float(expected["mean"][0]))
    assert properties["name"] == "half"


@pytest.mark.parametrize("suffix", ["tif", "png", "geojson", "pmtiles"])
def test_exports_are_the_files_of_the_command_line(client, opened, suffix, tmp_path):
    answer = client.get(f"{NORTH}/export", params={"prompt": "snow", "format": suffix})
    assert answer.status_code == 200
    path = tmp_path / f"m.{suffix}"
    sat2cap.save(opened.map("snow"), path)
    assert f"sat2cap.{suffix}" in answer.headers["content-disposition"]
    if suffix == "tif":
        with rasterio.open(io.BytesIO(answer.content)) as got, rasterio.open(path) as expected:
            np.testing.assert_array_equal(got.read(), expected.read())
    elif suffix == "geojson":
        assert json.loads(answer.content)["features"] == json.loads(path.read_text())["features"]


def test_tiles_have_the_scores_at_their_places(client, opened):
    score = opened.map("snow")
    row, col = cell_with_data(score)
    where = place(opened, row, col)
    tile = morecantile.tms.get("WebMercatorQuad").tile(where["lon"], where["lat"], 12)
    path = f"{NORTH}/map/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
    numbers = client.get(f"{path}.tif", params={"prompt": "snow"})
    with rasterio.open(io.BytesIO(numbers.content)) as data:
        x, y = rasterio.warp.transform("EPSG:4326", data.crs, [where["lon"]], [where["lat"]])
        value = next(data.sample([(x[0], y[0])]))[0]
    assert value == pytest.approx(float(score.values[row, col]), rel=1e-6)
    picture = client.get(path, params={"prompt": "snow", "colormap_name": "viridis", "rescale": "0,0.3"})
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(picture.content)).size[0] in (256, 512)


def test_outside_the_data_tiles_are_empty_not_missing(client):
    answer = client.get(f"{NORTH}/map/tiles/WebMercatorQuad/12/0/0.png", params={"prompt": "snow"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_tilejson_names_the_bounds_and_keeps_the_question(client):
    answer = client.get(
        f"{NORTH}/map/WebMercatorQuad/tilejson.json", params={"prompt": 'a "b" & <c>', "when": MAY}
    )
    document = answer.json()
    np.testing.assert_allclose(document["bounds"], client.get(NORTH).json()["bounds"], atol=1e-3)
    asked = httpx.URL(document["tiles"][0].replace("{z}/{x}/{y}", "12/0/0"))
    assert asked.params["prompt"] == 'a "b" & <c>'
    assert client.get(asked.raw_path.decode()).status_code == 204


def test_wmts_identifiers_are_plain_and_titles_are_escaped(client):
    answer = client.get(f"{NORTH}/wmts", params={"prompt": "<script>\"'&amp;"})
    root = ElementTree.fromstring(answer.content)
    names = {"w": "http://www.opengis.net/wmts/1.0", "ows": "http://www.opengis.net/ows/1.1"}
    layer = root.find("w:Contents/w:Layer", names)
    assert layer.find("ows:Identifier", names).text == "the-north"
    assert layer.find("ows:Title", names).text.startswith("<script>\"'&amp; (")
    assert len(root.findall("w:Contents/w:TileMatrixSet", names)) == 1


def test_a_wmts_layer_has_the_looks_of_its_address(client):
    """QGIS adds words of the protocol to the address, which are no parameters of tiles."""
    looks = {"colormap_name": "viridis", "rescale": "0,0.5", "resampling": "bilinear"}
    protocol = {"SERVICE": "WMS", "REQUEST": "GetCapabilities", "version": "1.0.0"}
    answer = client.get(f"{NORTH}/wmts", params={"prompt": "{TileRow} & snow", **looks, **protocol})
    assert answer.status_code == 200, answer.text
    link = ElementTree.fromstring(answer.content).find(".//{http://www.opengis.net/wmts/1.0}ResourceURL")
    template = link.get("template")
    assert template.count("{TileRow}") == 1, "a prompt is no part of the template"
    tile = httpx.URL(template.replace("{TileMatrix}/{TileCol}/{TileRow}", "8/130/84"))
    assert dict(tile.params) == {"prompt": "{TileRow} & snow", **looks}
    assert client.get(tile.raw_path.decode()).headers["content-type"] == "image/png"


def test_a_wmts_address_may_hold_its_query_in_the_path(client):
    """QGIS unpacks %26 in an address of capabilities, which cuts the prompt there."""
    query = {"prompt": 'a "b" & c', "colormap_name": "viridis"}
    packed = base64.urlsafe_b64encode(urlencode(query).encode()).decode().rstrip("=")
    answer = client.get(
        f"{NORTH}/wmts/{packed}/WMTSCapabilities.xml?SERVICE=WMTS&REQUEST=GetCapabilities",
        follow_redirects=False,
    )
    assert answer.status_code == 307
    assert dict(httpx.URL(answer.headers["location"]).params) == query
    title = ElementTree.fromstring(client.get(answer.headers["location"]).content).find(
        ".//{http://www.opengis.net/wmts/1.0}Layer/{http://www.opengis.net/ows/1.1}Title"
    )
    assert title.text == 'a "b" & c (The North)'
    for wrong in ("%C3%A9", "!!!!", base64.urlsafe_b64encode(b"prompt=a\r\nSet-Cookie: b").decode()):
        assert client.get(f"{NORTH}/wmts/{wrong}/WMTSCapabilities.xml").status_code == 400


DOCUMENT = f"{NORTH}/map/WebMercatorQuad/tilejson.json?prompt=x"

BAD = {
    "unknown atlas": (404, "/api/atlases/nowhere/scores?prompt=x", "there is no atlas 'nowhere' here"),
    "no prompt": (400, f"{NORTH}/scores", "prompt: Field required"),
    "empty prompt": (400, f"{NORTH}/scores?prompt=%20", "the prompt is empty"),
    "long prompt": (400, f"{NORTH}/scores?prompt={'x' * 301}", "has 301 letters; give at most 300"),
    "control characters": (400, f"{NORTH}/scores?prompt=a%00b", "holds control characters"),
    "a file": (400, f"{NORTH}/scores?prompt=photo:/etc/passwd", "names a file of the server"),
    "a file in part": (400, f"{NORTH}/scores?prompt=snow%20%2B%20Photo:x.jpg", "names a file of the server"),
    "negative file": (400, f"{NORTH}/scores?prompt=a&negative=photo:x", "negative names a file"),
    "date": (400, f"{NORTH}/scores?prompt=x&when=spring", "this is not a date"),
    "long date": (400, f"{NORTH}/scores?prompt=x&when={'2' * 50}", "a date of 50 letters"),
    "scale": (400, f"{NORTH}/scores?prompt=x&scale=log", "scale: Input should be"),
    "unknown parameter": (400, f"{NORTH}/scores?prompt=x&whne=2024", "no parameter 'whne' here; there is"),
    "zoom": (
        400,
        f"{NORTH}/map/tiles/WebMercatorQuad/883552/0/0.png?prompt=x",
        "is not a zoom; give 0 to 30",
    ),
    "tile size": (
        400,
        f"{NORTH}/map/tiles/WebMercatorQuad/8/130/84.png?prompt=x&tilesize=99999",
        "tilesize '99999' is out of range; give 1 to 2048",
    ),
    "zoom below": (400, f"{NORTH}/map/tiles/WebMercatorQuad/-1/0/0.png?prompt=x", "zoom -1 is not a zoom"),
    "zooms of a document": (400, f"{DOCUMENT}&minzoom=99", "minzoom '99' is out of range; give 0 to 30"),
    "zoom below 0": (400, f"{DOCUMENT}&maxzoom=-1", "maxzoom '-1' is out of range"),
    "zooms turned": (400, f"{DOCUMENT}&minzoom=9&maxzoom=3", "minzoom 9 is above maxzoom 3"),
    "tiles of a document": (400, f"{DOCUMENT}&tilesize=99999", "tilesize '99999' is out of range"),
    "range of a document": (400, f"{DOCUMENT}&rescale=3,1", "the first number must be the lower"),
    "imagery zoom": (400, f"{NORTH}/imagery/99/0/0.webp", "z: Input should be"),
    "range of a layer": (400, f"{NORTH}/wmts?prompt=x&rescale=0.5,0.1", "the first number must be the lower"),
    "colours of a layer": (400, f"{NORTH}/wmts?prompt=x&colormap_name=mud", "colormap_name: Input should be"),
    "two prompts": (400, f"{NORTH}/scores?prompt=snow&prompt=sand", "prompt is given 2 times; give it once"),
    "two ranges of colours": (
        400,
        f"{NORTH}/map/preview.png?prompt=x&resampling=mode&resampling=mode",
        "2 times",
    ),
    "bytes that are no text": (400, f"{NORTH}/scores?prompt=%ff%fe", "broken letters"),
    "areas of a picture": (
        400,
        f"{NORTH}/export?prompt=x&format=png&above=0.3",
        "not of a png; leave it out",
    ),
    "no address": (404, "/api/nothing", "there is nothing at this address"),
    "turned box": (400, f"{NORTH}/map/bbox/5.1,52,4.9,53.png?prompt=x", "has its corners turned"),
    "box on its head": (400, f"{NORTH}/map/map?prompt=x&bbox=4.9,53,5.1,52", "has its corners turned"),
    "expression": (400, f"{NORTH}/map/preview.png?prompt=x&expression=b1*2", "no parameter 'expression'"),
    "rescale": (400, f"{NORTH}/map/preview.png?prompt=x&rescale=a", "rescale"),
    "rescale turned": (
        400,
        f"{NORTH}/map/preview.png?prompt=x&rescale=3,1",
        "the first number must be the lower",
    ),
    "colours": (400, f"{NORTH}/map/preview.png?prompt=x&colormap_name=no", "colormap_name"),
    "size": (400, f"{NORTH}/map/preview.png?prompt=x&width=99999", "width"),
    "thin box": (
        400,
        f"{NORTH}/map/bbox/5,52,5.000001,53.png?prompt=x&width=2000",
        "longer than 2048 pixels",
    ),
    "flat box": (400, f"{NORTH}/map/bbox/5,52,5,53.png?prompt=x", "has no area"),
    "boundless box": (400, f"{NORTH}/map/bbox/-1e300,52,1e300,53.png?prompt=x", "cannot be read"),
    "percentile": (400, f"{NORTH}/map/statistics?prompt=x&p=101", "p=101 is not a percentile"),
    "bins": (400, f"{NORTH}/map/statistics?prompt=x&histogram_bins=999999999999", "give 1 to 1000 bins"),
    "no bins": (400, f"{NORTH}/map/statistics?prompt=x&histogram_bins=0", "give 1 to 1000 bins"),
    "falling bins": (400, f"{NORTH}/map/statistics?prompt=x&histogram_bins=3,1", "must rise"),
    "range": (
        400,
        f"{NORTH}/map/statistics?prompt=x&histogram_range=3,1",
        "the first number must be the lower",
    ),
    "nodata": (400, f"{NORTH}/map/preview.png?prompt=x&nodata=abc", "nodata"),
    "a file as CRS": (
        400,
        f"{NORTH}/map/preview.png?prompt=x&dst_crs=/etc/passwd",
        "dst_crs '/etc/passwd' is not the name of a CRS; give one such as EPSG:3857",
    ),
    "definition as CRS": (
        400,
        f"{NORTH}/map/map?prompt=x&bbox-crs=%2Bproj=longlat%20%2Bnadgrids=/etc/passwd",
        "is not the name of a CRS",
    ),
    "unknown CRS": (400, f"{NORTH}/map/point/5,52?prompt=x&coord_crs=EPSG:99999999", "invalid CRS format"),
    "size of a map": (400, f"{NORTH}/map/map?prompt=x&width=99999&height=2", "at most 2048 pixels a side"),
    "box of a map": (400, f"{NORTH}/map/map?prompt=x&bbox=a,b,c,d", "bbox"),
    "no place": (400, f"{NORTH}/map/point/1e9,52?prompt=x", "1e+09,52 is not a place that the map's CRS"),
    "elsewhere": (404, f"{NORTH}/map/point/0,0?prompt=x", "outside"),
    "point outside": (400, f"{NORTH}/point?prompt=x&lon=0&lat=0", "0,0 lies outside the atlas"),
    "not on Earth": (400, f"{NORTH}/point?prompt=x&lon=999&lat=0", "lon"),
    "export": (400, f"{NORTH}/export?prompt=x&format=exe", "format"),
    "tile": (400, f"{NORTH}/imagery/2/9/0.webp", "no tile 2/9/0"),
}


def test_no_crs_is_fetched_from_an_address(client):
    """GDAL asks the server at an address that is given as a CRS for its definition."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/crs"
        for path in ("point/5,52?coord_crs=", "preview.png?dst_crs=", "map?crs=", "map?bbox-crs="):
            answer = client.get(f"{NORTH}/map/{path}{address}&prompt=x")
            assert answer.status_code == 400
            assert "is not the name of a CRS" in answer.json()["detail"]
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("crs", ["EPSG:3857", "[EPSG:3857]", "urn:ogc:def:crs:EPSG::3857"])
def test_a_map_by_ogc_api_maps_has_the_scores_in_any_crs(client, opened, crs):
    query = {"prompt": "snow", "crs": crs, "width": 200, "height": 160, "f": "tif"}
    answer = client.get(f"{NORTH}/map/map", params=query)
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3857>"
    score = opened.map("snow")
    row, col = cell_with_data(score)
    where = place(opened, row, col)
    with rasterio.open(io.BytesIO(answer.content)) as data:
        assert data.shape == (160, 200)
        x, y = rasterio.warp.transform("EPSG:4326", "EPSG:3857", [where["lon"]], [where["lat"]])
        value = next(data.sample([(x[0], y[0])]))[0]
    assert value == pytest.approx(float(score.values[row, col]), rel=1e-6)


def test_a_box_by_ogc_api_maps_is_in_degrees_unless_it_says_otherwise(client):
    west, south, east, north = client.get(NORTH).json()["bounds"]
    box = [west, south, (west + east) / 2, (south + north) / 2]
    query = {"prompt": "snow", "width": 100, "bbox": ",".join(map(str, box))}
    sizes = []
    for more in ({}, {"bbox-crs": "OGC:CRS84"}):
        picture = client.get(f"{NORTH}/map/map", params=query | more)
        assert picture.headers["content-type"] == "image/png"
        sizes.append(Image.open(io.BytesIO(picture.content)).size)
    assert sizes[0] == sizes[1]
    assert sizes[0][0] == 100


def test_a_failure_is_neither_a_transparent_tile_nor_kept(client, monkeypatch):
    """As a map that looks empty, it would be believed, and stay in caches."""
    west, south, east, north = client.get(NORTH).json()["bounds"]
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, 9)

    def fail(*_, **__):
        raise RuntimeError("made up")

    monkeypatch.setattr("sat2cap.server.answer_reader.AnswerReader.part", fail)
    monkeypatch.setattr("sat2cap.server.routes.imagery.reopen_imagery", fail)
    for path in (
        f"map/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.png?prompt=snow",
        f"imagery/{tile.z}/{tile.x}/{tile.y}.webp",
    ):
        answer = client.get(f"{NORTH}/{path}")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"


def test_imagery_that_cannot_be_read_is_missing_not_empty(client):
    answer = client.get(f"{NORTH}/imagery/9/262/168.webp")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")
    assert answer.json()["detail"]


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_never_cached(client, name):
    status, path, expected = BAD[name]
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert expected in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert answer.headers["cache-control"] == "no-store"


LINE = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
JSON = {"Content-Type": "application/json"}
POLYGON = {"type": "Polygon", "coordinates": [[[4.9, 52], [5.1, 52], [5.1, 52.2], [4.9, 52]]]}
FEATURE = {"type": "Feature", "geometry": POLYGON}
BAD_BODIES = {
    "half a letter": ({**FEATURE, "properties": {"a": "\ud800"}}, "broken letters"),
    "half a name": ({**FEATURE, "properties": {"\ud800": 1}}, "broken letters"),
    "two geometries": ({**FEATURE, "properties": {"geometry": 1}}, "rename"),
    "no geometry": ({"type": "Feature"}, "has no geometry"),
    "a point": ({"type": "Point", "coordinates": [0, 0]}, "is not GeoJSON of polygons"),
    "a line": ({"type": "Feature", "geometry": LINE}, "is not a polygon"),
    "metres": ({"type": "Polygon", "coordinates": [[[0, 0], [9e5, 0], [9e5, 9e5], [0, 0]]]}, "in degrees"),
    "features of text": ({"type": "FeatureCollection", "features": "x"}, "is not GeoJSON"),
    "nulls": ({"type": "Polygon", "coordinates": [[None]]}, "feature 0 of the body"),
}  # fmt: skip


FAR = {"type": "Polygon", "coordinates": [[[0, 0], [1e300, 0], [1e300, 1e300], [0, 0]]]}


@pytest.mark.parametrize(
    ("query", "expected"), [("cover_scale=9999", "give 1 to 20"), ("width=2000", "the box or polygon")]
)
def test_statistics_in_a_polygon_are_limited(client, query, expected):
    feature = {"type": "Feature", "properties": {}, "geometry": FAR}
    answer = client.post(f"{NORTH}/map/statistics?prompt=snow&{query}", json=feature)
    assert answer.status_code == 400, answer.text
    assert expected in answer.json()["detail"]


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies_are_refused(client, name):
    body, expected = BAD_BODIES[name]
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow"}, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400, answer.text
    assert expected in answer.json()["detail"]


@pytest.mark.parametrize(
    ("statistics", "rule"),
    [(["mean", "mean"], "'mean' is asked for twice"), (["mean"] * 9, "give at most 8")],
)
def test_statistics_that_are_not_computed_are_refused(client, statistics, rule):
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow", "stat": statistics}, json=POLYGON)
    assert answer.status_code == 400
    assert rule in answer.json()["detail"]


def test_head_is_get_without_the_body(client):
    for path in ("/api/health", f"{NORTH}/scores?prompt=snow", "/api/nothing", f"{NORTH}/scores", "/"):
        whole, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        for name in ("content-type", "content-length", "cache-control", "x-score"):
            assert head.headers.get(name) == whole.headers.get(name), (path, name)


def test_a_method_that_an_address_lacks_is_told_those_that_it_has(client):
    for path, allowed in (
        (f"{NORTH}/search", "GET, HEAD, POST"),
        ("/api/photos", "POST"),
        ("/api/health", "GET, HEAD"),
    ):
        answer = client.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.headers["cache-control"] == "no-store"
        assert "the header Allow" in answer.json()["detail"]


def test_parts_of_answers_are_not_served(client):
    """An answer may be computed anew for each part, and no range is a fault."""
    for path in ("/api/openapi.json", "/", f"{NORTH}/scores?prompt=snow"):
        for parts in ("bytes=0-9", "bytes=99999999-", "bytes=-0", "nonsense"):
            answer = client.get(path, headers={"Range": parts})
            assert answer.status_code == 200
            assert answer.content == client.get(path).content


def test_a_body_that_is_too_large_is_refused(client):
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow"}, content=b"x" * (20 * 2**20 + 1))
    assert answer.status_code == 413


def test_every_answer_has_security_headers(client):
    for path in ("/api/health", "/api/atlases", "/api/nothing", f"{NORTH}/scores?prompt=x"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_page_elsewhere_cannot_name_this_machine(client):
    for host in (
        "evil.example",
        "",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "[::1",
        "[::2]",
        "evil:127.0.0.1",
    ):
        answer = client.get("/api/atlases", headers={"Host": host})
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")
        assert "names of this machine only" in answer.json()["detail"]
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000"):
        assert client.get("/api/atlases", headers={"Host": host}).status_code == 200


def test_a_key_is_asked_for(folder, checkpoint):
    with make_client(folder, checkpoint, api_key="s3cret") as client:
        assert client.get("/api/health").status_code == 200
        assert client.get("/api/atlases").status_code == 401
        assert client.get("/api/atlases", headers={"X-API-Key": "other"}).status_code == 401
        assert client.get("/api/atlases", headers={"X-API-Key": "s3cret"}).status_code == 200


def test_behind_a_proxy_addresses_are_those_that_people_see(folder, checkpoint):
    with make_client(folder, checkpoint, public_url="https://maps.example/live") as client:
        for path in (
            f"{NORTH}/map/WebMercatorQuad/tilejson.json",
            f"/live{NORTH}/map/WebMercatorQuad/tilejson.json",
        ):
            tiles = client.get(path, params={"prompt": "snow"}).json()["tiles"][0]
            assert tiles.startswith(f"https://maps.example/live{NORTH}/map/tiles/")
        assert (
            b"https://maps.example/live/api/" in client.get(f"{NORTH}/wmts", params={"prompt": "x"}).content
        )


def test_metrics_count_and_hold_nothing_that_people_typed(client):
    client.get(f"{NORTH}/scores", params={"prompt": "a very private prompt"})
    text = client.get("/metrics").text
    assert 'sat2cap_requests_total{route="/api/atlases/{atlas}/scores",status="200"}' in text
    assert "private" not in text


HOSTILE = {
    "script": ("<script>alert(1)</script>", 200),
    "quotes": ("\"'><img src=x onerror=alert(1)>", 200),
    "template": ("{{7*7}} ${7*7} %s {0.__class__}", 200),
    "path": ("../../etc/passwd", 200),
    "right to left": ("\u202eمرحبا", 200),
    "emoji": ("🏖️ beach", 200),
    "a line of its own": ("a\nlog line", 400),
    "an escape": ("\x1b[31mred", 400),
    "as long as an address can be": ("x" * 60_000, 400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_prompts_are_data(client, name, caplog):
    prompt, status = HOSTILE[name]
    for path in ("scores", "wmts", "map/WebMercatorQuad/tilejson.json", "search"):
        answer = client.get(f"{NORTH}/{path}", params={"prompt": prompt})
        assert answer.status_code == status, answer.text[:500]
        assert "text/html" not in answer.headers["content-type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status == 400:
            assert len(answer.json()["detail"]) < 300
            assert "\x1b" not in answer.json()["detail"]
    assert prompt[:30] not in caplog.text
    assert prompt[:30] not in client.get("/metrics").text


def test_half_a_character_is_no_fault(client):
    """A lone surrogate cannot be written in UTF-8; what stands for it in an address is not text."""
    answer = client.get(f"{NORTH}/scores?prompt=a%ED%A0%80b")
    assert answer.status_code in (200, 400)


def wait_for(condition):
    """Wait until a condition holds, at most ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_equal_questions_share_one_scan_and_the_queue_is_bounded(folder, checkpoint, monkeypatch):
    scans, release = [], threading.Event()
    from sat2cap.server import scores

    compute = scores._score

    def slow(served, question, photos):
        scans.append(question.prompt)
        release.wait(20)
        return compute(served, question, photos)

    monkeypatch.setattr(scores, "_score", slow)
    limits = {"max_scans": 1, "max_waiting": 1}
    with make_client(folder, checkpoint, **limits) as client, ThreadPoolExecutor(8) as pool:
        equal = [pool.submit(client.get, f"{NORTH}/scores", params={"prompt": "same"}) for _ in range(4)]
        wait_for(lambda: scans)
        waits = pool.submit(client.get, f"{NORTH}/scores", params={"prompt": "waits"})
        wait_for(lambda: len(client.app.state.server.scores._flights) == 2)
        refused = client.get(f"{NORTH}/scores", params={"prompt": "too many"})
        release.set()
        assert {answer.result().status_code for answer in equal} == {200}
        assert waits.result().status_code == 200
    assert refused.headers["retry-after"] == "1"
    assert refused.status_code == 503
    assert scans == ["same", "waits"]


def test_an_atlas_that_changes_is_picked_up(tmp_path, folder, checkpoint):
    import shutil

    shutil.copytree(folder / "The North.zarr", tmp_path / "a.zarr")
    with make_client(tmp_path, checkpoint) as client:
        before = client.get("/api/atlases/a").json()["version"]
        client.get("/api/atlases/a/scores", params={"prompt": "snow"})
        sat2cap.open(tmp_path / "a.zarr", checkpoint).prepare()
        assert client.get("/api/atlases/a").json()["version"] != before
        assert client.get("/api/atlases/a/scores", params={"prompt": "snow"}).status_code == 200


def test_a_handle_serves_in_the_background_and_stops(folder, checkpoint):
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server:
        assert httpx.get(f"{server.url}api/health").json()["status"] == "ok"
        url = server.tile_url("a beach", colormap_name="viridis").replace("{z}/{x}/{y}", "12/0/0")
        assert httpx.get(url).status_code == 204
        address = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}api/health")


def test_the_tiles_of_an_atlas_that_cannot_be_asked_have_no_address(folder, checkpoint, tmp_path):
    """A map widget shows nothing where tiles are refused, so it is said before."""
    with sat2cap.serve(folder / "The North.zarr", model=tmp_path / "gone") as server:
        with pytest.raises(AtlasError, match="gone"):
            server.tile_url("a beach")
        with pytest.raises(AtlasError, match="there is no atlas 'south' here"):
            server.tile_url("a beach", atlas="south")


def test_small_answers_do_not_wait_for_the_acknowledgement_of_their_headers(folder, checkpoint, monkeypatch):
    """Nagle's algorithm holds a body back until its headers are acknowledged, 40 ms where that is delayed."""
    accepted = []
    accept = socket.socket.accept

    def keep(listener):
        connection, address = accept(listener)
        accepted.append(connection)
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", keep)
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server, httpx.Client() as client:
        assert client.get(f"{server.url}api/health").status_code == 200
        assert len(accepted) == 1
        assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_opened_atlas_keeps_its_model(opened):
    with sat2cap.serve(opened) as server:
        assert httpx.get(f"{server.url}api/atlases").json()[0]["problem"] is None


def test_settings_and_ports_that_cannot_be(folder, checkpoint):
    for wrong in ({"port": 70000}, {"public_url": "maps.example"}, {"cache_mb": 0}):
        with pytest.raises(InputError):
            ServerSettings(**wrong)
    with sat2cap.serve(folder, model=checkpoint) as server, pytest.raises(JobError, match="cannot listen on"):
        sat2cap.serve(folder, model=checkpoint, port=int(server.url.rsplit(":", 1)[1].strip("/")))
    with pytest.raises(InputError, match="neither an atlas nor a folder"):
        sat2cap.serve(folder / "nothing")
