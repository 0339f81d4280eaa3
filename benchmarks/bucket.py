"""An atlas straight in a bucket beside one in a folder: time, requests and bytes moved, in one run.

    python benchmarks/bucket.py [--cells SIDE] [--chunks SIDE] [--delay-ms MS,MS]

An S3 server on loopback (moto, behind the counting proxy of the tests) runs in this process, and what is
measured in another. To the server's own time every request adds a delay, as a bucket at a distance does.

- embed: a square of cells of the miniature world by the miniature CLIP, from imagery to the finished atlas;
- write: made-up embeddings of 512 numbers, chunk by chunk: what the store alone takes of an embedding;
- map: opening that atlas and a prompt for all of it, then another prompt;
- part: opening it and a prompt for one chunk in its middle, then another prompt;
- cached: what map does, with a cache (`SAT2CAP_CACHE`) that holds all chunks.

Seconds are of the clock, and in brackets of the processor in the measuring process, which other work on the
machine disturbs less.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "query")]

DIM, CELL_M, WEST, NORTH = 512, 480, 614_400, 5_808_000


def make_grid(side: int) -> GeoBox:
    """Return a square of cells of 480 m in UTM zone 31."""
    return GeoBox((side, side), Affine(CELL_M, 0, WEST, 0, -CELL_M, NORTH), "EPSG:32631")


def embed(place: str, side: int) -> dict[str, float]:
    """Embed a square of the miniature world; the model is loaded before the clock starts."""
    from sat2cap.catalogue import resolve_model
    from sat2cap.embedding import embed_region
    from sat2cap.miniworld import MiniImagery, World

    checkpoint, imagery, grid = resolve_model("miniclip"), MiniImagery(World(2)), make_grid(side)
    checkpoint.embed_overhead(np.zeros((64, checkpoint.patch_pixels, checkpoint.patch_pixels, 3), np.uint8))
    start = time.perf_counter()
    embed_region(grid, np.ones(grid.shape, bool), imagery, checkpoint, place)
    return {"embed": time.perf_counter() - start}


def write(place: str, side: int) -> dict[str, float]:
    """Write an atlas of made-up embeddings, `side` by `side` chunks."""
    import made_model

    from sat2cap.atlas import AtlasSpec, CellStatus, create_or_resume, writer_lock

    checkpoint, grid, rng = made_model.model(DIM), make_grid(32 * side), np.random.default_rng(0)
    model = {"identity": "m", "place_identity": checkpoint.place_identity, "card": checkpoint.card}
    imagery = {"identity": "i", "uri": "", "gsd_m": 1.0}
    spec = AtlasSpec(grid, np.ones(grid.shape, bool), DIM, "int8", model, imagery, 480.0, 8)
    values = rng.normal(size=(32, 32, DIM)).astype(np.float32)
    status = np.full((32, 32), CellStatus.OK, np.uint8)
    start = time.perf_counter()
    with writer_lock(place) as store:
        writer = create_or_resume(store, spec)
        for chunk in writer.pending():
            writer.write(chunk, values, status)
        writer.finish()
    return {"write": time.perf_counter() - start}


def ask(place: str, region: Any = None) -> dict[str, float]:
    """Open the atlas and score two prompts, each for all of it or for a region."""
    import made_model

    from sat2cap.atlas import open_atlas
    from sat2cap.query import Scan, compute_scores

    model, seconds = made_model.model(DIM), []
    start = time.perf_counter()
    scan = Scan(open_atlas(place), model.encoding)
    for prompt in ("snow", "boats"):
        compute_scores(scan, model, [prompt], region=region)
        seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
    return {"first": seconds[0], "second": seconds[1]}


def ask_part(place: str) -> dict[str, float]:
    """Open the atlas and score a prompt for about one chunk in its middle."""
    from sat2cap.atlas import open_atlas
    from sat2cap.geo import lonlat_extent, parse_region

    west, south, east, north = lonlat_extent(open_atlas(place).plain_grid)
    lon, lat = (west + east) / 2, (south + north) / 2
    return ask(place, parse_region(f"{lon},{lat},{lon + 0.01},{lat + 0.01}"))


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "embed": embed,
    "write": write,
    "map": ask,
    "part": ask_part,
    "cached": ask,
}


def do_tasks() -> None:
    """Do the tasks that come on standard input, a line of JSON each, and print what each took."""
    output = sys.stdout
    for line in sys.stdin:
        name, cache, arguments = json.loads(line)
        os.environ.pop("SAT2CAP_CACHE", None)
        if cache:
            os.environ["SAT2CAP_CACHE"] = cache
        start_s = time.process_time()
        with contextlib.redirect_stdout(sys.stderr):
            seconds = TASKS[name](*arguments)
        seconds["processor"] = time.process_time() - start_s
        print(json.dumps(seconds), file=output, flush=True)


def measure_place(server: Any, place: str, cells: int, chunks: int, cache: Path) -> None:
    """Do every task at a folder or an address, and print a line for each."""
    command = [sys.executable, __file__, "--worker"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        sides = {"embed": [cells], "write": [chunks]}
        for name in TASKS:
            atlas = f"{place}/{'embedded' if name == 'embed' else 'written'}.zarr"
            task = json.dumps([name, str(cache) if name == "cached" else "", [atlas, *sides.get(name, [])]])
            for _ in range(2 if name == "cached" else 1):  # the first fills the cache
                server.forget()
                worker.stdin.write(task + "\n")
                worker.stdin.flush()
                seconds = json.loads(worker.stdout.readline())
            processor_s = seconds.pop("processor")
            times = ", ".join(f"{what} {value:.3f} s" for what, value in seconds.items())
            moved = f"{server.received_bytes / 1e6:.2f} MB put, {server.sent_bytes / 1e6:.2f} MB got"
            print(
                f"  {name:<7} {times} ({processor_s:.2f}); {len(server.requests)} requests, {moved}",
                flush=True,
            )


def main() -> None:
    """Read the options, and measure a folder and the bucket at each delay."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=64)
    parser.add_argument("--chunks", type=int, default=6)
    parser.add_argument("--delay-ms", default="0,20")
    parser.add_argument("--worker", action="store_true")
    options = parser.parse_args()
    if options.worker:
        do_tasks()
        return
    from s3_server import BUCKET, s3_server

    with s3_server() as server, tempfile.TemporaryDirectory() as folder:
        print(f"folder; embed {options.cells**2} cells, the others {options.chunks**2 * 1024} cells")
        measure_place(server, folder, options.cells, options.chunks, Path(folder) / "cache-0")
        for delay_ms in map(float, options.delay_ms.split(",")):
            server.faults = lambda method, path, s=delay_ms / 1000: time.sleep(s)
            print(f"bucket, {delay_ms:g} ms added to each request")
            place = f"s3://{BUCKET}/{delay_ms:g}"
            measure_place(server, place, options.cells, options.chunks, Path(folder) / f"cache-{delay_ms:g}")


if __name__ == "__main__":
    main()
