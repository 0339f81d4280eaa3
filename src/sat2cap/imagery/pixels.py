"""Helpers of every imagery reader: ground sample distance, seams, and conversion to RGBA."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.geo import EQUATOR_M, LONLAT, WGS84, on_grid, transformer
from sat2cap.imagery.protocol import RGBA

if TYPE_CHECKING:
    import xarray as xr

PLACED_TO = 0.02
"""Largest error of a pixel's position in a warp, in pixels; GDAL's own 0.125 shows where two reads meet."""

_PART_PX = 2048


def gsd_m(grid: GeoBox) -> float:
    """Return the shorter side of a pixel on the ground, in metres, at the middle of `grid`."""
    row, col = grid.shape[0] / 2, grid.shape[1] / 2
    x, y = grid.affine @ (np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    lon, lat = transformer(grid.crs, LONLAT).transform(x, y)
    _, _, metres = WGS84.inv([lon[0]] * 2, [lat[0]] * 2, lon[1:], lat[1:])
    return round(float(min(metres)), 6)


def source_pixels_per_pixel(grid: GeoBox, box: GeoBox) -> float:
    """Return how many pixels of `grid` one pixel of `box` covers along a line, at the centre of `box`.

    The smaller of the two directions; 1 where the centre has no place in the CRS of `grid`.
    """
    row, col = box.shape[0] / 2, box.shape[1] / 2
    x, y = box.affine @ (np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    x, y = transformer(box.crs, grid.crs).transform(x, y)
    col, row = ~grid.affine @ (np.asarray(x), np.asarray(y))
    steps = np.hypot(col[1:] - col[0], row[1:] - row[0])
    return float(steps.min()) if np.isfinite(steps).all() else 1.0


def lonlat_mesh(box: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``(lon, lat)`` in degrees of 17 x 17 points spread over `box`, float64 ``[17, 17]`` each.

    Longitudes are continuous around the middle of `box`, and so may exceed 180. Points that the projection
    does not cover are not finite.
    """
    height, width = box.shape
    col, row = np.meshgrid(np.linspace(0, width, 17), np.linspace(0, height, 17))
    lon, lat = transformer(box.crs, LONLAT).transform(*(box.affine @ (col, row)))
    lon, lat = np.asarray(lon), np.asarray(lat)
    middle = lon[8, 8] if np.isfinite(lon[8, 8]) else 0.0
    with np.errstate(invalid="ignore"):  # infinite where the projection has no place
        return middle + (lon - middle + 180) % 360 - 180, lat


def seam_options(grid: GeoBox, box: GeoBox) -> dict[str, float]:
    """Return GDAL's ``XSCALE`` and ``YSCALE`` for warping `grid` onto a `box` across the antimeridian.

    GDAL derives the scale from the extent of the source pixels, which at the cut of a grid reaches around the
    Earth, and would blur. Empty where there is no cut.
    """
    lon, _ = lonlat_mesh(box)
    cut = grid.crs.geographic or grid.crs.epsg == 3857
    if not cut or not (np.abs(lon) > 180).any():
        return {}
    row, col = box.shape[0] / 2, box.shape[1] / 2
    x, y = box.affine @ (np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    x, y = transformer(box.crs, grid.crs).transform(x, y)
    cols, rows = ~grid.affine @ (np.asarray(x), np.asarray(y))
    turn = (360 if grid.crs.geographic else EQUATOR_M) / abs(grid.affine.a)
    across = abs((cols[1] - cols[0] + turn / 2) % turn - turn / 2)
    down = abs(rows[2] - rows[0])
    return {"XSCALE": min(1.0, 1 / across), "YSCALE": min(1.0, 1 / down)}


def split_parts(box: GeoBox, source_pixels: float = 1.0) -> Iterator[tuple[slice, slice]]:
    """Yield ``(rows, columns)`` of parts of `box`, which bound the memory of a read.

    A part has at most 2048 x 2048 pixels; fewer where a pixel needs more than four `source_pixels` along a
    line, so that at most about 8192 x 8192 of those are read for it.
    """
    height, width = box.shape
    side = _PART_PX if source_pixels <= 4 else max(1, int(_PART_PX * 4 / source_pixels))
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def as_imagery(
    colours: NDArray[Any], alpha: NDArray[Any], stretch: tuple[float, float] | None, box: GeoBox
) -> "xr.DataArray":
    """Return values ``[1 or 3, h, w]`` and their alpha ``[h, w]`` as imagery on `box`, see `rgba_planes`."""
    return planes_on(rgba_planes(colours, alpha, stretch), box)


def planes_on(planes: NDArray[np.uint8], box: GeoBox) -> "xr.DataArray":
    """Return RGBA planes ``[4, h, w]`` as a DataArray ``(y, x, band)`` on `box`, without copying them."""
    return on_grid(np.moveaxis(planes, 0, -1), box, ("y", "x", "band"), {"band": list(RGBA)})


def rgba_planes(
    colours: NDArray[Any], alpha: NDArray[Any], stretch: tuple[float, float] | None
) -> NDArray[np.uint8]:
    """Return values ``[1 or 3, h, w]`` and their alpha ``[h, w]`` as RGBA planes, uint8 ``[4, h, w]``.

    `stretch` gives the values that become 0 and 255; None takes them unchanged. A value that is not finite is
    no data. Where there is no data all four planes are 0.
    """
    planes = np.empty((len(RGBA), *alpha.shape), dtype=np.uint8)
    planes[3] = alpha_8bit(alpha)
    if colours.dtype.kind == "f":
        planes[3, ~np.isfinite(colours).all(0)] = 0
    if stretch is not None:
        low, high = stretch
        stretched = _subtract(colours, low) * (255 / (high - low))
        colours = np.clip(np.nan_to_num(np.rint(stretched)), 0, 255)
    elif colours.dtype.kind == "f":
        colours = np.clip(np.nan_to_num(np.rint(colours)), 0, 255)
    planes[:3] = colours  # one grey band is spread over three
    if not planes[3].all():
        np.putmask(planes, np.broadcast_to(planes[3] == 0, planes.shape), 0)
    return planes


def _subtract(values: NDArray[Any], low: float) -> NDArray[np.float32]:
    """Return `values` less a number; what float32 does not hold, such as 3e9 + 1, is float64 until then."""
    if values.dtype == np.float32 or values.dtype.itemsize <= 2:
        return np.asarray(values.astype(np.float32) - low, np.float32)
    return np.asarray(values.astype(np.float64) - low).astype(np.float32)


def keep_fractions(values: NDArray[Any], stretch: tuple[float, float] | None) -> NDArray[Any]:
    """Return whole numbers of any shape as floats where their means would lose what a stretch shows.

    That is where a step of 1 is two levels of 255 or more, and where 32 bits do not hold the numbers.
    """
    if values.dtype.kind not in "iu" or stretch is None:
        return values
    if not np.can_cast(values.dtype, np.int32):
        return values.astype(np.float64)
    return values.astype(np.float32) if stretch[1] - stretch[0] < 128 else values


def alpha_8bit(alpha: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an alpha band of any shape and type as uint8, 0 to 255.

    Of integers other than uint8 the largest value of the type is opaque.

    Of floats only whether it is zero is reliable.
    """
    if alpha.dtype == np.uint8:
        return alpha
    if alpha.dtype.kind == "f":
        return np.where(alpha > 0, 255, 0).astype(np.uint8)
    return np.ceil(alpha.clip(0) * (255 / np.iinfo(alpha.dtype).max)).astype(np.uint8)
