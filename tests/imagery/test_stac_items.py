"""STAC items as strangers write them: judged one by one, their numbers and bands read as the items say."""

import json
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace as changed
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest
import rasterio
from affine import Affine
from file_server import running
from odc.geo.geobox import GeoBox
from rasterio.enums import ColorInterp
from servers import stac_item

import sat2cap
from sat2cap.catalogue import open_imagery
from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.http import Fetcher, FetchPolicy
from sat2cap.imagery.named import Source
from sat2cap.imagery.stac import server as stac_requests
from sat2cap.imagery.stac.items import UnusableItemError, require_usable, scale_and_offset
from sat2cap.imagery.stac.reader import _finest_gsd_m

HERE = patch_around(12.0, 50.0, 400, 40)
COLOURS = np.array([40, 120, 200])


def raster(path, values, **profile):
    """Write bands ``[B, y, x]`` on the grid of `HERE`."""
    options = {"driver": "GTiff", "crs": str(HERE.crs), "transform": HERE.affine, "dtype": values.dtype}
    with rasterio.open(path, "w", count=len(values), height=40, width=40, **options, **profile) as file:
        file.write(values)
    return f"file://{path}"


def flat(values, dtype="uint8"):
    return np.broadcast_to(np.array(values)[:, None, None], (len(values), 40, 40)).astype(dtype)


@contextmanager
def json_server(answer):
    """Serve ``answer(path, body)`` as JSON: ``(root, paths)``; it ends with the test."""
    paths, ended = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(body)

        def do_GET(self):
            self.reply(None)

        def reply(self, body):
            paths.append(self.path)
            value = answer(self.path, body, ended)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with running(Handler) as server:
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", paths
        finally:
            ended.set()


def landing(root):
    classes = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
    classes.append("https://api.stacspec.org/v1.0.0/item-search#query")
    links = [{"rel": "search", "href": f"{root}/search", "method": "POST"}, {"rel": "root", "href": root}]
    head = {"type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "d"}
    return {**head, "conformsTo": classes, "links": links}


@contextmanager
def search_of(*items):
    """Serve a search that finds `items`, whatever is asked."""
    roots = []

    def answer(path, body, ended):
        return landing(roots[0]) if body is None else {"type": "FeatureCollection", "features": list(items)}

    with json_server(answer) as (root, _):
        roots.append(root)
        yield f"stac:{root}?collection=made"


def read(spec):
    imagery = open_imagery(spec, region=HERE.extent)
    return imagery, imagery.read(HERE).values


@pytest.mark.parametrize("bands", [{}, {"raster:bands": [{"data_type": "uint8"}] * 3}])
def test_an_asset_of_three_bands_is_colour_whether_its_item_names_them_or_not(tmp_path, bands):
    asset = {"href": raster(tmp_path / "a.tif", flat(COLOURS)), **bands}
    with search_of(stac_item("a", HERE, {"visual": asset})) as spec:
        _, pixels = read(spec)
    np.testing.assert_array_equal(pixels[20, 20], [*COLOURS, 255])


def test_an_asset_is_opened_as_the_file_is_alone(tmp_path):
    """Alpha, bands in another order, a mask beside the file, and near infrared that is marked as alpha."""
    alpha = flat([*COLOURS, 255]).copy()
    alpha[3, :, :20] = 0
    marked = {"photometric": "RGB", "alpha": "YES"}
    cases = {
        "alpha": (raster(tmp_path / "alpha.tif", alpha, **marked), {}, "visual", 0),
        "nir": (
            raster(tmp_path / "nir.tif", alpha, **marked),
            {"eo:bands": [{"common_name": name} for name in ("red", "green", "blue", "nir")]},
            "visual",
            255,
        ),
        "reversed": (
            raster(tmp_path / "bgr.tif", flat(COLOURS[::-1])),
            {"bands": [{"eo:common_name": name} for name in ("blue", "green", "red")]},
            "visual",
            255,
        ),
    }
    with rasterio.open(cases["reversed"][0], "r+") as file:
        file.colorinterp = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.undefined]
    for name, (path, metadata, key, expected_alpha) in cases.items():
        with search_of(stac_item(name, HERE, {key: {"href": path, **metadata}})) as spec:
            _, pixels = read(spec)
        np.testing.assert_array_equal(pixels[20, 30], [*COLOURS, 255], err_msg=name)
        assert pixels[20, 5, 3] == expected_alpha, name


