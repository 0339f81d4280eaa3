"""Ground embeddings: the tower is frozen, so each photo is embedded once and kept beside its shards."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sat2cap.files import digest, publish
from sat2cap.model.checkpoint import Checkpoint, Precision
from sat2cap.progress import Progress
from sat2cap.train.data import Pairs, decode, decoded

CHUNK = 256
"""Photos decoded ahead of the tower."""


def ground_embeddings(
    pairs: Pairs,
    split: str,
    checkpoint: Checkpoint,
    *,
    fallback: Path,
    precision: Precision,
    progress: Progress,
    limit: int | None = None,
) -> NDArray[np.float32]:
    """Ground embeddings float32 `[N, D]` of length 1, in the order of ``pairs.read(split)``.

    Read from ``cache/`` in the pair set's folder (`fallback` where that cannot be written) if they were
    computed before, from the same pairs by the same tower; computed and kept there otherwise. `limit` takes
    the first pairs only.
    """
    count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
    key = digest(pairs.fingerprint, split, str(count), checkpoint.ground_identity, precision)[:24]
    name = f"ground-{split}-{key}.safetensors"
    folder = cache_folder(pairs, fallback)
    found = _read(folder / name, (count, checkpoint.dim))
    if found is not None:
        return found
    rows = np.zeros((count, checkpoint.dim), np.float32)
    start = 0
    progress("embedding ground photos", 0, count)
    for chunk, images in decoded(pairs, split, count, CHUNK, lambda pair: decode(pair.ground, pair.key)):
        rows[start : start + len(chunk)] = checkpoint.embed_ground(images, precision=precision)
        start += len(chunk)
        progress("embedding ground photos", start, count)
    with publish(folder / name) as temporary:
        save_file({"ground": rows}, temporary)
    return rows


def cache_folder(pairs: Pairs, fallback: Path) -> Path:
    """Where what is computed from a pair set is kept."""
    if pairs.path.is_dir() and os.access(pairs.path, os.W_OK):
        return pairs.path / "cache"
    return fallback


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """The cached embeddings; None when there are none, or the file is not what it should be."""
    try:
        rows: NDArray[np.float32] = load_file(path)["ground"]
    except (OSError, SafetensorError, KeyError):
        return None
    return rows if rows.shape == shape and rows.dtype == np.float32 else None
