"""Which bands of imagery are shown as red, green and blue, and which of their values as black and white."""

import math
from dataclasses import dataclass

from sat2cap.errors import ImageryError


@dataclass(frozen=True)
class Shown:
    """How bands become colours."""

    bands: tuple[int, ...] | None = None
    """Three band numbers from 1 for red, green and blue, or one for grey; None: as the file marks them."""
    stretch: tuple[float, float] | None = None
    """The values shown as 0 and 255; None for 8-bit bands, taken as they are."""


AS_THEY_ARE = Shown()

RECIPES = {
    "sentinel2": (Shown((4, 3, 2), (0, 3000)), "12 or 13 bands in order, reflectance x 10000 (L1C, L2A)"),
    "landsat": (Shown((4, 3, 2), (7273, 18182)), "Collection 2 Level 2 in order: reflectance 0 to 0.3"),
    "rgbn": (Shown((1, 2, 3)), "8-bit red, green, blue and near infrared, as NAIP"),
    "bgrn": (Shown((3, 2, 1), (0, 3000)), "blue, green, red and near infrared, reflectance x 10000"),
}
"""Name to how it is shown, and what for."""


def shown(bands: str | None = None, scale: str | None = None, recipe: str | None = None) -> Shown:
    """What was written as ``4,3,2`` and ``0,3000``, or a recipe's name; what is given wins over the recipe.

    Raises `ImageryError`.
    """
    if recipe is not None and recipe not in RECIPES:
        raise ImageryError(f"recipe {recipe!r} is not known; take one of {', '.join(sorted(RECIPES))}")
    base = AS_THEY_ARE if recipe is None else RECIPES[recipe][0]
    return Shown(
        base.bands if bands is None else _bands(bands),
        base.stretch if scale is None else _stretch(scale),
    )


def _bands(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or min(numbers) < 1:
        raise ImageryError(f"bands {text!r}: give three numbers from 1, such as 4,3,2, or one for grey")
    return numbers


def _stretch(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageryError(f"scale {text!r}: give the values of black and white, such as 0,3000")
    return low, high
