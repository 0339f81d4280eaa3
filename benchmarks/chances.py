"""What calibrated contrast costs: the fit of a prompt, and a map of it beside one of the cosine.

    python benchmarks/chances.py FOLDER [--cells 100000] [--times 7]

An atlas of random numbers, 512 to a cell, in FOLDER, and 2,000 made-up photos whose places fall off in 512
directions as those of real models do. One thread; milliseconds of the processor, the median of several.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import open_atlas
from sat2cap.model import load_model, make_calibration
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query import Scan, compute_scores
from sat2cap.query.chances import fit_logistic

PHOTOS, DIM = 2000, 512


def median_ms(work: Callable[[], Any], times: int) -> float:
    """Return milliseconds of the processor of a call, the median of several, after one to warm up."""
    work()
    spent = []
    for _ in range(times):
        start_s = time.process_time()
        work()
        spent.append(time.process_time() - start_s)
    return 1000 * statistics.median(spent)


def make_places(seed: int = 0) -> NDArray[np.float32]:
    """Return unit vectors `[PHOTOS, DIM]` around a mean; their spread falls off from one direction on."""
    random = np.random.default_rng(seed)
    spread = 4 * np.exp(-np.arange(DIM) / 40) + 0.4
    rows = random.normal(size=(PHOTOS, DIM)) * spread + random.normal(size=DIM)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def measure_fits(times: int) -> None:
    """Print what a fit takes for prompts that few, some and many of the photos fit."""
    places = make_places()
    prompt = places[7]
    closeness = places @ prompt
    closeness = (closeness - closeness.mean()) / closeness.std()
    for shift in (7.0, 4.0, 1.0):
        fits = 1 / (1 + np.exp(-np.clip(3 * closeness.astype(np.float64) - shift, -50, 50)))
        spent = median_ms(partial(fit_logistic, places, fits, prompt, 100.0), times)
        print(f"fit, {fits.sum():6.1f} photos fit{spent:10.1f} ms")


class NamedTexts(Checkpoint):
    """A model that gives each text a place's direction at once, so that the tower costs nothing."""

    def embed_text(self, texts: Any) -> NDArray[np.float32]:
        places = make_places()
        return np.stack([places[sum(map(ord, text)) % PHOTOS] for text in texts])


def measure_maps(folder: Path, cells: int, times: int) -> None:
    """Print what a map takes on each scale; the fit is part of a contrast."""
    from query import make_atlas, make_model

    source = make_model(folder)
    plain = load_model(source)
    if not (folder / "x.zarr").exists():
        make_atlas(folder / "x.zarr", cells, plain, source)
    places = make_places()
    values = {field.name: getattr(plain, field.name) for field in fields(Checkpoint)}
    features = np.zeros((PHOTOS, 12), np.float32)
    values["calibration"] = make_calibration(places, 8 * places, features)
    model = NamedTexts(**values)
    scan = Scan(open_atlas(folder / "x.zarr"), model.encoding)
    scan.expect_many()
    spent = {
        scale: median_ms(partial(compute_scores, scan, model, ["a street"], scale=scale), times)
        for scale in ("cosine", "contrast")
    }
    for scale, milliseconds in spent.items():
        print(f"map, {scale:<20}{milliseconds:10.1f} ms")


def main() -> None:
    """Measure fits and maps and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    measure_fits(options.times)
    measure_maps(options.folder, options.cells, options.times)


if __name__ == "__main__":
    main()
