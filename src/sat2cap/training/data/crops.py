"""Crops of images resized with antialiasing, a different crop for each image, on any device.

Resizing is separable and linear: an output row is a weighted mean of input rows, and the same for
columns. So a crop resized to S pixels is two matrix products, ``rows @ image @ columns.T``, with matrices
(S, P) whose weights are those of Pillow's filters: the filter is stretched by the scale, so that no input
pixel is skipped. Eight input pixels that become four, bilinear::

    input      0     1     2     3     4    …
    output 0  3/7   3/7   1/7                     centre at 1: weights of 1 - |x + 0.5 - 1| / 2
    output 1        1/8   3/8   3/8   1/8         centre at 3

Without it, each output pixel would look at its two nearest input pixels only, and fine texture would turn
into noise that evaluation, which resizes with antialiasing, never shows.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

_MAX_VALUES = 1 << 26
"""Most float32 values of input images that are held at once."""


class Boxes(NamedTuple):
    """Crops of N images, in pixels of the input, which need not be whole: float32 `[N]` each."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    @classmethod
    def whole(cls, count: int, size: int) -> "Boxes":
        """Return the whole of each of `count` images, `size` pixels a side."""
        zero, full = torch.zeros(count), torch.full((count,), float(size))
        return cls(zero, zero, full, full)

    def rows(self, start: int, stop: int) -> "Boxes":
        """Return the boxes of images `start` to `stop`."""
        return Boxes(*(side[start:stop] for side in self))


def resize_crops(
    pixels: Tensor, boxes: Boxes, size: int, resample: str, symmetries: Tensor | None = None
) -> Tensor:
    """Return crops of uint8 images `[N, P, P, 3]` resized to `[N, 3, size, size]`: float32, 0 to 1.

    `resample` is one of the filters of `sat2cap.model.Preprocess`. A crop sees no pixel outside of its box.
    `symmetries` `[N]` are numbers from 0 to 7, by which the results are turned and mirrored: bit 1 flips
    columns, bit 2 flips rows, and then bit 4 swaps rows and columns. Flips cost nothing, as they are flips of
    the matrices.
    """
    source = pixels.shape[1]
    step = max(1, _MAX_VALUES // (3 * source * source))
    resized = torch.empty((len(pixels), 3, size, size), device=pixels.device)
    for start in range(0, len(pixels), step):
        stop = min(start + step, len(pixels))
        # Channels first in memory too: else each product would begin by copying its images.
        images = (
            pixels[start:stop].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        )
        box = boxes.rows(start, stop)
        rows = _resize_weights(box.top, box.height, source, size, resample)
        columns = _resize_weights(box.left, box.width, source, size, resample)
        if symmetries is not None:
            numbers = symmetries[start:stop]
            columns = torch.where((numbers & 1 > 0)[:, None, None], columns.flip(1), columns)
            rows = torch.where((numbers & 2 > 0)[:, None, None], rows.flip(1), rows)
        rows, columns = rows.to(pixels.device), columns.to(pixels.device)
        torch.matmul(rows[:, None], images @ columns[:, None].transpose(2, 3), out=resized[start:stop])
    if symmetries is not None:
        swapped = (symmetries & 4 > 0).nonzero().squeeze(1).to(pixels.device)
        resized[swapped] = resized[swapped].transpose(2, 3)
    return resized.div_(255).clamp_(0, 1)


def _resize_weights(start: Tensor, length: Tensor, source: int, size: int, resample: str) -> Tensor:
    """Return matrices `[N, size, source]` that resize the pixels `start` to `start + length` to `size`.

    Each row sums to 1. The filter is stretched by ``length / size`` if that is above 1, as Pillow does; a
    crop that is enlarged is interpolated. Only the few pixels that a filter reaches are computed.
    """
    scale = length / size
    centre = start[:, None] + (torch.arange(size) + 0.5) * scale[:, None]  # [N, size], pixel edges at 0, 1, …
    if resample == "nearest":
        nearest = centre.floor().long().clamp(0, source - 1)
        return functional.one_hot(nearest, source).float()
    radius, weights_at = _FILTERS[resample]
    stretch = scale.clamp(min=1)
    reach = radius * stretch
    count = min(source, math.ceil(2 * float(reach.max())) + 1) if len(reach) else 1
    first = (centre - reach[:, None] - 0.5).ceil().clamp(0, source - count)  # [N, size]
    number = first[..., None] + torch.arange(count)  # pixels that may have a weight: [N, size, count]
    middles = number + 0.5
    weights = weights_at(((middles - centre[..., None]) / stretch[:, None, None]).abs_())
    weights *= (middles > start[:, None, None]) & (middles < (start + length)[:, None, None])
    weights /= weights.sum(-1, keepdim=True)
    return weights.new_zeros(*centre.shape, source).scatter_(2, number.long(), weights)


def _bilinear(x: Tensor) -> Tensor:
    return (1 - x).clamp_(min=0)


def _bicubic(x: Tensor) -> Tensor:
    """Keys (1981), with a = -0.5."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), 0)


_FILTERS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
"""Pillow's filters: the distance in stretched pixels beyond which each is 0, and its weights at distances."""


def draw_light_boxes(min_area: float, source: int, count: int, generator: torch.Generator) -> Boxes:
    """Draw square crops of between `min_area` and all of an image, anywhere within it."""
    area = min_area + (1 - min_area) * torch.rand(count, generator=generator)
    side = area.sqrt() * source
    left, top = ((source - side) * torch.rand(2, count, generator=generator)).unbind()
    return Boxes(top, left, side, side)


def draw_paper_boxes(source: int, count: int, generator: torch.Generator) -> Boxes:
    """Draw the crops of RandomResizedCrop, with the defaults of torchvision, of square images.

    A crop has 8 to 100 % of the area and an aspect ratio (width by height) of 3/4 to 4/3, whose logarithm is
    uniform. Of ten attempts the first that fits is taken; if none does, the whole image.
    """
    attempts = (10, count)
    area = source**2 * (0.08 + 0.92 * torch.rand(attempts, generator=generator))
    log_ratio = math.log(4 / 3) * (2 * torch.rand(attempts, generator=generator) - 1)
    width = (area * log_ratio.exp()).sqrt().round()
    height = (area / log_ratio.exp()).sqrt().round()
    fits = (width >= 1) & (width <= source) & (height >= 1) & (height <= source)
    first = fits.int().argmax(0)  # 0 also where no attempt fits
    fitting = fits.any(0)
    numbers = torch.arange(count)
    width = torch.where(fitting, width[first, numbers], float(source))
    height = torch.where(fitting, height[first, numbers], float(source))
    left, top = torch.rand(2, count, generator=generator)
    return Boxes((top * (source - height + 1)).floor(), (left * (source - width + 1)).floor(), height, width)
