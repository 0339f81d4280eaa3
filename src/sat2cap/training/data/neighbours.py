"""Positions of pairs: which photos are of the same place, and an order that keeps neighbours near."""

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo import square_blocks

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_BITS = 16
"""Bits of each coordinate in a Morton code."""


def place_ids(lat: Floats, lon: Floats, side_m: float) -> Rows:
    """Return a place number for each of N points in degrees: int64, shape (N,).

    Points in the same square of `side_m` metres have the same number; with 0, all numbers differ.
    """
    if side_m == 0:
        return np.arange(len(lat), dtype=np.int64)
    return square_blocks(lon, lat, side_m)


def morton_order(lat: Floats, lon: Floats) -> Rows:
    """Return the indices of N points in degrees along a Z-order curve (Morton 1966): int64, shape (N,).

    Points that are near in this order are mostly near on the map. The code of a point interleaves the bits
    of its coordinates: x = 01 and y = 11 (binary) give 1011.
    """
    scaled = (np.stack([(lon + 180) / 360, (lat + 90) / 180]) * (2**_BITS - 1)).clip(0, 2**_BITS - 1)
    x, y = scaled.astype(np.int64)
    code = np.zeros(len(x), np.int64)
    for bit in range(_BITS):
        code |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return np.argsort(code, kind="stable").astype(np.int64)
