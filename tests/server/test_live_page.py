"""The page in a real browser: a prompt lights up the right cells, and a link is a map."""

import os
import shutil

import numpy as np
import pytest
from made_model import atlas as make_atlas
from made_model import unit

import sat2cap
from sat2cap.geo import cell_lonlat
from sat2cap.server.app import find_page

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
    page.goto(url)
    page.wait_for_function("() => document.querySelectorAll('#atlas option').length > 0")


def ask(page, prompt):
    """Type a prompt and wait until the map shows it."""
    page.evaluate("() => performance.clearMeasures()")
    page.locator("#prompt").fill(prompt)
    page.wait_for_function("() => performance.getEntriesByName('sat2cap-painted').length > 0")
    page.wait_for_timeout(300)


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
    other.wait_for_function("() => performance.getEntriesByName('sat2cap-painted').length > 0")
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
    page.wait_for_selector("#places li button")
    page.click("#show-files")
    assert "format=tif" in page.get_attribute("#file-tif", "href")
    page.mouse.click(640, 360)
    page.wait_for_selector("#place dl")
    page.wait_for_selector("#place svg:nth-of-type(2)")
    assert "through the year" in page.inner_text("#place")
    assert page.problems == []


def test_an_area_that_is_drawn_gets_its_mean(page, server):
    open_page(page, server.url)
    ask(page, "a beach")
    page.click("#draw")
    for x, y in ((600, 330), (700, 330), (650, 400)):
        page.mouse.click(x, y)
        page.wait_for_timeout(400)  # two clicks in quick succession are a double-click
    page.click("#draw")
    page.wait_for_selector("#zones table")
    assert "area 1" in page.inner_text("#zones")


def test_hostile_prompts_are_shown_as_they_are(page, server):
    open_page(page, server.url)
    for prompt in ("<img src=x onerror=alert(1)>", "{{7*7}} ${7*7}", "‮مرحبا 🏖️", "../../etc/passwd"):
        ask(page, prompt)
        page.locator("#prompt").press("Enter")
    assert page.locator("#chips img").count() == 0
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#chips")
    page.locator("#prompt").fill("photo:/etc/passwd")
    page.wait_for_function("() => document.querySelector('#answer').classList.contains('problem')")
    assert "names a file of the server" in page.inner_text("#answer")


def test_two_prompts_beside_each_other(page, server, beach):
    open_page(page, server.url)
    ask(page, "a beach")
    page.click("#compare")
    page.locator("#second").fill("a forest")
    page.wait_for_function("() => location.hash.includes('q2=a+forest')")
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


@pytest.mark.parametrize("font_px", [15, 19])
@pytest.mark.parametrize("width_px", [360, 390])
def test_it_fits_a_phone_with_any_size_of_letters(browser, server, width_px, font_px):
    page = browser.new_page(viewport={"width": width_px, "height": 844})
    open_page(page, server.url)
    ask(page, "a beach")
    page.evaluate("size => { document.documentElement.style.fontSize = `${size}px`; }", font_px)
    layout = page.evaluate(LAYOUT)
    page.close()
    assert layout == {"outside": [], "overlapping": [], "width": width_px}
