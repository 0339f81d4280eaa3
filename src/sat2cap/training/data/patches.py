"""The training set: patches and metadata of a whole split, decoded once or on each access."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import PairsError
from sat2cap.lookahead import map_ahead
from sat2cap.model import SAT2CAP_MEAN, SAT2CAP_STD, Encoding, Preprocess, encode_metadata
from sat2cap.progress import Progress

CHUNK = 512
"""Patches decoded at once."""
STATS_IMAGES = 10_000
"""Patches that are enough to measure means and deviations on."""

T = TypeVar("T")
RgbValues = tuple[float, float, float]


class Pair(Protocol):
    """One pair, as `sat2cap.pairs.dataset.Pair` has it."""

    @property
    def key(self) -> str:
        """Unique in the set."""
        ...

    @property
    def ground(self) -> bytes:
        """Encoded photo."""
        ...

    @property
    def overhead(self) -> bytes:
        """Encoded patch, north up."""
        ...

    @property
    def lon(self) -> float:
        """Degrees east."""
        ...

    @property
    def lat(self) -> float:
        """Degrees north."""
        ...

    @property
    def taken(self) -> datetime:
        """Local clock time."""
        ...


class Pairs(Protocol):
    """What training needs of a pair set; `sat2cap.pairs.dataset.PairSet` is one."""

    @property
    def path(self) -> Path:
        """Its folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal exactly for equal content."""
        ...

    def count(self, split: str) -> int:
        """Pairs in a split."""
        ...

    def read(self, split: str) -> Iterator[Pair]:
        """All of them, always in the same order."""
        ...


class Patches(Protocol):
    """Patches by row, decoded and of one size; an array is one."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, rows: Any) -> Any:
        """uint8 `[b, P, P, 3]` of the rows int64 `[b]`."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A split of N pairs, row by row in the pair set's order."""

    keys: list[str]
    patches: Patches
    """`[N, P, P, 3]`: in memory, mapped from a file, or decoded from the shards."""
    moments: NDArray[np.float64]
    """`[N, 6]`: latitude, longitude, year, month, day, hour."""

    def __len__(self) -> int:
        """N."""
        return len(self.keys)

    def features(self, encoding: Encoding) -> NDArray[np.float32]:
        """`[N, F]`: place and time, encoded."""
        lat, lon, year, month, day, hour = self.moments.T
        return encode_metadata(lat, lon, year, month, day, hour, encoding)


def decode_image(data: bytes, key: str) -> Image.Image:
    """Decode an image as RGB. Raises PairsError, which names the pair `key`, if it is broken."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's ways of saying broken
        raise PairsError(
            f"pair {key} has an image that is broken ({error}): build the pairs again"
        ) from error


def decode_in_chunks(
    source: Iterator[Pair], chunk: int, prepare: Callable[[Pair], T]
) -> Iterator[tuple[list[Pair], list[T]]]:
    """Yield pairs with what `prepare` makes of each, in chunks; threads prepare a chunk ahead of its use."""

    def with_pair(pair: Pair) -> tuple[Pair, T]:
        return pair, prepare(pair)

    threads = os.cpu_count() or 1  # Pillow decodes without holding the interpreter's lock
    prepared = map_ahead(with_pair, source, ahead=chunk, threads=threads)
    while entries := list(islice(prepared, chunk)):
        yield [pair for pair, _ in entries], [result for _, result in entries]


def check_count(pairs: Pairs, split: str, seen: int, count: int) -> None:
    """Raise PairsError if a split has another number of pairs than its manifest says."""
    if seen != count:
        raise PairsError(
            f"split {split} of {pairs.path} has {seen} pairs, not {count}: build the pairs again"
        )


def read_training_set(
    pairs: Pairs,
    split: str,
    preprocess: Preprocess,
    *,
    progress: Progress,
    spill: Path | None = None,
    limit: int | None = None,
) -> TrainingSet:
    """Decode a split's patches to `preprocess.size` pixels a side, once.

    With `spill` they go to that file, memory-mapped, instead of memory. `limit` takes the first pairs only.
    """
    count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
    shape = (count, preprocess.size, preprocess.size, 3)
    overhead = np.zeros(shape, np.uint8) if spill is None else _create_memmap(spill, shape)
    keys: list[str] = []
    moments: list[tuple[float, ...]] = []
    progress("decoding overhead patches", 0, count)

    def fit(pair: Pair) -> NDArray[np.uint8]:
        return decode_patch(pair.overhead, pair.key, preprocess)

    for chunk, images in decode_in_chunks(islice(pairs.read(split), count), CHUNK, fit):
        for pair, image in zip(chunk, images, strict=True):
            overhead[len(keys)] = image
            keys.append(pair.key)
            moments.append((pair.lat, pair.lon, *calendar_fields(pair.taken)))
        progress("decoding overhead patches", len(keys), count)
    check_count(pairs, split, len(keys), count)
    return TrainingSet(keys, overhead, np.array(moments, np.float64).reshape(-1, 6))


def decode_patch(data: bytes, key: str, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Decode a stored patch and resize it to uint8, shape (P, P, 3), with P = `preprocess.size`.

    Raises PairsError, which names the pair `key`, if the image is broken.
    """
    image: NDArray[np.uint8] = preprocess.pixels([decode_image(data, key)])[0]
    return image


def _create_memmap(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Create a memory-mapped uint8 array in a new .npy file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array: Any = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    mapped: NDArray[np.uint8] = array
    return mapped


def calendar_fields(taken: datetime) -> tuple[float, float, float, float]:
    """Return year, month, day and the fractional hour of a local time."""
    hour = taken.hour + taken.minute / 60 + taken.second / 3600
    return taken.year, taken.month, taken.day, hour


def pixel_stats(patches: Patches) -> tuple[RgbValues, RgbValues]:
    """Return mean and standard deviation of each channel, in [0, 1], over evenly spaced patches.

    At most about `STATS_IMAGES` patches are read; values are rounded to four decimals.
    """
    picked = np.arange(0, len(patches), max(1, len(patches) // STATS_IMAGES))
    counts = np.zeros((3, 256), np.int64)
    for start in range(0, len(picked), CHUNK):
        chunk = patches[picked[start : start + CHUNK]]
        for channel in range(3):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    levels = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ levels
    std = np.sqrt(np.maximum((share * (levels - mean[:, None]) ** 2).sum(axis=1), 1e-6))
    red, green, blue = ((round(float(m), 4), round(float(s), 4)) for m, s in zip(mean, std, strict=True))
    return (red[0], green[0], blue[0]), (red[1], green[1], blue[1])


def overhead_preprocess(
    stats: Literal["init", "measure", "paper"], start: Preprocess, patches: Patches
) -> Preprocess:
    """Return the trained tower's preprocessing: the initial one with means and deviations as `stats` says.

    ``init`` keeps them, ``paper`` uses those of the Sat2Cap authors, ``measure`` those of `patches`.
    """
    if stats == "paper":
        return replace(start, mean=SAT2CAP_MEAN, std=SAT2CAP_STD)
    if stats == "measure":
        mean, std = pixel_stats(patches)
        return replace(start, mean=mean, std=std)
    return start
