"""On what a network runs and with which numbers: float32, bfloat16 or int8, on a CPU or a GPU.

Measured by ``benchmarks/precision.py``; what was tried and not taken is in docs/LOG.md.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from sat2cap.errors import ModelError

Precision = Literal["float32", "bfloat16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

LEAST_COSINE: dict[Precision, float] = {"float32": 1.0, "bfloat16": 0.999, "int8": 0.99}
"""To the float32 embedding, in the median of the first patches; a network that keeps less is refused."""

_CHECKED = 8
"""Number of patches on which a converted tower is compared with its float32 original."""


@dataclass(frozen=True)
class Compute:
    """A device and a precision, and why these."""

    device: str
    """As torch names it: ``cpu`` or ``cuda``."""
    precision: Precision
    reason: str

    def __str__(self) -> str:
        return f"{self.precision} on {self.device} ({self.reason})"


def choose_compute(wanted: str | None = None) -> Compute:
    """The quickest device of this machine, and `wanted` or what that device is quick at.

    int8 is never chosen unasked, since how much it keeps depends on the weights. Raises `ModelError` if
    `wanted` is no `Precision`, or this machine cannot do it.
    """
    asked = next((precision for precision in PRECISIONS if precision == wanted), None)
    if wanted is not None and asked is None:
        raise ModelError(f"precision {wanted!r} is not known: give one of {', '.join(PRECISIONS)}")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "int8" and not (device == "cpu" and has_int8()):
        raise ModelError(
            f"int8 needs a CPU with VNNI instructions, and this runs on {device}: use bfloat16 or float32"
        )
    if asked is not None:
        return Compute(device, asked, "as asked")
    if device == "cuda":
        quick, what = torch.cuda.is_bf16_supported(), "GPU"
    else:
        quick, what = has_bfloat16(), "processor"
    if quick:
        return Compute(device, "bfloat16", f"this {what} has bfloat16 instructions")
    return Compute(device, "float32", f"this {what} has no bfloat16 instructions")


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; elsewhere bfloat16 is slower than float32."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def has_int8() -> bool:
    """Whether the CPU adds up products of bytes without overflow."""
    return torch.cpu._is_vnni_supported() and hasattr(torch.ops.onednn, "qlinear_pointwise")


def convert_tower(tower: Any, precision: Precision, pixels: Tensor) -> Any:
    """A copy of a float32 image tower that computes in `precision`, compiled where it is on a GPU.

    It is compared with the original on the first of `pixels`, float32 `[B, 3, S, S]`; `ModelError` if it
    keeps less than `LEAST_COSINE`, so that no weights are quantised to nonsense unseen.
    """
    made = _converted(tower, precision)
    sample = pixels[:_CHECKED]
    if pixels.is_cuda:
        made = _compiled(made, sample)
    exact, quick = (embed_pixels(network, sample) for network in (tower, made))
    kept = float(nn.functional.cosine_similarity(exact, quick).median())
    if kept < LEAST_COSINE[precision]:
        raise ModelError(
            f"{precision} keeps a cosine of {kept:.4f} to this model's float32 embeddings, less than "
            f"{LEAST_COSINE[precision]}: use {'bfloat16' if precision == 'int8' else 'float32'}"
        )
    return made


def embed_pixels(tower: Any, pixels: Tensor) -> Tensor:
    """Unnormalised embeddings, float32 `[B, D]`, of pixels float32 `[B, 3, S, S]`."""
    dtype = next(tower.parameters()).dtype
    embeddings: Tensor = tower(pixel_values=pixels.to(dtype)).image_embeds
    return embeddings.float()


def _converted(tower: Any, precision: Precision) -> Any:
    """A copy in bfloat16, its matrix products in int8 if that is wanted."""
    made = copy.deepcopy(tower).to(torch.bfloat16)
    on_cpu = next(made.parameters()).device.type == "cpu"
    if on_cpu and hasattr(made, "set_attn_implementation"):
        # With the few tokens of a patch, plain attention is faster than the fused kernel of CPUs.
        made.set_attn_implementation("eager")
    return _with_int8_products(made, tower) if precision == "int8" else made


def _compiled(tower: Any, pixels: Tensor) -> Any:
    """The tower compiled, or as it is where there is nothing to compile it with."""
    try:
        made = torch.compile(tower)
        embed_pixels(made, pixels)
    except Exception:  # no Triton, no C compiler: each part of the compiler raises errors of its own
        return tower
    return made


def _with_int8_products(made: nn.Module, exact: nn.Module) -> nn.Module:
    """Put an `Int8Linear` in the place of every plain linear layer of `made`, with the weights of `exact`."""
    for name, child in list(made.named_children()):
        original = exact.get_submodule(name)
        if type(original) is nn.Linear:
            setattr(made, name, Int8Linear(original))
        else:
            _with_int8_products(child, original)
    return made


class Int8Linear(nn.Module):
    """A linear layer whose weights have one scale a row, and whose inputs have one scale a token.

    A token's scale is its own largest value, so an embedding does not depend on what else is in the batch,
    and nothing has to be calibrated. Inputs are moved by 128, since only unsigned by signed bytes are quick.
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
        """bfloat16 `[..., N]` to bfloat16 `[..., M]`."""
        rows = x.reshape(-1, x.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).float().clamp_(min=1e-12).div_(127)
        # 128.5, since converting cuts off: this rounds, and the largest value becomes 255
        bytes_ = (rows * scale.reciprocal()).add_(128.5).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            bytes_, 1.0, 128, self.weight, self.scale, self.zero, None, 1.0, 0, torch.bfloat16, "none", [], ""
        )
        out = torch.addcmul(self.bias, sums, scale.to(torch.bfloat16))
        return out.view(*x.shape[:-1], len(self.scale))
