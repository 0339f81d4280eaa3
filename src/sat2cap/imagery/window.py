"""Reading a window of a raster: which one a grid needs, its values and alpha, and warping them onto it."""

import math
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.warp import reproject

from sat2cap.geo import transformer
from sat2cap.imagery.pixels import PLACED_TO, alpha_8bit
from sat2cap.imagery.resample import Window

Planes = tuple[NDArray[Any], NDArray[np.uint8]]
"""Bands ``[B, h, w]`` in the file's dtype, and their alpha ``[h, w]``, 0 for no data to 255 for opaque."""

_MARGIN_PX = 3  # around a window, for interpolation at its edges
_AVERAGE_ABOVE = 1.01  # raster pixels per grid pixel; below it bilinear interpolation is as good
_POINTS = 33  # a side, at which the place of a grid in a raster is computed


def needed_window(raster: GeoBox, box: GeoBox) -> Window | None:
    """Return the window of `raster` under `box`, with a margin; None if they do not meet.

    Places of `box` that the raster's CRS does not cover are left aside.
    """
    height, width = box.shape
    col, row = np.meshgrid(np.linspace(0, width, _POINTS), np.linspace(0, height, _POINTS))
    x, y = transformer(box.crs, raster.crs).transform(*(box.affine @ (col, row)))
    cols, rows = ~raster.affine @ (np.asarray(x), np.asarray(y))
    finite = np.isfinite(cols) & np.isfinite(rows)
    if not finite.any():
        return None
    spans = []
    for places, size in ((rows[finite], raster.shape[0]), (cols[finite], raster.shape[1])):
        bend = float(places.max() - places.min()) / _POINTS  # edges may bulge between the points
        first, end = math.floor(places.min() - bend) - _MARGIN_PX, math.ceil(places.max() + bend) + _MARGIN_PX
        first, end = max(first, 0), min(end, size)
        if first >= end:
            return None
        spans.append((first, end))
    return spans[0], spans[1]


def read_window(
    dataset: rasterio.DatasetReader,
    bands: tuple[int, ...],
    alpha_band: int | None,
    window: Window,
    full: rasterio.DatasetReader | None = None,
) -> Planes:
    """Return the values of `bands` in a window, and their alpha.

    No data is what the file says: its nodata value in all bands, its mask, `alpha_band`, or a value that is
    not finite in any of `bands`. An alpha band other than `alpha_band` is not heeded. `full` is the full
    resolution of an overview `dataset` that does not say itself where it has no data (`loses_no_data`).
    """
    values = read_bands(dataset, bands, window)
    alpha = _read_mask(dataset, bands, window) if full is None else _sample_mask(full, dataset, bands, window)
    if alpha_band is not None:
        alpha = np.minimum(alpha, alpha_8bit(dataset.read(alpha_band, window=window)))
    if values.dtype.kind == "f":
        alpha[~np.isfinite(values).all(0)] = 0
    return values, alpha


def read_bands(
    dataset: rasterio.DatasetReader, bands: tuple[int, ...], window: Window | None = None
) -> NDArray[Any]:
    """Return the values of `bands` in a window ``[B, h, w]``, in the smallest type that holds all of them."""
    if len({dataset.dtypes[band - 1] for band in bands}) == 1:
        values: NDArray[Any] = dataset.read(bands, window=window)
        return values
    return np.stack([dataset.read(band, window=window) for band in bands])


def loses_no_data(
    full: rasterio.DatasetReader, overview: rasterio.DatasetReader, bands: tuple[int, ...]
) -> bool:
    """Return whether overviews do not say where a file has no data in `bands`.

    GDAL calls all of an overview valid if the mask has no overview of its own, as when it was written after
    those of the colours, and in a GeoTIFF also if the nodata value is stated beside the file.
    """
    flags = [full.mask_flag_enums[band - 1] for band in bands]
    if all(MaskFlags.per_dataset in flag and MaskFlags.alpha not in flag for flag in flags):
        return True
    return repr(full.nodatavals) != repr(overview.nodatavals)  # as NaN is not equal to itself


