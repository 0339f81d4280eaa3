r"""Gradients of the loss of a large batch, computed in micro-batches, on any number of devices.

A contrastive loss needs all embeddings of a batch at once. These are small; it is the activations of the
tower that do not fit in memory. The method is that of GradCache (Gao et al. 2021):

1. Embed every micro-batch without keeping activations, and gather the embeddings of all devices.
2. Compute the loss of the whole batch and its gradient with respect to the embeddings.
3. Embed each micro-batch again, now keeping activations, and propagate that gradient to the weights.

With devices P0 and P1 that hold two micro-batches each, a batch of 8 patches runs like this::

    P0  [0 1] [2 3] \                          / [0 1] [2 3]   backward, gradients of rows 0 to 3
                     loss of 8 -> d loss/d embedding
    P1  [4 5] [6 7] /                          \ [4 5] [6 7]   backward, gradients of rows 4 to 7

A share that is a single micro-batch is embedded only once.
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
    micro_batch: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the gradients of the whole batch's loss to the parameters; return the loss and the embeddings.

    `model`, set up by `fabric`, computes the embeddings (b, D) of this process from `inputs`, tensors of
    shape (b, …) each, at most `micro_batch` rows at a time. `loss_of` computes the loss from the embeddings
    (B, D) of all processes, in order of rank. It must be the same function in each process: the gradients
    are then those of one process that holds the whole batch. Both results are detached.
    """
    share = len(inputs[0])
    parts = list(zip(*(torch.split(tensor, micro_batch or share) for tensor in inputs), strict=True))
    with torch.set_grad_enabled(len(parts) == 1):
        part_embeddings = [model(*values) for values in parts]
    own_embeddings = torch.cat([embedding.detach() for embedding in part_embeddings])
    all_embeddings = fabric.all_gather(own_embeddings).reshape(-1, own_embeddings.shape[1]).requires_grad_()
    loss = loss_of(all_embeddings)
    fabric.backward(loss)
    assert all_embeddings.grad is not None
    first = share * fabric.global_rank
    # DDP averages gradients over processes, but the sum is needed: each process holds other rows of one loss.
    own_gradient = all_embeddings.grad[first : first + share] * fabric.world_size
    own_gradients = torch.split(own_gradient, micro_batch or share)
    for number, (values, gradient) in enumerate(zip(parts, own_gradients, strict=True)):
        with fabric.no_backward_sync(model, enabled=number + 1 < len(parts)):
            embedding = part_embeddings[0] if len(parts) == 1 else model(*values)
            fabric.backward(embedding, gradient=gradient)
    return loss.detach(), all_embeddings.detach()
