"""Token dropout: training on a random part of an image's tokens, which costs that part of the time.

A vision transformer cuts an image into squares and makes a token of each. Most of a training step is
spent on the tokens, and neighbouring ones say much the same, so a step that computes only a random half of
them learns nearly as much in half the time (Liu et al. 2022, "PatchDropout"; Li et al. 2023, "Scaling
Language-Image Pre-training via Masking"). At inference the network sees all tokens; the last steps of a run
see them all too, so that it gets used to their number.

Tokens are dropped after their positions were added, before the first layer; a class token always stays::

    embeddings  [CLS] [0] [1] [2] [3] [4] [5]      kept of this image: 0 3 4
    layers see  [CLS] [0] [3] [4]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.errors import RunFileError


class TokenDropout:
    """Leaves tokens of a tower out, between its embeddings and its layers.

    The tower gets a forward hook, which does nothing outside `keeping`, nor in copies of the tower. Raises
    `RunFileError` if the tower is no vision transformer with one token for each square of the image.
    """

    def __init__(self, tower: nn.Module) -> None:
        embeddings = _token_embeddings(tower)
        self.tokens = int(embeddings.image_size // embeddings.patch_size) ** 2
        """Number of tokens of an image, without a class token."""
        self._class_tokens = 1 if hasattr(embeddings, "class_embedding") else 0
        self._kept: Tensor | None = None
        embeddings.register_forward_hook(self._keep_tokens)

    @contextmanager
    def keeping(self, kept: Tensor | None) -> Iterator[None]:
        """Compute only the tokens `kept` meanwhile: indices, int64, shape (B, K); None keeps all of them."""
        self._kept = kept
        try:
            yield
        finally:
            self._kept = None

    def _keep_tokens(self, module: nn.Module, inputs: Any, embeddings: Tensor) -> Tensor:
        """Return the class token, if any, and the kept tokens, of all embeddings (B, T, D)."""
        if self._kept is None:
            return embeddings
        class_rows = torch.arange(self._class_tokens, device=self._kept.device).expand(len(self._kept), -1)
        rows = torch.cat([class_rows, self._kept + self._class_tokens], dim=1)
        return embeddings.gather(1, rows[:, :, None].expand(-1, -1, embeddings.shape[2]))


def _token_embeddings(tower: nn.Module) -> Any:
    """Return the module that makes the tokens of a tower of transformers, also where peft wraps it."""
    for name, module in tower.named_modules():
        if name.rpartition(".")[2] == "embeddings" and hasattr(module, "patch_size"):
            return module
    raise RunFileError(
        "augment.token_dropout needs a vision transformer as tower, such as CLIP's or SigLIP's; set it to 0"
    )
