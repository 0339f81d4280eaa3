"""RandAugment (Cubuk et al. 2020) as torchvision defines it: each image has operations of its own.

Every image goes through three operations, drawn one after the other, with replacement, from fourteen.
Strengths are the tenth (index 9) of 31 equal steps; the sign of those that have one is drawn for every
image::

    operation         range        at index 9 of 0 to 30
    identity
    shear x, y        0 to 0.3     0.09          pixels a pixel, about the top left corner
    translate x, y    0 to 150/331 0.136         of the width, in whole pixels
    rotate            0 to 30      9             degrees about the middle
    brightness        0 to 0.9     0.27          factors 1.27 and 0.73
    colour            0 to 0.9     0.27          saturation
    contrast          0 to 0.9     0.27
    sharpness         0 to 0.9     0.27
    posterize         8 to 4       7             bits that are kept
    solarize          255 to 0     178.5         values from there on are inverted
    autocontrast, equalize

There is no inversion of whole images, and brightness goes both ways. What moves out of the image leaves
black. Values are whole numbers from 0 to 255, rounded down after each operation, as in 8-bit images.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

OPERATIONS_PER_IMAGE = 3
STEP_COUNT = 31
STEP = 9
_LUMA = (0.299, 0.587, 0.114)

Operation = Callable[[Tensor, Tensor], Tensor]
"""A function of images `[n, 3, S, S]`, whole values 0 to 255, and signed strengths `[n]`, to such images."""


def draw_operations(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the operations of N images: indices into `OPERATIONS`, and signs -1 or 1: int64 `[3, N]` each."""
    shape = (OPERATIONS_PER_IMAGE, count)
    chosen = torch.randint(0, len(OPERATIONS), shape, generator=generator)
    return chosen, torch.randint(0, 2, shape, generator=generator) * 2 - 1


def rand_augment(images: Tensor, chosen: Tensor, signs: Tensor) -> Tensor:
    """Return images `[N, 3, S, S]`, 0 to 1, each after its own operations (`draw_operations`), 0 to 1.

    Images that have the same operation in the same round are changed together.
    """
    levels = (images * 255).round().clamp(0, 255)
    for round_chosen, round_signs in zip(chosen, signs, strict=True):
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            rows = (round_chosen == number).nonzero()[:, 0]
            if operation is None or len(rows) == 0:
                continue
            signed = round_signs[rows] if name in SIGNED else torch.ones(len(rows))
            rows = rows.to(levels.device)
            strength = (strengths(levels.shape[-1])[name][STEP] * signed).to(levels.device)
            levels[rows] = operation(levels[rows], strength).clamp(0, 255).floor()
    return levels / 255


def strengths(width: int) -> dict[str, Tensor]:
    """Return the 31 strengths of each operation for images `width` pixels wide: float32 `[31]`."""
    share = torch.arange(STEP_COUNT) / (STEP_COUNT - 1)
    zero = torch.zeros(STEP_COUNT)
    table = {"identity": zero, "shear_x": 0.3 * share, "shear_y": 0.3 * share}
    table |= dict.fromkeys(("translate_x", "translate_y"), 150 / 331 * width * share)
    table |= {"rotate": 30 * share}
    table |= dict.fromkeys(("brightness", "colour", "contrast", "sharpness"), 0.9 * share)
    table |= {"posterize": 8 - (4 * share).round(), "solarize": 255 * (1 - share)}
    return table | {"autocontrast": zero, "equalize": zero}


def _transform(images: Tensor, matrix: Tensor) -> Tensor:
    """Return images sampled at ``matrix @ (x, y, 1)``, by the nearest pixel; black outside.

    `matrix` `[n, 2, 3]` maps positions in the output to positions in the input, with pixel middles at 0.5.
    """
    size = images.shape[-1]
    middles = torch.arange(size, device=images.device) + 0.5
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    positions = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1)
    column, row = (matrix @ positions).floor().long().unbind(1)  # [n, S * S] each
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    index = (row.clamp(0, size - 1) * size + column.clamp(0, size - 1))[:, None].expand(-1, 3, -1)
    sampled = images.flatten(2).gather(2, index) * inside[:, None]
    return sampled.view_as(images)


