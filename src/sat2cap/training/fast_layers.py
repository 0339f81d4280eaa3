"""Layers of a tower that a processor trains faster, with the same weights and the same results.

On a processor a step of a small tower is spent on moving numbers rather than on multiplying them, so each of
these saves passes over the activations of a batch. They take the place of transformers' layers by changing
their class, so that names, weights and the order of parameters stay, and `use_plain_layers` gives
transformers' own classes back. They follow autocast. `benchmarks/train_layers.py` measures each.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.clip.modeling_clip import CLIPMLP

from sat2cap.model import QUICK_GELU_SLOPE, has_quick_gelu


class PatchProjection(nn.Conv2d):
    """A convolution of squares that do not overlap, as the matrix product that it is.

    The gradients of a convolution are several times slower than those of a product.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        """Map pixels `[B, C, H, W]` to `[B, D, H // P, W // P]`, with squares of P pixels a side."""
        high, wide = self.kernel_size
        rows, columns = pixels.shape[2] // high, pixels.shape[3] // wide
        whole = pixels[..., : rows * high, : columns * wide]
        squares = whole.reshape(*whole.shape[:2], rows, high, columns, wide).permute(0, 2, 4, 1, 3, 5)
        # Put in order and cast in one pass: [B, rows, columns, C * P * P].
        squares = squares.to(_product_dtype(pixels), memory_format=torch.contiguous_format).flatten(3)
        projected = functional.linear(squares, self.weight.flatten(1), self.bias)
        return projected.permute(0, 3, 1, 2)


class SiluMlp(CLIPMLP):  # type: ignore[misc]  # transformers is not typed for us
    """CLIP's two linear layers with the constants of the quick GELU between them moved into their weights.

    The weights are scaled anew in each pass, so that the unscaled ones are trained and saved. See
    `sat2cap.model.networks.quick_gelu`.
    """

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Map `[B, T, D]` to `[B, T, D]`."""
        bias = self.fc1.bias * QUICK_GELU_SLOPE
        hidden = functional.silu(functional.linear(hidden_states, self.fc1.weight * QUICK_GELU_SLOPE, bias))
        return functional.linear(hidden, self.fc2.weight / QUICK_GELU_SLOPE, self.fc2.bias)


class CastLayerNorm(nn.LayerNorm):
    """A layer norm whose result is cast once to the type that the products after it compute in.

    Otherwise autocast casts it for each product: three times before an attention.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map `[B, T, D]` to `[B, T, D]`, in the type of autocast."""
        normalised = super().forward(input)
        return normalised.to(_product_dtype(normalised))


def use_fast_layers(tower: nn.Module) -> None:
    """Replace the layers of a tower for which there is a faster one, in place."""
    for name, module in tower.named_modules():
        if type(module) is nn.Conv2d and _is_of_separate_squares(module):
            module.__class__ = PatchProjection
        elif has_quick_gelu(module):
            module.__class__ = SiluMlp
        elif type(module) is nn.LayerNorm and name.endswith((".layer_norm1", ".layer_norm2")):
            module.__class__ = CastLayerNorm


def use_plain_layers(tower: nn.Module) -> None:
    """Undo `use_fast_layers`, in place."""
    plain: dict[type[nn.Module], type[nn.Module]] = {
        PatchProjection: nn.Conv2d,
        SiluMlp: CLIPMLP,
        CastLayerNorm: nn.LayerNorm,
    }
    for module in tower.modules():
        module.__class__ = plain.get(type(module), type(module))


def _is_of_separate_squares(convolution: nn.Conv2d) -> bool:
    """Return whether a convolution cuts its input into squares that neither overlap nor leave a gap."""
    return (
        convolution.stride == convolution.kernel_size
        and convolution.padding in ("valid", (0, 0))
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
    )


def _product_dtype(values: Tensor) -> torch.dtype:
    """Return the type in which a matrix product of values computes: autocast's, where that is on."""
    kind = values.device.type
    if not torch.is_autocast_enabled(kind):
        return values.dtype
    return torch.get_autocast_dtype(kind)
