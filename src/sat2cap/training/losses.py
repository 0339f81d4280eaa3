"""Contrastive losses between overhead and ground embeddings (paper eq. 2-3), in four forms."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Form = Literal["paper", "queue_only", "symmetric", "siglip"]
SamePlace = Literal["negative", "ignore", "positive"]

MAX_LOG_SCALE = 4.6052
"""Logarithm of 100: the learnt scale stays within [1, 100]."""


def pair_masks(
    rows: Tensor, owners: Tensor, place: Tensor | None = None, same_place: SamePlace = "negative"
) -> tuple[Tensor, Tensor]:
    """Return the masks of positives and of excluded columns for each patch: bool, shape (B, B + K) each.

    `rows` `[B]` and `owners` `[K]` are the indices of the pairs in the batch and in the queue; `place` `[N]`
    is the place of every pair. The positive of a patch is its own photo. A second copy of that photo, which
    the queue still holds from the epoch before, is excluded. Other photos of the same place are treated as
    `same_place` says.
    """
    column_pairs = torch.cat([rows, owners])
    positives = torch.zeros(len(rows), len(column_pairs), dtype=torch.bool, device=rows.device)
    positives.fill_diagonal_(True)
    excluded = (rows[:, None] == column_pairs) & ~positives
    if place is not None and same_place != "negative":
        peers = (place[rows][:, None] == place[column_pairs]) & ~positives & ~excluded
        positives, excluded = (
            (positives | peers, excluded) if same_place == "positive" else (positives, excluded | peers)
        )
    return positives, excluded


def contrastive_loss(
    overhead: Tensor,
    ground: Tensor,
    queue: Tensor,
    scale: Tensor | float,
    form: Form = "paper",
    *,
    bias: Tensor | float = 0.0,
    related: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Return the mean contrastive loss of the overhead embeddings against batch and queue.

    `overhead` `[B, D]` of any length, normalised here; `ground` `[B, D]` and `queue` `[D, K]`, of length 1,
    row i of `ground` being the positive of row i of `overhead`. `scale` (the inverse temperature) multiplies
    cosines. `related` is the result of `pair_masks`; without it, the own photo is the only positive and no
    column is excluded.

    - ``paper``: negatives are the other ground embeddings of the batch, and the queue (eq. 3).
    - ``queue_only``: the queue alone, as in the authors' code.
    - ``symmetric``: ``paper``, averaged with picking each ground embedding's overhead within the batch.
    - ``siglip``: each pair classified by itself, by a sigmoid of its scaled cosine plus `bias` (Zhai et al.
      2023).

    With several positives (photos of the same place), the target of the softmax is uniform over them.
    """
    count = len(overhead)
    columns = torch.cat([ground.float().T, queue.float()], dim=1)
    logits = scale * (functional.normalize(overhead.float(), dim=-1) @ columns)
    if related is None:
        column_pairs = torch.arange(columns.shape[1], device=logits.device)
        related = pair_masks(column_pairs[:count], column_pairs[count:])
    positives, excluded = related
    if form == "siglip":
        return _sigmoid_loss(logits + bias, positives, excluded)
    if form == "queue_only":
        excluded = excluded.clone()
        excluded[:, :count] |= ~positives[:, :count]
    loss = _softmax_loss(logits, positives, excluded)
    if form == "symmetric":
        transposed = (matrix[:, :count].T for matrix in (logits, positives, excluded))
        loss = (loss + _softmax_loss(*transposed)) / 2
    return loss


def _softmax_loss(logits: Tensor, positives: Tensor, excluded: Tensor) -> Tensor:
    """Return the mean cross-entropy of the rows, with a target that is uniform over each row's positives."""
    # Masked after scaling: the gradient of zero times infinity is not a number.
    log_probabilities = functional.log_softmax(logits.masked_fill(excluded, -math.inf), dim=1)
    positive_means = log_probabilities.masked_fill(~positives, 0).sum(dim=1) / positives.sum(dim=1)
    return -positive_means.mean()


def _sigmoid_loss(logits: Tensor, positives: Tensor, excluded: Tensor) -> Tensor:
    """Return the binary cross-entropies summed over columns, averaged over rows (SigLIP)."""
    signed_logits = torch.where(positives, -logits, logits)
    return functional.softplus(signed_logits).masked_fill(excluded, 0).sum(dim=1).mean()
