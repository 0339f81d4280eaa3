"""What each step is given, made ready while the step before is computed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from sat2cap.lookahead import map_ahead
from sat2cap.model import Checkpoint, Preprocess
from sat2cap.progress import Progress
from sat2cap.training.data.augment import augment
from sat2cap.training.data.ground_embeddings import cache_folder, ground_embeddings
from sat2cap.training.data.neighbours import along_curve, place_ids
from sat2cap.training.data.patches import Pairs, Patches, TrainingSet, overhead_preprocess, read_training_set
from sat2cap.training.data.sampler import Batch, augment_seed, batches, kept
from sat2cap.training.data.streaming import open_shards
from sat2cap.training.run import Run
from sat2cap.training.student import quickest_attention


@dataclass(frozen=True, eq=False)
class Material:
    """All that steps are made of, N pairs."""

    keys: list[str]
    patches: Patches
    """`[N, P, P, 3]`."""
    ground: NDArray[np.float32]
    """`[N, D]`."""
    features: NDArray[np.float32]
    """`[N, F]`."""
    place: Tensor
    """`[N]`, on the device: which place each pair is of."""
    along: NDArray[np.int64]
    """`[N]`: all rows, neighbours beside each other."""
    preprocess: Preprocess
    years: tuple[int, int]
    """First and last of the photos."""

    def __len__(self) -> int:
        """N."""
        return len(self.keys)


class Loaded(NamedTuple):
    """One step's batch of B pairs on the device; of the patches, this process's share b."""

    step: int
    epoch: int
    pixels: Tensor
    """`[b, 3, S, S]`, augmented and normalised."""
    features: Tensor
    """`[b, F]`."""
    keep: Tensor
    """`[b, 1]`."""
    ground: Tensor
    """`[B, D]`."""
    rows: Tensor
    """`[B]`."""


def read_material(run: Run, pairs: Pairs, start: Checkpoint, fabric: Fabric, progress: Progress) -> Material:
    """Find or decode all pairs, and embed their photos unless that was done before."""
    start.to(fabric.device)
    if start.ground is not None:
        quickest_attention(start.ground, fabric.device)
    data = _training_set(run, pairs, start, fabric, progress)
    ground = ground_embeddings(
        pairs,
        run.data.split,
        start,
        fallback=Path(run.output.folder) / "cache",
        precision=run.optim.precision,
        progress=progress,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        barrier=fabric.barrier,
    )
    lat, lon = data.moments[:, 0], data.moments[:, 1]
    return Material(
        data.keys,
        data.patches,
        ground,
        data.features(run.model.encoding),
        torch.from_numpy(place_ids(lat, lon, run.data.place_m)).to(fabric.device),
        along_curve(lat, lon),
        overhead_preprocess(run.model.overhead_stats, start.overhead_preprocess, data.patches),
        (int(data.moments[:, 2].min()), int(data.moments[:, 2].max())),
    )


def _training_set(
    run: Run, pairs: Pairs, start: Checkpoint, fabric: Fabric, progress: Progress
) -> TrainingSet:
    """The patches in memory, in a file, or where they are."""
    cache = Path(run.output.folder) / "cache"
    pixels = run.augment.source_pixels or start.patch_pixels
    source = replace(start.overhead_preprocess, size=pixels, shortest_edge=None)
    if run.output.decode == "always":
        with fabric.rank_zero_first():  # the others find its table
            return open_shards(pairs, run.data.split, source, cache_folder(pairs, cache), progress)
    large = pairs.count(run.data.split) * 3 * pixels**2 > run.output.cache_gb * 1e9
    spill = cache / f"overhead-{fabric.global_rank}.npy" if large else None
    return read_training_set(pairs, run.data.split, source, progress=progress, spill=spill)


def loaded(run: Run, data: Material, fabric: Fabric, start: int) -> Iterator[Loaded]:
    """Yield every step's batch from step `start` on; a thread prepares the next two meanwhile."""
    return map_ahead(partial(load, run, data, fabric), batches(run, len(data), start, data.along), ahead=2)


def load(run: Run, data: Material, fabric: Fabric, batch: Batch) -> Loaded:
    """One batch, made ready."""
    share = len(batch.rows) // fabric.world_size
    mine = slice(share * fabric.global_rank, share * (fabric.global_rank + 1))
    patches = _onto(fabric.device, data.patches[batch.rows[mine]])
    seed = augment_seed(run, batch.step)
    return Loaded(
        batch.step,
        batch.epoch,
        augment(patches, run.augment, data.preprocess, seed, first=mine.start, total=len(batch.rows)),
        _onto(fabric.device, data.features[batch.rows[mine]]),
        kept(run, batch.step)[mine].to(fabric.device),
        _onto(fabric.device, data.ground[batch.rows]),
        _onto(fabric.device, batch.rows),
    )


def _onto(device: torch.device, array: NDArray[Any]) -> Tensor:
    """An array on the device, copied there while the device goes on computing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
