"""Gradients of the loss of a large batch, computed a part at a time, on any number of devices.

A contrastive loss needs all embeddings of a batch at once, but they are few numbers; what does not fit is
the tower's activations. So (after GradCache, Gao et al. 2021): embed every part without keeping activations,
gather the embeddings of all devices, take the loss of the whole batch and its gradient at the embeddings,
then embed each part again, now keeping activations, and go back from there. A share that is one part is
embedded once.
"""

from collections.abc import Callable
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

Inputs = tuple[Tensor, ...]


def large_batch_gradients(
    fabric: Fabric,
    model: Any,
    inputs: Inputs,
    loss_of: Callable[[Tensor], Tensor],
    *,
    part: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the whole batch's gradients to the parameters; its loss and its embeddings `[B, D]`, detached.

    `inputs`, each `[b, …]`, are what `model`, set up by `fabric`, makes this process's `b` embeddings of, at
    most `part` at a time. `loss_of` is given the embeddings of all processes in order of rank, and must be
    the same on each: then so are the gradients, as if one process held the whole batch.
    """
    share = len(inputs[0])
    parts = list(zip(*(torch.split(tensor, part or share) for tensor in inputs), strict=True))
    with torch.set_grad_enabled(len(parts) == 1):
        part_embeddings = [model(*values) for values in parts]
    own_embeddings = torch.cat([embedding.detach() for embedding in part_embeddings])
    all_embeddings = fabric.all_gather(own_embeddings).reshape(-1, own_embeddings.shape[1]).requires_grad_()
    loss = loss_of(all_embeddings)
    fabric.backward(loss)
    assert all_embeddings.grad is not None
    first = share * fabric.global_rank
    # DDP takes the mean over processes where the sum is wanted: each holds other rows of the one loss
    own_gradients = torch.split(all_embeddings.grad[first : first + share] * fabric.world_size, part or share)
    for number, (values, gradient) in enumerate(zip(parts, own_gradients, strict=True)):
        with fabric.no_backward_sync(model, enabled=number + 1 < len(parts)):
            embedding = part_embeddings[0] if len(parts) == 1 else model(*values)
            fabric.backward(embedding, gradient=gradient)
    return loss.detach(), all_embeddings.detach()
