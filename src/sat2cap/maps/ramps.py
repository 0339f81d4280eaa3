"""The ends and colours of a map's scale as numbers and text, without matplotlib, whose import is slow."""

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.maps.layers import Scale

SCORE_RAMP = (
    *("#000004", "#0a0822", "#1d1147", "#36106b", "#51127c", "#6a1c81", "#832681", "#9c2e7f", "#b73779"),
    *("#d0416f", "#e75263", "#f56b5c", "#fc8961", "#fea772", "#fec488", "#fde2a3", "#fcfdbf"),
)
"""Evenly spaced colours of `maps.colours.COLOURS`, matplotlib's magma, from the first to the last."""

DIFFERENCE_RAMP = (
    *("#053061", "#175290", "#2a71b2", "#3f8ec0", "#6bacd1", "#9bc9e0", "#c2ddec", "#e0ecf3", "#f7f6f6"),
    *("#fbe5d8", "#fbccb4", "#f5aa89", "#e48066", "#d05548", "#ba2832", "#930e26", "#67001f"),
)
"""Evenly spaced colours of `maps.colours.DIVERGING`, matplotlib's RdBu_r, from the first to the last."""


def fit_limits(
    values: NDArray[np.float32], scale: Scale, limits: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Return the scores of the first and the last colour of a map of `values`, of any shape.

    These are `limits` if given, else the ends that `scale` fixes, else the 0.5th and the 99.5th percentile of
    the finite values, so that single outliers do not take all the colours. A centred scale reaches equally
    far on both sides of 0, to the 99th percentile of the absolute values. Raises `InputError` if `limits` are
    not increasing.
    """
    if limits is not None:
        if not limits[0] < limits[1]:
            raise InputError(
                f"colour limits {limits} must be two numbers, the lower first; such as (0.1, 0.3)"
            )
        return limits
    valid_values = values[np.isfinite(values)]
    if scale.centred:
        reach = float(np.percentile(np.abs(valid_values), 99)) if valid_values.size else 0.0
        reach = reach or 1e-3  # two maps that are alike still need a range around 0
        return -reach, reach
    if valid_values.size == 0:
        return scale.low or 0.0, 1.0 if scale.high is None else scale.high
    low = float(np.percentile(valid_values, 0.5, method="lower"))  # of few cells the least and the greatest
    high = float(np.percentile(valid_values, 99.5, method="higher"))
    low = low if scale.low is None else scale.low
    high = high if scale.high is None else scale.high
    if not low < high:  # a map of one value still needs a range around it
        margin = max(abs(low) * 0.01, 1e-3)
        low, high = low - margin, low + margin
    return low, high


def ramp_stops(values: NDArray[np.float32], scale: Scale) -> list[tuple[float, str, str]]:
    """Return ``(value, #rrggbb, label)`` at evenly spaced scores of a map; colours between are linear."""
    ramp = DIFFERENCE_RAMP if scale.centred else SCORE_RAMP
    stops = np.linspace(*fit_limits(values, scale), len(ramp))
    return [(float(stop), colour, f"{stop:.4g}") for stop, colour in zip(stops, ramp, strict=True)]