def test_four_bands_that_nothing_names_are_refused_with_the_option_that_chooses(tmp_path):
    path = raster(tmp_path / "four.tif", flat([1, 2, 3, 4]), photometric="MINISBLACK")
    with search_of(stac_item("four", HERE, {"image": path})) as spec:
        with pytest.raises(ImageryError, match=r"such as \?assets=image.1,image.2,image.3"):
            read(f"{spec}&assets=image")
        _, pixels = read(f"{spec}&assets=image.3,image.2,image.1")
    np.testing.assert_array_equal(pixels[20, 20], [3, 2, 1, 255])


def test_every_item_is_judged_alone_and_the_others_are_counted_by_reason(tmp_path):
    path = raster(tmp_path / "a.tif", flat(COLOURS))
    good = stac_item("good", HERE, {"visual": path}, **{"eo:cloud_cover": 5.0})
    without_id = {key: value for key, value in good.items() if key != "id"}
    bad = [
        {**good, "id": "no asset", "assets": {"thumbnail": {"href": "x.jpg"}}},
        {**good, "id": "null clouds", "properties": {**good["properties"], "eo:cloud_cover": None}},
        {**good, "id": "words", "properties": {**good["properties"], "eo:cloud_cover": "few"}},
        {**good, "id": "no geometry", "geometry": None},
        {**good, "id": "text geometry", "geometry": {"type": "Polygon", "coordinates": "here"}},
        {**good, "id": "no properties", "properties": None},
        without_id,
        "not an item",
    ]
    with search_of(*bad, good) as spec:
        imagery, pixels = read(f"{spec}&max_cloud=20")
        assert [item["id"] for item in imagery.items] == ["good"]
        np.testing.assert_array_equal(pixels[20, 20], [*COLOURS, 255])
        assert imagery.notes == (
            "1 item left out: with a cloud cover that is no number",
            "1 item left out: without a cloud cover",
            "2 items left out: without an id",
            "2 items left out: without an outline that can be read",
            "1 item left out: without properties",
            "1 item left out: without the asset 'visual'",
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sat2cap.open_imagery(f"{spec}&max_cloud=20", region="12.0,50.0,200")
        assert any("2 items left out: without an id" in str(warning.message) for warning in caught)


def test_an_outline_past_180_degrees_covers_the_other_side(tmp_path):
    box = patch_around(-179.98, -17.0, 2000, 40)
    affine = Affine(50, 0, box.affine.c, 0, -50, box.affine.f)
    path = tmp_path / "a.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=40,
        width=40,
        dtype="uint8",
        crs=str(box.crs),
        transform=affine,
    ) as file:
        file.write(flat(COLOURS))
    item = stac_item("past", box, {"visual": f"file://{path}"})
    ring = [[179.9, -17.1], [180.1, -17.1], [180.1, -16.9], [179.9, -16.9], [179.9, -17.1]]
    item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    with search_of(item) as spec:
        imagery = open_imagery(spec, region=box.extent)
        pixels = imagery.read(GeoBox((10, 10), box.affine @ Affine.translation(15, 15), box.crs)).values
    np.testing.assert_array_equal(pixels[5, 5], [*COLOURS, 255])


def reflectance_item(folder, name, stored, properties, metadata, asset="red"):
    path = raster(folder / f"{name}.tif", flat([stored], "uint16"), nodata=0)
    return stac_item(name, HERE, {asset: {"href": path, **metadata}}, **properties)


