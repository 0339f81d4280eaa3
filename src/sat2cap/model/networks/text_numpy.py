"""The text towers of CLIP, SigLIP and SigLIP 2 in numpy, for asking without torch.

What transformers' `CLIPTextModelWithProjection` and `SiglipTextModel` compute, from the same weights. Each
layer of the transformer is, for T tokens x `[T, W]` and H heads of W / H numbers each::

    x = x + out_proj(attention(layer_norm1(x)))        attention = softmax(q kᵀ / sqrt(W / H)) v, head by head
    x = x + fc2(act(fc1(layer_norm2(x))))

The two families differ in what a token attends to and which token is taken:

- CLIP: a token attends to itself and those before it, and the embedding is that of the end mark. So what
  follows the end mark changes nothing, and only the prompt's own tokens are computed: exactly equal.
- SigLIP: every token attends to every other, padding included, and the embedding is that of the last one. So
  a text is always padded to the full width.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.model.networks.architectures import CLIP_TEXT, GREATEST_TOKEN
from sat2cap.model.weights import Tensors, as_float32

Floats = NDArray[np.float32]

_FEW_ROWS = 16
"""Rows up to which the compiled product is faster than BLAS: beyond them, arithmetic outlasts reading."""
_PHI_STEP, _PHI_END = 1 / 2048, 6.0
"""Step and end of the table of the normal distribution; linear between, it is right to 8e-9."""


class NumpyTextTower:
    """A text tower with weights mapped from disk, which are read when they are first used."""

    def __init__(self, config: Mapping[str, Any], weights: Tensors) -> None:
        """`config` is completed, `weights` are by the names of `architectures.weight_shapes`.

        The config's activation must be one of `ACTIVATIONS`.
        """
        self.config = config
        self._is_clip = config["model_type"] == CLIP_TEXT
        self._weights = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
        self._float_weights: dict[str, Floats] = {}
        self._activation = ACTIVATIONS[str(config["hidden_act"])]
        self._packed: dict[str, Floats] | None = None

    def expect_many(self) -> None:
        """Prepare for a process that stays: texts of few tokens take less than half the time afterwards.

        The weights are rearranged when they are first used, which takes as long as some ten texts and as much
        memory as they have. Embeddings stay equal within 1e-6.
        """
        if self._packed is None:
            self._packed = {}

    def __call__(self, tokens: NDArray[np.int64]) -> Floats:
        """Return the embeddings of B texts of T tokens each, `[B, T]`: float32 `[B, D]`, not normalised."""
        x = self._tokens(tokens) + self._of("embeddings.position_embedding.weight")[: tokens.shape[1]]
        for layer in range(int(self.config["num_hidden_layers"])):
            start = f"encoder.layers.{layer}."
            x = x + self._attend(f"{start}self_attn.", self._norm(f"{start}layer_norm1", x))
            hidden = self._linear(f"{start}mlp.fc1", self._norm(f"{start}layer_norm2", x))
            x = x + self._linear(f"{start}mlp.fc2", self._activation(hidden))
        if not self._is_clip:
            return self._linear("head", self._norm("final_layer_norm", x[:, -1]))
        pooled = x[np.arange(len(x)), self._find_end(tokens)]
        return self._multiply(self._norm("final_layer_norm", pooled), "text_projection.weight")

    def _tokens(self, tokens: NDArray[np.int64]) -> Floats:
        """Return the rows of the token table that are needed; converting all of it would read it all."""
        return as_float32(self._weights["embeddings.token_embedding.weight"][tokens])

    def _find_end(self, tokens: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the position of each text's end mark, whose embedding is the text's."""
        end = self.config["eos_token_id"]
        marks = tokens if end == GREATEST_TOKEN else tokens == end
        return np.asarray(np.argmax(marks, axis=1))

    def _of(self, name: str) -> Floats:
        """Return a weight in float32, converted when it is first used."""
        if name not in self._float_weights:
            self._float_weights[name] = as_float32(self._weights[name])
        return self._float_weights[name]

    def _linear(self, name: str, x: Floats) -> Floats:
        """Return a linear layer's output for `x`, `[..., W]`."""
        product = self._multiply(x.reshape(-1, x.shape[-1]), f"{name}.weight")
        return product.reshape(*x.shape[:-1], -1) + self._of(f"{name}.bias")

    def _multiply(self, rows: Floats, name: str) -> Floats:
        """Return the product of rows `[N, K]` and a weight `[O, K]`, `[N, O]`.

        A prompt has few tokens, so that reading the weights takes most of the time. They stand on the left,
        as BLAS rearranges what stands on the right before it multiplies. In a process that stays they are
        rearranged once (`expect_many`).
        """
        packed = self._packed
        if packed is None or len(rows) > _FEW_ROWS:
            return (self._of(name) @ rows.T).T
        from sat2cap.model.networks.few_rows import multiply_few_rows, pack_weight

        if name not in packed:
            packed[name] = pack_weight(as_float32(self._weights[name]))
        return multiply_few_rows(rows, packed[name], self._weights[name].shape[0])

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.config["layer_norm_eps"]))
        return np.asarray(scaled * self._of(f"{name}.weight") + self._of(f"{name}.bias"))

    def _attend(self, name: str, x: Floats) -> Floats:
        """Return the output of self-attention for `[B, T, W]`; CLIP's looks back only."""
        batch, length, width = x.shape
        heads = int(self.config["num_attention_heads"])

        def split(part: str) -> Floats:
            return self._linear(f"{name}{part}", x).reshape(batch, length, heads, -1).swapaxes(1, 2)

        logits = split("q_proj") @ split("k_proj").swapaxes(2, 3) * np.float32((width // heads) ** -0.5)
        if self._is_clip:
            logits = np.where(np.tri(length, dtype=bool), logits, np.float32(-np.inf))
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ split("v_proj")).swapaxes(1, 2).reshape(batch, length, width)
        return self._linear(f"{name}out_proj", mixed)


def _quick_gelu(x: Floats) -> Floats:
    with np.errstate(over="ignore"):  # x / infinity is 0, as it should be
        return np.asarray(x / (1 + np.exp(np.float32(-1.702) * x)))


def _gelu(x: Floats) -> Floats:
    """Return x times the share of the normal distribution below x."""
    places, shares = _normal_distribution()
    return x * np.interp(x, places, shares, left=0, right=1).astype(np.float32)


@lru_cache(maxsize=1)
def _normal_distribution() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a table of the normal distribution function, which numpy lacks: places and shares below."""
    places = np.arange(-_PHI_END, _PHI_END + _PHI_STEP, _PHI_STEP)
    return places, np.array([0.5 * math.erfc(-place / math.sqrt(2)) for place in places])


def _gelu_tanh(x: Floats) -> Floats:
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.asarray(np.float32(0.5) * x * (1 + np.tanh(inner)))


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0)


def _silu(x: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(x / (1 + np.exp(-x)))


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "quick_gelu": _quick_gelu,
    "gelu": _gelu,
    "gelu_pytorch_tanh": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "relu": _relu,
    "silu": _silu,
    "swish": _silu,
}
"""Activation functions by the name that transformers' configs have for them."""
