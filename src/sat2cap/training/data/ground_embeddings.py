"""Ground embeddings: the ground tower is frozen, so each photo is embedded once and cached.

The cache is a folder beside the shards, with one file for every `PART_PHOTOS` photos.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from sat2cap.files import digest, publish
from sat2cap.model import Checkpoint, Precision
from sat2cap.pictures import DECODING_VERSION
from sat2cap.progress import Progress
from sat2cap.training.data.patches import Pairs, check_count, decode_image, decode_in_chunks

CHUNK = 256
"""Number of photos that are decoded ahead of the tower."""
PART_PHOTOS = 256 * CHUNK
"""Number of photos per file.

A killed run loses at most this many embeddings, and several processes share the work in these portions.
"""

Floats = NDArray[np.float32]


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
) -> Floats:
    """Return ground embeddings, float32, shape (N, D), unit length, in the order of ``pairs.read(split)``.

    Read from ``cache/`` in the pair set's folder (`fallback` where that cannot be written) if they were
    computed before, from the same pairs by the same tower; computed and kept there otherwise, shared out
    among `world_size` processes that meet at `barrier`. `limit` takes the first pairs only.
    """
    count = pairs.count(split) if limit is None else min(limit, pairs.count(split))
    key = digest(
        pairs.fingerprint, split, str(count), checkpoint.ground_identity, precision, DECODING_VERSION
    )[:24]
    folder = cache_folder(pairs, fallback)
    shapes = [(min(PART_PHOTOS, count - start), checkpoint.dim) for start in range(0, count, PART_PHOTOS)]
    paths = [folder / f"ground-{split}-{key}-{part:05d}.safetensors" for part in range(len(shapes))]
    own_parts = range(rank, len(shapes), world_size)
    missing = {
        part: paths[part] for part in own_parts if _read_cached_part(paths[part], shapes[part]) is None
    }
    if missing:
        _embed_missing_parts(pairs, split, checkpoint, precision, count, missing, progress)
    barrier()
    parts = [load_file(path)["ground"] for path in paths]
    return np.concatenate([np.zeros((0, checkpoint.dim), np.float32), *parts])


def _embed_missing_parts(
    pairs: Pairs,
    split: str,
    checkpoint: Checkpoint,
    precision: Precision,
    count: int,
    wanted: dict[int, Path],
    progress: Progress,
) -> None:
    """Embed the photos of some parts, in one pass over the pairs, and publish each part when it is whole."""
    total = sum(min(PART_PHOTOS, count - part * PART_PHOTOS) for part in wanted)
    done, embeddings, part = 0, [], iter(sorted(wanted))
    rows = (row for part in sorted(wanted) for row in _part_rows(part, count))
    wanted_pairs = (pair for _, pair in pairs.read_rows(split, rows))
    progress("embedding ground photos", 0, total)
    for chunk, images in decode_in_chunks(
        wanted_pairs, CHUNK, lambda pair: decode_image(pair.ground, pair.key)
    ):
        embeddings.append(checkpoint.embed_ground(images, precision=precision))
        done += len(chunk)
        if done == total or sum(map(len, embeddings)) == PART_PHOTOS:
            with publish(wanted[next(part)]) as temporary:
                save_file({"ground": np.concatenate(embeddings)}, temporary)
            embeddings = []
        progress("embedding ground photos", done, total)
    check_count(pairs, split, count - total + done, count)


def _part_rows(part: int, count: int) -> range:
    """Return the positions of the photos of one part."""
    return range(part * PART_PHOTOS, min((part + 1) * PART_PHOTOS, count))


def cache_folder(pairs: Pairs, fallback: Path) -> Path:
    """Return the folder that caches what is computed from a pair set; `fallback` if that is not writable."""
    if pairs.path.is_dir() and os.access(pairs.path, os.W_OK):
        return pairs.path / "cache"
    return fallback


def _read_cached_part(path: Path, shape: tuple[int, int]) -> Floats | None:
    """Read one cached part; return None if it is missing, broken, or of another shape or dtype."""
    try:
        rows: Floats = load_file(path)["ground"]
    except (OSError, SafetensorError, KeyError):
        return None
    return rows if rows.shape == shape and rows.dtype == np.float32 else None
