"""Driving the live page: opening it, typing, waiting for its map, reading its pixels."""

import io
import os
import shutil
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image

from sat2cap.geo import cell_lonlat
from sat2cap.server.app import find_page

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None
)
"""The browser; the headless shell is the same one without windows, which opens a page in half the time."""
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    # what a person's browser prepares in further processes whenever a page is opened
    "--disable-features=PreloadTopChromeWebUI,WebUIOmniboxPopup,SidePanel,Translate,OptimizationHints,"
    "MediaRouter,DialMediaRouteProvider,GlobalMediaControls,LensOverlay",
]  # fmt: skip
WINDOW = {"width": 1280, "height": 720}
"""Size of the page in pixels."""
WAIT_MS = 120_000
"""How long a test waits for what the page should show: longer than the busiest machine needs."""

NEEDS_PAGE = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; apt-get install chromium-headless-shell"),
    pytest.mark.skipif(
        find_page() is None, reason="the page is not built; in web/: npm install && npm run build"
    ),
    pytest.mark.timeout(300),
]
"""Marks of the modules that drive it."""

PATCH = (slice(10, 16), slice(20, 28))
"""Rows and columns of the cells that look like a beach."""
PATCH_CELLS = np.argwhere(np.ones((4, 6), bool)) + np.array([11, 21])
"""Row and column of cells well within it."""


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
        "states => states.includes(document.querySelector('#page')?.dataset.state)", arg=list(states)
    )


def ask(page, prompt):
    """Type a prompt and wait until the map shows it."""
    page.locator("#prompt").fill(prompt)
    wait_for_shown(page, prompt=prompt)


def wait_for_shown(page, other=None, **wanted):
    """Wait until the map on the screen is that of a question, and of another beside it if one is wanted."""
    page.wait_for_function(
        """([wanted, other]) => {
          const shown = JSON.parse(document.querySelector('#page')?.dataset.shown ?? '[]');
          const fits = (question, parts) =>
            question && Object.entries(parts).every(([name, value]) => question[name] === value);
          return fits(shown[0], wanted) && (other === null || fits(shown[1], other));
        }""",
        arg=[wanted, other],
    )


def screen_place(page, lon, lat):
    """Pixels right and down of a place on the screen; the camera's centre and zoom are in the address."""
    state = {key: value[0] for key, value in parse_qs(page.evaluate("() => location.hash.slice(1)")).items()}
    size = 512 * 2 ** float(state["z"])

    def project(lon, lat):
        sine = np.sin(np.radians(lat))
        return size * (lon / 360 + 0.5), size * (0.5 - np.log((1 + sine) / (1 - sine)) / (4 * np.pi))

    x0, y0 = project(float(state["lon"]), float(state["lat"]))
    x, y = project(lon, lat)
    return x - x0 + 640, y - y0 + 360


def pixels_at(page, beach, cells):
    """Colours of the map where cells lie, `[n, 3]`."""
    picture = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    lon, lat = cell_lonlat(beach.grid)
    x, y = screen_place(page, lon[tuple(cells.T)], lat[tuple(cells.T)])
    return picture[np.round(y).astype(int), np.round(x).astype(int)].astype(int)


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
