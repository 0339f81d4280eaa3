"""Patches decoded from the shards on each access, for pair sets too large to store decoded.

Shards are uncompressed tar files, so that a patch is a range of bytes. The ranges are read from the headers
of the tar files once, and cached beside the shards.
"""

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
from sat2cap.files import digest, parse_json, publish
from sat2cap.model import Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.patches import Pairs, TrainingSet, calendar_fields, check_count, decode_patch

PatchLocation = tuple[str, int, int, tuple[float, ...]]
"""Key of a pair, offset and size of its patch in bytes, place and time as in `TrainingSet.moments`."""


@dataclass(frozen=True, eq=False)
class ShardPatches:
    """Patches (N, P, P, 3) that are read and decoded on each access."""

    keys: list[str]
    """Names of the pairs."""
    paths: list[Path]
    """Shards."""
    shard: NDArray[np.int64]
    """Index in `paths` of each patch's shard: shape (N,)."""
    offset: NDArray[np.int64]
    """Offset of each patch in its shard, in bytes: shape (N,)."""
    size: NDArray[np.int64]
    """Size of each patch in bytes: shape (N,)."""
    preprocess: Preprocess
    """Preprocessing that patches are resized by."""
    pool: ThreadPoolExecutor
    """Threads that decode."""

    def __len__(self) -> int:
        """Return the number of patches, N."""
        return len(self.keys)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the patches of rows `[b]`, decoded in parallel: uint8, shape (b, P, P, 3)."""
        return np.stack(list(self.pool.map(self._read_patch, rows.tolist())))

    def _read_patch(self, row: int) -> NDArray[np.uint8]:
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
    """Return a split whose patches stay in their shards.

    Raises PairsError if a shard is broken or pairs are missing.
    """
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
    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes without holding the interpreter's lock
    patches = ShardPatches(keys, paths, shard, offset, size, preprocess, pool)
    return TrainingSet(keys, patches, index["moments"])


def _scan_shards(paths: list[Path], progress: Progress) -> dict[str, NDArray[Any]]:
    """Return the index of the shards: keys, moments, and the shard, offset and size of every patch."""
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
    """Yield the location of every patch in a shard, in which a pair's images precede its metadata."""
    with tarfile.open(path, "r:") as tar:
        patch = (0, 0)
        for member in tar:
            key, file_name = member.name.split(".", 1)
            if file_name == "overhead.jpg":
                patch = member.offset_data, member.size
            elif file_name == "metadata.json":
                file = tar.extractfile(member)
                metadata = parse_json(file.read() if file else b"")
                taken = datetime.strptime(metadata["date_taken"], "%Y-%m-%d %H:%M:%S.%f")
                yield (
                    key,
                    *patch,
                    (float(metadata["latitude"]), float(metadata["longitude"]), *calendar_fields(taken)),
                )
