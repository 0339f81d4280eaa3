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


def resize_crops(pixels: Tensor, boxes: Boxes, size: int, resample: str) -> Tensor:
    """Return crops of uint8 images `[N, P, P, 3]` resized to `[N, 3, size, size]`: float32, 0 to 1.

    `resample` is one of the filters of `sat2cap.model.Preprocess`. A crop sees no pixel outside of its box.
    """
    source = pixels.shape[1]
    step = max(1, _MAX_VALUES // (3 * source * source))
    resized = torch.empty((len(pixels), 3, size, size), device=pixels.device)
    for start in range(0, len(pixels), step):
        stop = min(start + step, len(pixels))
        images = pixels[start:stop].permute(0, 3, 1, 2).float()
        box = boxes.rows(start, stop)
        rows = _resize_weights(box.top, box.height, source, size, resample).to(pixels.device)
        columns = _resize_weights(box.left, box.width, source, size, resample).to(pixels.device)
        resized[start:stop] = rows[:, None] @ (images @ columns[:, None].transpose(2, 3))
    return (resized / 255).clamp(0, 1)


def _resize_weights(start: Tensor, length: Tensor, source: int, size: int, resample: str) -> Tensor:
    """Return matrices `[N, size, source]` that resize the pixels `start` to `start + length` to `size`.

    Each row sums to 1. The filter is stretched by ``length / size`` if that is above 1, as Pillow does; a
    crop that is enlarged is interpolated.
    """
    scale = length / size
    centre = start[:, None] + (torch.arange(size) + 0.5) * scale[:, None]  # [N, size], pixel edges at 0, 1, …
    if resample == "nearest":
        nearest = centre.floor().long().clamp(0, source - 1)
        return functional.one_hot(nearest, source).float()
    stretch = scale.clamp(min=1)[:, None, None]
    middles = torch.arange(source) + 0.5
    weights = _filter_weights((middles - centre[..., None]) / stretch, resample)
    inside = (middles > start[:, None, None]) & (middles < (start + length)[:, None, None])
    weights = weights * inside
    return weights / weights.sum(-1, keepdim=True)


def _filter_weights(distance: Tensor, resample: str) -> Tensor:
    """Return a filter's weights at distances in stretched pixels: Pillow's definitions."""
    x = distance.abs()
    if resample == "bilinear":
        return (1 - x).clamp(min=0)
    if resample == "bicubic":  # Keys (1981) with a = -0.5
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    if resample == "lanczos":
        return torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x))
    raise ValueError(f"no filter {resample!r}")


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
