"""The training set: patches and metadata of a whole split, decoded once or on each access."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import PairsError, PictureError
from sat2cap.lookahead import count_cores, map_ahead
from sat2cap.model import SAT2CAP_MEAN, SAT2CAP_STD, Encoding, Preprocess, encode_metadata
from sat2cap.pictures import decode_picture
from sat2cap.progress import Progress
from sat2cap.stores import Store

CHUNK = 512
"""Number of patches that are decoded ahead, or counted at once."""
STATS_IMAGES = 10_000
"""Number of patches, about, that channel means and standard deviations are measured on."""

T = TypeVar("T")
RgbValues = tuple[float, float, float]


class Pair(Protocol):
    """One pair; `sat2cap.pairs.Pair` satisfies this protocol."""

    @property
    def key(self) -> str:
        """Name of the pair, unique in its set."""
        ...

    @property
    def overhead(self) -> bytes:
        """Overhead patch with north up, as an encoded image file."""
        ...

    @property
    def lon(self) -> float:
        """Longitude in degrees east."""
        ...

    @property
    def lat(self) -> float:
        """Latitude in degrees north."""
        ...

    @property
    def taken(self) -> datetime:
        """Date and time of the photo on the local clock."""
        ...


class PairLocations(Protocol):
    """The N pairs of a split, each to be read by itself; `sat2cap.pairs.PairSet.locate` returns one."""

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitudes in degrees east: shape (N,)."""
        ...

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitudes in degrees north: shape (N,)."""
        ...

    @property
    def taken(self) -> NDArray[np.datetime64]:
        """Dates and times of the photos on the local clock, in microseconds: shape (N,)."""
        ...

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        ...

    def key(self, row: int) -> str:
        """Return the name of the pair at a position."""
        ...

    def read_photo(self, row: int) -> bytes:
        """Return the photo of the pair at a position, as an encoded image file; threads may call it."""
        ...

    def read_patch(self, row: int) -> bytes:
        """Return the patch of the pair at a position, as an encoded image file; threads may call it."""
        ...


class Pairs(Protocol):
    """A pair set as training reads it; `sat2cap.pairs.PairSet` satisfies this protocol."""

    @property
    def name(self) -> str:
        """Folder or address of the pair set, for messages."""
        ...

    @property
    def folder(self) -> Path | None:
        """Folder of the pair set; None if it lies in a bucket or on a web server."""
        ...

    @property
    def store(self) -> Store:
        """Where the pair set lies."""
        ...

    @property
    def fingerprint(self) -> str:
        """Hash of the content: equal for equal content only."""
        ...

    def count(self, split: str) -> int:
        """Return the number of pairs in a split."""
        ...

    def read(self, split: str) -> Iterator[Pair]:
        """Yield all pairs of a split, always in the same order."""
        ...

    def locate(self, split: str, cache: Path, progress: Progress) -> PairLocations:
        """Return where the pairs of a split lie, in the order of `read`; `cache` may keep what that took."""
        ...


class Patches(Protocol):
    """Decoded patches of one size, indexed by row; an array satisfies this protocol."""

    def __len__(self) -> int:
        """Return the number of patches, N."""
        ...

    def __getitem__(self, rows: Any) -> Any:
        """Return the patches of rows int64 `[b]`: uint8, shape (b, P, P, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A split of N pairs, row by row in the pair set's order."""

    keys: Sequence[str]
    """Names of the pairs."""
    patches: Patches
    """Patches (N, P, P, 3): in memory, in a memory-mapped file, or decoded from the shards."""
    moments: NDArray[np.float64]
    """Latitude and longitude in degrees, year, month, day and fractional hour: shape (N, 6)."""

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.keys)

    def encode_features(self, encoding: Encoding) -> NDArray[np.float32]:
        """Return place and time as features for the Dynamic Encoder: float32, shape (N, F)."""
        lat, lon, year, month, day, hour = self.moments.T
        return encode_metadata(lat, lon, year, month, day, hour, encoding)


def decode_image(data: bytes, key: str) -> Image.Image:
    """Decode a stored image as upright RGB. Raises PairsError with the pair's `key` if it is broken."""
    try:
        return decode_picture(data)
    except PictureError as error:
        raise PairsError(f"pair {key} has a broken image ({error}); build the pairs again") from error


def decode_in_chunks(
    source: Iterator[Pair], chunk: int, prepare: Callable[[Pair], T]
) -> Iterator[tuple[list[Pair], list[T]]]:
    """Yield pairs with what `prepare` makes of each, in chunks; threads prepare a chunk ahead of its use."""

    def with_pair(pair: Pair) -> tuple[Pair, T]:
        return pair, prepare(pair)

    # Pillow decodes and resizes without holding the interpreter's lock.
    prepared = map_ahead(with_pair, source, ahead=chunk, threads=count_cores())
    while entries := list(islice(prepared, chunk)):
        yield [pair for pair, _ in entries], [result for _, result in entries]


def check_count(pairs: Pairs, split: str, seen: int, count: int) -> None:
    """Raise PairsError if the pairs `seen` in a split are not as many as its manifest says, `count`."""
    if seen != count:
        raise PairsError(
            f"split {split} of {pairs.name} has {seen} pairs, not {count}: build the pairs again"
        )


def read_training_set(
    pairs: Pairs,
    split: str,
    preprocess: Preprocess,
    *,
    progress: Progress,
    limit: int | None = None,
) -> TrainingSet:
    """Read a split and decode its patches to `preprocess.size` pixels a side.

    Patches are stored in memory. With `limit`, only the first pairs are read. Raises PairsError if an
    image is broken or pairs are missing.
    """
    count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
    shape = (count, preprocess.size, preprocess.size, 3)
    overhead = np.zeros(shape, np.uint8)
    keys: list[str] = []
    moments: list[tuple[float, ...]] = []
    progress("decoding overhead patches", 0, count)

    def decode_pair(pair: Pair) -> NDArray[np.uint8]:
        return decode_patch(pair.overhead, pair.key, preprocess)

    for chunk, images in decode_in_chunks(islice(pairs.read(split), count), CHUNK, decode_pair):
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


def calendar_fields(taken: datetime) -> tuple[float, float, float, float]:
    """Return year, month, day and the fractional hour of a local time."""
    hour = taken.hour + taken.minute / 60 + taken.second / 3600
    return taken.year, taken.month, taken.day, hour


def calendar_columns(
    lat: NDArray[np.float64], lon: NDArray[np.float64], taken: NDArray[np.datetime64]
) -> NDArray[np.float64]:
    """Return places and local times as rows of `TrainingSet.moments`: float64, shape (N, 6)."""
    days, months = taken.astype("datetime64[D]"), taken.astype("datetime64[M]")
    seconds = (taken - days).astype("timedelta64[s]").astype(np.int64)
    hour = seconds // 3600 + seconds // 60 % 60 / 60 + seconds % 60 / 3600
    month = months.astype(np.int64) % 12 + 1
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    return np.stack(
        [lat, lon, taken.astype("datetime64[Y]").astype(np.int64) + 1970, month, day, hour], axis=1
    )


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
