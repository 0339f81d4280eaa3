"""Copies of a tower that compute in bfloat16 or int8, compared with the float32 original."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sat2cap.errors import ModelError
from sat2cap.model.compute import Precision
from sat2cap.model.networks.quick_gelu import fold_quick_gelu

MIN_MEDIAN_COSINE: dict[Precision, float] = {"float32": 1.0, "bfloat16": 0.999, "int8": 0.99}
"""Smallest accepted cosine to the float32 embedding, in the median of the first patches, by precision."""

_COMPARED_PATCHES = 8
"""Number of patches on which a converted tower is compared with its float32 original."""


def convert_tower(tower: Any, precision: Precision, pixels: Tensor, *, compiled: bool = True) -> Any:
    """Return a copy of a float32 image tower that computes in `precision`, on a GPU `compiled` if wanted.

    The copy is compared with the original on the first of `pixels`, float32 `[B, 3, S, S]`. Raises
    `ModelError` if the median cosine of their embeddings is below `MIN_MEDIAN_COSINE`.
    """
    converted = _copy_in_precision(tower, precision)
    sample = pixels[:_COMPARED_PATCHES]
    if compiled and pixels.is_cuda:
        converted = _compile_tower(converted, sample)
    exact, approximate = (embed_pixels(network, sample) for network in (tower, converted))
    median_cosine = float(nn.functional.cosine_similarity(exact, approximate).median())
    if median_cosine < MIN_MEDIAN_COSINE[precision]:
        raise ModelError(
            f"{precision} keeps a cosine of {median_cosine:.4f} to this model's float32 embeddings, less "
            f"than {MIN_MEDIAN_COSINE[precision]}: use {'bfloat16' if precision == 'int8' else 'float32'}"
        )
    return converted


def embed_pixels(tower: Any, pixels: Tensor) -> Tensor:
    """Return the unnormalised embeddings, float32 `[B, D]`, of normalised pixels, float32 `[B, 3, S, S]`."""
    dtype = next(tower.parameters()).dtype
    embeddings: Tensor = tower(pixel_values=pixels.to(dtype)).image_embeds
    return embeddings.float()


def _copy_in_precision(tower: Any, precision: Precision) -> Any:
    """Return a copy in bfloat16, for int8 with its matrix products in int8."""
    exact = copy.deepcopy(tower)
    if next(exact.parameters()).device.type == "cpu":
        fold_quick_gelu(exact)
        if hasattr(exact, "set_attn_implementation"):
            # With the few tokens of a patch, plain attention is faster than the fused kernel of CPUs.
            exact.set_attn_implementation("eager")
    if precision == "int8":
        return _with_int8_products(copy.deepcopy(exact).to(torch.bfloat16), exact)
    return exact.to(torch.bfloat16)


def _compile_tower(tower: Any, pixels: Tensor) -> Any:
    """Return the tower compiled, or unchanged on a machine without a compiler."""
    try:
        compiled = torch.compile(tower)
        embed_pixels(compiled, pixels)
    except Exception:  # no Triton, no C compiler: each part of the compiler raises errors of its own
        return tower
    return compiled


def _with_int8_products(network: nn.Module, exact: nn.Module) -> nn.Module:
    """Replace the plain linear layers of `network`, in place, by `Int8Linear` with the weights of `exact`."""
    for name, child in list(network.named_children()):
        original = exact.get_submodule(name)
        if type(original) is nn.Linear:
            setattr(network, name, Int8Linear(original))
        else:
            _with_int8_products(child, original)
    return network


class Int8Linear(nn.Module):
    """A linear layer in int8, with one scale per row of the weights and one per token of the input.

    A token's scale is its own largest magnitude / 127, so an embedding does not depend on the rest of the
    batch, and nothing has to be calibrated. Inputs are shifted by 128 to unsigned bytes, because VNNI
    multiplies unsigned by signed bytes.
    """

    def __init__(self, exact: nn.Linear) -> None:
        super().__init__()
        weight = exact.weight.detach().float()
        scale = weight.abs().amax(1).clamp_(min=1e-12) / 127
        bias = torch.zeros(len(weight)) if exact.bias is None else exact.bias.detach()
        quantised = (weight / scale[:, None]).round().to(torch.int8)
        self.weight = torch.ops.onednn.qlinear_prepack(quantised, None)
        self.scale = scale
        self.zero = torch.zeros_like(scale, dtype=torch.int32)
        self.bias = bias.to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        """Map bfloat16 `[..., N]` to bfloat16 `[..., M]`."""
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).float().clamp_(min=1e-12).div_(127)
        # Conversion truncates, so adding 128.5 shifts by 128 and rounds; the largest value becomes 255.
        quantised = (rows * scale.reciprocal()).add_(128.5).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            quantised,
            1.0,
            128,
            self.weight,
            self.scale,
            self.zero,
            None,
            1.0,
            0,
            torch.bfloat16,
            "none",
            [],
            "",
        )
        out = torch.addcmul(self.bias, sums, scale.to(torch.bfloat16))
        return out.view(*x.shape[:-1], len(self.scale))
