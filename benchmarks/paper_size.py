"""Preparing the paper's 6.1 million pairs: what each part takes here, and hours of 16 cores by arithmetic.

    python benchmarks/paper_size.py FOLDER [OUT.json]

Made-up pairs as large as the paper's: photos of 500 px, patches of 800 px, 1,000 to a shard. 2,000 of them
(0.03 %) are on disk, about 600 MB in FOLDER; tables are measured with 61,000 rows (1 %). Hours follow from
processor time, which other work changes less than the time that passes. No network is run: a GPU's
part is printed as a rate that it has to reach.
"""

import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from train import encode_photo, write_pairs

from sat2cap.files import write_json
from sat2cap.lookahead import map_ahead
from sat2cap.model import Preprocess, encode_metadata
from sat2cap.pairs import PairSet, open_pairs
from sat2cap.progress import silent
from sat2cap.training.data.augment import augment_patches
from sat2cap.training.data.ground_embeddings import GroundEmbeddings
from sat2cap.training.data.neighbours import morton_order, place_ids
from sat2cap.training.data.patches import calendar_columns, decode_image
from sat2cap.training.data.streaming import open_shards
from sat2cap.training.run import Augment

PAIRS, STEPS, BATCH, DIM, SIZE = 6_100_000, 86_750, 100, 512, 224
ON_DISK, ROWS, CORES, HOURS = 2_000, 61_000, 16, 12.0
VALIDATION, VALIDATIONS = 10_000, 9
_CHUNK = 256


def measure_photos(pairs: PairSet, cache: Path, threads: int, photos: int = 1500) -> dict[str, float]:
    """Return the costs of photos that threads read, decode and resize while the main thread collects them."""
    locations, preprocess = pairs.locate("train", cache), Preprocess(SIZE)

    def prepare(row: int) -> Any:
        return preprocess.pixels([decode_image(locations.read_photo(row), locations.key(row))])[0]

    with Clock(f"photo, {threads} threads", photos) as clock:
        batch = []
        for pixels in map_ahead(prepare, range(photos), ahead=2 * _CHUNK, threads=threads):
            batch.append(pixels)
            if len(batch) == 64:  # as many as a tower takes at once
                np.stack(batch)
                batch = []
    return clock.figures


def measure_photos_before(pairs: PairSet, photos: int = 600) -> dict[str, float]:
    """Return the costs of photos that threads decode and the main thread resizes, as until 2026-11-29."""
    preprocess = Preprocess(SIZE)
    rows = (pair for _, pair in pairs.read_rows("train", range(photos)))
    with Clock("photo as before, 2 threads", photos) as clock:
        batch = []
        for image in map_ahead(
            lambda pair: decode_image(pair.ground, pair.key), rows, ahead=_CHUNK, threads=2
        ):
            batch.append(image)
            if len(batch) == 64:
                preprocess.images(batch)
                batch = []
    return clock.figures


def measure_interpreter(pairs: PairSet, cache: Path, photos: int = 2000) -> dict[str, float]:
    """Return what a photo costs in Python alone, one thread after the other: that of one of 8 px."""
    locations, preprocess, tiny = pairs.locate("train", cache), Preprocess(8), encode_photo(0, 8)
    with Clock("photo of 8 px", photos) as clock:
        for row in range(photos):
            locations.read_photo(row % len(locations))
            preprocess.pixels([decode_image(tiny, locations.key(row % len(locations)))])
    return clock.figures


def measure_patches(pairs: PairSet, cache: Path, threads: int, batches: int = 5) -> dict[str, float]:
    """Return the costs of patches of 800 px that threads read from the shards and decode, batch by batch."""
    data = open_shards(pairs, "train", Preprocess(800), cache, threads, silent)
    draws = np.random.default_rng(0)
    with Clock(f"patch, {threads} threads", batches * BATCH) as clock:
        for _ in range(batches):
            data.patches[draws.integers(0, len(data), BATCH)]
    return clock.figures


class Clock:
    """Times the body of a `with` statement that handles `count` things."""

    def __init__(self, name: str, count: int) -> None:
        self.name, self.count = name, count
        self.figures: dict[str, float] = {}

    def __enter__(self) -> "Clock":
        self.start_s = time.perf_counter(), time.process_time(), time.thread_time()
        return self

    def __exit__(self, *error: object) -> None:
        now_s = time.perf_counter(), time.process_time(), time.thread_time()
        wall_s, process_s, thread_s = (now - start for now, start in zip(now_s, self.start_s, strict=True))
        self.figures = {
            f"{self.name}: a second": self.count / wall_s,
            f"{self.name}: ms of processor time": 1e3 * process_s / self.count,
            f"{self.name}: ms of the main thread": 1e3 * thread_s / self.count,
        }


def measure_headers(pairs: PairSet, folder: Path) -> dict[str, float]:
    """Return microseconds a pair to find a split by its index, and by its tar headers as in an older set."""
    older = folder / "older"
    shutil.rmtree(older, ignore_errors=True)
    older.mkdir()
    (older / "shards").symlink_to(pairs.path / "shards")
    shutil.copy(pairs.path / "pairs.json", older)
    pd.read_parquet(pairs.path / "index.parquet").drop(columns="offset").to_parquet(older / "index.parquet")
    scan_s = time_call(lambda: open_pairs(older).locate("train", older / "cache"))
    large = folder / "large"
    write_index(large, ROWS)
    index_s = time_call(lambda: open_pairs(large).locate("train", large / "cache"))
    return {"tar headers, us a pair": 1e6 * scan_s / ON_DISK, "index, us a pair": 1e6 * index_s / ROWS}


