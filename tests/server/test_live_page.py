"""The page in a real browser: a prompt lights up the right cells, and a link is a map."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_model import atlas as make_atlas
from made_model import unit

import sat2cap
from sat2cap.geo import cell_lonlat
from sat2cap.server.app import find_page
from sat2cap.server.settings import ServerSettings

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
WAIT_MS = 30_000

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt-get install chromium"),
    pytest.mark.skipif(
        find_page() is None, reason="the page is not built; in web/: npm install && npm run build"
    ),
    pytest.mark.timeout(300),
]

PATCH = (slice(10, 16), slice(20, 28))
"""Rows and columns of the cells that look like a beach."""


@pytest.fixture(scope="module")
def beach(tmp_path_factory, checkpoint):
    """An atlas in which a patch of cells is exactly what "a beach" means, and the rest is its opposite."""
    direction = checkpoint.embed_text(["a beach"])[0]
    values = np.tile(-direction, (40, 50, 1)).astype(np.float32)
    values += 0.1 * unit(np.random.default_rng(0).normal(size=values.shape))
    values[PATCH] = direction
    path = tmp_path_factory.mktemp("page") / "beach.zarr"
    return make_atlas(path, values, checkpoint, np.zeros((40, 50), bool))


@pytest.fixture(scope="module")
def server(beach, checkpoint):
    with sat2cap.serve(beach.path, model=checkpoint) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.set_default_timeout(WAIT_MS)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda line: keep_problem(page, line))
    yield page
    page.close()


def keep_problem(page, line):
    """Keep an error of the console, but for imagery that is not there and requests that were overtaken."""
    if line.type == "error" and not ("/imagery/" in line.location["url"] or "409" in line.text):
        page.problems.append(line.text)


def open_page(page, url):
    """Open an address and wait until the atlas is there."""
    page.goto(url)
    wait_until(page, "empty", "ready")


def wait_until(page, *states):
    page.wait_for_function(
        "states => states.includes(document.querySelector('#page').dataset.state)", arg=list(states)
    )


def ask(page, prompt):
    """Type a prompt and wait until the map shows it."""
    page.locator("#prompt").fill(prompt)
    wait_for_shown(page, prompt=prompt)


def wait_for_shown(page, other=None, **wanted):
    """Wait until the map on the screen is that of a question, and of another beside it if one is wanted."""
    page.wait_for_function(
        """([wanted, other]) => {
          const shown = JSON.parse(document.querySelector('#page').dataset.shown ?? '[]');
          const fits = (question, parts) =>
            question && Object.entries(parts).every(([name, value]) => question[name] === value);
          return fits(shown[0], wanted) && (other === null || fits(shown[1], other));
        }""",
        arg=[wanted, other],
    )


def pixels_at(page, beach, cells):
    """Colours of the map where cells lie, `[n, 3]`; the camera's centre and zoom are in the address."""
    import io
    from urllib.parse import parse_qs

    from PIL import Image

    state = {key: value[0] for key, value in parse_qs(page.evaluate("() => location.hash.slice(1)")).items()}
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    lon, lat = cell_lonlat(beach.grid)
    size = 512 * 2 ** float(state["z"])

    def project(lon, lat):
        sine = np.sin(np.radians(lat))
        return size * (lon / 360 + 0.5), size * (0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi))

    x0, y0 = project(float(state["lon"]), float(state["lat"]))
    x, y = project(lon[tuple(cells.T)], lat[tuple(cells.T)])
    return picture[np.round(y - y0 + 360).astype(int), np.round(x - x0 + 640).astype(int)].astype(int)


def test_a_prompt_lights_up_the_cells_that_show_it(page, server, beach):
    open_page(page, server.url)
    ask(page, "a beach")
    inside = np.argwhere(np.ones((4, 6), bool)) + np.array([11, 21])
    outside = np.array([(row, col) for row in (11, 13, 20, 30) for col in (12, 30, 36)])
    bright, dark = (pixels_at(page, beach, cells).sum(axis=1) for cells in (inside, outside))
    assert bright.min() > dark.max() + 100
    assert page.problems == []


def test_a_link_is_a_map_and_the_back_button_goes_back(page, server, browser):
    open_page(page, server.url)
    ask(page, "a beach")
    page.locator("#prompt").press("Enter")
    page.locator("#colours").select_option("viridis")
    ask(page, "a forest")
    page.locator("#prompt").press("Enter")
    link = page.evaluate("() => location.href")
    other = browser.new_page(viewport={"width": 1280, "height": 720})
    open_page(other, link)
    wait_for_shown(other, prompt="a forest")
    assert other.input_value("#prompt") == "a forest"
    assert other.input_value("#colours") == "viridis"
    other.close()
    page.go_back()
    page.wait_for_function("() => document.querySelector('#prompt').value === 'a beach'")


