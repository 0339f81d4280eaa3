"""Overviews of a raster: choosing the one a read needs, and locating its pixels."""

import warnings
from enum import Enum, auto
from itertools import product

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.imagery.gdal import open_dataset
from sat2cap.imagery.resample import Window
from sat2cap.imagery.window import loses_no_data
from sat2cap.redaction import redact_secrets

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


def find_overviews(
    path: str, dataset: rasterio.DatasetReader, bands: tuple[int, ...]
) -> tuple[tuple[int, ...], bool, bool]:
    """Return the factors of a file's overviews, whether they are decimated, and `loses_no_data` of them.

    Overviews are decimated that hold the first pixel of each block instead of its mean, as by gdaladdo's
    default: what such an overview shows lies up and left of where its transform says, by almost half of its
    pixel. Warns of overviews that show something else than the file, as after a change of it, and returns
    none of them.
    """
    overviews = tuple(dataset.overviews(bands[0]))
    if not overviews:
        return (), False, False
    with open_dataset(path, 0) as finest:
        kind = _judge_overview(dataset, finest, bands[0]) if min(overviews) > 1 else _Overview.FOREIGN
        if kind is not _Overview.FOREIGN:
            return overviews, kind is _Overview.DECIMATED, loses_no_data(dataset, finest, bands)
    fix = "build them anew: gdaladdo -clean FILE, then gdaladdo -r average FILE 2 4 8"
    shown = redact_secrets(path)
    warnings.warn(
        f"imagery {shown!r} has overviews that do not show what it shows, so they are not used; {fix}",
        stacklevel=2,
    )
    return (), False, False


class _Overview(Enum):
    """What the pixels of an overview are."""

    MEANS = auto()
    DECIMATED = auto()
    FOREIGN = auto()


def _judge_overview(full: rasterio.DatasetReader, overview: rasterio.DatasetReader, band: int) -> _Overview:
    """Compare an overview with the pixels below it, at the first place tried that is not of one value."""
    factor = round(full.width / overview.width)
    for down, across in product(_WHERE, _WHERE) if factor > 1 else ():
        coarse, fine = _read_same_ground(full, overview, band, factor, (down, across))
        whole = np.asarray(np.isfinite(fine).all((1, 3)))
        if not whole.any():
            continue
        if _is_foreign(coarse, fine, whole):
            return _Overview.FOREIGN
        blocks, pixels = np.moveaxis(fine, 1, 2)[whole], coarse[whole]
        if np.ptp(blocks) > 0:
            from_first = np.nanmean(np.abs(pixels - blocks[:, 0, 0]))
            from_means = np.nanmean(np.abs(pixels - blocks.mean((1, 2))))
            return _Overview.DECIMATED if from_first < from_means else _Overview.MEANS
    return _Overview.MEANS


def _is_foreign(coarse: NDArray[np.float64], fine: NDArray[np.float64], whole: NDArray[np.bool_]) -> bool:
    """Return whether overview pixels ``[h, w]`` are not of the ground ``[h, f, w, f]`` in its `whole` blocks.

    Where there is no data they are NaN. Most pixels must lie between the extremes of their own block and of
    those around, to which any filter keeps, up to a sixteenth of the largest number, as lossy compression
    takes them there. Their mean must be within a quarter of the largest number of the mean of the ground.
    """
    lowest = np.pad(np.where(whole, fine.min((1, 3)), -np.inf), 1, mode="edge")
    highest = np.pad(np.where(whole, fine.max((1, 3)), np.inf), 1, mode="edge")
    height, width = coarse.shape
    around = [(slice(row, row + height), slice(col, col + width)) for row, col in product(range(3), range(3))]
    low = np.min([lowest[place] for place in around], axis=0)
    high = np.max([highest[place] for place in around], axis=0)
    largest = max(np.nanmax(np.abs(fine)), np.nanmax(np.abs(coarse), initial=0))
    inside = (coarse >= low - largest / 16) & (coarse <= high + largest / 16)
    if inside[whole].mean() < 0.5:
        return True
    ground = np.moveaxis(fine, 1, 2)[whole].mean()
    return bool(np.abs(np.nanmean(coarse[whole]) - ground) > largest / 4)


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
    """Return overview pixels ``[h, w]`` and the full-resolution pixels below ``[h, factor, w, factor]``.

    Where there is no data they are NaN.
    """
    top, left = int(overview.height * where[0]), int(overview.width * where[1])
    height = min(_SIDE, full.height // factor - top)
    width = min(_SIDE, full.width // factor - left)
    if height < 1 or width < 1:
        return np.empty((0, 0)), np.empty((0, 1, 0, 1))
    coarse = _read_masked(overview, band, ((top, top + height), (left, left + width)))
    rows = (top * factor, (top + height) * factor)
    cols = (left * factor, (left + width) * factor)
    return coarse, _read_masked(full, band, (rows, cols)).reshape(height, factor, width, factor)


def _read_masked(dataset: rasterio.DatasetReader, band: int, window: Window) -> NDArray[np.float64]:
    """Return a window of a band as floats, NaN where there is no data."""
    values = dataset.read(band, window=window, masked=True)
    return np.asarray(values.astype(np.float64).filled(np.nan))
