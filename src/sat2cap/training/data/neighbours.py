"""Where pairs are, as training uses it: which photos are of one place, and which pairs are neighbours."""

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo import square_blocks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_BITS = 16


def place_ids(lat: Floats, lon: Floats, side_m: float) -> Rows:
    """A number for each of N points, equal for those in one square of `side_m`; all differ when it is 0."""
    if side_m == 0:
        return np.arange(len(lat), dtype=np.int64)
    return square_blocks(lon, lat, side_m)


def morton_order(lat: Floats, lon: Floats) -> Rows:
    """The N points in the order of a Z-order curve (Morton 1966): near in it is near on the map, mostly."""
    scaled = (np.stack([(lon + 180) / 360, (lat + 90) / 180]) * (2**_BITS - 1)).clip(0, 2**_BITS - 1)
    x, y = scaled.astype(np.int64)
    code = np.zeros(len(x), np.int64)
    for bit in range(_BITS):
        code |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable").astype(np.int64)