def test_time_places_points_and_files(page, server):
    open_page(page, server.url)
    ask(page, "a beach")
    page.locator("#month").fill("7")
    page.wait_for_function("() => location.hash.includes('month=7')")
    assert page.inner_text("#month-text") == "Jul"
    page.click("#show-places")
    page.wait_for_selector("#places-list button")
    page.click("#show-files")
    assert "format=tif" in page.get_attribute("#file-tif", "href")
    page.mouse.click(700, 360)
    page.wait_for_selector("#place dl")
    page.wait_for_selector("#place svg:nth-of-type(2)")
    assert "Through the year" in page.inner_text("#place")
    assert page.problems == []


def test_an_area_that_is_drawn_gets_its_mean_and_is_in_the_link(page, server, browser):
    open_page(page, server.url)
    ask(page, "a beach")
    page.click("#show-areas")
    page.click("#draw")
    for x, y in ((640, 330), (760, 330), (700, 420)):
        page.mouse.click(x, y)
    page.click("#draw")
    page.wait_for_selector("#zones table")
    assert "area 1" in page.inner_text("#zones")
    mean = page.inner_text("#zones td:nth-child(2)")
    other = browser.new_page(viewport={"width": 1280, "height": 720})
    open_page(other, page.url)
    other.wait_for_selector("#zones table")
    assert other.inner_text("#zones td:nth-child(2)") == mean
    other.close()


def boxes_of(beach):
    """Two areas as GeoJSON: one within the beach, one far from it."""
    lon, lat = cell_lonlat(beach.grid)

    def box(name, rows, cols):
        corners = [(rows[0], cols[0]), (rows[0], cols[1]), (rows[1], cols[1]), (rows[1], cols[0])]
        ring = [[float(lon[corner]), float(lat[corner])] for corner in [*corners, corners[0]]]
        return {
            "type": "Feature",
            "properties": {"name": name},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }

    return {
        "type": "FeatureCollection",
        "features": [box("dull", (25, 32), (20, 28)), box("sandy", (11, 14), (21, 26))],
    }


def test_areas_of_a_file_are_coloured_by_their_mean(page, server, beach):
    open_page(page, server.url)
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


def test_a_difference_of_two_months_has_its_own_colours_and_a_link(page, server, browser):
    open_page(page, server.url)
    ask(page, "a beach")
    page.locator("#month").fill("7")
    page.click("#compare")
    page.select_option("#second-month", "1")
    page.click("#show-difference")
    wait_for_shown(page, minusWhen="2024-01-15T12:00", when="2024-07-15T12:00")
    assert page.inner_text("#legend-title") == "Difference"
    low, *_, high = page.locator("#legend-ticks span").all_inner_texts()
    assert low == f"-{high}"
    other = browser.new_page(viewport={"width": 1280, "height": 720})
    open_page(other, page.url)
    wait_for_shown(other, minusWhen="2024-01-15T12:00", when="2024-07-15T12:00")
    other.close()
    page.go_back()
    page.wait_for_function("() => !location.hash.includes('show=difference')")
    assert page.get_attribute("#show-swipe", "aria-pressed") == "true"
    assert page.problems == []


def test_a_key_is_asked_for_once_and_sent(browser, beach, checkpoint):
    settings = ServerSettings(port=0, api_key="open sesame")
    with sat2cap.serve(beach.path, model=checkpoint, settings=settings) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 720})
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


def test_the_keyboard_alone_will_do(page, server):
    open_page(page, server.url)
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
    outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"  # the focus is seen


def test_the_hours_play_until_escape(page, server):
    open_page(page, server.url)
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
def test_axe_sees_nothing_serious(browser, server, scheme, width_px):
    page = browser.new_page(viewport={"width": width_px, "height": 800}, color_scheme=scheme)
    open_page(page, server.url)
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
    page.close()


def test_hostile_prompts_are_shown_as_they_are(page, server):
    open_page(page, server.url)
    for prompt in ("<img src=x onerror=alert(1)>", "{{7*7}} ${7*7}", "‮مرحبا 🏖️", "../../etc/passwd"):
        ask(page, prompt)
        page.locator("#prompt").press("Enter")
    assert page.locator("#chips img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#chips")
    page.locator("#prompt").fill("photo:/etc/passwd")
    wait_until(page, "error")
    assert "names a file of the server" in page.inner_text("#answer")


def test_two_prompts_beside_each_other(page, server, beach):
    open_page(page, server.url)
    ask(page, "a beach")
    page.click("#compare")
    page.locator("#second").fill("a forest")
    wait_for_shown(page, {"prompt": "a forest"}, prompt="a beach")
    assert page.is_visible("#swipe")
    assert page.problems == []


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
def test_it_fits_a_window_with_any_size_of_letters(browser, server, width_px, font_px):
    page = browser.new_page(viewport={"width": width_px, "height": 844})
    open_page(page, server.url)
    ask(page, "a beach")
    page.evaluate("size => { document.documentElement.style.fontSize = `${size}px`; }", font_px)
    layout = page.evaluate(LAYOUT)
    page.close()
    assert layout == {"outside": [], "overlapping": [], "width": width_px}
