"""A pair set in memory: patches and photos of plain colours, one the function of the other."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from sat2cap.pairs import Pair
from sat2cap.stores import open_store
from sat2cap.training.run import Run


@dataclass(frozen=True)
class FakePairs:
    """Satisfies `sat2cap.training.data.patches.Pairs`."""

    path: Path | str
    counts: dict[str, int]
    fingerprint: str = "fake"
    pixels: int = 24
    broken: str = ""
    """Key of the pair whose patch cannot be decoded."""

    name = property(lambda self: str(self.path))
    folder = property(lambda self: self.store.folder)
    store = property(lambda self: open_store(self.path))

    def count(self, split: str) -> int:
        return self.counts.get(split, 0)

    def read(self, split: str) -> Iterator[Pair]:
        for number in range(self.count(split)):
            yield self.pair(split, number)

    def locate(self, split: str, cache: Path, progress: object) -> "FakeLocations":
        return FakeLocations([self.pair(split, number) for number in range(self.count(split))])

    def pair(self, split: str, number: int) -> Pair:
        random = np.random.default_rng([len(split), number])
        colours = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        key = f"{split}-{number:03d}"
        overhead = b"no image" if key == self.broken else png(colours, self.pixels)
        taken = datetime(2015, 1, 1) + timedelta(hours=float(random.integers(0, 80_000)))
        lon, lat = random.uniform(-180, 180), random.uniform(-60, 70)
        return Pair(key, png(255 - colours, self.pixels), overhead, lon, lat, taken)


@dataclass(frozen=True)
class FakeLocations:
    """Satisfies `sat2cap.training.data.patches.PairLocations`."""

    pairs: list[Pair]

    lon = property(lambda self: np.array([pair.lon for pair in self.pairs]))
    lat = property(lambda self: np.array([pair.lat for pair in self.pairs]))
    taken = property(lambda self: np.array([pair.taken for pair in self.pairs], "datetime64[us]"))

    def __len__(self) -> int:
        return len(self.pairs)

    def key(self, row: int) -> str:
        return self.pairs[row].key

    def read_photo(self, row: int) -> bytes:
        return self.pairs[row].ground

    def read_patch(self, row: int) -> bytes:
        return self.pairs[row].overhead


def png(colours: np.ndarray, pixels: int) -> bytes:
    """A chequer of four colours."""
    file = io.BytesIO()
    Image.fromarray(colours).resize((pixels, pixels), Image.Resampling.NEAREST).save(file, "png")
    return file.getvalue()


def small_run(folder: Path, **sections: dict[str, object]) -> Run:
    """A run of a few steps that writes to `folder`; `sections` override its settings."""
    values: dict[str, dict[str, object]] = {
        "data": {"pairs": str(folder.parent / "pairs")},
        "model": {"init": str(folder.parent / "clip")},
        "loss": {"queue": 16},
        "optim": {"lr": 1e-3, "batch": 8, "steps": 12, "warmup": 2, "device": "cpu"},
        "output": {"folder": str(folder), "checkpoint_every": 4},
    }
    for name, settings in sections.items():
        values[name] = {**values.get(name, {}), **settings}
    return Run.model_validate(values)


def log_of(folder: Path) -> list[dict[str, float]]:
    """The records of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