def _matrix(strength: Tensor, entries: list[list[Tensor | float]]) -> Tensor:
    """Return matrices `[n, 2, 3]` whose entries are numbers or one value for each image."""
    rows = [torch.stack([torch.zeros_like(strength) + entry for entry in row], -1) for row in entries]
    return torch.stack(rows, 1)


def _shear_x(images: Tensor, strength: Tensor) -> Tensor:
    return _transform(images, _matrix(strength, [[1, strength, 0], [0, 1, 0]]))


def _shear_y(images: Tensor, strength: Tensor) -> Tensor:
    return _transform(images, _matrix(strength, [[1, 0, 0], [strength, 1, 0]]))


def _translate_x(images: Tensor, strength: Tensor) -> Tensor:
    return _transform(images, _matrix(strength, [[1, 0, -strength.trunc()], [0, 1, 0]]))


def _translate_y(images: Tensor, strength: Tensor) -> Tensor:
    return _transform(images, _matrix(strength, [[1, 0, 0], [0, 1, -strength.trunc()]]))


def _rotate(images: Tensor, strength: Tensor) -> Tensor:
    """Rotate anticlockwise by `strength` degrees about the middle."""
    angle = strength * (math.pi / 180)
    cos, sin, middle = angle.cos(), angle.sin(), images.shape[-1] / 2
    to_x = middle - cos * middle + sin * middle
    to_y = middle - sin * middle - cos * middle
    return _transform(images, _matrix(strength, [[cos, -sin, to_x], [sin, cos, to_y]]))


def _blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """Return the mean of `other` and the images, which weigh 1 + strength."""
    return other + (1 + strength)[:, None, None, None] * (images - other)


def _grey(images: Tensor) -> Tensor:
    """Return luma, whole values `[n, 1, S, S]` (ITU-R 601)."""
    luma = torch.tensor(_LUMA, device=images.device).view(3, 1, 1)
    return (images * luma).sum(1, keepdim=True).round()


def _brightness(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, torch.zeros_like(images), strength)


def _colour(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, _grey(images), strength)


def _contrast(images: Tensor, strength: Tensor) -> Tensor:
    return _blend(images, (_grey(images).mean((1, 2, 3), keepdim=True) + 0.5).floor(), strength)


def _sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Blend with the image smoothed by a 3 by 3 kernel of ones with a 5 in its middle; edges stay."""
    kernel = torch.ones(3, 1, 3, 3, device=images.device)
    kernel[:, :, 1, 1] = 5
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = (functional.conv2d(images, kernel / 13, groups=3) + 0.5).floor()
    return _blend(images, smooth, strength)


def _posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keep the upper `strength` bits of each value."""
    level = torch.pow(2.0, 8 - strength)[:, None, None, None]
    return (images / level).floor() * level


def _solarize(images: Tensor, strength: Tensor) -> Tensor:
    return torch.where(images >= strength[:, None, None, None], 255 - images, images)


def _autocontrast(images: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to 0 to 255; a channel of one value stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    stretched = ((images - low) * 255 / (high - low).clamp(min=1) + 1e-3).floor()
    return torch.where(high > low, stretched, images)


def _equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Equalise the histogram of each channel.

    With h the numbers of pixels by value, and s = (all pixels less those of the greatest value) // 255,
    value v becomes (s // 2 + h(0) + … + h(v - 1)) // s. A channel whose s is 0 stays.
    """
    count, channels = images.shape[:2]
    values = images.long().flatten(2)  # [n, 3, S * S]
    histogram = torch.zeros(count, channels, 256, dtype=torch.long, device=images.device)
    histogram.scatter_add_(2, values, torch.ones_like(values))
    greatest = histogram.gather(2, values.amax(2, keepdim=True))
    step = (values.shape[2] - greatest) // 255
    before = histogram.cumsum(2) - histogram
    table = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    equalized = table.gather(2, values).view_as(images).to(images.dtype)
    return torch.where((step > 0)[..., None], equalized, images)


OPERATIONS: dict[str, Operation | None] = {
    "identity": None,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "colour": _colour,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
"""Operations by name, each as likely as the others; None changes nothing."""
SIGNED = frozenset(
    (
        "shear_x",
        "shear_y",
        "translate_x",
        "translate_y",
        "rotate",
        "brightness",
        "colour",
        "contrast",
        "sharpness",
    )
)
"""Operations whose strength has a random sign."""