BASELINE = {"s2:processing_baseline": "05.09"}


@pytest.mark.parametrize(
    ("stored", "properties", "metadata"),
    [
        (1500, {}, {}),
        (1500, {}, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}),
        (2500, {}, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}),
        (2500, {}, {"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]}),
        (2500, {}, {"raster:scale": 1e-4, "raster:offset": -0.1}),
        (2500, BASELINE, {}),
        (1500, {"s2:processing_baseline": "03.01"}, {}),
        (1500, {**BASELINE, "earthsearch:boa_offset_applied": True}, {}),
        (1500, {"earthsearch:boa_offset_applied": True}, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}),
        (2500, {**BASELINE, "earthsearch:boa_offset_applied": False}, {}),
        (1500, BASELINE, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}),
        (1500, {"s2:processing_baseline": "newest"}, {}),
    ],
)
def test_one_reflectance_has_one_brightness_whatever_is_stored(tmp_path, stored, properties, metadata):
    """A reflectance of 0.15 is the middle of 0 to 0.3, so 127 or 128 of 255."""
    with search_of(reflectance_item(tmp_path, "a", stored, properties, metadata)) as spec:
        imagery, pixels = read(f"{spec}&assets=red&scale=0,3000")
    assert pixels[20, 20, 0] in (127, 128)
    doubtful = properties.get("earthsearch:boa_offset_applied") is False
    assert [("boa_offset_applied" in note) for note in imagery.notes] == [True] * doubtful


def test_items_that_store_one_reflectance_by_different_scales_look_alike(tmp_path):
    """Two items state the scale that most have, one stores ten times finer numbers."""

    def item(name, stored, scale):
        return reflectance_item(tmp_path, name, stored, {}, {"raster:bands": [{"scale": scale}]})

    with search_of(item("a", 1500, 1e-4), item("b", 15_000, 1e-5), item("c", 1500, 1e-4)) as spec:
        imagery = open_imagery(f"{spec}&assets=red&scale=0,3000", region=HERE.extent)
        items = [item("a", 1500, 1e-4), item("b", 15_000, 1e-5)]
        seen = [
            changed(imagery, items=(one,), common_scale=1e-4).read(HERE).values[20, 20, 0] for one in items
        ]
    assert seen[0] == seen[1] in (127, 128)


@pytest.mark.parametrize("gsd", [float("inf"), float("nan"), 10**400, -1, 0, "30", True, [], None])
def test_a_ground_sample_distance_that_is_none_is_not_used(gsd):
    items = [{"properties": {"gsd": gsd}}, {"properties": {"gsd": 30}}]
    assert _finest_gsd_m(items) == 30.0
    assert _finest_gsd_m(items[:1]) == 10.0


def test_masks_of_classes_have_no_offset():
    item = stac_item("a", HERE, {"scl": "x.tif", "B04": "y.tif"}, **BASELINE)
    assert scale_and_offset(item, "scl") == (None, 0.0)
    assert scale_and_offset(item, "B04") == (None, -1000.0)


def test_a_search_that_gives_the_same_page_for_ever_ends_and_says_so(tmp_path):
    item = stac_item("a", HERE, {"visual": raster(tmp_path / "a.tif", flat(COLOURS))})
    roots = []

    def answer(path, body, ended):
        if body is None:
            return landing(roots[0])
        again = {"rel": "next", "href": f"{roots[0]}/search", "method": "POST", "body": body}
        return {"type": "FeatureCollection", "features": [item], "links": [again]}

    with json_server(answer) as (root, paths):
        roots.append(root)
        imagery, pixels = read(f"stac:{root}?collection=made")
    assert paths.count("/search") == 2
    assert imagery.notes == ("the server gave the same items again after 1 pages; it ends there",)
    np.testing.assert_array_equal(pixels[20, 20], [*COLOURS, 255])


