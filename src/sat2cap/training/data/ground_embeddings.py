"""Ground embeddings: the ground tower is frozen, so each photo is embedded once and cached.

The cache is a folder beside the shards, with one file for every `PART_PHOTOS` photos; of a pair set in a
bucket each run has a copy in its own folder::

    ground-train-3f0c…-00000.npy   float16 [65536, D], unit length but for rounding

The name holds a hash of all that decides the content. Files appear by rename, whole, and are memory-mapped:
all processes of a machine that read them share one copy in memory, which the system may drop.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sat2cap.engines import Engine, LocalEngine, RunLog
from sat2cap.errors import PairsError
from sat2cap.files import digest
from sat2cap.lookahead import count_cores
from sat2cap.model import Checkpoint, Precision
from sat2cap.pictures import DECODING_VERSION
from sat2cap.progress import Progress
from sat2cap.stores import append_record, open_store
from sat2cap.training.data.ground_job import GroundJob, GroundPart, stage_part
from sat2cap.training.data.patches import Pairs
from sat2cap.training.data.shared_cache import CACHE, SharedCache

STAGE = "embedding ground photos"
CHUNK = 256
"""Number of photos that are prepared ahead of the tower, and embedded at once."""
RECORD = "ground"
"""Name of the record of runs in the cache: ``ground.runs.jsonl``."""
PART_PHOTOS = 256 * CHUNK
"""Number of photos per file.

