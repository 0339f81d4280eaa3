"""What is drawn at each step: which pairs, whose metadata is left out, and the seed of the augmentation.

Each draw depends on the run's seed, its stream and its step (or epoch) alone, so that a run which goes on
from a state has no generator to restore.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat2cap.training.run import Run

ORDER, QUEUE, DROPOUT, AUGMENT = range(4)
"""Streams of random numbers."""

Rows = NDArray[np.int64]


class Batch(NamedTuple):
    """One step's pairs."""

    step: int
    """Counted from 0."""
    epoch: int
    rows: Rows
    """`[B]`, rows of the training set, each once an epoch."""


def batches(run: Run, pairs: int, start: int, along: Rows | None = None) -> Iterator[Batch]:
    """Every step's pairs from step `start` on; an epoch leaves out what does not fill a batch.

    `along` `[N]` are all rows with neighbours beside each other, for ``data.hard_negatives``.
    """
    an_epoch = pairs // run.optim.batch
    order, ordered = np.empty(0, np.int64), -1
    for step in range(start, total_steps(run, pairs)):
        epoch, part = divmod(step, an_epoch)
        if epoch != ordered:
            order, ordered = _order(run, epoch, pairs, along), epoch
        yield Batch(step, epoch, order[part * run.optim.batch : (part + 1) * run.optim.batch])


def _order(run: Run, epoch: int, pairs: int, along: Rows | None) -> Rows:
    """All rows in the order of an epoch: shuffled, or groups of neighbours shuffled whole."""
    draws = _generator(run, ORDER, epoch)
    size = run.data.hard_negatives
    if along is None or size < 2:
        return draws.permutation(pairs)
    ring = np.roll(along, int(draws.integers(pairs)))  # so that groups differ from epoch to epoch
    whole = pairs // size * size
    groups = ring[:whole].reshape(-1, size)[draws.permutation(whole // size)]
    return np.concatenate([groups.reshape(-1), ring[whole:]])


def total_steps(run: Run, pairs: int) -> int:
    """Steps of the whole run."""
    if run.optim.steps is not None:
        return run.optim.steps
    return (run.optim.epochs or 1) * (pairs // run.optim.batch)


def first_queue(run: Run, pairs: int) -> Rows:
    """Rows `[K]` whose ground embeddings the queue starts with."""
    return _generator(run, QUEUE, 0).permutation(pairs)[: run.loss.queue]


def kept(run: Run, step: int) -> Tensor:
    """1 where the Dynamic Encoder takes part, 0 where it is left out, float32 `[B, 1]`."""
    draws = _generator(run, DROPOUT, step).random(run.optim.batch)
    if run.model.dropout_unit == "batch":
        draws[:] = draws[0]
    return torch.from_numpy(draws >= run.model.dropout).float()[:, None]


def augment_seed(run: Run, step: int) -> int:
    """For `sat2cap.training.data.augment.augment`."""
    return int(_generator(run, AUGMENT, step).integers(2**62))


def _generator(run: Run, *place: int) -> np.random.Generator:
    return np.random.default_rng([run.optim.seed, *place])
