"""Which colour a score gets, and what the colour bar says of it."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap, Normalize
from numpy.typing import NDArray

from sat2cap.errors import InputError

COLOURS = colormaps["magma"]
"""Even to the eye, and in order of lightness, so it survives grey print and colour blindness."""

NO_DATA = {"facecolor": "#efeff1", "edgecolor": "#d3d3d8", "hatch": "/////"}
BARE = {"facecolor": "#808080", "edgecolor": "#808080"}
"""What has no data over imagery: the imagery alone."""
_VEIL = (0.12, 0.88)  # how opaque the lowest and the highest score are over imagery


@dataclass(frozen=True)
class Scale:
    """How scores of one kind are shown."""

    label: str
    """What the colour bar says, unit included."""
    low: float | None
    """The value of the first colour; None for nearly the lowest score of the map."""
    high: float | None
    """The value of the last colour; None for nearly the highest score of the map."""


_SCALES = {
    "cosine": Scale("cosine similarity (no unit)", None, None),
    "percentile": Scale("percentile within the region (%)", 0.0, 100.0),
    "contrast": Scale("probability against generic prompts (0 to 1)", 0.0, None),
}


def scale_of(score: xr.DataArray) -> Scale:
    """How to show this score; a kind that is not known is shown by its own name."""
    name = str(score.attrs.get("scale", "score"))
    if name == "cosine" and score.attrs.get("negatives"):
        return Scale("cosine similarity less that of the negatives (no unit)", None, None)
    return _SCALES.get(name, Scale(name, None, None))


def normalise(
    values: NDArray[np.float32], scale: Scale, limits: tuple[float, float] | None = None
) -> Normalize:
    """From score to colour, 0 to 1. Only colours are stretched: the bar keeps the true values."""
    if limits is not None:
        if not limits[0] < limits[1]:
            raise InputError(
                f"colour limits {limits} must be two numbers, the lower first; such as (0.1, 0.3)"
            )
        return Normalize(*limits)
    known = values[np.isfinite(values)]
    if known.size == 0:
        return Normalize(scale.low or 0.0, 1.0 if scale.high is None else scale.high)
    low, high = (float(v) for v in np.percentile(known, [0.5, 99.5]))
    low = low if scale.low is None else scale.low
    high = high if scale.high is None else scale.high
    if not low < high:  # a map of one value still needs a range around it
        margin = max(abs(low) * 0.01, 1e-3)
        low, high = low - margin, low + margin
    return Normalize(low, high)


def beyond(values: NDArray[np.float32], norm: Normalize) -> str:
    """Which ends of the colour bar need an arrow, in matplotlib's words."""
    share = norm(values[np.isfinite(values)])
    below, above = bool((share < 0).any()), bool((share > 1).any())
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[
        below, above
    ]


def veil(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """How opaque a colour is drawn over imagery: low scores let it show, high ones glow."""
    low, high = _VEIL
    return np.asarray(low + (high - low) * np.clip(share, 0, 1), dtype=np.float32)


def veiled_colours() -> Colormap:
    """The colours of a bar beside a map over imagery: as they look over middle grey."""
    colour = COLOURS(np.linspace(0, 1, 256))
    opaque = veil(np.linspace(0, 1, 256, dtype=np.float32))[:, None]
    colour[:, :3] = colour[:, :3] * opaque + 0.5 * (1 - opaque)
    return ListedColormap(colour)


def grey(underlay: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Imagery uint8 RGBA [h, w, 4] without colour, so that the only colours on the map are scores."""
    luminance = underlay[..., :3] @ np.array([0.299, 0.587, 0.114])
    shown = underlay.copy()
    shown[..., :3] = (40 + luminance[..., None] * 0.8).astype(np.uint8)
    return shown
