"""Patches decoded from the shards on each access, for pair sets too large to store decoded.

Shards are uncompressed tar files, so that a patch is a range of bytes that is read without the others.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from sat2cap.files import digest
from sat2cap.model import Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.patches import (
    PairLocations,
    Pairs,
    TrainingSet,
    calendar_columns,
    decode_patch,
)


@dataclass(frozen=True, eq=False)
class ShardPatches:
    """Patches (N, P, P, 3) that are read and decoded on each access."""

    locations: PairLocations
    """Where the pairs lie."""
    preprocess: Preprocess
    """Preprocessing that patches are resized by."""
    pool: ThreadPoolExecutor
    """Threads that read and decode."""

    def __len__(self) -> int:
        """Return the number of patches, N."""
        return len(self.locations)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the patches of rows `[b]`, decoded in parallel: uint8, shape (b, P, P, 3)."""
        size = self.preprocess.size
        patches = np.empty((len(rows), size, size, 3), np.uint8)

        def put_patch(number: int) -> None:
            patches[number] = self._read_patch(int(rows[number]))

        list(self.pool.map(put_patch, range(len(rows))))
        return patches

    def _read_patch(self, row: int) -> NDArray[np.uint8]:
        return decode_patch(self.locations.read_patch(row), self.locations.key(row), self.preprocess)


@dataclass(frozen=True, eq=False)
class _Keys(Sequence[str]):
    """Names of the pairs, as texts when they are asked for: millions of them would fill memory."""

    locations: PairLocations

    def __len__(self) -> int:
        return len(self.locations)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self.locations.key(number) for number in range(*row.indices(len(self)))]
        return self.locations.key(row)


def open_shards(
    pairs: Pairs, split: str, preprocess: Preprocess, cache: Path, threads: int, progress: Progress
) -> TrainingSet:
    """Return a split whose patches stay in their shards, from which so many threads read and decode.

    Raises PairsError if a shard is missing or pairs are.
    """
    locations = pairs.locate(split, cache, progress)
    older = cache / f"shards-{split}-{digest(pairs.fingerprint, split)[:24]}.npz"  # before the index had it
    older.unlink(missing_ok=True)
    patches = ShardPatches(locations, preprocess, ThreadPoolExecutor(threads))
    moments = calendar_columns(locations.lat, locations.lon, locations.taken)
    return TrainingSet(_Keys(locations), patches, moments)
