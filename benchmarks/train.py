"""Speed of a training step against the reference's, and of the loader against what the model consumes.

    python benchmarks/train.py [STEPS] [OUT.json]

Made-up pairs and a ViT-B/32 of random weights, batch 32, queue 2,560, on the processor. Reference: both
towers forward in every step, float32, patches decoded and augmented (RandomResizedCrop, three operations of
RandAugment) one by one in Pillow before it. Ours: ground embeddings made before, in the precision that this
machine is fastest in, patches decoded once and augmented for the whole batch while the step before is
computed. Steps of each kind take turns, so that other work on the machine slows all alike; medians are
reported.
"""

import io
import json
import random
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.nn import functional
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from sat2cap.files import write_json
from sat2cap.lookahead import count_cores
from sat2cap.model import Checkpoint, Preprocess
from sat2cap.pairs import PairSet, open_pairs
from sat2cap.progress import silent
from sat2cap.training import Run
from sat2cap.training.data.loader import TrainingData, load_batch, load_batches
from sat2cap.training.data.sampler import Batch
from sat2cap.training.data.streaming import open_shards
from sat2cap.training.gradients import large_batch_gradients
from sat2cap.training.loop import new_learner, start_fabric
from sat2cap.training.losses import contrastive_loss, pair_masks
from sat2cap.training.optimizers import set_learning_rate
from sat2cap.training.precision import settle_compute

BATCH, QUEUE, PAIRS, SOURCE, SIZE = 32, 2560, 256, 800, 224
PER_SHARD = 1000