def warp_window(
    planes: Planes, affine: Affine, raster_crs: Any, box: GeoBox, pixels_per_pixel: float
) -> Planes:
    """Return `planes`, whose pixels `affine` places in `raster_crs`, on the pixels of `box`, by GDAL.

    `pixels_per_pixel` is how many of them lie in a pixel of `box` along a line: above 1 they are averaged by
    area, else interpolated bilinearly. Pixels without data do not contribute.
    """
    values, alpha = planes
    dtype = _warp_dtype(values.dtype)
    stack = np.concatenate([values.astype(dtype), alpha[None].astype(dtype)])
    missing = alpha == 0
    if stack.dtype.kind == "f" and missing.any():
        stack[:, missing] = 0  # not NaN, which would spread
    out = np.zeros((len(stack), *box.shape), stack.dtype)
    reproject(
        stack,
        out,
        src_transform=affine,
        src_crs=raster_crs,
        dst_transform=box.affine,
        dst_crs=str(box.crs.to_wkt()),
        src_alpha=len(stack),
        dst_alpha=len(stack),
        resampling=Resampling.average if pixels_per_pixel > _AVERAGE_ABOVE else Resampling.bilinear,
        tolerance=PLACED_TO,
        SRC_ALPHA_MAX="255",
        DST_ALPHA_MAX="255",
    )
    out_alpha = np.clip(out[-1], 0, 255).astype(np.uint8)
    if not ((alpha > 0) & (alpha < 255)).any():  # a mask, not transparency: a pixel has data or has none
        out_alpha = np.where(out_alpha > 0, 255, 0).astype(np.uint8)
    return out[:-1].astype(values.dtype, copy=False), out_alpha


def _read_mask(
    dataset: rasterio.DatasetReader,
    bands: tuple[int, ...],
    window: tuple[tuple[float, float], tuple[float, float]],
    shape: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Return 255 where a window has data in any band, by nodata values or the file's mask, else 0.

    With `shape` it is sampled at so many rows and columns, from overviews where there are some.
    """
    flags = [dataset.mask_flag_enums[band - 1] for band in bands]
    height, width = shape or tuple(int(end - first) for first, end in window)
    if any(MaskFlags.all_valid in flag or MaskFlags.alpha in flag for flag in flags):
        return np.full((height, width), 255, np.uint8)
    if all(MaskFlags.per_dataset in flag for flag in flags):
        mask: NDArray[np.uint8] = dataset.read_masks(bands[0], window=window, out_shape=(height, width))
        return mask
    mask = dataset.read_masks(list(bands), window=window, out_shape=(len(bands), height, width)).max(0)
    others = [band for band in dataset.indexes if band not in bands]
    if others and not mask.all():  # a pixel that only these bands lack is black, not missing
        coloured = [band for band in others if MaskFlags.nodata in dataset.mask_flag_enums[band - 1]]
        if coloured:
            out_shape = (len(coloured), height, width)
            mask = np.maximum(mask, dataset.read_masks(coloured, window=window, out_shape=out_shape).max(0))
    return mask


def _sample_mask(
    full: rasterio.DatasetReader,
    overview: rasterio.DatasetReader,
    bands: tuple[int, ...],
    window: Window,
) -> NDArray[np.uint8]:
    """Return the mask of a window of an overview, as the full resolution has it at the overview's pixels."""
    down, across = full.height / overview.height, full.width / overview.width
    (top, bottom), (left, right) = window
    larger = ((top * down, bottom * down), (left * across, right * across))
    return _read_mask(full, bands, larger, (bottom - top, right - left))


def _warp_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return `dtype`, or a wider one if GDAL does not warp it or it cannot hold an alpha of 255."""
    if dtype == np.int8:
        return np.dtype(np.int16)
    if dtype == np.float16:
        return np.dtype(np.float32)
    return np.dtype(np.float64) if dtype.kind in "iu" and dtype.itemsize == 8 else dtype
