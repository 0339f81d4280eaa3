"""Overviews of a raster: which one a read needs, and where its pixels really lie."""

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

_SIDE = 64  # overview pixels that are compared with the ground they show
_WHERE = (0.5, 0.25, 0.75)  # of the height and width


def fitting(overviews: tuple[int, ...], ratio: float) -> tuple[int, int | None]:
    """``(factor, level)`` of the coarsest overview for `ratio` source pixels to one; level None for none.

    One that is coarser by 1 % still fits.
    """
    finer = [(factor, level) for level, factor in enumerate(overviews) if factor <= ratio * 1.01]
    return max(finer, default=(1, None))


def are_decimated(full: rasterio.DatasetReader, overview: rasterio.DatasetReader, band: int) -> bool:
    """Whether overviews hold the first pixel of each block, not its mean: gdaladdo's default.

    Then what they show lies up and left of where they say, by almost half of their pixel. Told by comparing
    the finest overview with the pixels under it, in the first place tried that is not all one value.
    """
    factor = round(full.width / overview.width)
    if factor < 2:
        return False
    for down in _WHERE:
        for across in _WHERE:
            coarse, fine = _same_ground(full, overview, band, factor, (down, across))
            if coarse.size and np.ptp(fine) > 0:
                means = fine.mean((1, 3))
                return bool(np.abs(coarse - fine[:, 0, :, 0]).mean() < np.abs(coarse - means).mean())
    return False


def true_transform(grid: GeoBox, overview: rasterio.DatasetReader) -> Affine:
    """Where the pixels of a decimated overview of `grid` lie: each around the middle of the one it kept."""
    across, down = grid.shape[1] / overview.width, grid.shape[0] / overview.height
    kept: Affine = overview.transform * Affine.translation(0.5 / across - 0.5, 0.5 / down - 0.5)
    return kept


def _same_ground(
    full: rasterio.DatasetReader,
    overview: rasterio.DatasetReader,
    band: int,
    factor: int,
    where: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An overview's pixels `[h, w]`, and those under them `[h, factor, w, factor]`."""
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
