"""Overviews of a raster: choosing the one a read needs, and locating its pixels."""

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

_SIDE = 64  # overview pixels a side that are compared with the full resolution below
_WHERE = (0.5, 0.25, 0.75)  # places to compare at, as fractions of height and width


def choose_overview(overviews: tuple[int, ...], ratio: float) -> tuple[int, int | None]:
    """Return ``(factor, level)`` of the coarsest overview that is at least twice as fine as what is read.

    `ratio` is the number of full-resolution pixels in a pixel read, along a line; `overviews` are the factors
    by level. An overview of which a pixel read covers 1.98 pixels still counts. Full resolution is
    ``(1, None)``.

    An overview just as fine would do if its pixels lay where those read lie. Off by half a pixel, each pixel
    read is a mean of four, twice as wide as it should be; of pixels half as large the error is a quarter.

    Example:
        choose_overview((2, 4, 8), 5.0)    # (2, 0)
    """
    finer = [(factor, level) for level, factor in enumerate(overviews) if factor * 2 <= ratio * 1.01]
    return max(finer, default=(1, None))


def are_decimated(full: rasterio.DatasetReader, overview: rasterio.DatasetReader, band: int) -> bool:
    """Return whether overviews hold the first pixel of each block instead of its mean, gdaladdo's default.

    What such an overview shows lies up and left of where its transform says, by almost half of its pixel. The
    finest overview is compared with the pixels below it, at the first place tried that is not of one value.
    """
    factor = round(full.width / overview.width)
    if factor < 2:
        return False
    for down in _WHERE:
        for across in _WHERE:
            coarse, fine = _read_same_ground(full, overview, band, factor, (down, across))
            if coarse.size and np.ptp(fine) > 0:
                means = fine.mean((1, 3))
                return bool(np.abs(coarse - fine[:, 0, :, 0]).mean() < np.abs(coarse - means).mean())
    return False


def decimated_transform(grid: GeoBox, overview: rasterio.DatasetReader) -> Affine:
    """Return the transform of a decimated `overview` of `grid`: each pixel centred on the one it repeats."""
    across, down = grid.shape[1] / overview.width, grid.shape[0] / overview.height
    shifted: Affine = overview.transform @ Affine.translation(0.5 / across - 0.5, 0.5 / down - 0.5)
    return shifted


def _read_same_ground(
    full: rasterio.DatasetReader,
    overview: rasterio.DatasetReader,
    band: int,
    factor: int,
    where: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return overview pixels ``[h, w]`` and the full-resolution pixels below ``[h, factor, w, factor]``."""
    top, left = int(overview.height * where[0]), int(overview.width * where[1])
    height = min(_SIDE, full.height // factor - top)
    width = min(_SIDE, full.width // factor - left)
    if height < 1 or width < 1:
        return np.empty((0, 0)), np.empty((0, 1, 0, 1))
    coarse = overview.read(band, window=((top, top + height), (left, left + width)))
    rows = (top * factor, (top + height) * factor)
    cols = (left * factor, (left + width) * factor)
    fine = full.read(band, window=(rows, cols)).reshape(height, factor, width, factor)
    return coarse.astype(np.float64), fine.astype(np.float64)
