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
from sat2cap.training.data.patches import Pairs, TrainingSet, calendar_fields, check_count, decode_patch

PatchLocation = tuple[str, int, int, tuple[float, ...]]
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
        return decode_patch(data, self.keys[row], self.preprocess)


def open_shards(
    pairs: Pairs, split: str, preprocess: Preprocess, cache: Path, progress: Progress
) -> TrainingSet:
    """A split whose patches stay in their shards; PairsError when a shard is broken or a pair is missing."""
    paths = sorted((pairs.path / "shards").glob(f"{split}-*.tar"))
    index_path = cache / f"shards-{split}-{digest(pairs.fingerprint, split)[:24]}.npz"
    if index_path.exists():
        with np.load(index_path) as file:
            index: dict[str, Any] = dict(file)
    else:
        index = _scan_shards(paths, progress)
        check_count(pairs, split, len(index["keys"]), pairs.count(split))
        with publish(index_path) as temporary:
            np.savez(temporary, allow_pickle=False, **index)
    keys = [key.decode() for key in index["keys"].tolist()]
    shard, offset, size = (index[name] for name in ("shard", "offset", "size"))
    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes outside Python's lock
    patches = ShardPatches(keys, paths, shard, offset, size, preprocess, pool)
    return TrainingSet(keys, patches, index["moments"])


def _scan_shards(paths: list[Path], progress: Progress) -> dict[str, NDArray[Any]]:
    """Keys, places and times of all pairs, and where their patches are."""
    rows: list[tuple[int, PatchLocation]] = []
    for number, path in enumerate(paths):
        try:
            rows += [(number, location) for location in _read_shard_members(path)]
        except (OSError, tarfile.TarError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise PairsError(f"{path} is broken ({reason}): build the pairs again") from error
        progress("finding patches in the shards", number + 1, len(paths))
    return {
        "keys": np.array([location[0].encode() for _, location in rows], np.bytes_),
        "shard": np.array([number for number, _ in rows], np.int64),
        "offset": np.array([location[1] for _, location in rows], np.int64),
        "size": np.array([location[2] for _, location in rows], np.int64),
        "moments": np.array([location[3] for _, location in rows], np.float64).reshape(-1, 6),
    }


def _read_shard_members(path: Path) -> Iterator[PatchLocation]:
    """The pairs of a shard; what a pair's metadata says comes behind its images."""
    with tarfile.open(path, "r:") as tar:
        patch = (0, 0)
        for member in tar:
            key, part = member.name.split(".", 1)
            if part == "overhead.jpg":
                patch = member.offset_data, member.size
            elif part == "metadata.json":
                file = tar.extractfile(member)
                metadata = json.loads(file.read() if file else b"")
                taken = datetime.strptime(metadata["date_taken"], "%Y-%m-%d %H:%M:%S.%f")
                yield (
                    key,
                    *patch,
                    (float(metadata["latitude"]), float(metadata["longitude"]), *calendar_fields(taken)),
                )
