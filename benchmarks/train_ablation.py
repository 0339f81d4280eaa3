"""What each choice of training is worth on the miniature world: several seeds of each, with their spread.

    python benchmarks/train_ablation.py DEMO OUT.json [STEPS] [MINUTES]

needs the pairs of a finished `sat2cap demo --out DEMO`. Every run is measured in retrieval among 2,000 pairs
of the test split, with metadata at inference and without. OUT.json is written after each run, and what is in
it is not run again; after MINUTES no run is begun, so that the same command goes on another time.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sat2cap.catalogue import resolve_model
from sat2cap.demo.plan import RUN_FILE
from sat2cap.files import write_json
from sat2cap.pairs import Pair, PairSet, open_pairs
from sat2cap.pairs.splits.split import random_split
from sat2cap.progress import silent
from sat2cap.training import Run, load_run, train
from sat2cap.training.output.checkpoint import read_validation, two_way_retrieval
from sat2cap.training.precision import settle_compute

SEEDS = (0, 1, 2)
GALLERY = 2000
SPLIT = "random split"

VARIANTS: dict[str, dict[str, dict[str, object]]] = {
    "base": {},
    SPLIT: {},
    "loss: queue only": {"loss": {"form": "queue_only"}},
    "loss: symmetric": {"loss": {"form": "symmetric"}},
    "loss: siglip": {"loss": {"form": "siglip", "temperature": 0.1}},
    "encoding: reference": {"model": {"encoding": "reference"}},
    "encoding: sphere": {"model": {"encoding": "sphere"}},
    "encoding: zonal": {"model": {"encoding": "zonal"}},
    "dropout: none": {"model": {"dropout": 0.0}},
    "dropout: per batch": {"model": {"dropout_unit": "batch"}},
    "no metadata": {"model": {"dynamic": False}},
    "queue: none": {"loss": {"queue": 0}},
    "queue: 4096": {"loss": {"queue": 4096}},
    "hard negatives: groups of 8": {
        "data": {"hard_negatives": 8, "place_m": 480},
        "loss": {"same_place": "ignore"},
    },
}
"""Changes to the demo's run file for each row, at half its batch and with the default encoding."""


@dataclass
class Resplit:
    """All pairs of a set in memory, in splits of the same sizes that are drawn at random."""

    whole: PairSet
    fingerprint: str = field(init=False)
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        pairs = [pair for split in ("train", "val", "test") for pair in self.whole.read(split)]
        counts = [self.whole.count(split) for split in ("train", "val", "test")]
        fractions = tuple(count / len(pairs) for count in counts)
        named = random_split(len(pairs), seed=0, fractions=(fractions[0], fractions[1], fractions[2]))
        self.splits = {
            split: [pair for pair, name in zip(pairs, named, strict=True) if name == split]
            for split in ("train", "val", "test")
        }
        self.fingerprint, self.path = f"{self.whole.fingerprint}-random", self.whole.path

    def count(self, split: str) -> int:
        return len(self.splits[split])

    def read(self, split: str) -> Iterator[Pair]:
        return iter(self.splits[split])


def configure_variant(name: str, seed: int, steps: int, demo: Path, folder: Path) -> Run:
    """Return the demo's run with the changes of one row of the table."""
    values: dict[str, Any] = load_run(RUN_FILE).model_dump()
    values["data"] |= {"pairs": str(demo / "pairs"), "validation": "test", "validation_pairs": GALLERY}
    values["model"] |= {"encoding": "cyclic"}
    values["optim"] |= {"batch": 128, "steps": steps, "warmup": 20, "seed": seed}
    values["output"] |= {"folder": str(folder), "checkpoint_every": steps}
    for section, changes in VARIANTS[name].items():
        values[section] |= changes
    return Run.model_validate(values)


def train_and_measure(run: Run, pairs: Any) -> dict[str, float]:
    """Train, and return retrieval metrics with and without metadata at inference."""
    without_validation = run.model_copy(update={"data": run.data.model_copy(update={"validation_pairs": 0})})
    model = resolve_model(train(without_validation, pairs=pairs, resolve=resolve_model))
    validation = read_validation(settle_compute(run)[0], pairs, resolve_model(run.model.init), silent)
    assert validation is not None
    overhead = model.embed_overhead(validation.data.patches[np.arange(len(validation.data))])
    conditions = {"without": overhead}
    if model.dynamic is not None:
        conditions["with"] = overhead + model.dynamic_from_features(
            validation.data.encode_features(model.encoding)
        )
    return {
        f"{condition} metadata; {name}": value
        for condition, rows in conditions.items()
        for name, value in two_way_retrieval(rows, validation.ground).items()
    }


def format_table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return a Markdown table of the mean and standard deviation over seeds."""
    metrics = ("overhead2ground.r10", "ground2overhead.r10")
    heads = [f"{condition} metadata; {metric}" for condition in ("with", "without") for metric in metrics]
    lines = ["| | seeds | o→g R@10, with metadata | g→o | o→g R@10, without | g→o |", "|---|" + "---|" * 5]
    for name, seeds in results.items():
        cells = []
        for head in heads:
            values = np.array([figures[head] for figures in seeds.values() if head in figures]) * 100
            cells.append(f"{values.mean():.1f} ± {values.std(ddof=1):.1f} %" if len(values) > 1 else "")
        lines.append(f"| {name} | {len(seeds)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(demo: Path, out: Path, steps: int, minutes: float) -> None:
    """Run what is missing, row by row, and print the table."""
    results = json.loads(out.read_text()) if out.exists() else {}
    start_s, spatial = time.monotonic(), open_pairs(demo / "pairs")
    resplit: Resplit | None = None
    for name in VARIANTS:
        for seed in SEEDS:
            if str(seed) in results.get(name, {}) or time.monotonic() - start_s > minutes * 60:
                continue
            if name == SPLIT and resplit is None:
                resplit = Resplit(spatial)
            with tempfile.TemporaryDirectory() as folder:
                run = configure_variant(name, seed, steps, demo, Path(folder) / "run")
                figures = train_and_measure(run, resplit if name == SPLIT else spatial)
            results.setdefault(name, {})[str(seed)] = figures
            write_json(out, results)
            print(name, seed, f"{time.monotonic() - start_s:.0f} s", flush=True)
    print(format_table({name: results[name] for name in VARIANTS if name in results}))


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv))
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(arguments.get(3, 150)), float(arguments.get(4, 600)))