A killed run loses at most this many embeddings, and several processes share the work in these portions.
"""

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]


@dataclass(frozen=True, eq=False)
class GroundEmbeddings:
    """Ground embeddings of N photos in memory-mapped files; rows are read as float32 of unit length."""

    parts: Sequence[Halves]
    """Files in order, each with as many rows as the first, the last with the rest: float16, shape (n, D)."""
    dim: int
    """Length of an embedding, D."""

    def __len__(self) -> int:
        """Return the number of photos, N."""
        return sum(map(len, self.parts))

    def __getitem__(self, rows: NDArray[np.int64]) -> Floats:
        """Return the embeddings of rows `[b]`: float32, shape (b, D), unit length."""
        gathered = np.empty((len(rows), self.dim), np.float32)
        number, within = np.divmod(rows, len(self.parts[0]) if self.parts else 1)
        for part in np.unique(number):
            is_here = number == part
            gathered[is_here] = self.parts[part][within[is_here]]
        return _unit_rows(gathered)

    def read_all(self) -> Floats:
        """Return all embeddings in memory: float32, shape (N, D), unit length."""
        empty = np.zeros((0, self.dim), np.float32)
        return _unit_rows(np.concatenate([empty, *self.parts], dtype=np.float32))


def _unit_rows(rows: Floats) -> Floats:
    """Divide rows `[b, D]` by their lengths, in place, and return them: float16 has rounded them."""
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def ground_embeddings(
    pairs: Pairs,
    split: str,
    checkpoint: Checkpoint,
    *,
    fallback: Path,
    precision: Precision,
    progress: Progress,
    limit: int | None = None,
    rank: int = 0,
    world_size: int = 1,
    barrier: Callable[[], object] = lambda: None,
    threads: int | None = None,
    engine: Engine | None = None,
) -> GroundEmbeddings:
    """Return ground embeddings of N photos with D numbers each, in the order of ``pairs.read(split)``.

    Read from ``cache/`` in the pair set's folder or bucket (`fallback` where that cannot be written) if they
    were computed before, from the same pairs by the same tower; computed and kept there otherwise, shared out
    among `world_size` processes that meet at `barrier`; those of an `engine` that has workers elsewhere are
    all asked for by the first. `limit` takes the first pairs only; so many `threads` prepare photos, by
    default one for each core. Raises `PairsError` if a photo or a shard is broken, and `JobError` as engines.
    """
    count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
    folder = cache_folder(pairs, fallback)
    parts = _list_parts(pairs, split, checkpoint, precision, count, folder)
    engine = engine or LocalEngine()
    own_parts = parts[rank::world_size]
    if engine.has_workers:  # which are shared best by one process
        own_parts = parts if rank == 0 else []
    shared = SharedCache(pairs.store, progress)
    missing = [part for part in own_parts if not _is_there_or_fetched(part, checkpoint.dim, shared)]
    if missing:
        compiled = count >= PART_PHOTOS  # by the whole number: an interruption must not change the bytes
        locations = pairs.locate(split, folder, progress)
        threads = threads or count_cores()
        tower = (pairs, split, folder, checkpoint, precision)
        job = GroundJob(*tower, compiled, CHUNK, threads, locations)
        _embed_parts(job, missing, engine, shared, progress)
    barrier()
    return GroundEmbeddings([_open_part(part, checkpoint.dim, shared) for part in parts], checkpoint.dim)


def _embed_parts(
    job: GroundJob, parts: Sequence[GroundPart], engine: Engine, shared: SharedCache, progress: Progress
) -> None:
    """Have an engine embed the photos of parts; what workers did is recorded beside the files."""
    size = sum(part.size for part in parts)
    log = RunLog(STAGE, "photos", "parts", size, size, progress)

    def append(record: dict[str, Any]) -> None:
        if engine.has_workers:  # several processes that train may each do a share without
            append_record(open_store(job.cache / RECORD), record)

    with log.recorded(append, digest(*(part.path.name for part in parts)), engine.name):
        for _, staged in engine.run(job, parts, log):
            staged.put_in_place()
            shared.share(staged.part.path)
            log.add_done(staged.worker, {"embedded": staged.part.size})


def _list_parts(
    pairs: Pairs, split: str, checkpoint: Checkpoint, precision: Precision, count: int, folder: Path
) -> list[GroundPart]:
    """Return the files of the embeddings of the first `count` photos of a split."""
    content = (pairs.fingerprint, split, str(count), checkpoint.ground_identity, precision, DECODING_VERSION)
    name, older_name = digest(*content, "float16")[:24], digest(*content)[:24]
    return [
        GroundPart(
            folder / f"ground-{split}-{name}-{number:05d}.npy",
            folder / f"ground-{split}-{older_name}-{number:05d}.safetensors",
            range(start, min(start + PART_PHOTOS, count)),
        )
        for number, start in enumerate(range(0, count, PART_PHOTOS))
    ]


def cache_folder(pairs: Pairs, fallback: Path) -> Path:
    """Return the folder that caches what is computed from a pair set; `fallback` if that is not writable."""
    if pairs.folder is not None and pairs.folder.is_dir() and os.access(pairs.folder, os.W_OK):
        return pairs.folder / CACHE
    return fallback


def _is_there_or_fetched(part: GroundPart, dim: int, shared: SharedCache) -> bool:
    """Return whether a part is in the cache and whole, or is so after it was fetched. Raises `StoreError`."""
    if not _is_there(part, dim):
        shared.fetch(part.path)
    return _is_there(part, dim)


def _is_there(part: GroundPart, dim: int) -> bool:
    """Return whether a part is in the cache and whole; one of an older version is rounded and replaced."""
    if _map_file(part.path, (len(part.rows), dim)) is not None:
        return True
    try:
        older: Floats = load_file(part.older_path)["ground"]
    except (OSError, SafetensorError, KeyError):
        return False
    if older.shape != (len(part.rows), dim) or older.dtype != np.float32:
        return False
    stage_part(part, part.path.parent, older.astype(np.float16)).put_in_place()
    part.older_path.unlink(missing_ok=True)
    return True


def _open_part(part: GroundPart, dim: int, shared: SharedCache) -> Halves:
    """Return the rows of a part, memory-mapped. Raises `PairsError` if it is missing or broken."""
    if not part.path.exists():  # computed by a process on another machine
        shared.fetch(part.path)
    rows = _map_file(part.path, (len(part.rows), dim))
    if rows is None:
        raise PairsError(
            f"{part.path} is missing or broken: do all processes see the same folder? Start the run again"
        )
    return rows


def _map_file(path: Path, shape: tuple[int, int]) -> Halves | None:
    """Map the array of a file into memory; None if it is missing, broken, or of another shape or dtype."""
    try:
        rows: Halves = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return None
    return rows if rows.shape == shape and rows.dtype == np.float16 else None
