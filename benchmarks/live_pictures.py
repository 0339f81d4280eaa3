"""Makes docs/live.png and the demo page's live.webp: the live page over the demo's atlas, in a real Chromium.

    python benchmarks/live_pictures.py demo/atlas/north.zarr

Needs what `sat2cap demo` made, the built page, and a Chromium.
"""

import io
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

import sat2cap

ROOT = Path(__file__).parents[1]
DOCS, DEMO = ROOT / "docs", ROOT / "src" / "sat2cap" / "demo" / "templates"
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PROMPT = "fields of crops"
STILL_MONTH = 7
SIZE: ViewportSize = {"width": 1280, "height": 720}
MOVING_WIDTH = 800
MAX_BYTES = 1_500_000
WAIT_MS = 180_000


def main(atlas: Path) -> None:
    """Write both pictures; raises if the moving one is too large for a README."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sat2cap.serve(atlas) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(WAIT_MS)
        page.goto(server.url)
        page.wait_for_selector("#page[data-state=empty]")
        frames = list(film(page))
        page.click("#show-areas")  # so that no letters stand marked in a control
        page.click("#close")
        page.mouse.click(640, 200)
        page.wait_for_selector("#place-charts svg >> nth=1")
        settle(page)
        page.screenshot(path=DOCS / "live.png")
        browser.close()
    images = [image for image, _ in frames]
    path = DEMO / "live.webp"
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=[ms for _, ms in frames], loop=0, quality=70
    )
    print(f"{path}: {len(images)} frames, {path.stat().st_size:,} bytes")
    assert path.stat().st_size <= MAX_BYTES


def film(page: Page) -> Iterator[tuple[Image.Image, int]]:
    """Type a prompt and go through the year; yield each picture and how long it is shown, ms."""
    for length in range(0, len(PROMPT) + 1, 3):
        page.locator("#prompt").fill(PROMPT[:length])
        yield take(page), 160
    page.locator("#prompt").fill(PROMPT)
    yield take(page), 900
    for month in [*range(1, 13), STILL_MONTH]:
        page.locator("#month").fill(str(month))
        page.locator("#month").blur()
        yield take(page), 350
    yield take(page), 1200


def take(page: Page) -> Image.Image:
    """Return a small picture of the page once it has come to rest."""
    settle(page)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    size = (MOVING_WIDTH, MOVING_WIDTH * picture.height // picture.width)
    return picture.resize(size, Image.Resampling.LANCZOS)


def settle(page: Page) -> None:
    """Wait until the map is that of the state and its imagery has come."""
    page.wait_for_selector("#page[data-state=ready], #page[data-state=empty]")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
