"""The sampler: each step's pairs, its metadata dropout mask, its augmentation seed and its kept tokens.

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

ORDER, QUEUE, DROPOUT, AUGMENT, TOKENS = range(5)
"""Streams of random numbers, independent of each other."""

Rows = NDArray[np.int64]


class Batch(NamedTuple):
    """The pairs of one step."""

    step: int
    """Index of the step, counted from 0."""
    epoch: int
    """Index of the epoch, counted from 0."""
    rows: Rows
    """Indices of pairs in the training set, each at most once an epoch: int64, shape (B,)."""


def draw_batches(run: Run, pairs: int, start: int, spatial_order: Rows | None = None) -> Iterator[Batch]:
    """Yield the pairs of every step from step `start` on.

    Each epoch is a new permutation; the pairs that do not fill a last batch are left out of that epoch.
    `spatial_order` `[N]` holds all rows with neighbours together, and is used by ``data.hard_negatives``.
    """
    steps_per_epoch = pairs // run.optim.batch
    order, ordered_epoch = np.empty(0, np.int64), -1
    for step in range(start, total_steps(run, pairs)):
        epoch, step_in_epoch = divmod(step, steps_per_epoch)
        if epoch != ordered_epoch:
            order, ordered_epoch = _epoch_order(run, epoch, pairs, spatial_order), epoch
        yield Batch(
            step, epoch, order[step_in_epoch * run.optim.batch : (step_in_epoch + 1) * run.optim.batch]
        )


def _epoch_order(run: Run, epoch: int, pairs: int, spatial_order: Rows | None) -> Rows:
    """Return all rows in the order of an epoch.

    Without hard negatives the rows are shuffled one by one; with them, groups of `hard_negatives` neighbours
    are shuffled as wholes, so that a batch contains places that are close to each other.
    """
    generator = _random_generator(run, ORDER, epoch)
    size = run.data.hard_negatives
    if spatial_order is None or size < 2:
        return generator.permutation(pairs)
    ring = np.roll(spatial_order, int(generator.integers(pairs)))  # so that groups differ from epoch to epoch
    whole = pairs // size * size
    groups = ring[:whole].reshape(-1, size)[generator.permutation(whole // size)]
    return np.concatenate([groups.reshape(-1), ring[whole:]])


def total_steps(run: Run, pairs: int) -> int:
    """Return the number of optimiser steps of the whole run: ``optim.steps``, or epochs of whole batches."""
    if run.optim.steps is not None:
        return run.optim.steps
    return (run.optim.epochs or 1) * (pairs // run.optim.batch)


def initial_queue_rows(run: Run, pairs: int) -> Rows:
    """Return the K rows, int64, whose ground embeddings fill the MoCo queue before the first step."""
    return _random_generator(run, QUEUE, 0).permutation(pairs)[: run.loss.queue]


def dynamic_keep_mask(run: Run, step: int) -> Tensor:
    """Return the metadata dropout mask of a step: float32, shape (B, 1).

    1 keeps the Dynamic Encoder's output for a sample and 0 drops it, with probability ``model.dropout``;
    one draw holds for the whole batch where ``model.dropout_unit`` is ``batch``.
    """
    uniform = _random_generator(run, DROPOUT, step).random(run.optim.batch)
    if run.model.dropout_unit == "batch":
        uniform[:] = uniform[0]
    return torch.from_numpy(uniform >= run.model.dropout).float()[:, None]


def kept_tokens(run: Run, step: int, steps: int, tokens: int) -> Tensor | None:
    """Return the tokens that a step of `steps` computes, of `tokens` an image; None for all of them.

    The indices are drawn for each image of the batch, without repetition: int64, shape (B, K), K at least 1.
    """
    if run.augment.token_dropout == 0 or step >= steps * run.augment.token_dropout_until:
        return None
    count = max(1, round(tokens * (1 - run.augment.token_dropout)))
    uniform = _random_generator(run, TOKENS, step).random((run.optim.batch, tokens))
    return torch.from_numpy(uniform.argsort(axis=1)[:, :count].copy())


def augment_seed(run: Run, step: int) -> int:
    """Return the seed that `sat2cap.training.data.augment.augment_patches` uses at a step, in [0, 2**62)."""
    return int(_random_generator(run, AUGMENT, step).integers(2**62))


def _random_generator(run: Run, stream: int, index: int) -> np.random.Generator:
    """Return the generator of one stream at a step or an epoch."""
    return np.random.default_rng([run.optim.seed, stream, index])
