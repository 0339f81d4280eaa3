import base64
import io
import json
import re
from html.parser import HTMLParser
from typing import NamedTuple
from xml.etree import ElementTree

import pytest
from conftest import Ran
from PIL import Image

VOID = {"meta", "img", "input", "br"}
SPOKEN_ELSEWHERE = {"style", "pre", "svg", "footer", "ul"}
"""Where numbers are no figures: commands, axes, versions, and rules of how figures are computed."""


class Figure(NamedTuple):
    """A figure as printed."""

    name: str
    value: float
    form: str
    text: str


class Page(HTMLParser):
    """What the page is made of; raises if its tags do not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str]]] = []
        self.images: list[dict[str, str]] = []
        self.figures: list[Figure] = []
        self.addresses: list[str] = []
        self.plain: list[str] = []
        """Text outside figures, coordinates, styles, commands and charts."""
        self.ids: set[str] = set()
        self.labels: set[str] = set()
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.addresses += [
            known[name] for name in ("src", "href", "action", "srcset", "data") if name in known
        ]
        if tag == "img":
            self.images.append(known)
        if "id" in known:
            assert known["id"] not in self.ids
            self.ids.add(known["id"])
        if tag == "label":
            self.labels.add(known["for"])
        if tag not in VOID:
            self.open.append((tag, known))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        _, known = self.open[-1] if self.open else ("", {})
        if "data-figure" in known:
            self.figures.append(Figure(known["data-figure"], float(known["value"]), known["data-form"], data))
        elif SPOKEN_ELSEWHERE.isdisjoint(name for name, _ in self.open) and known.get("class") != "where":
            self.plain.append(data)


@pytest.fixture(scope="session")
def html(ran: Ran) -> str:
    return (ran.out / "index.html").read_text()


@pytest.fixture(scope="session")
def page(html: str) -> Page:
    return Page(html)


def test_it_asks_nothing_of_any_network(html: str, page: Page) -> None:
    assert [a for a in page.addresses if not a.startswith("data:image/")] == []
    assert len(page.addresses) > 20
    text = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", html)
    assert re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<iframe", text) is None


def test_every_printed_figure_is_that_of_the_results(ran: Ran, page: Page) -> None:
    results = json.loads((ran.out / "results.json").read_text())
    assert len(page.figures) > 60
    for figure in page.figures:
        assert figure.value == results[figure.name], figure
        assert figure.text == figure.form.format(results[figure.name]), figure
    printed = {figure.name for figure in page.figures}
    assert {name for name in results if name.startswith(("map.", "time.rank_correlation."))} <= printed


def test_no_other_figure_is_printed(page: Page) -> None:
    """A number with a point or a percent sign that is not from the results would be made up."""
    found = [text.strip() for text in page.plain if re.search(r"\d\.\d|\d ?%", text)]
    allowed = {"0.5 by luck"}
    assert [text for text in found if not any(known in text for known in allowed)] == []


def test_its_pictures_can_be_seen(html: str, page: Page) -> None:
    assert len(html.encode()) < 15e6
    for image in page.images:
        head, _, body = image["src"].partition(";base64,")
        with Image.open(io.BytesIO(base64.b64decode(body, validate=True))) as picture:
            picture.load()
            assert head == f"data:image/{picture.format.lower()}"
            assert (image["width"], image["height"]) == (str(picture.width), str(picture.height))
        assert len(image["alt"]) > 5


def test_its_charts_are_sound(html: str) -> None:
    charts = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(charts) == 2 * 1 + 2 * 2
    for chart in charts:
        assert ElementTree.fromstring(chart).attrib["aria-label"]


def test_it_tells_the_whole_story(ran: Ran, html: str, page: Page) -> None:
    for prompt in (
        *ran.plan.prompts,
        *ran.plan.seasonal_prompts,
        *ran.plan.winter_prompts,
        *ran.plan.summer_prompts,
        *ran.plan.search_prompts,
    ):
        assert prompt.text in html
    for words in ("8:00", "23:00", "15 January", "15 July", "chance", "CLIP", "sat2cap embed", "viewport"):
        assert words in html
    assert f"sat2cap serve {ran.out / 'atlas'}" in html
    assert sum(image["src"].startswith("data:image/webp;") for image in page.images) == 1  # the live map
    assert page.labels <= page.ids
    assert len(page.labels) >= 2
