"""From the last keystroke to the painted map: the live page in a real Chromium, beside an empty frame.

    python benchmarks/live.py FOLDER OUT.json [--sizes 100000,1000000] [--times 40]

Makes atlases of random numbers, 512 to a cell, with a text tower of ViT-B/32's size and random weights in
FOLDER, and serves them from a process of their own. A prompt is typed with 100 ms between the keys; the time
runs from the last key's event to the moment at which the GPU process has drawn the frame that shows its map.
An empty frame is timed in the same way in the same run: a MapLibre map of one colour, of the same size and
the same pixel ratio, asked to draw again. A bare scan is the same library without server and page.
Only figures of a quiet machine mean anything: the load before each size is among them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from query import make_atlas, make_model

import sat2cap
from sat2cap.model import load_model
from sat2cap.query import prepare_atlas

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
SIZE: ViewportSize = {"width": 1280, "height": 720}
KEY_MS = 100
LETTERS = 6  # each is a token of the made-up tokenizer: 8 tokens with the two ends
FIRST_DATES = 48
MAPLIBRE = Path(__file__).parents[1] / "web" / "node_modules" / "maplibre-gl" / "dist"
Figures = dict[str, Any]

WATCH = """() => {
  const contexts = [];
  const getContext = HTMLCanvasElement.prototype.getContext;
  HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
    const context = getContext.call(this, kind, ...rest);
    if (kind === "webgl2" && context && !contexts.includes(context)) contexts.push(context);
    return context;
  };
  const channel = new MessageChannel();
  let next = () => undefined;
  channel.port1.onmessage = () => next();
  const turn = () => new Promise((resolve) => { next = resolve; channel.port2.postMessage(0); });
  // resolves when the GPU process has done all that was sent to it
  window.drawn = async () => {
    const gl = contexts.findLast((one) => !one.isContextLost() && one.canvas.isConnected);
    const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    while (gl.getSyncParameter(fence, gl.SYNC_STATUS) !== gl.SIGNALED) await turn();
    gl.deleteSync(fence);
    return performance.now();
  };
  // laps of a map from an event on: the request leaves, its answer is there, the frame is sent, it is drawn
  window.laps = (wanted) => new Promise((resolve) => {
    const page = document.querySelector("#page");
    let began = 0;
    const onInput = (event) => { began = event.timeStamp; };
    document.addEventListener("input", onInput, true);
    new MutationObserver(async (_, observer) => {
      const question = JSON.parse(page.dataset.shown ?? "[null]")[0];
      if (!question || !Object.entries(wanted).every(([name, value]) => question[name] === value)) return;
      observer.disconnect();
      document.removeEventListener("input", onInput, true);
      const sent = performance.now();
      const drawn = await window.drawn();
      const requests = performance.getEntriesByType("resource");
      const request = requests.filter((one) => one.name.includes("/scores?")).at(-1);
      performance.clearResourceTimings();
      resolve({ asked: request.startTime - began, answered: request.responseEnd - request.startTime,
        sent: sent - request.responseEnd, drawn: drawn - sent, total: drawn - began });
    }).observe(page, { attributes: true, attributeFilter: ["data-shown"] });
  });
}"""
"""Put into every page before its own scripts; `laps` and `drawn` are what is measured with."""

RATIO = "() => document.querySelector('#map canvas').width / innerWidth"

EMPTY = """<!doctype html><link rel="stylesheet" href="/empty/maplibre-gl.css">
<style>html, body, #map { height: 100%; margin: 0 }</style><div id="map"></div><script type="module">
import { Map, setWorkerUrl } from "/empty/maplibre-gl.mjs";
setWorkerUrl("/empty/maplibre-gl-worker.mjs");
const layers = [{ id: "ground", type: "background", paint: { "background-color": "#dde2e8" } }];
const pixelRatio = Number(new URLSearchParams(location.search).get("ratio"));
window.map = new Map({ container: "map", style: { version: 8, sources: {}, layers }, pixelRatio });
window.frame = () => new Promise((resolve) => {
  const began = performance.now();
  window.map.once("render", async () => resolve((await window.drawn()) - began));
  window.map.triggerRepaint();
});
</script>"""


@contextmanager
def serve(atlas: Path) -> Iterator[str]:
    """Serve an atlas from a process of its own; yield its address."""
    words = ["-c", "import sys; from sat2cap.cli import main; main(sys.argv[1:])", "serve", str(atlas)]
    command = [sys.executable, *words, "--no-open", "--port", "0"]
    # What the server says beside its address goes to the terminal: a pipe that nobody reads would fill up.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(word for line in process.stdout for word in line.split() if word.startswith("http"))
        finally:
            process.terminate()


def made_up_words(rng: np.random.Generator) -> str:
    """Return a prompt that nobody has asked before: letters, the last of which is none of the chips'."""
    return "".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), LETTERS))


