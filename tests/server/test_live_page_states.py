"""What the page says while it waits, what keys alone can do, and where a link leads that leads nowhere."""

import json

import pytest
from live_page import NEEDS_PAGE, ask, boxes_of, open_page, wait_for_shown, wait_until

import sat2cap
from sat2cap.server.nonsense import TEXTS

pytestmark = NEEDS_PAGE


class Held:
    """Requests whose answers wait until they are let go."""

    def __init__(self, page, pattern):
        self.page, self.pattern, self.routes = page, pattern, []
        page.route(pattern, lambda route: self.routes.append(route))

    def let_go(self):
        for route in self.routes:
            route.continue_()
        self.page.unroute(self.pattern)


def test_panels_say_what_they_wait_for(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    search = Held(page, "**/search?**")
    page.click("#show-places")
    page.wait_for_function("() => document.querySelector('#places-list').innerText === 'Searching …'")
    search.let_go()
    page.wait_for_selector("#places-list button")

    zones = Held(page, "**/zones?**")
    page.click("#show-areas")
    content = json.dumps(boxes_of(beach)).encode()
    file = {"name": "a.geojson", "mimeType": "application/json", "buffer": content}
    page.set_input_files("#upload", files=[file])
    page.wait_for_function("() => document.querySelector('#zones').innerText === 'Computing the means …'")
    zones.let_go()
    page.wait_for_selector("#zones table")
    zones = Held(page, "**/zones?**")
    page.locator("#prompt").fill("a forest")
    page.wait_for_function("() => document.querySelector('#zones').innerText === 'Computing the means …'")
    zones.let_go()
    page.wait_for_selector("#zones table")

    series = Held(page, "**/series?**")
    page.mouse.click(700, 360)
    page.wait_for_selector("#place-charts h3 >> nth=1")
    assert page.locator("#place-charts div").all_inner_texts() == ["Computing …"] * 2
    series.let_go()
    page.wait_for_selector("#place-charts svg >> nth=1")
    assert page.problems == []


def test_places_and_areas_without_a_pointer(page, page_server, beach):
    open_page(page, page_server.url)
    ask(page, "a beach")
    assert not page.is_visible("#crosshair")
    page.locator("#map canvas").press("Enter")
    page.wait_for_selector("#place dl")
    place = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('at')")
    view = page.evaluate(
        "() => ['lon', 'lat'].map((key) => Number(new URLSearchParams(location.hash.slice(1)).get(key)))"
    )
    assert [float(part) for part in place.split(",")] == pytest.approx(view, abs=1e-4)
    assert page.is_visible("#crosshair")

    page.locator("#show-areas").press("Enter")
    page.locator("#draw").press("Enter")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft"):
        page.keyboard.press("Space")
        page.keyboard.press(key)
        page.wait_for_timeout(450)  # the map glides
    page.keyboard.press("Enter")
    page.wait_for_selector("#zones table")
    area = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('area')")
    assert len(set(area.split(";"))) == 3
    assert page.problems == []


@pytest.mark.parametrize("atlas", ["gone", "<b>gone</b>"])
def test_a_link_to_a_region_that_is_not_here_says_so(page, page_server, atlas):
    open_page(page, f"{page_server.url}#atlas={atlas}&lon=100&lat=-40&z=12")
    assert page.inner_text("#answer") == (
        f"This server has no region “{atlas}”, so “beach” is shown instead."
    )
    assert "lon=100" not in page.url


@pytest.mark.filterwarnings("ignore:atlas .* is not finished")
def test_an_atlas_that_is_finished_meanwhile_is_followed(page, half_made, checkpoint):
    path, finish = half_made
    with sat2cap.serve(path, model=checkpoint) as server:
        open_page(page, server.url)
        sentence = (
            "Atlas 'half.zarr' is not finished (1,021 of 1,960 cells are done): "
            "what is not embedded yet has no data."
        )
        assert page.inner_text("#answer").endswith(f" {sentence}")
        ask(page, "a beach")
        assert page.inner_text("#answer").endswith(f" {sentence}")
        assert page.inner_text("#atlas-facts").endswith("not all of them computed yet")
        finish()
        page.evaluate("window.dispatchEvent(new Event('focus'))")
        page.wait_for_function(
            "() => !document.querySelector('#answer').textContent.includes('not finished')"
        )
        assert not page.inner_text("#atlas-facts").endswith("not all of them computed yet")
    assert page.problems == []


def test_a_difference_says_what_its_colours_stand_for(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#compare")
    page.locator("#second").fill("a forest")
    page.click("#show-difference")
    wait_for_shown(page, minus="a forest")
    answer = page.inner_text("#answer")
    assert answer.startswith(
        "Red cells fit “a beach” better, blue cells “a forest”; the largest difference is"
    )
    assert answer.endswith("percentage points.")
    assert page.is_disabled("#colours")
    page.click("#compare")
    wait_for_shown(page, minus=None)
    assert not page.is_disabled("#colours")


def test_a_difference_of_words_without_meaning_is_not_drawn(page, page_server):
    open_page(page, page_server.url)
    page.locator("#month").fill("7")
    page.click("#compare")
    page.select_option("#second-month", "1")
    page.click("#show-difference")
    page.locator("#prompt").fill(TEXTS[0])
    wait_for_shown(page, prompt=TEXTS[0], minusWhen="2024-01-15T12:00")
    assert page.inner_text("#answer").startswith("Nothing here looks like this")
    assert page.is_visible("#anyway")
    assert page.inner_text("#threshold-text") == "No cell is shown, as there is nothing to see."


def test_areas_that_are_refused_can_be_removed(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.click("#show-areas")
    line = b'{"type": "LineString", "coordinates": [[3, 51], [4, 52]]}'
    page.set_input_files(
        "#upload", files=[{"name": "a.geojson", "mimeType": "application/json", "buffer": line}]
    )
    page.wait_for_selector("#zones .problem")
    assert page.inner_text("#zones .problem").startswith("This is not GeoJSON of polygons")
    page.click("#zones button")
    page.wait_for_function("() => document.querySelector('#zones').innerText.startsWith('Draw an area')")
    page.click("#show-places")
    page.wait_for_selector("#places-list button")
    assert not page.is_visible("#within-row")


def test_a_link_opened_in_the_same_tab_is_shown_as_it_says(page, page_server):
    open_page(page, page_server.url)
    ask(page, "a beach")
    page.evaluate("() => { location.hash = '#atlas=beach&q=a+forest&lon=2.9&lat=51.9&z=11'; }")
    wait_for_shown(page, prompt="a forest", scale="contrast")
    page.mouse.click(640, 360)
    page.wait_for_selector("#place dl")
    place = page.evaluate("() => new URLSearchParams(location.hash.slice(1)).get('at')")
    assert [float(part) for part in place.split(",")] == pytest.approx([2.9, 51.9], abs=1e-3)
    assert page.problems == []


def test_a_link_of_unknown_words_is_read_without_them(page, page_server):
    nonsense = "scale=bogus&colours=evil&panel=xx&month=99&hour=-4&z=77&lon=abc&area=1,1;2,2"
    open_page(page, f"{page_server.url}#atlas=beach&q=a+beach&{nonsense}")
    wait_for_shown(page, prompt="a beach", scale="contrast")
    assert page.input_value("#scale") == "contrast"
    assert page.input_value("#colours") == "magma"
    assert page.problems == []


def test_a_link_to_a_prompt_that_is_refused_leaves_the_legend_whole(page, page_server):
    open_page(page, page_server.url)
    page.goto("about:blank")
    page.goto(f"{page_server.url}#atlas=beach&q=photo:/etc/passwd")
    wait_until(page, "error")
    assert page.inner_text("#threshold-text") == "Dark cells hardly fit, bright cells fit well."
