"""The Dynamic Encoder in numpy: its weights, and the offsets they give (paper 3.3, eq. 4-5)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.model.weights import Tensors, as_float32, digest_arrays

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DynamicWeights:
    """The weights of a `DynamicEncoder` of F features, H hidden units and D numbers."""

    hidden_weights: Floats
    """``fc1.weight``, `[H, F]`."""
    hidden_bias: Floats
    """``fc1.bias``, `[H]`."""
    output_weights: Floats
    """``fc2.weight``, `[D, H]`."""
    output_bias: Floats
    """``fc2.bias``, `[D]`."""

    def offsets(self, features: Floats) -> Floats:
        """Map encoded places and times, float32 `[N, F]`, to offsets, float32 `[N, D]`."""
        hidden = np.maximum(features @ self.hidden_weights.T + self.hidden_bias, 0)
        return np.asarray(hidden @ self.output_weights.T + self.output_bias, np.float32)

    def digest(self) -> str:
        """Return the hash of the weights, that of the network's state dict; 64 hex digits."""
        named = {
            "fc1.weight": self.hidden_weights,
            "fc1.bias": self.hidden_bias,
            "fc2.weight": self.output_weights,
            "fc2.bias": self.output_bias,
        }
        return digest_arrays(sorted(named.items()))


def read_dynamic_weights(tensors: Tensors, where: str) -> DynamicWeights:
    """Return the weights of a Dynamic Encoder.

    Raises `ModelError`, which names the file as `where`, if they are not those of one.
    """
    names = ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")
    missing = [name for name in names if name not in tensors]
    if missing:
        raise ModelError(f"{where} is not a Dynamic Encoder ({missing[0]} is missing): save it again")
    made = DynamicWeights(*(as_float32(tensors[name]) for name in names))
    (dim, hidden), shapes = made.output_weights.shape, (made.hidden_bias.shape, made.output_bias.shape)
    if made.hidden_weights.ndim != 2 or len(made.hidden_weights) != hidden or shapes != ((hidden,), (dim,)):
        raise ModelError(f"{where} is not a Dynamic Encoder (its shapes do not fit together): save it again")
    return made
