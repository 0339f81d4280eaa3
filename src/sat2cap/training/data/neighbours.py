"""Where pairs are, as training uses it: which photos are of one place, and which pairs are neighbours."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_M_PER_DEGREE = 111_195.0  # on a sphere of 6371 km
_BITS = 16


def place_ids(lat: Floats, lon: Floats, side_m: float) -> Rows:
    """A number for each of N points, equal for those in one square of `side_m`; all differ when it is 0."""
    if side_m == 0:
        return np.arange(len(lat), dtype=np.int64)
    height = side_m / _M_PER_DEGREE
    row = np.floor((lat + 90) / height)
    # a column as wide as the square at the middle of its row
    width = height / np.maximum(np.cos(np.deg2rad((row + 0.5) * height - 90)), 1e-6)
    column = np.floor((lon + 180) / width)
    _, ids = np.unique(np.stack([row, column], axis=1), axis=0, return_inverse=True)
    return ids.reshape(-1).astype(np.int64)


def along_curve(lat: Floats, lon: Floats) -> Rows:
    """The N points in the order of a Z-order curve (Morton 1966): near in it is near on the map, mostly."""
    scaled = (np.stack([(lon + 180) / 360, (lat + 90) / 180]) * (2**_BITS - 1)).clip(0, 2**_BITS - 1)
    x, y = scaled.astype(np.int64)
    code = np.zeros(len(x), np.int64)
    for bit in range(_BITS):
        code |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable").astype(np.int64)
