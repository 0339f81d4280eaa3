r"""Resampling of a raster onto a grid nearly parallel to it: by area, or bilinear where the grid is finer.

Nearly all imagery lies along the grid it is read on, turned by a few degrees at most. One row of the grid is
then a nearly horizontal line across the raster, and is computed in two passes::

    raster columns    0    1    2    3         pass 1, down: the raster's values on the line, one for each
    row 0             o    o    o    o         raster column, each the weighted mean of the pixels above and
                      . . . . . . . . . <---   below the line
    row 1             o    o    o    o         pass 2, across: each grid pixel on the line is the weighted
                                               mean of the line's values left and right of it

A weight is the length that a raster pixel and the grid pixel have in common. With `size` the side of a grid
pixel in raster pixels, and `distance` from its centre to that of the raster pixel::

    weight    1 |    ________
                |   /        \           weight = support - |distance|, within 0 to 1
              0 |__/__________\__        support = (size + 1) / 2
                  -support  +support

so that a grid pixel becomes the mean of the ground that it covers, raster pixels on its edge counting by
their share of it. At `size` 1 this is bilinear interpolation, which smaller grid pixels use too. The weights
are divided by their sum, so that at the raster's edge those of the pixels that exist add up to 1.

Worked example. Pixel centres are at whole numbers; the raster is ::

    10 20 30
    50 60 70

A grid with pixels of the same size (support 1) has a pixel at row 0.5, column 0.25. Pass 1: rows 0 and 1 are
0.5 away, so each weighs 0.5, and the line is 30, 40, 50. Pass 2: columns 0 and 1 weigh 0.75 and 0.25:
0.75 x 30 + 0.25 x 40 = 32.5, stored as 33. Were grid pixels two raster columns wide (support 1.5), a pixel
at column 0.75 would cover columns -0.25 to 1.75 from centre to centre: columns 0, 1 and 2 weigh 0.75, 1 and
0.25, and (0.75 x 30 + 40 + 0.25 x 50) / 2 = 37.5, stored as 38.

docs/LOG.md lists the alternatives that were measured.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.geo import transformer
from sat2cap.imagery.pixels import PLACED_TO
from sat2cap.imagery.resample_numpy import NODE_STEP_PX

_MAX_SLOPE = 0.1  # raster rows per raster column; beyond it, two passes differ from bilinear

Window = tuple[tuple[int, int], tuple[int, int]]
"""``((first row, end row), (first column, end column))`` of a raster, ends excluded."""


@dataclass(frozen=True)
class AlignedGrid:
    """The positions of a grid's pixels in a raster that it runs along."""

    shape: tuple[int, int]
    """``(rows, columns)`` of the grid."""
    cols: NDArray[np.float64]
    """Raster columns at nodes, every 64th pixel corner: float64 ``[h, w]``, from the left of `window`."""
    rows: NDArray[np.float64]
    """Raster rows at the nodes, float64 ``[h, w]``, from the upper edge of `window`."""
    window: Window
    """The part of the raster that the grid needs; empty where they do not meet."""

    def resample(
        self, planes: NDArray[Any], *, compiled: bool = True
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return ``(values, inside)`` on the grid: ``[B, *shape]`` in the dtype of `planes`, bool `shape`.

        `planes` holds the integers ``[B, h, w]`` of `window`. `inside` tells which grid pixels have their
        centre in the raster; the values of the others are 0. Without `compiled` it is done in numpy, for one
        patch in a process that does not stay: a value may differ by 1 where its mean is half a number.
        """
        kind = planes.dtype
        if kind != np.uint8:  # one form for all others, as compiling takes seconds
            planes = planes.astype(np.int32)
        out = np.zeros((len(planes), *self.shape), planes.dtype)
        inside = np.zeros(self.shape, np.bool_)
        if planes.size:
            supports = (
                _weight_support(_raster_pixels_per_pixel(self.cols, 1)),
                _weight_support(_raster_pixels_per_pixel(self.rows, 0)),
            )
            if compiled:
                from sat2cap.imagery.resample_loops import resample_rows
            else:
                from sat2cap.imagery.resample_numpy import resample_rows
            resample_rows(planes, self.cols, self.rows, *supports, out, inside)
        return out.astype(kind, copy=False), inside


def align_grid(raster: GeoBox, box: GeoBox) -> AlignedGrid | None:
    """Return how `box` runs along `raster`, or None where a general warp is needed.

    That is where it is turned by more than about 5 degrees, where a line between nodes is bent by more than
    `PLACED_TO` raster pixels, or where its pixels have no place in the raster's CRS.
    """
    height, width = (-(-side // NODE_STEP_PX) for side in box.shape)
    row, col = np.mgrid[: 2 * height + 1, : 2 * width + 1] * (NODE_STEP_PX / 2)
    x, y = transformer(box.crs, raster.crs).transform(*(box.affine @ (col, row)))
    cols, rows = ~raster.affine @ (np.asarray(x), np.asarray(y))
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    if max(_deviation_from_linear(cols), _deviation_from_linear(rows)) > PLACED_TO:
        return None
    cols, rows = cols[::2, ::2], rows[::2, ::2]
    right = np.diff(cols, axis=1)
    if not (np.abs(np.diff(rows, axis=1)) <= _MAX_SLOPE * np.abs(right)).all() or not right.all():
        return None
    spans = [
        _needed_range(rows, _raster_pixels_per_pixel(rows, 0), raster.shape[0]),
        _needed_range(cols, _raster_pixels_per_pixel(cols, 1), raster.shape[1]),
    ]
    return AlignedGrid(box.shape, cols - spans[1][0], rows - spans[0][0], (spans[0], spans[1]))


def _deviation_from_linear(places: NDArray[np.float64]) -> float:
    """Return the largest distance, in raster pixels, of a midpoint from the mean of its two nodes.

    Even indices of `places` are nodes, odd ones the midpoints between them.
    """
    down = places[1::2, ::2] - (places[:-1:2, ::2] + places[2::2, ::2]) / 2
    across = places[::2, 1::2] - (places[::2, :-1:2] + places[::2, 2::2]) / 2
    return float(max(np.abs(down).max(), np.abs(across).max()))


def _raster_pixels_per_pixel(places: NDArray[np.float64], axis: int) -> float:
    """Return the mean number of raster pixels per grid pixel along `axis`."""
    return float(np.abs(np.diff(places, axis=axis)).mean()) / NODE_STEP_PX


def _weight_support(size: float) -> float:
    """Return the distance in raster pixels at which weights end, for grid pixels of `size` raster pixels."""
    return (max(1.0, size) + 1) / 2


def _needed_range(places: NDArray[np.float64], pitch: float, size: int) -> tuple[int, int]:
    """Return ``(first, end)`` of the raster pixels that get a weight, `end` excluded.

    `pitch` is the mean number of raster pixels per grid pixel, `size` that of the whole raster.
    """
    margin = _weight_support(pitch) + 1
    first, last = int(np.floor(places.min() - margin)), int(np.ceil(places.max() + margin))
    first = min(max(first, 0), size)
    return first, max(min(last, size), first)
