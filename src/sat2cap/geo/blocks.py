"""Blocks of land: places grouped into near-square blocks of equal side.

::

    blocks of one side:   rows of equal height in latitude, each cut into columns
                          whose width is the block's side at the middle of the row

      60 N  |       |       |       |       |     columns take more degrees
      30 N  |    |    |    |    |    |    |       towards the poles
       0    |   |   |   |   |   |   |   |   |

Two tilings are in use, and stored splits, batches and intervals depend on which: `seamless_blocks` fits a
whole number of columns around the globe, so that the antimeridian cuts no block; `square_blocks` keeps the
columns' exact width and has a seam where it starts.
"""

import numpy as np
from numpy.typing import NDArray

from sat2cap.geo.earth import M_PER_DEGREE

Degrees = NDArray[np.float64]
BlockIndex = NDArray[np.int64]


def seamless_blocks(lon: Degrees, lat: Degrees, side_km: float) -> tuple[BlockIndex, BlockIndex]:
    """Return ``(row, column)`` of each point's block, int64 `[N]` each, from degrees `[N]`.

    Rows count from the South Pole, columns from 180 W. Each row has a whole number of columns.
    """
    height_deg = side_km * 1000 / M_PER_DEGREE
    row = np.floor((lat + 90) / height_deg).astype(np.int64)
    row_middle = np.deg2rad((row + 0.5) * height_deg - 90)
    columns = np.maximum(1, np.floor(360 * np.cos(row_middle).clip(0) / height_deg)).astype(np.int64)
    column = np.floor(np.mod(lon + 180, 360) / 360 * columns).astype(np.int64)
    return row, np.minimum(column, columns - 1)


def square_blocks(
    lon: Degrees, lat: Degrees, side_m: float, south_west_deg: tuple[float, float] = (-180.0, -90.0)
) -> BlockIndex:
    """Number the block of each point, int64 `[N]` from 0 without gaps, from degrees `[N]`.

    Rows and columns count from `south_west_deg`, ``(lon, lat)``. Numbers ascend by row, then by column.
    """
    west, south = south_west_deg
    height_deg = side_m / M_PER_DEGREE
    row = np.floor((lat - south) / height_deg)
    row_middle = np.deg2rad((row + 0.5) * height_deg + south)
    width_deg = height_deg / np.maximum(np.cos(row_middle), 1e-6)  # at a pole the row is one block
    column = np.floor((lon - west) / width_deg)
    _, block = np.unique(np.stack([row, column], axis=1), axis=0, return_inverse=True)
    return block.reshape(-1).astype(np.int64)
