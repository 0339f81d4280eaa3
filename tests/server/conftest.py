"""Atlases of known numbers, one of them broken, and a client of a server that offers them."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from live_page import CHROMIUM, FLAGS, PATCH, WAIT_MS, WINDOW, keep_problem
from made_model import atlas as make_atlas
from made_model import calibrated, embeddings, unit
from served import HEIGHT, WIDTH, make_client

import sat2cap
from sat2cap.atlas import CellStatus, create_or_resume


@pytest.fixture(scope="session")
def checkpoint():
    """A model whose held-out photos show, among others, a beach and a forest: these words have meaning."""
    model = calibrated(400)
    ground = model.calibration.ground.copy()
    ground[:2] = model.embed_text(["a beach", "a forest"])
    return replace(model, calibration=replace(model.calibration, ground=ground))


@pytest.fixture(scope="session")
def folder(tmp_path_factory, checkpoint):
    """Two good atlases, and one whose plan is damaged."""
    folder = tmp_path_factory.mktemp("atlases")
    holes = np.random.default_rng(2).random((HEIGHT, WIDTH)) < 0.1
    for name in ("The North.zarr", "the north!.zarr", "broken.zarr"):
        make_atlas(folder / name, embeddings(HEIGHT, WIDTH, 64), checkpoint, holes)
    for name in ("plan.json", "plan.copy.json"):  # one of them would be restored from the other
        (folder / "broken.zarr" / "_sat2cap" / name).write_text("{")
    return folder


@pytest.fixture(scope="session")
def client(folder, checkpoint):
    with make_client(folder, checkpoint) as client:
        yield client


@pytest.fixture(scope="module")
def opened(folder, checkpoint):
    """The first of the atlases as the library opens it, whose maps the server's answers are compared with."""
    atlas = sat2cap.open(folder / "The North.zarr", checkpoint)
    atlas.scan.expect_many()  # as the server, whose numbers are compared exactly
    return atlas


@pytest.fixture(scope="session")
def beach(tmp_path_factory, checkpoint):
    """An atlas in which a patch of cells is exactly what "a beach" means, and the rest is its opposite."""
    direction = checkpoint.embed_text(["a beach"])[0]
    values = np.tile(-direction, (40, 50, 1)).astype(np.float32)
    values += 0.1 * unit(np.random.default_rng(0).normal(size=values.shape))
    values[PATCH] = direction
    path = tmp_path_factory.mktemp("page") / "beach.zarr"
    return make_atlas(path, values, checkpoint, np.zeros((40, 50), bool))


@pytest.fixture
def half_made(tmp_path, checkpoint):
    """The path of an atlas with one chunk, of which three cells failed; a function writes the rest."""
    values = embeddings(HEIGHT, WIDTH, 64)
    spec = make_atlas(tmp_path / "whole", values, checkpoint, np.zeros((HEIGHT, WIDTH), bool)).spec
    shutil.rmtree(tmp_path / "whole")
    writer = create_or_resume(tmp_path / "half.zarr", spec)
    first, *others = writer.pending()
    failed = np.full((32, 32), CellStatus.OK, np.uint8)
    failed[0, :3] = CellStatus.IMAGERY_FAILED
    writer.write(first, values[first.rows, first.cols], failed)

    def finish():
        for chunk in others:
            part = values[chunk.rows, chunk.cols]
            writer.write(chunk, part, np.full(part.shape[:2], CellStatus.OK, np.uint8))
        writer.finish()

    return tmp_path / "half.zarr", finish


@pytest.fixture(scope="session")
def page_server(beach, checkpoint):
    with sat2cap.serve(beach.path, model=checkpoint) as server:
        yield server


@pytest.fixture(scope="module")  # while it is open, this thread runs an event loop
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tabs(browser):
    """Where pages are opened that share a process, which is costly to start; see `page`."""
    tabs = browser.new_context(viewport=WINDOW, permissions=["clipboard-read", "clipboard-write"])
    yield tabs
    tabs.close()


@pytest.fixture
def page(tabs):
    """A new page that knows nothing of those before it."""
    page = tabs.new_page()
    page.set_default_timeout(WAIT_MS)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda line: keep_problem(page, line))
    yield page
    page.evaluate("() => { if (location.protocol === 'http:') localStorage.clear(); }")
    page.close()
