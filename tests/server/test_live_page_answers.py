"""What the page answers: two maps beside each other, photos, places within areas, files, refusals."""

import io
import json
from pathlib import Path

import numpy as np
from live_page import (
    NEEDS_PAGE,
    PATCH_CELLS,
    WINDOW,
    ask,
    boxes_of,
    open_page,
    pixels_at,
    screen_place,
    wait_for_shown,
    wait_until,
)
from PIL import Image

from sat2cap.geo import cell_lonlat
from sat2cap.server.nonsense import TEXTS

pytestmark = NEEDS_PAGE


def test_two_prompts_beside_each_other(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#compare")
    page.locator("#second").fill("a forest")
    wait_for_shown(page, {"prompt": "a forest"}, prompt="a beach")
    assert page.inner_text("#tag-left") == "a beach"
    assert page.inner_text("#tag-right") == "a forest"
    page.locator("#swipe").fill("100")
    page.wait_for_function("() => location.hash.includes('border=1')")
    beach_side = pixels_at(page, beach, PATCH_CELLS).sum(axis=1)
    page.locator("#swipe").fill("0")
    page.wait_for_function("() => location.hash.includes('border=0')")
    forest_side = pixels_at(page, beach, PATCH_CELLS).sum(axis=1)
    assert beach_side.min() > forest_side.max() + 100
    assert page.problems == []


def test_a_busy_server_is_asked_again(page, page_server):
    open_page(page, page_server.url)
    refused = []

    def refuse_once(route):
        if refused:
            return route.continue_()
        refused.append(route.request.url)
        headers = {"Retry-After": "1", "Content-Type": "application/json"}
        return route.fulfill(status=503, headers=headers, body='{"detail": "too many requests wait"}')

    page.route("**/scores?**", refuse_once)
    ask(page, "a beach")
    wait_until(page, "ready")
    assert len(refused) == 1
    assert "too many" not in page.inner_text("#answer").lower()


def test_a_prompt_that_is_refused_leaves_no_map_of_another(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    assert np.ptp(pixels_at(page, beach, PATCH_CELLS), axis=1).min() > 30  # the patch has a colour
    page.locator("#prompt").fill("photo:/etc/passwd")
    wait_until(page, "error")
    assert page.inner_text("#answer").startswith("The prompt names a file of the server")
    assert not page.is_visible("#retry"), "it would be refused again"
    page.wait_for_timeout(300)
    assert np.ptp(pixels_at(page, beach, PATCH_CELLS), axis=1).max() <= 15  # the ground's grey


def test_words_without_meaning_light_up_nothing_unless_asked(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, TEXTS[0])
    page.wait_for_selector("#anyway:not([hidden])")
    assert page.inner_text("#answer").startswith("Nothing here looks like this")
    grid = np.argwhere(np.ones((8, 10), bool)) * 4 + 2
    grey = pixels_at(page, beach, grid)
    assert np.ptp(grey, axis=1).max() <= 15
    page.click("#anyway")
    page.wait_for_function("() => location.hash.includes('anyway=yes')")
    page.wait_for_timeout(300)
    assert np.abs(pixels_at(page, beach, grid) - grey).max() > 60
    ask(page, "a beach")
    assert "anyway" not in page.url
    assert not page.is_visible("#anyway")
    assert np.ptp(pixels_at(page, beach, PATCH_CELLS), axis=1).min() > 30


IS_WHITE = "() => getComputedStyle(document.querySelector('#ask')).backgroundColor === 'rgb(255, 255, 255)'"
COLOURS = """() => {
  const style = getComputedStyle(document.querySelector('#ask'));
  return [style.backgroundColor, style.color].map((text) => text.match(/[0-9]+/g).slice(0, 3).map(Number));
}"""


def test_the_page_is_dark_where_the_machine_is(browser, page_server, beach):
    page = browser.new_page(viewport=WINDOW, color_scheme="dark")
    open_page(page, page_server.url)
    beside = np.array([[0, 0]])
    assert pixels_at(page, beach, beside).max() < 60
    paper, ink = page.evaluate(COLOURS)
    assert max(paper) < 60
    assert min(ink) > 200
    page.emulate_media(color_scheme="light")
    page.wait_for_function(IS_WHITE)
    page.wait_for_timeout(300)
    assert pixels_at(page, beach, beside).min() > 200
    page.close()


STARTS = {"tif": b"II", "png": b"\x89PNG", "geojson": b"{", "pmtiles": b"PMTiles"}


def test_the_map_is_downloaded_in_all_formats(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#show-files")
    for suffix, start in STARTS.items():
        with page.expect_download() as download:
            page.click(f"#file-{suffix}")
        assert download.value.suggested_filename == f"sat2cap.{suffix}"
        assert Path(download.value.path()).read_bytes().startswith(start)
    assert page.problems == []


FIRST_IS_OTHER = "first => document.querySelector('#places-list button').innerText !== first"


def test_places_within_areas_and_the_name_of_an_area(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#show-areas")
    content = json.dumps(boxes_of(beach)["features"][0]).encode()
    file = {"name": "a.geojson", "mimeType": "application/json", "buffer": content}
    page.set_input_files("#upload", files=[file])
    page.wait_for_selector("#zones table")
    x, y = screen_place(page, *(float(axis[28, 24]) for axis in cell_lonlat(beach.grid)))
    page.mouse.move(x - 6, y)
    page.mouse.move(x, y, steps=3)
    page.wait_for_selector(".hint")
    assert page.inner_text(".hint").startswith("dull: ")
    page.click("#show-places")
    page.wait_for_selector("#places-list button")
    within = page.inner_text("#places-list li:first-child button")
    page.uncheck("#within")
    page.wait_for_function(FIRST_IS_OTHER, arg=within)
    assert "places=all" in page.url
    assert page.problems == []


def test_a_photo_is_a_prompt(page, page_server, beach, checkpoint, monkeypatch):
    direction = checkpoint.embed_text(["a beach"])
    monkeypatch.setattr(type(checkpoint), "embed_ground", lambda self, pictures: direction, raising=False)
    monkeypatch.setattr(type(checkpoint), "has_ground_tower", True, raising=False)
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "teal").save(buffer, "JPEG")
    photo = {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
    open_page(page, page_server.url)
    assert page.is_visible("#photo-button")
    page.set_input_files("#photo", files=[photo])
    page.wait_for_function("() => document.querySelector('#prompt').value.startsWith('upload:')")
    wait_for_shown(page, prompt=page.input_value("#prompt"), scale="percentile")
    page.wait_for_selector("#photo-shown:not([hidden])")
    bright, dark = (
        pixels_at(page, beach, cells).sum(axis=1) for cells in (PATCH_CELLS, np.array([[30, 12]]))
    )
    assert bright.min() > dark.max() + 60
    page.mouse.click(*screen_place(page, *(float(axis[12, 24]) for axis in cell_lonlat(beach.grid))))
    page.wait_for_selector("#like-this")
    ask(page, "a beach")
    assert page.input_value("#scale") == "contrast", "words have a chance again"
    assert not page.is_visible("#photo-shown")
    page.set_input_files("#photo", files=[photo | {"buffer": b"no picture"}])
    wait_until(page, "error")
    assert page.inner_text("#answer").startswith("The photo cannot be used: not JPEG")


DROP = """() => {
  const transfer = new DataTransfer();
  transfer.items.add(new File(["x"], "a.png", { type: "image/png" }));
  const drop = new DragEvent("drop", { dataTransfer: transfer, bubbles: true });
  document.querySelector("#map").dispatchEvent(drop);
}"""


def test_photos_are_not_offered_where_they_can_only_be_refused(page, page_server):
    open_page(page, page_server.url)
    assert not page.is_visible("#photo-button")
    assert not page.locator("#photo").evaluate("one => one.checkVisibility()"), "no key leads there either"
    page.evaluate(DROP)
    wait_until(page, "error")
    assert page.inner_text("#answer").startswith("This server cannot read photos; describe in words")