def write_index(folder: Path, rows: int) -> None:
    """Write a pair set of so many rows whose shards are holes."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "shards").mkdir(parents=True)
    shard = [f"train-{row // 1000:05d}.tar" for row in range(rows)]
    draws = np.random.default_rng(1)
    columns = {
        "key": [f"{row:010d}" for row in range(rows)],
        "shard": shard,
        "offset": [row % 1000 * 280_064 for row in range(rows)],
        "split": "train",
        "lat": draws.uniform(-60, 70, rows),
        "lon": draws.uniform(-180, 180, rows),
        "taken": pd.Timestamp("2014-05-17 12:34:56").as_unit("us"),
    }
    pd.DataFrame(columns).to_parquet(folder / "index.parquet", index=False)
    for name in sorted(set(shard)):
        with (folder / "shards" / name).open("wb") as file:
            file.truncate(280_064_000)
    shards = {name: {"pairs": shard.count(name)} for name in sorted(set(shard))}
    manifest = {"format": "sat2cap pairs", "version": 1, "fingerprint": "holes", "counts": {"train": rows}}
    write_json(folder / "pairs.json", {**manifest, "shards": shards})


def measure_tables(folder: Path) -> dict[str, float]:
    """Return microseconds a pair of what is computed from places and times before the first step."""
    located = open_pairs(folder / "large").locate("train", folder)
    lat, lon, year, month, day, hour = calendar_columns(located.lat, located.lon, located.taken).T
    calls: dict[str, Callable[[], object]] = {
        "times": lambda: calendar_columns(located.lat, located.lon, located.taken),
        "features": partial(encode_metadata, lat, lon, year, month, day, hour, "reference"),
        "Morton order": lambda: morton_order(located.lat, located.lon),
        "place numbers": lambda: place_ids(located.lat, located.lon, 0),
    }
    return {f"{name}, us a pair": 1e6 * time_call(call) / ROWS for name, call in calls.items()}


def measure_embeddings(folder: Path) -> dict[str, float]:
    """Return milliseconds to gather a batch's embeddings from a file, and the largest error of a cosine."""
    draws = np.random.default_rng(2)
    exact = draws.normal(size=(ROWS, DIM)).astype(np.float32)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.save(folder / "part.npy", exact.astype(np.float16))
    embeddings = GroundEmbeddings([np.load(folder / "part.npy", mmap_mode="r")], DIM)
    batches = [draws.integers(0, ROWS, BATCH) for _ in range(200)]
    seconds = time_call(lambda: [embeddings[rows] for rows in batches])
    one, other = embeddings.read_all()[:2000], exact[:2000]
    error = float(np.abs(one @ one.T - other @ other.T).max())
    return {"embeddings, ms a batch": 1e3 * seconds / len(batches), "largest error of a cosine": error}


def measure_augmentation(batches: int = 3) -> dict[str, float]:
    """Return the costs of the paper's augmentation of a patch on a processor; a GPU does it in training."""
    image = np.asarray(decode_image(encode_photo(0, 800), "made up"))
    pixels = torch.from_numpy(np.broadcast_to(image, (16, *image.shape)).copy())
    settings = Augment(kind="paper", source_pixels=800)
    with Clock("augmented patch", batches * len(pixels)) as clock:
        for seed in range(batches):
            augment_patches(pixels, settings, Preprocess(SIZE), seed)
    return clock.figures


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds of processor time that a call takes."""
    start_s = time.process_time()
    call()
    return time.process_time() - start_s


def estimate_hours(figures: dict[str, float]) -> dict[str, float]:
    """Return hours of `CORES` cores like those measured, and rates that a GPU must reach within `HOURS`."""
    photo_s, patch_s = (
        figures[f"{name}, 2 threads: ms of processor time"] / 1e3 for name in ("photo", "patch")
    )
    per_pair_us = sum(value for name, value in figures.items() if name.endswith("us a pair"))
    seconds = {
        "finding pairs, places and times": PAIRS * (per_pair_us - figures["tar headers, us a pair"]) / 1e6,
        "preparing photos": PAIRS * photo_s / CORES,
        "decoding patches": STEPS * BATCH * patch_s / CORES,
        "preparing validation": VALIDATION * (photo_s + patch_s) / CORES,
    }
    hours = {f"hours, {name}": value / 3600 for name, value in seconds.items()}
    rest_s = 3600 * HOURS - sum(seconds.values()) + seconds["decoding patches"]
    images = STEPS * BATCH + VALIDATION * VALIDATIONS / 3  # a forward pass is a third of a step
    hours["patches/s that the step must reach"] = images / rest_s
    hours["cores that decode as many"] = images / rest_s * patch_s
    hours["photos/s that the ground tower must reach"] = CORES / photo_s
    hours["photos/s at which Python alone is busy"] = 1e3 / figures["photo of 8 px: ms of processor time"]
    return hours


def main(folder: Path, out: Path | None) -> None:
    """Measure every part, print the figures and the hours, and write them."""
    torch.set_num_threads(1)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pairs, _, _ = write_pairs(folder, ON_DISK)
    figures = measure_photos_before(pairs) | measure_interpreter(pairs, folder)
    for threads in (1, 2, 4):
        figures |= measure_photos(pairs, folder, threads) | measure_patches(pairs, folder, threads)
    figures |= measure_headers(pairs, folder) | measure_tables(folder)
    figures |= measure_embeddings(folder) | measure_augmentation()
    figures |= estimate_hours(figures)
    for name, value in figures.items():
        print(f"{name}: {value:.3g}")
    if out is not None:
        write_json(out, figures)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
