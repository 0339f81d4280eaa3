"""Embedding patches in batches of one fixed shape, so that a cell's bytes depend on its own patch alone.

The kernels of matrix products are chosen by the shape of a batch, and sum in another order in each: on one
processor, the same patch alone and among 64 differs by some 1e-6. Where it stands in a batch, and what else
is in it, makes no difference. So the last batch of a block is filled up, and the added rows are dropped.
"""

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import AtlasSpec
from sat2cap.model import Checkpoint

NUMBERS_VERSION = 2
"""Version of the code that computes numbers, a part of an atlas's identity; an atlas goes on as it began.

1: the last batch of a block is as small as it comes. 2: every batch has `BATCH_PATCHES` patches.
"""

BATCH_PATCHES = 64
"""Patches that the network sees at once; `Checkpoint.embed_overhead` cuts by the same number."""


def embed_in_fixed_batches(
    spec: AtlasSpec, checkpoint: Checkpoint, rgb: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return embeddings float32 `[N, D]`, not normalised, of patches uint8 `[N, P, P, 3]`.

    A tail of fewer than `BATCH_PATCHES` is filled up with black patches, unless the atlas was begun by a
    version that did not.
    """
    precision = spec.model["precision"]
    tail = len(rgb) % BATCH_PATCHES
    if tail == 0 or not _is_filled_up(spec):
        return checkpoint.embed_overhead(rgb, precision=precision)
    # in memory as [N, 3, P, P], as patches are read: another order may be computed by other kernels
    planes = np.zeros((BATCH_PATCHES, 3, *rgb.shape[1:3]), np.uint8)
    last = np.moveaxis(planes, 1, -1)
    last[:tail] = rgb[len(rgb) - tail :]
    whole = checkpoint.embed_overhead(rgb[: len(rgb) - tail], precision=precision)
    return np.concatenate([whole, checkpoint.embed_overhead(last, precision=precision)[:tail]])


def count_computed_patches(spec: AtlasSpec, cells: int) -> int:
    """Return how many patches the network computes for a block of `cells` cells: whole batches of them."""
    return -(-cells // BATCH_PATCHES) * BATCH_PATCHES if _is_filled_up(spec) else cells


def _is_filled_up(spec: AtlasSpec) -> bool:
    """Return whether the last batch of a block is filled up in this atlas."""
    return int(spec.model.get("numbers", 1)) >= 2
