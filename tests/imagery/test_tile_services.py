"""Tile services: the right pixels of the right zoom, from servers slow, failing, strict or broken."""

import io
import pickle
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from servers import GARBLED, TRUNCATED, after, late, no_fault, tile_box, tile_server

from sat2cap.errors import ImageryError, JobError
from sat2cap.geo.grid import cell_grid, patch_around, patch_box
from sat2cap.geo.region import parse_region
from sat2cap.http import FetchPolicy, policy
from sat2cap.imagery.protocol import PartlyReadError
from sat2cap.imagery.tiles.reader import decode_tile
from sat2cap.imagery.tiles.service import RecentTiles, open_tiles
from sat2cap.imagery.tiles.template import TileTemplate, is_template, quadkey_of
from sat2cap.miniworld.world import MiniImagery, World

GROUND = MiniImagery(World(2))
HERE = patch_around(70.1, 46.1, 480, 224)
HASTY = FetchPolicy(max_attempts=3, first_backoff_s=0.01, timeout_s=2)


@pytest.fixture(scope="module")
def running():
    with tile_server(GROUND) as server:
        yield server


@pytest.fixture
def server(running):
    running.rest()
    return running


def difference(first, second):
    return np.abs(first[..., :3].astype(int) - second[..., :3].astype(int))


@pytest.mark.parametrize(("lon", "lat"), [(70.1, 46.1), (179.999, 10.0), (-180.0, -20.0), (5.0, -60.0)])
def test_tiles_give_the_ground_they_were_made_of(server, lon, lat):
    box = patch_around(lon, lat, 480, 224)
    imagery = open_tiles(server.url).read(box)
    assert imagery.dims == ("y", "x", "band")
    assert (imagery.values[..., 3] == 255).all()
    truth = GROUND.read(box).values
    shifted = np.roll(truth, 3, axis=1)  # what being 3 px off would look like
    assert difference(imagery.values, truth).mean() < 2
    assert difference(imagery.values, truth).mean() < difference(imagery.values, shifted).mean() / 2


def test_zoom_is_the_coarsest_that_is_fine_enough(server):
    imagery = open_tiles(server.url)
    for lat in (0, 20, 46, 52, 65, 75):
        for step_m in (0.5, 2.14, 10.0, 300.0):
            zoom = imagery.zoom_for(patch_around(20, lat, step_m * 64, 64))
            metres = [156543.03392804097 * np.cos(np.radians(lat)) / 2**z for z in (zoom, zoom - 1)]
            assert metres[0] <= step_m * 1.02 < metres[1] * 1.02, (lat, step_m)
    assert open_tiles(server.url, zooms=(3, 12)).zoom_for(HERE) == 12
    assert open_tiles(server.url, zooms=(18, 19)).zoom_for(HERE) == 18
    assert open_tiles(server.url, tile_pixels=512).zoom_for(HERE) == imagery.zoom_for(HERE) - 1
    imagery.read(HERE)
    needed = 480 * 480 / (256 * 156543.03 * np.cos(np.radians(46.1)) / 2**16) ** 2
    assert {z for z, _, _ in server.asked} == {16}
    assert len(server.asked) <= (np.sqrt(needed) + 2) ** 2


def test_a_neighbouring_read_joins_and_asks_for_no_tile_twice(server):
    imagery = open_tiles(server.url)
    grid = cell_grid(parse_region("70.1,46.1,700"))
    both = imagery.read(patch_box(grid, slice(0, 1), slice(0, 2), 224)).values
    right = imagery.read(patch_box(grid, slice(0, 1), slice(1, 2), 224)).values
    assert difference(both[:, 224:], right).max() <= 3
    assert set(server.asked.values()) == {1}


def test_what_fails_at_first_is_tried_again_until_it_comes(server):
    whole = open_tiles(server.url).read(HERE).values
    for fault in (500, 503, 429, TRUNCATED, GARBLED, after(0), late(0.1)):
        server.faults = lambda tile, nth, fault=fault: fault if nth < 2 else None
        server.asked.clear()
        pixels = open_tiles(server.url, policy=HASTY).read(HERE).values
        np.testing.assert_array_equal(pixels, whole, err_msg=str(fault))
        assert set(server.asked.values()) == {1 if fault == late(0.1) else 3}, fault


