"""Scores that can be compared with a threshold."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def percentile(values: Floats) -> Floats:
    """The rank of each value among all that are not NaN, 0 for the least and 100 for the greatest.

    Equal values share the mean of their ranks; a value that is alone gets 50. NaN stays NaN.
    """
    result = np.full(values.shape, np.nan, np.float32)
    known = ~np.isnan(values)
    mine = values[known]
    if mine.size:
        order = np.sort(mine)
        rank = (np.searchsorted(order, mine, "left") + np.searchsorted(order, mine, "right") - 1) / 2
        result[known] = 100 * rank / (mine.size - 1) if mine.size > 1 else 50
    return result


def contrast(cosines: Floats, bank: Floats, in_bank: NDArray[np.bool_], logit_scale: float) -> Floats:
    """The share of a prompt in a softmax over itself and the bank, at the model's logit scale: 0 to 1.

    Each of the prompts `[K, N]` is set against the bank `[B, N]` alone, not against the others; a prompt that
    is in the bank itself (`in_bank`, `[K]`) is counted once.
    """
    top = bank.max(0)
    whole = logit_scale * top + np.log(np.exp(logit_scale * (bank - top)).sum(0))
    # e^p / (e^p + sum e^b) = 1 / (1 + sum e^b / e^p); clipped where float32 would overflow and it is 0 or 1
    ratio = np.exp(np.clip(whole - logit_scale * cosines, -80, 80))
    return np.asarray(1 / np.where(in_bank[:, None], ratio, 1 + ratio), np.float32)
