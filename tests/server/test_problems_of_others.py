"""What users of other tile servers ran into, and where each is tested here.

- titiler #1159, #648, #538: addresses behind a proxy. `test_nginx`, and in `test_server`
  `test_behind_a_proxy_addresses_are_those_that_people_see`.
- titiler #1308, #1493: a bad rescale, nodata, expression. `test_bad_input_is_one_sentence_and_never_cached`.
- titiler #1458, #817: identifiers and titles of WMTS.
  `test_wmts_identifiers_are_plain_and_titles_are_escaped`, `test_gis_clients`, `test_qgis`.
- qgis/QGIS #57133, #51857: tile matrices. `test_every_matrix_of_the_one_set_has_tiles`, below.
- maplibre-gl-js #5774: missing tiles. `test_no_tile_within_the_bounds_is_missing`, below, and
  `test_outside_the_data_tiles_are_empty_not_missing`.
- allmaps #640: failures that look empty. `test_a_failure_is_neither_a_transparent_tile_nor_kept`.
"""

from xml.etree import ElementTree

import httpx
import morecantile
from served import NORTH

WMTS = "{http://www.opengis.net/wmts/1.0}"
OWS = "{http://www.opengis.net/ows/1.1}"


def tile_in_the_middle(client, zoom):
    west, south, east, north = client.get(NORTH).json()["bounds"]
    return morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, zoom)


def test_every_matrix_of_the_one_set_has_tiles(client):
    """QGIS lists every set, and asks for matrices that limits leave out: so there are no limits."""
    document = ElementTree.fromstring(client.get(f"{NORTH}/wmts?prompt=snow").content)
    assert len(document.findall(f"{WMTS}Contents/{WMTS}TileMatrixSet")) == 1
    assert not list(document.iter(f"{WMTS}TileMatrixSetLimits"))
    zooms = [int(matrix.findtext(f"{OWS}Identifier")) for matrix in document.iter(f"{WMTS}TileMatrix")
             if matrix.find(f"{OWS}Identifier") is not None]  # fmt: skip
    assert zooms == list(range(15))
    template = next(document.iter(f"{WMTS}ResourceURL")).get("template")
    for zoom in (zooms[0], 7, zooms[-1]):
        tile = tile_in_the_middle(client, zoom)
        address = template.format(TileMatrix=zoom, TileCol=tile.x, TileRow=tile.y)
        answer = client.get(httpx.URL(address).raw_path.decode())
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")


def test_no_tile_within_the_bounds_is_missing(client):
    """A browser logs every 404 as an error, and asks again when the map is moved."""
    document = client.get(f"{NORTH}/map/WebMercatorQuad/tilejson.json?prompt=snow").json()
    zoom = max(document["minzoom"], 8)
    for tile in morecantile.tms.get("WebMercatorQuad").tiles(*document["bounds"], [zoom, zoom + 1]):
        address = document["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y)
        assert client.get(httpx.URL(address).raw_path.decode()).status_code in (200, 204)