def test_a_tile_that_never_comes_costs_its_own_pixels_only(server):
    imagery = open_tiles(server.url)
    whole = imagery.read(HERE).values
    broken = sorted(server.asked)[0]
    server.faults = lambda tile, nth: 500 if tile == broken else None
    with pytest.raises(PartlyReadError, match=r"1 of \d+ tiles failed.*500") as caught:
        open_tiles(server.url, policy=HASTY).read(HERE)
    pixels, failed = caught.value.pixels.values, caught.value.failed
    assert 0 < failed.sum() < failed.size
    assert not pixels[failed].any()
    np.testing.assert_array_equal(pixels[~failed], whole[~failed])
    # the failed pixels are those that lie in the broken tile
    edge = tile_box(broken).extent.to_crs(HERE.crs)
    share = edge.intersection(HERE.extent).area / HERE.extent.area
    assert failed.mean() == pytest.approx(share, abs=0.02)
    server.faults = lambda tile, nth: 500
    with pytest.raises(PartlyReadError, match=r"^tile .* failed 3 times") as caught:
        open_tiles(server.url, policy=HASTY).read(HERE)
    assert caught.value.failed.all()


def test_a_slow_server_is_given_up_on(server):
    server.faults = lambda tile, nth: late(1.0)
    hasty = FetchPolicy(max_attempts=2, first_backoff_s=0.01, timeout_s=0.1)
    with pytest.raises(ImageryError, match=r"failed 2 times \(timed out\)"):
        open_tiles(server.url, policy=hasty).read(HERE)


def test_a_pause_that_one_request_is_asked_for_holds_for_all(server):
    """No request comes in while the server has asked to be left alone."""
    pause_starts, request_times = [], []

    def strict(tile, nth):
        request_times.append(time.monotonic())
        if not pause_starts:
            pause_starts.append(time.monotonic())
            return after(0.6)
        return None

    server.faults = strict
    open_tiles(server.url, policy=FetchPolicy(max_concurrent=2, first_backoff_s=0.01)).read(HERE)
    early = [t for t in request_times if pause_starts[0] + 0.1 < t < pause_starts[0] + 0.59]
    assert early == []
    assert len(request_times) == len(server.asked) + 1


def test_a_server_that_lets_few_in_at_a_time_costs_no_tile_and_is_asked_more_slowly(server, monkeypatch):
    """It answers two requests in each tenth of a second, as services with a rate limit do.

    It also refuses the first request for each of three tiles, so that the limit is met on a machine that
    is too busy to ask quickly.
    """
    monkeypatch.setattr(policy, "_FIRST_INTERVAL_S", 0.01)
    monkeypatch.setattr(policy, "_LONGEST_INTERVAL_S", 0.1)
    tiles = [(14, 9000 + number, 5000) for number in range(40)]
    slots, refused = Counter(), []

    def limited(tile, nth):
        slot = int(time.monotonic() * 10)
        slots[slot] += 1
        if slots[slot] > 2 or (tile in tiles[:3] and nth == 0):
            refused.append(tile)
            return after(0.1)
        return None

    server.faults = limited
    results = dict(
        open_tiles(server.url, policy=FetchPolicy(max_attempts=2, first_backoff_s=0.01)).store.fetch(tiles)
    )
    assert not [result for result in results.values() if isinstance(result, ImageryError)]
    assert 3 <= len(refused) < len(tiles), "spaced, most requests are answered"


def test_a_server_that_never_lets_anyone_in_is_given_up_on_once_for_all(server, monkeypatch):
    monkeypatch.setattr(policy, "MAX_PAUSE_S", 0.25)
    monkeypatch.setattr(policy, "_LONGEST_INTERVAL_S", 0.01)
    server.faults = lambda tile, nth: after(0.1)
    store = open_tiles(server.url, policy=FetchPolicy(max_concurrent=1)).store
    tiles = [(14, 9000 + number, 5000) for number in range(4)]
    reasons = [str(result) for _, result in store.fetch(tiles)]
    assert all("had to wait too often (429 Too Many Requests)" in reason for reason in reasons)
    assert [server.asked[tile] for tile in tiles] == [3, 1, 1, 1]
    server.faults = no_fault
    assert not isinstance(dict(store.fetch(tiles))[tiles[0]], ImageryError), "it is tried again all the same"