def encode_photo(seed: int, pixels: int) -> bytes:
    """Return a JPEG with detail at every scale, as patches have."""
    draws = np.random.default_rng(seed)
    image = np.zeros((pixels, pixels, 3), np.float32)
    for cells in (4, 16, 64, 256):
        coarse = Image.fromarray(draws.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        image += np.asarray(coarse.resize((pixels, pixels), Image.Resampling.BICUBIC), np.float32) / 4
    out = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


def write_pairs(folder: Path, count: int) -> tuple[PairSet, list[bytes], list[bytes]]:
    """Write a set of made-up pairs with patches of 800 px, as in the paper; 32 images serve all pairs."""
    patches, photos = ([encode_photo(100 * size + n, size) for n in range(32)] for size in (SOURCE, 500))
    (folder / "shards").mkdir()
    taken, rows = datetime(2020, 5, 17, 12), []
    for shard in range(-(-count // PER_SHARD)):
        name = f"train-{shard:05d}.tar"
        with tarfile.open(folder / "shards" / name, "w", format=tarfile.USTAR_FORMAT) as tar:
            for n in range(shard * PER_SHARD, min((shard + 1) * PER_SHARD, count)):
                place = {"latitude": n % 700 / 10, "longitude": n % 1700 / 10}
                date = taken.strftime("%Y-%m-%d %H:%M:%S.%f")
                files = [photos[n % 32], patches[n % 32], json.dumps({**place, "date_taken": date}).encode()]
                rows.append((f"{n:07d}", name, tar.offset, "train", *place.values(), taken))
                members = ("groundlevel.jpg", "overhead.jpg", "metadata.json")
                for member, data in zip(members, files, strict=True):
                    info = tarfile.TarInfo(f"{n:07d}.{member}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    columns = ["key", "shard", "offset", "split", "lat", "lon", "taken"]
    pd.DataFrame(rows, columns=columns).to_parquet(folder / "index.parquet", index=False)
    shards = {name: {"pairs": pairs} for name, pairs in Counter(row[1] for row in rows).items()}
    manifest = {"format": "sat2cap pairs", "version": 1, "fingerprint": "made up"}
    write_json(folder / "pairs.json", {**manifest, "counts": {"train": count}, "shards": shards})
    return open_pairs(folder), patches, photos


def build_tower() -> CLIPVisionModelWithProjection:
    """Return CLIP's ViT-B/32 with random weights."""
    torch.manual_seed(0)
    return CLIPVisionModelWithProjection(CLIPVisionConfig(image_size=SIZE, patch_size=32)).train()


def rand_augment(image: Image.Image) -> Image.Image:
    """Return an image after RandomResizedCrop and three random operations, in Pillow."""
    area, ratio = random.uniform(0.08, 1), random.uniform(3 / 4, 4 / 3)
    width, height = (min(SOURCE, int(SOURCE * (area * r) ** 0.5)) for r in (ratio, 1 / ratio))
    left, top = random.randint(0, SOURCE - width), random.randint(0, SOURCE - height)
    box = (left, top, left + width, top + height)
    image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
    operations: list[Callable[[Image.Image], Image.Image]] = [
        ImageOps.autocontrast,
        ImageOps.equalize,
        lambda im: im.rotate(random.uniform(-30, 30)),
        lambda im: ImageOps.posterize(im, 4),
        lambda im: ImageOps.solarize(im, 128),
        lambda im: ImageEnhance.Color(im).enhance(random.uniform(0.5, 1.5)),
        lambda im: ImageEnhance.Brightness(im).enhance(random.uniform(0.5, 1.5)),
        lambda im: ImageEnhance.Sharpness(im).enhance(random.uniform(0.5, 1.5)),
    ]
    for operation in random.choices(operations, k=3):
        image = operation(image)
    return image


def run_reference_steps(patches: list[bytes], photos: list[bytes]) -> Iterator[None]:
    """Do a training step as the reference does at each turn."""
    preprocess, overhead = Preprocess(SIZE), build_tower()
    ground_tower = build_tower().eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(overhead.parameters(), lr=5e-5)
    queue = functional.normalize(torch.randn(QUEUE, 512), dim=1)
    rows = torch.arange(BATCH)
    for _ in count():
        patch_images = [
            Image.open(io.BytesIO(patches[n % len(patches)])).convert("RGB") for n in range(BATCH)
        ]
        pixels = preprocess.images([rand_augment(image) for image in patch_images])
        photo_images = [Image.open(io.BytesIO(photos[n % len(photos)])).convert("RGB") for n in range(BATCH)]
        with torch.no_grad():
            ground = functional.normalize(
                ground_tower(pixel_values=preprocess.images(photo_images)).image_embeds, dim=1
            )
        embeddings = functional.normalize(overhead(pixel_values=pixels).image_embeds, dim=1)
        logits = torch.cat([embeddings @ ground.T, embeddings @ queue.T], dim=1) / 0.07
        functional.cross_entropy(logits, rows).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        queue = torch.cat([ground, queue[:-BATCH]])
        yield


def configure_run(folder: Path, kind: str) -> Run:
    """Return a run at the reference's sizes."""
    return Run.model_validate(
        {
            "data": {"pairs": "made up"},
            "model": {"init": "random"},
            "loss": {"queue": QUEUE},
            "optim": {"batch": BATCH, "steps": 1_000_000, "device": "cpu"},
            "augment": {"kind": kind},
            "output": {"folder": str(folder)},
        }
    )


def training_data(patches: Any, size: int, features: Any) -> TrainingData:
    """Return training data with made-up ground embeddings; rows repeat until they fill the queue."""
    ground = functional.normalize(torch.randn(size, 512), dim=1).numpy()
    rows = np.arange(size)
    keys, place = [str(row) for row in rows], torch.from_numpy(rows)
    return TrainingData(keys, patches, ground, features, place, rows, Preprocess(SIZE), (2020, 2020))


class Repeated:
    """Patches of a few pairs under many row numbers."""

    def __init__(self, patches: Any) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return QUEUE

    def __getitem__(self, rows: Any) -> Any:
        return self.patches[rows % len(self.patches)]


def run_our_steps(run: Run, data: TrainingData) -> Iterator[None]:
    """Do a training step of this package at each turn, with the functions of the training loop."""
    preprocess = Preprocess(SIZE)
    network = build_tower()
    start = Checkpoint(network, network, None, None, 1 / 0.07, "cyclic", preprocess, preprocess)
    run, compute = settle_compute(run)
    fabric = start_fabric(run, compute)
    learner = new_learner(run, start, data, fabric)
    model, optimizer = fabric.setup(learner.student, learner.optimizer)
    for batch in load_batches(run, data, fabric, 0):
        set_learning_rate(run, learner.optimizer, batch.step, 1_000_000)
        related = pair_masks(batch.rows, learner.queue.owners)
        loss_of = partial(
            contrastive_loss,
            ground=batch.ground,
            queue=learner.queue.embeddings,
            scale=learner.temperature.scale,
            related=related,
        )
        inputs = (batch.pixels, batch.features, batch.keep)
        large_batch_gradients(fabric, model, inputs, loss_of)
        optimizer.step()
        optimizer.zero_grad()
        learner.queue.push(batch.ground, batch.rows)
        yield


def measure_loader(run: Run, data: TrainingData, seconds: float = 6.0) -> float:
    """Return samples per second that the loader alone prepares, one batch after the other."""
    fabric, rows = start_fabric(*settle_compute(run)), np.arange(BATCH)
    load_batch(run, data, fabric, Batch(0, 0, rows))
    start_s, steps = time.perf_counter(), 0
    while time.perf_counter() - start_s < seconds:
        load_batch(run, data, fabric, Batch(steps, 0, rows + steps))
        steps += 1
    return steps * BATCH / (time.perf_counter() - start_s)


def main(steps: int, out: Path | None) -> None:
    """Time all kinds of steps, print and write the figures."""
    with tempfile.TemporaryDirectory() as name:
        pair_set, patches, photos = write_pairs(Path(name), PAIRS)
        streamed = open_shards(pair_set, "train", Preprocess(SIZE), Path(name), count_cores(), silent)
        features = np.zeros((QUEUE, 12), np.float32)
        decoded_once = training_data(Repeated(streamed.patches[np.arange(PAIRS)]), QUEUE, features)
        decoded_always = training_data(Repeated(streamed.patches), QUEUE, features)
        runs = {kind: configure_run(Path(name) / kind, kind) for kind in ("light", "paper")}
        step_iterators = {"reference": run_reference_steps(patches, photos)}
        step_iterators |= {
            f"ours, {kind} augmentation": run_our_steps(run, decoded_once) for kind, run in runs.items()
        }
        seconds: dict[str, list[float]] = {kind: [] for kind in step_iterators}
        for turn in range(steps + 1):
            for kind, stepping in step_iterators.items():
                start_s = time.perf_counter()
                next(stepping)
                if turn:  # the first is slower
                    seconds[kind].append(time.perf_counter() - start_s)
        figures = {f"{kind}, samples/s": BATCH / float(np.median(times)) for kind, times in seconds.items()}
        for kind in runs:
            our_rate = figures[f"ours, {kind} augmentation, samples/s"]
            figures[f"ours, {kind} augmentation / reference"] = our_rate / figures["reference, samples/s"]
            for decode, data in (("once", decoded_once), ("always", decoded_always)):
                rate = measure_loader(runs[kind], data)
                figures[f"loader, decode {decode}, {kind} augmentation, samples/s"] = rate
                figures[f"loader, decode {decode}, {kind} augmentation / consumed"] = rate / our_rate
    for figure, value in figures.items():
        print(f"{figure}: {value:.2f}")
    if out is not None:
        write_json(out, figures)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
