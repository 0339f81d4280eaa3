"""What stands in for pixels that imagery does not have, the same wherever patches are cut."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def missing_share(rgba: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The share of pixels without data in each patch: `[..., P, P, 4]` to float64 `[...]`."""
    share: NDArray[Any] = (rgba[..., 3] == 0).mean((-2, -1))
    return np.asarray(share, np.float64)


def filled(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Patches `[N, P, P, 4]` as `[N, P, P, 3]`; missing pixels take the mean colour of their patch.

    Black would be something a network sees; the patch's own mean adds no edge it could mistake for a thing.
    """
    rgb = rgba[..., :3].copy()
    missing = rgba[..., 3] == 0
    for number in np.flatnonzero(missing.any((1, 2))):
        holes = missing[number]
        present = rgb[number][~holes]
        rgb[number][holes] = present.mean(0).round() if len(present) else 0
    return rgb