def test_an_answer_that_is_no_image_says_what_it_is(server):
    server.faults = lambda tile, nth: GARBLED
    with pytest.raises(ImageryError, match=r"failed 3 times \(the answer, of no stated type, is broken: "):
        open_tiles(server.url, policy=HASTY).read(HERE)
    with pytest.raises(ValueError, match=r"^not JPEG, PNG, WebP"):
        decode_tile(b"<html>quota exceeded</html>")


def test_a_server_that_asks_for_an_hour_is_not_waited_for(server):
    server.faults = lambda tile, nth: after(3600)
    with pytest.raises(ImageryError, match="try again in 3600 s"):
        open_tiles(server.url, policy=HASTY).read(HERE)
    assert set(server.asked.values()) == {1}


def test_no_more_at_once_than_agreed(server):
    server.faults = lambda tile, nth: late(0.02)
    open_tiles(server.url, policy=FetchPolicy(max_concurrent=3)).read(patch_around(70.3, 46.3, 1500, 700))
    assert server.most_at_once == 3
    assert {head["User-Agent"].split("/")[0] for head in server.headers} == {"sat2cap"}


def test_missing_tiles_are_no_data_and_refusals_are_said(server):
    server.faults = lambda tile, nth: 404
    assert not open_tiles(server.url).read(HERE).values.any()
    server.faults = lambda tile, nth: 403
    server.asked.clear()
    with pytest.raises(ImageryError, match=r"refused \(403 Forbidden\)"):
        open_tiles(server.url).read(HERE)
    assert set(server.asked.values()) == {1}, "a refusal is not argued with"
    server.faults = lambda tile, nth: 401
    with pytest.raises(JobError, match="check the key or token"):
        open_tiles(server.url).read(HERE)


def test_secrets_are_sent_but_never_kept(server, monkeypatch):
    url, headers = server.url + "?key=${TILE_KEY}", {"Authorization": "Bearer ${TILE_TOKEN}"}
    with pytest.raises(ImageryError, match="needs TILE_KEY from the environment"):
        open_tiles(url)
    monkeypatch.setenv("TILE_KEY", "k3y")
    with pytest.raises(ImageryError, match="export TILE_TOKEN="):
        open_tiles(url, headers=headers)
    monkeypatch.setenv("TILE_TOKEN", "t0ken")
    imagery = open_tiles(url, headers=headers, policy=HASTY)
    imagery.read(HERE)
    assert set(server.queries) == {"key=k3y"}
    assert {head["Authorization"] for head in server.headers} == {"Bearer t0ken"}
    server.faults = lambda tile, nth: 500
    with pytest.raises(ImageryError) as caught:
        open_tiles(url, headers=headers, policy=HASTY).read(HERE)
    stored = f"{imagery.info} {caught.value} {pickle.dumps(imagery)!r} {imagery!r}"
    assert "k3y" not in stored
    assert "t0ken" not in stored


def test_a_cache_on_disk_serves_the_next_run_and_heals(server, tmp_path):
    whole = open_tiles(server.url, cache=tmp_path).read(HERE).values
    first = len(server.asked)
    server.asked.clear()
    np.testing.assert_array_equal(open_tiles(server.url, cache=tmp_path).read(HERE).values, whole)
    assert not server.asked
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(files) == first
    files[0].write_bytes(files[0].read_bytes()[:100])  # the machine went down while it was written
    np.testing.assert_array_equal(open_tiles(server.url, cache=tmp_path).read(HERE).values, whole)
    assert sum(server.asked.values()) == 1
    server.faults = lambda tile, nth: 404
    elsewhere = patch_around(71, 46, 480, 224)
    assert not open_tiles(server.url, cache=tmp_path).read(elsewhere).values.any()
    server.asked.clear()
    assert not open_tiles(server.url, cache=tmp_path).read(elsewhere).values.any()
    assert not server.asked, "that a tile is not there is remembered too"


def test_bounds_keep_requests_inside(server):
    imagery = open_tiles(server.url, bounds=(70, 46, 70.2, 46.2))
    assert not imagery.read(patch_around(71, 46.1, 480, 64)).values.any()
    assert not imagery.read(GeoBox.from_bbox((-10, 86, 10, 89), "EPSG:4326", shape=(8, 8))).values.any()
    assert not server.asked
    assert imagery.footprint.boundingbox.bbox == (70, 46, 70.2, 46.2)
    imagery.read(HERE)
    assert server.asked


