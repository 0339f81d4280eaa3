"""The Dynamic Encoder: where and when, as an offset in CLIP's space (paper 3.3, eq. 4-5)."""

import torch
from torch import Tensor, nn


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
