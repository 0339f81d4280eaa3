"""The network of CLIPCap's captioner (Mokady et al. 2021; section 4.4 of the paper): a mapping and GPT-2.

The mapping turns an embedding into a few vectors as wide as GPT-2's word vectors. GPT-2 reads these first, as
if they were words, and continues with the caption::

    embedding [D] -> mapping -> prefix [P, width] | word 1 | word 2 | ...
                                                    ^ predicted from all that is left of it
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel


class PrefixMLP(nn.Module):
    """Linear, tanh, Linear: maps an embedding to the vectors that GPT-2 reads in place of the first words."""

    def __init__(self, dim: int, prefix: int, width: int) -> None:
        super().__init__()
        half = prefix * width // 2
        self.model = nn.Sequential(nn.Linear(dim, half), nn.Tanh(), nn.Linear(half, prefix * width))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[N, D]` to `[N, prefix * width]`."""
        mapped: Tensor = self.model(embeddings)
        return mapped


class CaptionNetwork(nn.Module):
    """The mapping and GPT-2. The names `clip_project` and `gpt` are those of the authors' weights."""

    def __init__(self, dim: int, prefix: int, config: GPT2Config) -> None:
        super().__init__()
        self.dim, self.prefix_length = dim, prefix
        self.clip_project = PrefixMLP(dim, prefix, config.n_embd)
        self.gpt: Any = GPT2LMHeadModel(config)

    def prefix(self, embeddings: Tensor) -> Tensor:
        """Map embeddings `[N, D]` to the P vectors that GPT-2 reads before the words, `[N, P, width]`."""
        return self.clip_project.forward(embeddings).view(len(embeddings), self.prefix_length, -1)

    def loss(self, embeddings: Tensor, tokens: Tensor) -> Tensor:
        """Return the mean cross-entropy of captions given their embeddings, a scalar.

        `embeddings` is `[N, D]`; `tokens` is int64 `[N, T]`, with -100 where a caption has no more tokens.
        """
        words = self.gpt.transformer.wte(tokens.clamp(min=0))
        logits = self.gpt(inputs_embeds=torch.cat([self.prefix(embeddings), words], 1)).logits
        # The last vector of the prefix predicts the first word, and the last word predicts nothing.
        predictions = logits[:, self.prefix_length - 1 : -1]
        return F.cross_entropy(predictions.flatten(0, 1).float(), tokens.flatten(), ignore_index=-100)
