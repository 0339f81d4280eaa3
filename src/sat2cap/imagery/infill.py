"""Measuring and filling pixels without data, the same way wherever patches are cut."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def missing_share(rgba: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the share, 0 to 1, of each patch's pixels that have no data (alpha 0).

    `rgba` is ``[..., P, P, 4]``; the result is float64 ``[...]``.
    """
    share: NDArray[Any] = (rgba[..., 3] == 0).mean((-2, -1))
    return np.asarray(share, np.float64)


def fill_missing(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return patches ``[N, P, P, 4]`` as ``[N, P, P, 3]``, pixels without data in their patch's mean colour.

    A network would see black as something on the ground; the mean colour adds the weakest edge there can be.
    A patch without any data becomes black.
    """
    rgb = rgba[..., :3].copy()
    missing = rgba[..., 3] == 0
    for patch in np.flatnonzero(missing.any((1, 2))):
        hole_mask = missing[patch]
        present = rgb[patch][~hole_mask]
        rgb[patch][hole_mask] = present.mean(0).round() if len(present) else 0
    return rgb
