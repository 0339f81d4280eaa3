"""CLIP's quick GELU as a SiLU, which takes one pass over the widest activations of a layer instead of three.

With a = 1.702, ``x sigmoid(a x)`` is ``silu(a x) / a``, and both constants can be moved into the weights of
the linear layers before and after it.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers.activations import QuickGELUActivation
from transformers.models.clip.modeling_clip import CLIPMLP

QUICK_GELU_SLOPE = 1.702
"""The constant a of the quick GELU, ``x sigmoid(a x)``."""


def has_quick_gelu(module: Any) -> bool:
    """Return whether a module is CLIP's two linear layers around a quick GELU, without adapters."""
    if type(module) is not CLIPMLP or not isinstance(module.activation_fn, QuickGELUActivation):
        return False
    return type(module.fc1) is nn.Linear and type(module.fc2) is nn.Linear


def fold_quick_gelu(network: nn.Module) -> None:
    """Replace every quick GELU of a network by a SiLU between scaled weights, in place; not for training."""
    layers: Iterable[Any] = network.modules()
    for module in layers:
        if has_quick_gelu(module):
            with torch.no_grad():
                module.fc1.weight.mul_(QUICK_GELU_SLOPE)
                module.fc1.bias.mul_(QUICK_GELU_SLOPE)
                module.fc2.weight.div_(QUICK_GELU_SLOPE)
            module.activation_fn = nn.SiLU()