def open_page(browser: Browser, address: str) -> Page:
    """Open the live page and wait until it can be typed into."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(f"({WATCH})()")
    page.goto(address)
    page.wait_for_selector("#page[data-state=empty]", timeout=180_000)
    return page


def open_empty(browser: Browser, address: str, ratio: float) -> Page:
    """Open a map of nothing, from the same MapLibre that the page is built with."""
    page = browser.new_page(viewport=SIZE)
    page.add_init_script(f"({WATCH})()")

    def answer(route: Any) -> None:
        name = route.request.url.split("?")[0].rsplit("/", 1)[1]
        if name == "empty.html":
            route.fulfill(body=EMPTY, content_type="text/html")
        else:
            route.fulfill(path=MAPLIBRE / name)

    page.route("**/empty/*", answer)
    page.goto(f"{address}empty/empty.html?ratio={ratio}")
    page.wait_for_function("() => window.map?.loaded()")
    return page


def time_empty_frames(page: Page, times: int) -> list[float]:
    """Return the milliseconds of empty frames, each asked for when the one before was drawn."""
    page.bring_to_front()
    page.evaluate("() => window.frame()")
    return [page.evaluate("() => window.frame()") for _ in range(times)]


def type_prompt(page: Page, prompt: str) -> Figures:
    """Type a prompt as people do; return its laps, counted from the last key."""
    page.bring_to_front()
    page.locator("#prompt").fill("")
    page.wait_for_selector("#page[data-state=empty]", timeout=180_000)
    page.wait_for_timeout(300)
    page.evaluate("wanted => { window.result = window.laps(wanted); }", {"prompt": prompt})
    page.keyboard.type(prompt, delay=KEY_MS)
    return dict(page.evaluate("() => window.result"))


def slide(page: Page, month: int, hour: int) -> Figures:
    """Move the hour slider, in a month that is set; return the laps of its map."""
    when = f"2024-{month:02}-15T{hour:02}:00"
    return dict(
        page.evaluate(
            """([when, hour]) => {
              const result = window.laps({ when });
              const slider = document.querySelector("#hour");
              slider.value = hour;
              slider.dispatchEvent(new Event("input", { bubbles: true }));
              return result;
            }""",
            [when, str(hour)],
        )
    )


def slide_through(page: Page, dates: int) -> float:
    """Move the hour slider through dates, one after another; return maps a second."""
    page.bring_to_front()
    start_s, number = 0.0, 0
    for month in range(1, 13):
        page.locator("#month").fill(str(month))
        page.locator("#month").blur()
        page.wait_for_timeout(500)
        start_s -= time.perf_counter()
        for hour in [hour for hour in range(24) if hour != int(page.input_value("#hour"))]:
            slide(page, month, hour)
            number += 1
        start_s += time.perf_counter()
        if number >= dates:
            break
    return number / start_s


def summarise(laps: list[Figures], empty_ms: float) -> Figures:
    """Return p50 and p95 of the whole, of what is beyond an empty frame, and the median of each lap, ms."""
    total = np.array([lap["total"] for lap in laps])
    p50, p95 = np.percentile(total, [50, 95])
    medians = {name: float(np.median([lap[name] for lap in laps])) for name in laps[0] if name != "total"}
    return {"p50": p50, "p95": p95, "beyond p50": p50 - empty_ms, "beyond p95": p95 - empty_ms} | medians


def time_library(atlas: Path, times: int) -> Figures:
    """Return the median milliseconds of the text tower, of a bare scan, and of one at a new date."""
    opened, rng = sat2cap.open(atlas), np.random.default_rng(7)
    laps: dict[str, list[float]] = {"text tower": [], "bare scan": [], "bare scan at a new date": []}
    opened.scan.expect_many()  # as the server does
    opened.query_model.expect_many()
    opened.map("warm")
    moments = [f"2019-{1 + n % 12:02}-{1 + n % 28:02}T{n % 24:02}:00" for n in range(times)]
    for moment in moments:
        prompt = made_up_words(rng)
        works: dict[str, Callable[[], object]] = {
            "text tower": partial(opened.query_model.embed_text, [prompt]),
            "bare scan": partial(opened.map, prompt),
            "bare scan at a new date": partial(opened.map, prompt, moment),
        }
        for name, work in works.items():
            start_s = time.perf_counter()
            work()
            laps[name].append(1000 * (time.perf_counter() - start_s))
    return {name: float(np.median(values)) for name, values in laps.items()}


def measure(browser: Browser, atlas: Path, times: int) -> Figures:
    """Return all figures of one atlas, milliseconds."""
    rng, scans = np.random.default_rng(os.getpid()), time_library(atlas, times)
    with serve(atlas) as address:
        page = open_page(browser, address)
        ratio = page.evaluate(RATIO)
        empty = open_empty(browser, address, ratio)
        frames, typed, again = time_empty_frames(empty, times), [], []
        for _ in range(times // 10):  # in turns, so that whatever else the machine does falls on all alike
            prompts = [made_up_words(rng) for _ in range(10)]
            typed += [type_prompt(page, prompt) for prompt in prompts]
            again += [type_prompt(page, prompt) for prompt in prompts]
            frames += time_empty_frames(empty, 10)
        empty_ms = float(np.median(frames))
        new_dates = slide_through(page, FIRST_DATES)
        known_dates = slide_through(page, FIRST_DATES)
        page.close()
        empty.close()
    figures = {"load before": os.getloadavg()[0], "pixel ratio": ratio, "empty frame": empty_ms, **scans}
    figures |= {"new prompt": summarise(typed, empty_ms), "prompt seen before": summarise(again, empty_ms)}
    return figures | {"maps a second, new dates": new_dates, "maps a second, known dates": known_dates}


def main() -> None:
    """Measure all sizes, print the figures and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--times", type=int, default=40)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    source = make_model(options.folder)
    figures: Figures = {}
    with sync_playwright() as driver:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        for cells in map(int, options.sizes.split(",")):
            path, model = options.folder / f"{cells}.zarr", load_model(source)
            prepare_atlas(make_atlas(path, cells, model, source), model.encoding)
            figures[str(cells)] = measure(browser, path, options.times)
            print(json.dumps({cells: figures[str(cells)]}, indent=1), flush=True)
        browser.close()
    options.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
