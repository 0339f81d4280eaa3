"""Patches decoded from the shards whenever they are wanted, for pair sets too large to keep decoded.

A tar is not compressed, so a patch is a range of bytes. Where each lies is found by reading the tars' headers
once, and kept beside the shards.
"""

import json
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PairsError
from sat2cap.files import digest, publish
from sat2cap.model import Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.patches import Pairs, TrainingSet, check_count, fitted, when

Found = tuple[str, int, int, tuple[float, ...]]
"""A pair's key, where its patch begins, its bytes, and its place and time."""


@dataclass(frozen=True, eq=False)
class ShardPatches:
    """Patches `[N, P, P, 3]` that are read and decoded by each use."""

    keys: list[str]
    paths: list[Path]
    shard: NDArray[np.int64]
    """`[N]`, of `paths`."""
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    """`[N]`, bytes."""
    preprocess: Preprocess
    pool: ThreadPoolExecutor

    def __len__(self) -> int:
        """N."""
        return len(self.keys)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """uint8 `[b, P, P, 3]`, decoded side by side."""
        return np.stack(list(self.pool.map(self._patch, rows.tolist())))

    def _patch(self, row: int) -> NDArray[np.uint8]:
        path = self.paths[self.shard[row]]
        try:
            with path.open("rb") as file:
                data = os.pread(file.fileno(), int(self.size[row]), int(self.offset[row]))
        except OSError as error:
            raise PairsError(f"{path} cannot be read ({error}): build the pairs again") from error
        return fitted(data, self.keys[row], self.preprocess)


def open_shards(
    pairs: Pairs, split: str, preprocess: Preprocess, cache: Path, progress: Progress
) -> TrainingSet:
    """A split whose patches stay in their shards; PairsError when a shard is broken or a pair is missing."""
    paths = sorted((pairs.path / "shards").glob(f"{split}-*.tar"))
    known = cache / f"shards-{split}-{digest(pairs.fingerprint, split)[:24]}.npz"
    if known.exists():
        with np.load(known) as file:
            found: dict[str, Any] = dict(file)
    else:
        found = _scanned(paths, progress)
        check_count(pairs, split, len(found["keys"]), pairs.count(split))
        with publish(known) as temporary:
            np.savez(temporary, allow_pickle=False, **found)
    keys = [key.decode() for key in found["keys"].tolist()]
    shard, offset, size = (found[name] for name in ("shard", "offset", "size"))
    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes outside Python's lock
    patches = ShardPatches(keys, paths, shard, offset, size, preprocess, pool)
    return TrainingSet(keys, patches, found["moments"])


def _scanned(paths: list[Path], progress: Progress) -> dict[str, NDArray[Any]]:
    """Keys, places and times of all pairs, and where their patches are."""
    rows: list[tuple[int, Found]] = []
    for number, path in enumerate(paths):
        try:
            rows += [(number, found) for found in _members(path)]
        except (OSError, tarfile.TarError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise PairsError(f"{path} is broken ({reason}): build the pairs again") from error
        progress("finding patches in the shards", number + 1, len(paths))
    return {
        "keys": np.array([found[0].encode() for _, found in rows], np.bytes_),
        "shard": np.array([number for number, _ in rows], np.int64),
        "offset": np.array([found[1] for _, found in rows], np.int64),
        "size": np.array([found[2] for _, found in rows], np.int64),
        "moments": np.array([found[3] for _, found in rows], np.float64).reshape(-1, 6),
    }


def _members(path: Path) -> Iterator[Found]:
    """The pairs of a shard; what a pair's metadata says comes behind its images."""
    with tarfile.open(path, "r:") as tar:
        patch = (0, 0)
        for member in tar:
            key, part = member.name.split(".", 1)
            if part == "overhead.jpg":
                patch = member.offset_data, member.size
            elif part == "metadata.json":
                file = tar.extractfile(member)
                said = json.loads(file.read() if file else b"")
                taken = datetime.strptime(said["date_taken"], "%Y-%m-%d %H:%M:%S.%f")
                yield key, *patch, (float(said["latitude"]), float(said["longitude"]), *when(taken))
