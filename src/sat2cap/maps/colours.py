"""Colours of scores and categories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, Normalize, to_hex
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.maps.layers import CATEGORY, Scale, scale_of
from sat2cap.maps.ramps import fit_limits

COLOURS = colormaps["magma"]
"""Colour map of scores: perceptually uniform, so it survives grey print and colour blindness."""

DIVERGING = colormaps["RdBu_r"]
"""Colour map of differences: blue below 0, red above, nearly white at 0."""

CATEGORIES = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442"),  # Okabe and Ito
    *("#332288", "#56B4E9", "#882255", "#999933", "#661100", "#44AA99"),  # and Tol's that differ
)
"""Colours of categories; most pairs can be told apart by colour-blind readers too.

None of the first seven is a paler version of another.
"""

NO_DATA: dict[str, str] = {"facecolor": "#efeff1", "edgecolor": "#d3d3d8", "hatch": "/////"}
"""Style of cells without data, as matplotlib's patches take it: light grey, hatched."""
_OVERLAY_OPACITY = (0.12, 0.88)
"""Opacity of the lowest and the highest score over imagery, 0 to 1."""
_MIN_SATURATION = 0.25
"""Share of its colour that the least confident category keeps."""


@dataclass(frozen=True)
class Paint:
    """The mapping from the values of a map to colours, the same in pictures, tiles and QGIS styles."""

    scale: Scale
    norm: Normalize
    colours: Colormap
    categories: tuple[str, ...] = ()
    """Prompts that the values 1, 2, 3, … stand for; empty for a map of scores."""

    def to_rgba(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return uint8 RGBA colours, shape (H, W, 4), of values (H, W).

        NaN is transparent; values beyond the limits have the first or the last colour.
        """
        colour = np.array(self.colours(self.norm(np.ma.masked_invalid(values)), bytes=True))
        colour[~np.isfinite(values), 3] = 0
        return colour

    def overlay_opacities(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the opacity, 0 to 1, of values (H, W) drawn over imagery.

        Scores follow `overlay_opacity`, differences by their distance from 0; categories are all alike.
        """
        if self.categories:
            return np.full(values.shape, 0.7, np.float32)
        share = np.ma.filled(self.norm(np.ma.masked_invalid(values)), 0)
        return overlay_opacity(np.abs(2 * share - 1) if self.scale.centred else share)

    def blend_with_grey(self) -> Colormap:
        """Return the colours of a colour bar for a map over imagery: blended with middle grey.

        Each is as opaque as its scores are on the map, so that the bar looks like the map on average imagery.
        """
        share = np.linspace(0, 1, 256, dtype=np.float32)
        opaque = overlay_opacity(np.abs(2 * share - 1) if self.scale.centred else share)[:, None]
        colour = self.colours(share)
        colour[:, :3] = colour[:, :3] * opaque + 0.5 * (1 - opaque)
        return ListedColormap(colour)

    def colour_stops(self, count: int = 17) -> list[tuple[float, str, str]]:
        """Return ``(value, #rrggbb, label)`` at `count` evenly spaced scores, or for each category.

        For a map of categories `count` is not used: the values are 1, 2, 3, … and the labels the prompts.
        """
        if self.categories:
            return [(i + 1, CATEGORIES[i], name) for i, name in enumerate(self.categories)]
        values = np.linspace(float(self.norm.vmin or 0), float(self.norm.vmax or 0), count)
        return [(float(v), to_hex(self.colours(self.norm(v))), f"{v:.4g}") for v in values]


def paint_of(score: xr.DataArray, limits: tuple[float, float] | None = None) -> Paint:
    """Return the colours for a map, or for several maps that share one scale.

    `limits` are the scores of the first and the last colour; by default they follow from all of `score`.
    Raises `InputError` if the limits are not increasing or there are too many categories.
    """
    if score.attrs.get("scale") == CATEGORY:
        names = tuple(map(str, score.attrs["categories"]))
        colours = ListedColormap(colours_of(names))
        edges = np.arange(len(names) + 1) + 0.5
        return Paint(Scale("category", ""), BoundaryNorm(edges, len(names)), colours, names)
    scale = scale_of(score)
    norm = fit_norm(np.asarray(score.values, np.float32), scale, limits)
    return Paint(scale, norm, DIVERGING if scale.centred else COLOURS)


def colours_of(categories: Sequence[str]) -> list[str]:
    """Return ``#rrggbb`` for each category. Raises `InputError` for fewer than 2 or more than 12."""
    if not 2 <= len(categories) <= len(CATEGORIES):
        raise InputError(
            f"{len(categories)} categories: give 2 to {len(CATEGORIES)}, more colours cannot be told apart"
        )
    return list(CATEGORIES[: len(categories)])


def fit_norm(
    values: NDArray[np.float32], scale: Scale, limits: tuple[float, float] | None = None
) -> Normalize:
    """Return matplotlib's normalisation from scores ``(rows, columns)`` to positions on a colour map, 0 to 1.

    The scores at 0 and 1 are those of `ramps.fit_limits`, which raises `InputError`.
    """
    return Normalize(*fit_limits(values, scale, limits))


def clipped_ends(values: NDArray[np.float32], norm: Normalize) -> str:
    """Return at which ends of the colour bar finite values are clipped: "neither", "min", "max" or "both".

    These are the values of matplotlib's `extend`, which draws an arrow at such an end.
    """
    share = norm(values[np.isfinite(values)])
    below, above = bool((share < 0).any()), bool((share > 1).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[
        below, above
    ]


def overlay_opacity(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the opacity, 0 to 1, of colours drawn over imagery, of any shape, as `share` has.

    `share` is the place on the scale, 0 to 1: low scores let the imagery show through, high scores cover it.
    """
    low, high = _OVERLAY_OPACITY
    return np.asarray(low + (high - low) * np.clip(share, 0, 1), dtype=np.float32)


def pale_by_confidence(
    colour: NDArray[np.uint8], confidence: NDArray[np.float32], categories: int
) -> NDArray[np.uint8]:
    """Return the colours of categories, uint8 (H, W, 4), paler where `confidence` (H, W) is lower.

    A mere guess among K `categories` has confidence 1 / K, and keeps a quarter of its colour; certainty, 1,
    keeps all of it; in between the share grows linearly.
    """
    guess = 1 / categories
    sure = np.clip((np.nan_to_num(confidence) - guess) / (1 - guess), 0, 1)[..., None]
    saturation = _MIN_SATURATION + (1 - _MIN_SATURATION) * sure
    pale = colour.copy()
    pale[..., :3] = np.round(colour[..., :3] * saturation + 255 * (1 - saturation)).astype(np.uint8)
    return pale


def grey_underlay(underlay: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 RGBA imagery (H, W, 4) in grey, so that all colours on the map are scores.

    The luminance is that of ITU-R BT.601. It is compressed from 0 to 255 into 40 to 244: black and white
    would hide the colours drawn over them.
    """
    luminance = underlay[..., :3] @ np.array([0.299, 0.587, 0.114])
    grey = underlay.copy()
    grey[..., :3] = (40 + luminance[..., None] * 0.8).astype(np.uint8)
    return grey
