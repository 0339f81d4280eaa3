"""Choosing which bands of imagery become red, green and blue, and which of their values black and white."""

import math
from dataclasses import dataclass

from sat2cap.errors import ImageryError


@dataclass(frozen=True)
class BandRendering:
    """How the bands of a raster become 8-bit colours."""

    bands: tuple[int, ...] | None = None
    """Band numbers, from 1: three for red, green and blue, or one for grey. None: as the file marks them."""
    stretch: tuple[float, float] | None = None
    """The values that become 0 (black) and 255 (white). None: 8-bit values are taken unchanged."""
    heed_alpha: bool = True
    """Whether a band that the file marks as alpha is transparency. False: it is something else."""


DEFAULT_RENDERING = BandRendering()
"""The bands that the file marks as colours, their 8-bit values unchanged."""

RECIPES = {
    "sentinel2": (
        BandRendering((4, 3, 2), (0, 3000), heed_alpha=False),
        "12 or 13 bands in order, reflectance x 10000 (L1C, L2A)",
    ),
    "landsat": (
        BandRendering((4, 3, 2), (7273, 18182), heed_alpha=False),
        "Collection 2 Level 2 in order: reflectance 0 to 0.3",
    ),
    "rgbn": (
        BandRendering((1, 2, 3), heed_alpha=False),
        "8-bit red, green, blue and near infrared, as NAIP",
    ),
    "bgrn": (
        BandRendering((3, 2, 1), (0, 3000), heed_alpha=False),
        "blue, green, red and near infrared, reflectance x 10000",
    ),
}
"""``{name: (rendering, description of the imagery it is for)}``."""


def parse_rendering(
    bands: str | None = None, stretch: str | None = None, recipe: str | None = None
) -> BandRendering:
    """Return the rendering that command-line text asks for: ``"4,3,2"``, ``"0,3000"`` or a recipe's name.

    `bands` and `stretch` take precedence over those of `recipe`. Raises `ImageryError` if one of them cannot
    be read.

    Example:
        parse_rendering("4,3,2", "0,3000")                        # BandRendering((4, 3, 2), (0.0, 3000.0))
        parse_rendering(recipe="sentinel2", stretch="0,10000")    # the recipe's bands, another stretch
    """
    if recipe is not None and recipe not in RECIPES:
        raise ImageryError(f"recipe {recipe!r} does not exist; choose one of {', '.join(sorted(RECIPES))}")
    base = DEFAULT_RENDERING if recipe is None else RECIPES[recipe][0]
    return BandRendering(
        base.bands if bands is None else _parse_bands(bands),
        base.stretch if stretch is None else _parse_stretch(stretch),
        base.heed_alpha,
    )


def _parse_bands(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (1, 3) or min(numbers) < 1:
        raise ImageryError(f"bands {text!r}: give three numbers from 1, such as 4,3,2, or one for grey")
    return numbers


def _parse_stretch(text: str) -> tuple[float, float]:
    try:
        low, high = (float(number) for number in text.split(","))
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageryError(f"stretch {text!r}: give the values of black and white, such as 0,3000")
    return low, high
