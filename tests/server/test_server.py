"""What the server refuses, in one clear sentence that is never cached; hostile words are data to it."""

import json
import socket

import pytest
from served import NORTH

DOCUMENT = f"{NORTH}/map/WebMercatorQuad/tilejson.json?prompt=x"
BAD = {
    "unknown atlas": (404, "/api/atlases/nowhere/scores?prompt=x", "there is no atlas 'nowhere' here"),
    "no prompt": (400, f"{NORTH}/scores", "the parameter prompt is missing"),
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
    "a point": ({"type": "Point", "coordinates": [0, 0]}, "this is not GeoJSON of polygons"),
    "a line": ({"type": "Feature", "geometry": LINE}, "is not a polygon"),
    "metres": ({"type": "Polygon", "coordinates": [[[0, 0], [9e5, 0], [9e5, 9e5], [0, 0]]]}, "in degrees"),
    "features of text": ({"type": "FeatureCollection", "features": "x"}, "is not GeoJSON"),
    "nulls": ({"type": "Polygon", "coordinates": [[None]]}, "feature 0 of the GeoJSON"),
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


def test_no_sentence_tells_where_an_atlas_lies(client, folder):
    answer = client.get(f"{NORTH}/scores", params={"prompt": "place:100,0"})
    assert answer.status_code == 400
    expected = "example 'place:100,0' lies outside the atlas; take a place of The North.zarr"
    assert answer.json()["detail"] == expected
    assert str(folder) not in client.get("/api/atlases").text


@pytest.mark.parametrize("name", BAD_BODIES)
def test_bad_bodies_are_refused(client, name):
    body, expected = BAD_BODIES[name]
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow"}, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400, answer.text
    assert expected in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "is missing"), (b"[]", "is not a JSON object"), (b"{", "is not a JSON object"),
     (b"[" * 100_000, "is not JSON that can be read"), (b"\xff", "is not JSON that can be read")],
)  # fmt: skip
def test_a_body_that_is_no_json_object_is_one_sentence(client, content, fault):
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow"}, content=content, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["detail"] == f"the body of the request {fault}; send GeoJSON of polygons"


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


def test_so_is_one_whose_size_is_not_stated(client):
    answer = client.post(f"{NORTH}/zones", params={"prompt": "snow"}, content=iter([b"x" * 2**20] * 21))
    assert "content-length" not in answer.request.headers
    assert answer.status_code == 413
    assert answer.json() == {"detail": "the body is larger than 20 MB; send less"}


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