def test_a_search_without_end_stops_at_its_limits_and_says_how_far_it_came(monkeypatch):
    roots, counter = [], iter(range(10**9))

    def answer(path, body, ended):
        if body is None:
            return landing(roots[0])
        following = {"rel": "next", "href": f"{roots[0]}/search", "method": "POST", "body": body}
        features = [stac_item(f"item {next(counter)}", HERE, {"visual": "x.tif"})]
        return {"type": "FeatureCollection", "features": features, "links": [following]}

    with json_server(answer) as (root, _):
        roots.append(root)
        spec = f"stac:{root}?collection=made"
        imagery = open_imagery(f"{spec}&max_items=7", region=HERE.extent)
        assert imagery.notes == ("the search ended at 7 items (max_items); there may be more",)
        for name, value, limit in (("MAX_PAGES", 5, "5 pages"), ("MAX_SEARCH_BYTES", 2000, "0.002 MB")):
            with monkeypatch.context() as patch:
                patch.setattr(stac_requests, name, value)
                with pytest.raises(ImageryError, match=rf"ended at {limit} \(\d+ answers, \d+ items"):
                    open_imagery(spec, region=HERE.extent)
        monkeypatch.setattr(stac_requests, "MAX_SEARCH_S", 0.0)
        with pytest.raises(ImageryError, match="the search was ended at 1 s"):
            open_imagery(spec, region=HERE.extent)


def test_a_server_that_never_answers_is_left(monkeypatch):
    monkeypatch.setattr(
        stac_requests, "POLICY", changed(stac_requests.POLICY, timeout_s=0.2, max_request_s=0.5)
    )

    def answer(path, body, ended):
        ended.wait(60)
        return {}

    with (
        json_server(answer) as (root, _),
        pytest.raises(ImageryError, match=r"the search of .* failed") as caught,
    ):
        open_imagery(f"stac:{root}?collection=made", region=HERE.extent)
    assert "\n" not in str(caught.value)


def test_nested_json_of_a_server_is_one_line():
    with (
        json_server(lambda path, body, ended: b"[" * 200_000) as (root, _),
        pytest.raises(ImageryError, match=r"the search of .* is broken") as caught,
    ):
        open_imagery(f"stac:{root}?collection=made", region=HERE.extent)
    assert len(str(caught.value)) < 500


