"""Statistics of the scores in a zone, each cell weighted by the ground that the zone covers of it."""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError

Kind = Literal["mean", "min", "max", "percentile", "share-above", "area-above"]

FORMS = "mean, min, max, median, p0 to p100, share-above=SCORE or area-above=SCORE"
"""The forms that `parse_statistic` reads, for messages and help."""

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d+)?)")
_ABOVE = re.compile(r"(share-above|area-above)=(.+)")


@dataclass(frozen=True)
class Statistic:
    """One number for each zone, such as the mean score."""

    name: str
    """As it was written, such as ``p90``; also the name of its column."""
    kind: Kind
    parameter: float = math.nan
    """The percentile, 0 to 100, or the score to lie above; NaN for kinds without."""

    def compute(self, scores: NDArray[np.float64], km2: NDArray[np.float64]) -> float:
        """Return the statistic of n cells with `scores` `[n]` of which a zone covers `km2` `[n]`, all > 0.

        ``min`` and ``max`` are over every cell that the zone touches. A percentile q is the smallest score
        such that at least q % of the covered ground scores no more. ``share-above`` is a share of the covered
        ground, 0 to 1, ``area-above`` km². Without cells, NaN.

        >>> parse_statistic("mean").compute(np.array([0.2, 0.5]), np.array([3.0, 1.0]))
        0.275
        """
        if scores.size == 0:
            return math.nan
        if self.kind == "min":
            return float(scores.min())
        if self.kind == "max":
            return float(scores.max())
        if self.kind == "mean":
            return float(np.average(scores, weights=km2))
        if self.kind == "percentile":
            return _weighted_percentile(scores, km2, self.parameter)
        above_km2 = float(km2[scores > self.parameter].sum())
        return above_km2 if self.kind == "area-above" else above_km2 / float(km2.sum())


def parse_statistic(text: str) -> Statistic:
    """Read a statistic as it is written on the command line: one of the `FORMS`. Raises `InputError`.

    >>> parse_statistic("p90").kind
    'percentile'
    """
    text = text.strip()
    if text in ("mean", "min", "max"):
        return Statistic(text, text)  # type: ignore[arg-type]  # the names of these kinds
    if text == "median":
        return Statistic(text, "percentile", 50.0)
    if (match := _PERCENTILE.fullmatch(text)) and float(match[1]) <= 100:
        return Statistic(text, "percentile", float(match[1]))
    if match := _ABOVE.fullmatch(text):
        try:
            score = float(match[2])
        except ValueError:
            score = math.nan
        if math.isfinite(score):
            return Statistic(text, match[1], score)  # type: ignore[arg-type]  # both are kinds
    raise InputError(f"statistic {text!r} is not known; give {FORMS}")


def _weighted_percentile(
    scores: NDArray[np.float64], weights: NDArray[np.float64], percentile: float
) -> float:
    """Return the smallest score at which the weights of scores up to it reach `percentile` % of their sum."""
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    wanted = percentile / 100 * reached[-1]
    index = int(np.searchsorted(reached, wanted * (1 - 1e-12)))  # a sum that is equal but for rounding counts
    return float(scores[order[min(index, scores.size - 1)]])
