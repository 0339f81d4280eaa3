"""The training data and its loader, which prepares batches while the step before them is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from sat2cap.engines import Engine
from sat2cap.lookahead import count_cores, map_ahead
from sat2cap.model import Checkpoint, Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.augment import augment_patches
from sat2cap.training.data.decoded_file import open_decoded_file
from sat2cap.training.data.ground_embeddings import (
    GroundEmbeddings,
    cache_folder,
    ground_embeddings,
)
from sat2cap.training.data.neighbours import morton_order, place_ids
from sat2cap.training.data.patches import Pairs, Patches, TrainingSet, overhead_preprocess, read_training_set
from sat2cap.training.data.sampler import Batch, augment_seed, draw_batches, dynamic_keep_mask
from sat2cap.training.data.streaming import open_shards
from sat2cap.training.run import Run
from sat2cap.training.student import set_fastest_attention


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The N pairs of a run, ready to be drawn as batches."""

    keys: Sequence[str]
    """Names of the pairs."""
    patches: Patches
    """Decoded overhead patches: uint8, shape (N, P, P, 3)."""
    ground: GroundEmbeddings | NDArray[np.float32]
    """Ground embeddings of unit length, of shape (N, D); rows of them are read as float32."""
    features: NDArray[np.float32]
    """Encoded place and time: shape (N, F)."""
    place: Tensor
    """Place number of each pair: int64, shape (N,), on the device. Equal numbers are the same place."""
    spatial_order: NDArray[np.int64]
    """All rows in Morton order, which keeps neighbours together: int64, shape (N,)."""
    preprocess: Preprocess
    """Preprocessing of the overhead tower that is trained."""
    years: tuple[int, int]
    """First and last year in which a photo was taken."""

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.keys)


class LoadedBatch(NamedTuple):
    """One step's batch of B pairs on the device, with this process's share of b patches."""

    step: int
    """Index of the step, counted from 0."""
    epoch: int
    """Index of the epoch, counted from 0."""
    pixels: Tensor
    """Augmented and normalised patches of this process: float32, shape (b, 3, S, S)."""
    features: Tensor
    """Encoded place and time of this process's patches: float32, shape (b, F)."""
    keep: Tensor
    """1 where the Dynamic Encoder is kept and 0 where it is dropped: float32, shape (b, 1)."""
    ground: Tensor
    """Ground embeddings of the whole batch: float32, shape (B, D)."""
    rows: Tensor
    """Indices of the whole batch's pairs in the training set: int64, shape (B,)."""


def read_training_data(
    run: Run,
    pairs: Pairs,
    start: Checkpoint,
    fabric: Fabric,
    progress: Progress,
    engine: Engine | None = None,
) -> TrainingData:
    """Read or decode all pairs, and embed their photos, by `engine`, unless the embeddings are cached.

    Raises PairsError if a pair is broken or missing, and `JobError` if the engine's workers cannot go on.
    """
    start.to(fabric.device)
    if start.ground is not None:
        set_fastest_attention(start.ground, fabric.device, run.precision)
    data = _training_set(run, pairs, start, progress)
    ground = ground_embeddings(
        pairs,
        run.data.split,
        start,
        fallback=Path(run.output.folder) / "cache",
        precision=run.precision,
        progress=progress,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        barrier=fabric.barrier,
        threads=count_threads(run),
        engine=engine,
    )
    lat, lon = data.moments[:, 0], data.moments[:, 1]
    return TrainingData(
        data.keys,
        data.patches,
        ground,
        data.encode_features(run.model.encoding),
        torch.from_numpy(place_ids(lat, lon, run.data.place_m)).to(fabric.device),
        morton_order(lat, lon),
        overhead_preprocess(run.model.overhead_stats, start.overhead_preprocess, data.patches),
        (int(data.moments[:, 2].min()), int(data.moments[:, 2].max())),
    )


def _training_set(run: Run, pairs: Pairs, start: Checkpoint, progress: Progress) -> TrainingSet:
    """Open the split: patches in memory, in a memory-mapped file if they are large, or left in the shards."""
    cache = Path(run.output.folder) / "cache"
    pixels = run.augment.source_pixels or start.patch_pixels
    source = replace(start.overhead_preprocess, size=pixels, shortest_edge=None)
    if run.output.decode == "always":
        folder = cache_folder(pairs, cache)
        return open_shards(pairs, run.data.split, source, folder, count_threads(run), progress)
    if pairs.count(run.data.split) * 3 * pixels**2 > run.output.cache_gb * 1e9:
        return open_decoded_file(pairs, run.data.split, source, cache_folder(pairs, cache), progress)
    return read_training_set(pairs, run.data.split, source, progress=progress)


def count_threads(run: Run) -> int:
    """Return how many threads of this process read and decode: its share of this machine's cores."""
    return run.output.threads or max(1, count_cores() // run.optim.devices)


def load_batches(run: Run, data: TrainingData, fabric: Fabric, start: int) -> Iterator[LoadedBatch]:
    """Yield every step's batch from step `start` on; a thread prepares the next two meanwhile."""
    return map_ahead(
        partial(load_batch, run, data, fabric),
        draw_batches(run, len(data), start, data.spatial_order),
        ahead=2,
    )


def load_batch(run: Run, data: TrainingData, fabric: Fabric, batch: Batch) -> LoadedBatch:
    """Return one batch on the device: patches augmented, features, dropout mask and ground embeddings."""
    share = len(batch.rows) // fabric.world_size
    own_rows = slice(share * fabric.global_rank, share * (fabric.global_rank + 1))
    patches = _copy_to_device(fabric.device, data.patches[batch.rows[own_rows]])
    seed, total = augment_seed(run, batch.step), len(batch.rows)
    return LoadedBatch(
        batch.step,
        batch.epoch,
        augment_patches(patches, run.augment, data.preprocess, seed, first=own_rows.start, total=total),
        _copy_to_device(fabric.device, data.features[batch.rows[own_rows]]),
        dynamic_keep_mask(run, batch.step)[own_rows].to(fabric.device),
        _copy_to_device(fabric.device, data.ground[batch.rows]),
        _copy_to_device(fabric.device, batch.rows),
    )


def _copy_to_device(device: torch.device, array: NDArray[Any]) -> Tensor:
    """Copy an array to the device; on CUDA from pinned memory, so that the copy overlaps with computing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
