"""The page in a real browser: a prompt lights up the right cells, and a link is a map."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from live_page import NEEDS_PAGE, WINDOW, ask, boxes_of, open_page, pixels_at, wait_for_shown, wait_until

import sat2cap
from sat2cap.server.settings import ServerSettings

pytestmark = NEEDS_PAGE


def test_a_prompt_lights_up_the_cells_that_show_it(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    inside = np.argwhere(np.ones((4, 6), bool)) + np.array([11, 21])
    outside = np.array([(row, col) for row in (11, 13, 20, 30) for col in (12, 30, 36)])
    bright, dark = (pixels_at(page, beach, cells).sum(axis=1) for cells in (inside, outside))
    assert bright.min() > dark.max() + 100
    assert page.problems == []


def test_a_link_is_a_map_and_the_back_button_goes_back(page, page_server, browser):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.locator("#prompt").press("Enter")
    page.locator("#colours").select_option("viridis")
    ask(page, "a forest")
    page.locator("#prompt").press("Enter")
    link = page.evaluate("() => location.href")
    other = browser.new_page(viewport=WINDOW)
    open_page(other, link)
    wait_for_shown(other, prompt="a forest")
    assert other.input_value("#prompt") == "a forest"
    assert other.input_value("#colours") == "viridis"
    other.close()
    page.go_back()
    page.wait_for_function("() => document.querySelector('#prompt').value === 'a beach'")


def test_time_places_points_and_files(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.locator("#month").fill("7")
    page.wait_for_function("() => location.hash.includes('month=7')")
    assert page.inner_text("#month-text") == "Jul"
    page.click("#show-places")
    page.wait_for_selector("#places-list button")
    assert page.inner_text("#atlas-name") == "beach"
    assert page.inner_text("#atlas-facts") == "1,960 cells of 480 m"
    assert page.inner_text("#legend-about") == "15 July 2024, 12:00"
    page.click("#show-files")
    assert "format=tif" in page.get_attribute("#file-tif", "href")
    for kind in ("tile", "wmts"):
        address = page.input_value(f"#{kind}-address")
        assert address.startswith(f"{page_server.url}api/atlases/beach/")
        assert "when=2024-07-15T12%3A00" in address
        assert "colormap_name=magma" in address
    page.click("#copy-tiles")
    page.wait_for_function("() => document.querySelector('#copy-tiles').textContent.startsWith('Copied')")
    page.mouse.click(700, 360)
    page.wait_for_selector("#place dl")
    page.wait_for_selector("#place-charts svg >> nth=1")
    assert "Through the year" in page.inner_text("#place")
    assert page.problems == []


def test_an_area_that_is_drawn_gets_its_mean_and_is_in_the_link(page, page_server, browser):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#show-areas")
    page.click("#draw")
    for x, y in ((640, 330), (760, 330), (700, 420)):
        page.mouse.click(x, y)
    page.click("#draw")
    page.wait_for_selector("#zones table")
    assert "area 1" in page.inner_text("#zones")
    mean = page.inner_text("#zones td:nth-child(2)")
    other = browser.new_page(viewport=WINDOW)
    open_page(other, page.url)
    other.wait_for_selector("#zones table")
    assert other.inner_text("#zones td:nth-child(2)") == mean
    other.close()


def test_areas_of_a_file_are_coloured_by_their_mean(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#show-areas")
    content = json.dumps(boxes_of(beach)).encode()
    page.set_input_files(
        "#upload", files=[{"name": "a.geojson", "mimeType": "application/json", "buffer": content}]
    )
    page.wait_for_selector("#zones table")
    assert [row.split("\t")[0] for row in page.locator("#zones tbody tr").all_inner_texts()] == [
        "sandy",
        "dull",
    ]
    swatches = page.eval_on_selector_all(
        "#zones .swatch", "all => all.map(one => getComputedStyle(one).backgroundColor)"
    )
    assert swatches == ["rgb(252, 253, 191)", "rgb(0, 0, 4)"]  # the ends of magma
    assert page.is_visible("#zones-bar")
    page.uncheck("#colour-areas")
    page.wait_for_function("() => location.hash.includes('areas=outlines')")
    assert page.locator("#zones-bar").count() == 0
    assert page.problems == []


def test_a_difference_of_two_months_has_its_own_colours_and_a_link(page, page_server, browser):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.locator("#month").fill("7")
    page.click("#compare")
    page.select_option("#second-month", "1")
    page.click("#show-difference")
    wait_for_shown(page, minusWhen="2024-01-15T12:00", when="2024-07-15T12:00")
    assert page.inner_text("#legend-title") == "Difference"
    low, *_, high = page.locator("#legend-ticks span").all_inner_texts()
    assert low == f"-{high}"
    other = browser.new_page(viewport=WINDOW)
    open_page(other, page.url)
    wait_for_shown(other, minusWhen="2024-01-15T12:00", when="2024-07-15T12:00")
    other.close()
    page.go_back()
    page.wait_for_function("() => !location.hash.includes('show=difference')")
    assert page.get_attribute("#show-swipe", "aria-pressed") == "true"
    assert page.problems == []


def test_a_key_is_asked_for_once_and_sent_here_only(browser, beach, checkpoint, page_server):
    elsewhere = f"{page_server.url}api/atlases/beach/imagery/{{z}}/{{x}}/{{y}}.webp?base"
    settings = ServerSettings(port=0, api_key="open sesame", base_map=elsewhere)
    with sat2cap.serve(beach.path, model=checkpoint, settings=settings) as server:
        page = browser.new_page(viewport=WINDOW)
        page.goto(server.url)
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", "wrong")
        page.press("#key", "Enter")
        page.wait_for_function(
            "() => document.querySelector('#key-problem').textContent.includes('not accepted')"
        )
        page.fill("#key", "open sesame")
        page.press("#key", "Enter")
        wait_until(page, "empty")
        ask(page, "a beach")
        page.click("#show-files")
        with page.expect_download() as download:
            page.click("#file-tif")
        assert Path(download.value.path()).read_bytes()[:2] == b"II"
        assert "sesame" not in page.evaluate("() => location.href + JSON.stringify(localStorage)")
        assert page.inner_text("#base-map-host") == urlsplit(page_server.url).netloc
        asked = []
        page.on("request", lambda request: asked.append(request) if "?base" in request.url else None)
        page.evaluate("() => { location.hash += '&z=9'; }")
        assert asked == [], "nothing is asked for elsewhere before it is turned on"
        with page.expect_request("**?base") as request:
            page.check("#base-map")
        assert "x-api-key" not in request.value.all_headers()
        assert "beach" not in request.value.all_headers().get("referer", "")
        page.close()


def test_a_server_that_has_gone_is_waited_for(page, beach, checkpoint):
    server = sat2cap.serve(beach.path, model=checkpoint)
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    open_page(page, server.url)
    ask(page, "a beach")
    server.stop()
    page.locator("#prompt").fill("a forest")
    wait_until(page, "offline")
    assert "does not answer" in page.inner_text("#answer")
    with sat2cap.serve(beach.path, model=checkpoint, port=port):
        wait_for_shown(page, prompt="a forest")
        wait_until(page, "ready")


def test_the_keyboard_alone_will_do(page, page_server):
    open_page(page, page_server.url)
    assert page.evaluate("() => document.activeElement.id") == "prompt"
    page.keyboard.type("a beach")
    wait_for_shown(page, prompt="a beach")
    page.focus("#month")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => location.hash.includes('month=1')")
    page.focus("#show-places")
    page.keyboard.press("Enter")
    page.wait_for_selector("#places-list button")
    page.keyboard.press("Escape")
    assert not page.is_visible("#panel")
    assert page.evaluate("() => document.activeElement.id") == "show-places"
    page.keyboard.press("?")
    assert page.is_visible("#help-dialog")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help-dialog")
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen


def test_the_hours_play_until_escape(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#play-hour")
    page.wait_for_function("() => location.hash.includes('hour=15')")
    page.keyboard.press("Escape")
    assert page.get_attribute("#play-hour", "aria-pressed") == "false"
    assert page.problems == []


AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.skipif(not AXE.is_file(), reason="no axe-core here; in web/: npm install")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1280])
def test_axe_sees_nothing_serious(page, page_server, scheme, width_px):
    page.set_viewport_size({"width": width_px, "height": 800})
    page.emulate_media(color_scheme=scheme)
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.evaluate(AXE.read_text())
    for button, inside in (
        (None, "#legend"),
        ("#show-places", "#places-list button"),
        ("#show-areas", "#zones p"),
        ("#show-files", "#file-tif"),
        ("#compare", "#second"),
    ):
        if button:
            page.click(button)
        page.wait_for_selector(inside)
        found = page.evaluate("async () => (await axe.run()).violations")
        serious = [
            (rule["id"], node["html"][:200])
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]
        assert serious == []


def test_hostile_prompts_are_shown_as_they_are(page, page_server):
    open_page(page, page_server.url)
    for prompt in ("<img src=x onerror=alert(1)>", "{{7*7}} ${7*7}", "‮مرحبا 🏖️", "../../etc/passwd"):
        ask(page, prompt)
        page.locator("#prompt").press("Enter")
    assert page.locator("#chips img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#chips")
    page.locator("#prompt").fill("photo:/etc/passwd")
    wait_until(page, "error")
    assert "names a file of the server" in page.inner_text("#answer")


LAYOUT = """() => {
  const boxes = (selector) => [...document.querySelectorAll(selector)]
    .filter((element) => element.checkVisibility() && !element.closest(".hidden, #chips, #map"))
    .map((element) => [element.id || element.tagName, element.getBoundingClientRect()]);
  const outside = boxes("input, select, button, output, a, label, p").filter(
    ([, box]) => box.width && (box.left < 0 || box.right > innerWidth + 0.5)).map(([name]) => name);
  const sections = boxes("section, aside");
  const overlapping = sections.flatMap(([a, first], i) => sections.slice(i + 1)
    .filter(([, second]) => first.bottom > second.top + 0.5 && second.bottom > first.top + 0.5
      && first.right > second.left + 0.5 && second.right > first.left + 0.5)
    .map(([b]) => `${a} and ${b}`));
  return { outside, overlapping, width: document.documentElement.scrollWidth };
}"""
"""Controls outside the window, pairs of sections that overlap, and how wide the document is, in pixels."""


@pytest.mark.parametrize("font_px", [16, 20])
@pytest.mark.parametrize("width_px", [360, 390, 1280])
def test_it_fits_a_window_with_any_size_of_letters(page, page_server, width_px, font_px):
    page.set_viewport_size({"width": width_px, "height": 844})
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.evaluate("size => { document.documentElement.style.fontSize = `${size}px`; }", font_px)
    layout = page.evaluate(LAYOUT)
    assert layout == {"outside": [], "overlapping": [], "width": width_px}
