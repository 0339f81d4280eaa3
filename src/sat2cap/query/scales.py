"""Scales that make scores of different prompts comparable."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_MAX_EXPONENT = 80
"""Exponents are clipped to ± this, well before exp overflows float32; the share is 0 or 1 by then."""


def percentile(values: Floats) -> Floats:
    """Return the rank of each value among all that are not NaN: 0 for the smallest, 100 for the largest.

    Equal values share the mean of their ranks; a single value gets 50. NaN stays NaN.

    >>> percentile(np.float32([1, 2, 2, 3]))
    array([  0.,  50.,  50., 100.], dtype=float32)
    """
    percentiles = np.full(values.shape, np.nan, np.float32)
    is_finite = ~np.isnan(values)
    finite = values[is_finite]
    if finite.size:
        ordered = np.sort(finite)
        # among equal values the first has the rank `left` and the last the rank `right` - 1
        left, right = np.searchsorted(ordered, finite, "left"), np.searchsorted(ordered, finite, "right")
        ranks = (left + right - 1) / 2
        percentiles[is_finite] = 100 * ranks / (finite.size - 1) if finite.size > 1 else 50
    return percentiles


def contrast(cosines: Floats, bank: Floats, in_bank: NDArray[np.bool_], text_scale: float) -> Floats:
    """Return each prompt's share in a softmax over itself and the bank, float32 `[K, N]` in 0 to 1.

    `cosines` `[K, N]` are those of K prompts with N cells, `bank` `[B, N]` those of the generic prompts;
    the softmax is at `text_scale`, the logit scale of the CLIP that the text tower belongs to. A prompt
    is set against the bank alone, not against the other prompts; one that is in the bank itself
    (`in_bank` `[K]`) is counted once.
    """
    largest = bank.max(0)
    log_sum = text_scale * largest + np.log(np.exp(text_scale * (bank - largest)).sum(0))
    # e^p / (e^p + sum e^b) = 1 / (1 + sum e^b / e^p)
    ratio = np.exp(np.clip(log_sum - text_scale * cosines, -_MAX_EXPONENT, _MAX_EXPONENT))
    return np.asarray(1 / np.where(in_bank[:, None], ratio, 1 + ratio), np.float32)
