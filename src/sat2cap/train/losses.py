"""InfoNCE between overhead and ground embeddings (paper eq. 2-3), in three forms."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Form = Literal["paper", "queue_only", "symmetric"]

MAX_LOG_SCALE = 4.6052
"""Logarithm of 100: the learnt scale stays within [1, 100]."""


def info_nce(
    overhead: Tensor,
    ground: Tensor,
    queue: Tensor | None,
    scale: Tensor | float,
    form: Form = "paper",
    *,
    own: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Mean loss of picking each overhead embedding's own ground embedding.

    `overhead` `[b, D]` of any length, normalised here; `ground` `[B, D]` and `queue` `[D, K]`, of length 1.
    `scale` multiplies cosines. Row i of `overhead` belongs to row `first + i` of `ground`, so that one of
    several processes can hold part of a batch. `own` `[b, K]` marks queue entries that are the row's own
    photo, still there from an epoch before: they are no negatives.

    - ``paper``: negatives are the other ground embeddings of the batch, and the queue (eq. 3).
    - ``queue_only``: the queue alone, as in the authors' code.
    - ``symmetric``: ``paper``, averaged with picking each ground embedding's overhead within the batch.
    """
    overhead = functional.normalize(overhead.float(), dim=-1)
    ground = ground.float()
    rows = torch.arange(len(overhead), device=overhead.device)
    extra = overhead.new_zeros(len(overhead), 0) if queue is None else scale * (overhead @ queue.float())
    if own is not None:
        extra = extra.masked_fill(own, -math.inf)  # once scaled: zero times infinity has no gradient
    if form == "queue_only":
        right = scale * (overhead * ground[first : first + len(overhead)]).sum(-1, keepdim=True)
        return functional.cross_entropy(torch.cat([right, extra], dim=1), torch.zeros_like(rows))
    logits = scale * (overhead @ ground.T)
    loss = functional.cross_entropy(torch.cat([logits, extra], dim=1), rows + first)
    if form == "symmetric":
        loss = (loss + functional.cross_entropy(logits.T, rows)) / 2
    return loss