def test_tiles_of_another_size_are_one_clear_line(server):
    with pytest.raises(ImageryError, match=r"a tile is 256 x 256 px, not 512 px wide.*tile_pixels"):
        open_tiles(server.url, tile_pixels=512).read(HERE)


@pytest.mark.parametrize(("rgba", "expected"), [((0, 0, 0, 0), None), ((9, 8, 7, 255), (9, 8, 7))])
def test_a_tile_of_one_pixel_is_blank_ground(server, rgba, expected):
    """Services send it for sea and sky; it costs nothing but its own ground."""
    imagery = open_tiles(server.url)
    whole = imagery.read(HERE).values
    blank = sorted(server.asked)[0]
    one_pixel = io.BytesIO()
    Image.new("RGBA", (1, 1), rgba).save(one_pixel, "PNG")
    body = server.body
    server.body = lambda tile: one_pixel.getvalue() if tile == blank else body(tile)
    try:
        pixels = open_tiles(server.url).read(HERE).values
    finally:
        del server.body
    changed = (pixels != whole).any(-1)
    assert 0 < changed.mean() < 1
    inside = pixels[:20, :20]  # of the blank tile, which is the first: the upper left one
    if expected is None:
        assert not inside.any()
    else:
        assert (inside[..., :3] == expected).all()


def test_a_read_that_would_take_thousands_of_tiles_is_refused_unasked(server):
    """A service without coarse zooms, and ground much wider than its finest tiles: memory and manners."""
    deep = open_tiles(server.url, zooms=(16, 19))
    with pytest.raises(ImageryError, match=r"zoom 16 is its coarsest, and this read would take \d+ tiles"):
        deep.read(GeoBox((448, 448), Affine(200, 0, 600000, 0, -200, 5100000), "EPSG:32642"))
    assert not server.asked


def test_it_travels_to_other_processes(server):
    imagery = open_tiles(server.url)
    before = imagery.read(HERE).values
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(imagery)).read(HERE).values, before)


def test_addresses():
    tile = (3, 5, 2)
    assert quadkey_of((3, 3, 5)) == "213"  # the example of Bing's documentation
    for template, url in {
        "https://a/{z}/{x}/{y}.png": "https://a/3/5/2.png",
        "https://a/{z}/{x}/{-y}.png": "https://a/3/5/5.png",
        "https://a/{q}?n=1": "https://a/123?n=1".replace("123", quadkey_of(tile)),
        "https://a/{quadkey}": f"https://a/{quadkey_of(tile)}",
        "https://a?m={TileMatrix}&r={TileRow}&c={TileCol}": "https://a?m=3&r=2&c=5",
        "https://{switch:a,b}.x/{z}/{y}/{x}": "https://b.x/3/2/5",
    }.items():
        assert TileTemplate(template).url_of(tile) == url
        assert is_template(template)
    assert not is_template("s3://bucket/a.tif")
    assert not is_template("folder/{a}.tif")
    for wrong, rule in (("https://a/{z}/{x}.png", "which tile"), ("https://a/{z}/{x}/{y}/{k}", r"\{k\}")):
        with pytest.raises(ImageryError, match=rule):
            TileTemplate(wrong)


def test_what_is_kept_in_memory_is_bounded():
    recent = RecentTiles(limit_bytes=100)
    for x in range(20):
        recent.put((9, x, 0), bytes(30))
        recent.get((9, 0, 0))
    in_memory = [x for x in range(20) if recent.get((9, x, 0)) is not None]
    assert in_memory == [0, 18, 19]


def test_a_large_read_is_put_together_of_parts(server):
    from sat2cap.imagery.pixels import split_parts

    box = GeoBox((3000, 4100), HERE.affine, HERE.crs)
    covered = np.zeros(box.shape, int)
    for rows, cols in split_parts(box):
        covered[rows, cols] += 1
        assert (rows.stop - rows.start) * (cols.stop - cols.start) <= 2048**2
    assert (covered == 1).all()
    assert all(a != b for a, b in pairwise(split_parts(box)))
