"""The Dynamic Encoder: where and when, as an offset in CLIP's space (paper 3.3, eq. 4-5)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sat2cap.errors import ModelError


class DynamicEncoder(nn.Module):
    """Linear(features, hidden), ReLU, Linear(hidden, dim); as many features as the encoding has.

    Its output is added to the **unnormalised** overhead embedding. The names ``fc1`` and ``fc2`` are those of
    the authors' checkpoints. Linear after its ReLU, which is what makes exact dynamic scores cheap.
    """

    def __init__(self, dim: int, hidden: int = 64, features: int = 12) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, features: Tensor) -> Tensor:
        """`[N, features]` to `[N, dim]`."""
        offset: Tensor = self.fc2(torch.relu(self.fc1(features)))
        return offset


def read_dynamic(weights: Mapping[str, Tensor], where: str) -> DynamicEncoder:
    """A Dynamic Encoder of whatever size its weights have; `where` names them in errors."""
    try:
        (hidden, features), dim = weights["fc1.weight"].shape, weights["fc2.weight"].shape[0]
        encoder = DynamicEncoder(dim, hidden, features)
        encoder.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{where} is not a Dynamic Encoder ({' '.join(str(error).split())}): save it again"
        ) from error
    return encoder.eval()
