"""Maps for other programs: tiles, TileJSON, WMTS and OGC API Maps."""

import base64
import io
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from served import MAY, NORTH, cell_with_data, place


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
