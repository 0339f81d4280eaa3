"""The Dynamic Encoder: maps place and time to an offset in CLIP's space (paper 3.3, eq. 4-5)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sat2cap.errors import ModelError


class DynamicEncoder(nn.Module):
    """Linear(features, hidden), ReLU, Linear(hidden, dim), where `features` is the encoding's feature count.

    Its output is added to the **unnormalised** overhead embedding. The names ``fc1`` and ``fc2`` are those of
    the authors' checkpoints. Nothing follows the second linear layer, so the dot product of a text and the
    offset is linear in the `hidden` activations; this keeps exact scores for many dates cheap.
    """

    def __init__(self, dim: int, hidden: int = 64, features: int = 12) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, features: Tensor) -> Tensor:
        """Map encoded places and times `[N, features]` to offsets `[N, dim]`."""
        offset: Tensor = self.fc2(torch.relu(self.fc1(features)))
        return offset


def read_dynamic_encoder(weights: Mapping[str, Tensor], where: str) -> DynamicEncoder:
    """Return a Dynamic Encoder with these weights, whose shapes decide its size.

    Raises `ModelError`, which names the file as `where`, if they are not those of a Dynamic Encoder.
    """
    try:
        (hidden, features), dim = weights["fc1.weight"].shape, weights["fc2.weight"].shape[0]
        encoder = DynamicEncoder(dim, hidden, features)
        encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where} is not a Dynamic Encoder ({' '.join(str(error).split())}): save it again"
        ) from error
    return encoder.eval()