def test_an_answer_without_end_is_left_at_its_limits():
    """One byte at a time, and more bytes than are read."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(2000):
                    self.wfile.write(b"x" if self.path == "/drip" else b"x" * 2**16)
                    self.wfile.flush()
                    if self.path == "/drip" and ended.wait(0.02):
                        return
            except OSError:
                return

        def log_message(self, *_):
            pass

    ended = threading.Event()
    with running(Handler) as server:
        root = f"http://127.0.0.1:{server.server_address[1]}"
        policy = FetchPolicy(timeout_s=5.0, max_request_s=0.5, max_answer_bytes=2**20)
        try:
            with pytest.raises(ImageryError, match=r"failed once in 0.5 s .*\d+ bytes in 0.5 s"):
                Fetcher("a", policy=policy).get(f"{root}/drip", "tile", bytes)
            with pytest.raises(ImageryError, match="more than 1 MiB, which is not read"):
                Fetcher("a", policy=changed(policy, max_request_s=60.0)).get(f"{root}/flood", "tile", bytes)
        finally:
            ended.set()


OUTSIDE, INSIDE = "https://93.184.216.34/stac", "http://127.0.0.1:8000/stac"
LEADS_INSIDE = [
    ("http://127.0.0.1/latest/meta-data", "at an address inside this network"),
    ("https://169.254.169.254/a.tif", "at an address inside this network"),
    ("http://[::ffff:10.0.0.1]/a.tif", "at an address inside this network"),
    ("file:///etc/hosts", "that is a file of this machine"),
    ("/etc/hosts", "that is a file of this machine"),
    ("/vsicurl/http://127.0.0.1/a.tif", "that is a file of this machine"),
    ("http://[", "at no valid address"),
]


@pytest.mark.parametrize(("href", "reason"), LEADS_INSIDE)
def test_a_catalogue_of_the_internet_does_not_lead_into_this_network(href, reason):
    """Addresses are numbers, so that no name is looked up; nothing is requested."""
    item = stac_item("a", HERE, {"visual": href})
    with pytest.raises(UnusableItemError, match=f"with an asset {reason}"):
        require_usable(item, Source(name="s", kind="stac", url=OUTSIDE))
    if reason != "at no valid address":
        require_usable(item, Source(name="s", kind="stac", url=INSIDE))
        require_usable(item, Source(name="s", kind="stac", url="/data/catalog.json"))
    for open_href in ("https://93.184.216.34/a.tif", "s3://bucket/a.tif"):
        require_usable(
            stac_item("a", HERE, {"visual": open_href}), Source(name="s", kind="stac", url=OUTSIDE)
        )


def static_catalogue(folder, *items):
    """Write a catalogue of files, whose items may be anything, and return how imagery names it."""
    links = []
    for number, item in enumerate(items):
        (folder / f"{number}.json").write_text(json.dumps(item))
        links.append({"rel": "item", "href": f"./{number}.json"})
    catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "d", "links": links}
    (folder / "catalog.json").write_text(json.dumps(catalogue))
    return f"stac:{folder}/catalog.json"


def test_an_item_of_a_static_catalogue_with_a_broken_address_or_date_is_counted(tmp_path):
    """One address that cannot be joined ended the whole search; an item of yesterday went uncounted."""
    good = raster(tmp_path / "a.tif", flat(COLOURS))
    broken = stac_item("broken", HERE, {"visual": "http://[x/a.tif"})
    undated = stac_item("undated", HERE, {"visual": good})
    undated["properties"]["datetime"] = "yesterday"
    sound = stac_item("sound", HERE, {"visual": good})
    sound["links"] = [{"rel": "item", "href": "http://[y"}]
    spec = static_catalogue(tmp_path, broken, undated, sound)
    imagery, pixels = read(f"{spec}?assets=visual&datetime=2020-01-01/2030-01-01")
    np.testing.assert_array_equal(pixels[20, 20], [*COLOURS, 255])
    assert [item["id"] for item in imagery.items] == ["sound"]
    assert sorted(imagery.notes) == [
        "1 item left out: with an asset at no valid address",
        "1 item left out: without a date",
    ]
    spec = static_catalogue(tmp_path, undated)
    assert read(f"{spec}?assets=visual")[1][20, 20, 3] == 255  # where no dates are asked for


@pytest.mark.parametrize("number", ["0", "00", "-1", "x", "1.5"])
def test_a_number_that_no_band_has_is_not_the_first_band(tmp_path, number):
    good = raster(tmp_path / "a.tif", flat(COLOURS))
    spec = static_catalogue(tmp_path, stac_item("a", HERE, {"visual": good}))
    with pytest.raises(ImageryError, match=rf"no item there .*without the asset 'visual\.{number}'"):
        read(f"{spec}?assets=visual.{number},visual.2,visual.3")


def test_a_token_in_the_addresses_of_an_item_is_not_stored(tmp_path):
    """Neither in the record of the items nor in the identity of an asset."""
    path = raster(tmp_path / "a.tif", flat(COLOURS))
    identities = []
    for token in ("1234567890abcdef", "fedcba0987654321"):
        item = stac_item("a", HERE, {"visual": path})
        item["links"] = [{"rel": "self", "href": f"https://example.org/a?access_token={token}"}]
        with search_of(item) as spec:
            imagery, _ = read(spec)
        assert token not in json.dumps(imagery.info.as_dict())
        assert "https://example.org/a?access_token=" in imagery.info.as_dict()["items"][0]["href"]
        identities.append(imagery.info.identity)
    assert identities[0] == identities[1]
