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


def relations(
    rows: Tensor, owners: Tensor, place: Tensor | None = None, same_place: SamePlace = "negative"
) -> tuple[Tensor, Tensor]:
    """Which ground embeddings are right for each patch of a batch, and which do not count; bool `[B, B + K]`.

    `rows` `[B]` and `owners` `[K]` say which pairs the batch and the queue hold; `place` `[N]` is the place
    of every pair. Right is a patch's own photo. What does not count is that photo once more, still in the
    queue from an epoch before. Other photos of the same place are whatever `same_place` says.
    """
    everyone = torch.cat([rows, owners])
    right = torch.zeros(len(rows), len(everyone), dtype=torch.bool, device=rows.device)
    right.fill_diagonal_(True)
    dropped = (rows[:, None] == everyone) & ~right
    if place is not None and same_place != "negative":
        peers = (place[rows][:, None] == place[everyone]) & ~right & ~dropped
        right, dropped = (right | peers, dropped) if same_place == "positive" else (right, dropped | peers)
    return right, dropped


def contrastive(
    overhead: Tensor,
    ground: Tensor,
    queue: Tensor,
    scale: Tensor | float,
    form: Form = "paper",
    *,
    bias: Tensor | float = 0.0,
    related: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Mean loss of telling each overhead embedding's own ground embedding from the others.

    `overhead` `[B, D]` of any length, normalised here; `ground` `[B, D]` and `queue` `[D, K]`, of length 1,
    row i of `ground` being right for row i of `overhead`. `scale` multiplies cosines. `related` is what
    `relations` gave; without it, only the own photo is right and everything counts.

    - ``paper``: negatives are the other ground embeddings of the batch, and the queue (eq. 3).
    - ``queue_only``: the queue alone, as in the authors' code.
    - ``symmetric``: ``paper``, averaged with picking each ground embedding's overhead within the batch.
    - ``siglip``: each pair judged for itself by a sigmoid of scaled cosine plus `bias` (Zhai et al. 2023).

    Where several are right (photos of the same place), each is to have an equal share of the softmax.
    """
    count = len(overhead)
    columns = torch.cat([ground.float().T, queue.float()], dim=1)
    logits = scale * (functional.normalize(overhead.float(), dim=-1) @ columns)
    if related is None:
        everyone = torch.arange(columns.shape[1], device=logits.device)
        related = relations(everyone[:count], everyone[count:])
    right, dropped = related
    if form == "siglip":
        return _sigmoid(logits + bias, right, dropped)
    if form == "queue_only":
        dropped = dropped.clone()
        dropped[:, :count] |= ~right[:, :count]
    loss = _softmax(logits, right, dropped)
    if form == "symmetric":
        back = (part[:, :count].T for part in (logits, right, dropped))
        loss = (loss + _softmax(*back)) / 2
    return loss


def _softmax(logits: Tensor, right: Tensor, dropped: Tensor) -> Tensor:
    """Cross-entropy with equal shares for all that is right."""
    # masked once scaled: zero times infinity has no gradient
    chances = functional.log_softmax(logits.masked_fill(dropped, -math.inf), dim=1)
    shares = chances.masked_fill(~right, 0).sum(dim=1) / right.sum(dim=1)
    return -shares.mean()


def _sigmoid(logits: Tensor, right: Tensor, dropped: Tensor) -> Tensor:
    """Sum over columns of the binary cross-entropies, mean over rows."""
    signed = torch.where(right, -logits, logits)
    return functional.softplus(signed).masked_fill(dropped, 0).sum(dim=1).mean()
