"""Pixels of a raster on another grid that runs along it: GDAL's bilinear warping, at a tenth of its time.

Nearly all imagery lies along the grid it is read on, turned by a few degrees at most. Then a row of pixels
is made in two steps: a line across the raster, each column the weighted mean of a few pixels above each
other; and of the numbers on that line, the weighted mean of a few beside each other. The weights are GDAL's:
a triangle as wide as a pixel of the grid, and at least as one of the raster. docs/LOG.md has what else was
tried.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.geo import transformer
from sat2cap.imagery.pixels import PLACED_TO

_STEP = 64  # pixels of the grid between two whose places are computed exactly
_SLOPE = 0.1  # rows to a column of the raster that a row may climb by: beyond, the two means are not the one

Window = tuple[tuple[int, int], tuple[int, int]]
"""First and last but one row, and column, of a raster."""

_compiled = njit(nogil=True, cache=True, fastmath={"contract", "nsz"}, error_model="numpy")


@dataclass(frozen=True)
class Along:
    """Where the pixels of a grid lie in a raster that it runs along."""

    shape: tuple[int, int]
    """Rows and columns of the grid."""
    cols: NDArray[np.float64]
    """`[h, w]`: columns of the raster under every 64th pixel's corner, from the left edge of `window`."""
    rows: NDArray[np.float64]
    """The same of rows, from its upper edge."""
    window: Window
    """The part of the raster that is needed; empty if none is."""

    def resample(self, planes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Integers `[B, h, w]` of `window` to those on the grid, and which of its pixels lie in the raster.

        Pixels outside are 0. At the raster's edge the weights are those of what there is.
        """
        kind = planes.dtype
        if kind != np.uint8:  # one form for all others, as compiling takes seconds
            planes = planes.astype(np.int32)
        out = np.zeros((len(planes), *self.shape), planes.dtype)
        inside = np.zeros(self.shape, np.bool_)
        if planes.size:
            reach = [max(1.0, _pitch(self.cols, 1)), max(1.0, _pitch(self.rows, 0))]
            _resample(planes, self.cols, self.rows, *reach, out, inside)
        return out.astype(kind, copy=False), inside


def along(raster: GeoBox, box: GeoBox) -> Along | None:
    """How `box` runs along `raster`; None where it does not, or bends more than `PLACED_TO` allows."""
    height, width = (-(-side // _STEP) for side in box.shape)
    row, col = np.mgrid[: 2 * height + 1, : 2 * width + 1] * (_STEP / 2)
    x, y = transformer(box.crs, raster.crs).transform(*(box.affine * (col, row)))
    cols, rows = ~raster.affine * (np.asarray(x), np.asarray(y))
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    if max(_bend(cols), _bend(rows)) > PLACED_TO:
        return None
    cols, rows = cols[::2, ::2], rows[::2, ::2]
    right = np.diff(cols, axis=1)
    if not (np.abs(np.diff(rows, axis=1)) <= _SLOPE * np.abs(right)).all() or not right.all():
        return None
    spans = [_span(rows, _pitch(rows, 0), raster.shape[0]), _span(cols, _pitch(cols, 1), raster.shape[1])]
    return Along(box.shape, cols - spans[1][0], rows - spans[0][0], (spans[0], spans[1]))


def _bend(places: NDArray[np.float64]) -> float:
    """How far those between nodes, every second one, lie from the mean of the nodes around them."""
    down = places[1::2, ::2] - (places[:-1:2, ::2] + places[2::2, ::2]) / 2
    across = places[::2, 1::2] - (places[::2, :-1:2] + places[::2, 2::2]) / 2
    return float(max(np.abs(down).max(), np.abs(across).max()))


def _pitch(places: NDArray[np.float64], axis: int) -> float:
    """Pixels of the raster to one of the grid, in the mean."""
    return float(np.abs(np.diff(places, axis=axis)).mean()) / _STEP


def _span(places: NDArray[np.float64], pitch: float, size: int) -> tuple[int, int]:
    """The raster's pixels that take part."""
    reach = max(1.0, pitch) + 1
    first, last = int(np.floor(places.min() - reach)), int(np.ceil(places.max() + reach))
    first = min(max(first, 0), size)
    return first, max(min(last, size), first)


@_compiled
def _resample(
    planes: Any, cols: Any, rows: Any, reach_x: float, reach_y: float, out: Any, inside: Any
) -> None:
    """Fill `out` `[B, h, w]` and `inside` `[h, w]`, a row of the grid at a time, in pieces between nodes."""
    bands, height, width = planes.shape
    taps = int(np.ceil(2 * reach_x))
    longest = int(np.abs(cols[:, 1:] - cols[:, :-1]).max()) + 4 * taps + 4
    line = np.zeros((bands, longest), np.float32)
    share = np.empty(longest, np.float32)
    weight, means = np.empty((taps, _STEP), np.float32), np.empty(_STEP, np.float32)
    first = np.empty(_STEP, np.int64)
    for row in range(out.shape[1]):
        node = row // _STEP
        down = (row + 0.5) / _STEP - node
        for piece in range(cols.shape[1] - 1):
            left = piece * _STEP
            count = min(_STEP, out.shape[2] - left)
            # centres of pixels are at whole numbers from here on
            x, x_end = _between(cols, node, down, piece), _between(cols, node, down, piece + 1)
            y, y_end = _between(rows, node, down, piece), _between(rows, node, down, piece + 1)
            across, slope = (x_end - x) / _STEP, (y_end - y) / (x_end - x)
            start = max(0, int(np.floor(min(x, x_end) - reach_x)))
            stop = min(width, int(np.ceil(max(x, x_end) + reach_x)) + 1)
            if start >= stop:
                continue
            _line(planes, start, stop, y + (start - x) * slope, slope, reach_y, share, line, taps)
            x += across / 2
            y += across * slope / 2
            for c in range(count):
                inside[row, left + c] = (
                    -0.5 <= x + c * across <= width - 0.5 and -0.5 <= y + c * across * slope <= height - 0.5
                )
            _weights(x, across, count, reach_x, start, stop, first, weight)
            for band in range(bands):
                _means(line[band], first, weight, count, means)
                for c in range(count):
                    if inside[row, left + c]:
                        out[band, row, left + c] = np.int32(means[c] + np.float32(0.5))


@_compiled
def _between(places: Any, node: int, down: float, piece: int) -> float:
    """A place between two nodes above each other, counted from the centre of the first pixel."""
    found: float = places[node, piece] * (1 - down) + places[node + 1, piece] * down - 0.5
    return found


@_compiled
def _line(
    planes: Any,
    start: int,
    stop: int,
    y: float,
    slope: float,
    reach: float,
    share: Any,
    line: Any,
    lead: int,
) -> None:
    """Means of columns `start` to `stop` around a line from row `y` on: `line` `[B, n]` from `lead` on."""
    bands, height = planes.shape[0], planes.shape[1]
    count = stop - start
    y_end = y + (count - 1) * slope
    top = max(0, int(np.ceil(min(y, y_end) - reach)))
    bottom = min(height, int(np.floor(max(y, y_end) + reach)) + 1)
    steep, narrow = np.float32(slope), np.float32(1 / reach)
    total = np.zeros(count, np.float32)
    for band in range(bands):
        line[band, lead : lead + count] = 0
    for row in range(top, bottom):
        above = np.float32(row - y)
        for u in range(count):
            off = above - np.float32(u) * steep
            share[u] = max(np.float32(0), np.float32(1) - abs(off) * narrow)
            total[u] += share[u]
        for band in range(bands):
            pixels, means = planes[band, row, start:stop], line[band, lead : lead + count]
            for u in range(count):
                means[u] += share[u] * np.float32(pixels[u])
    for u in range(count):
        total[u] = np.float32(1) / total[u] if total[u] > 0 else np.float32(0)
    for band in range(bands):
        means = line[band, lead : lead + count]
        for u in range(count):
            means[u] *= total[u]


@_compiled
def _weights(
    x: float, across: float, count: int, reach: float, start: int, stop: int, first: Any, weight: Any
) -> None:
    """Of `count` pixels from `x` on: the first number on the line that counts, and the weights from it on."""
    taps, narrow = weight.shape[0], np.float32(1 / reach)
    total = np.zeros(count, np.float32)
    for c in range(count):
        first[c] = np.int64(np.floor(x + c * across - reach)) + 1
    for i in range(taps):
        for c in range(count):
            off = np.float32(first[c] + i - (x + c * across))
            there = start <= first[c] + i < stop
            weight[i, c] = max(np.float32(0), np.float32(1) - abs(off) * narrow) if there else np.float32(0)
            total[c] += weight[i, c]
    for i in range(taps):
        for c in range(count):
            weight[i, c] /= max(total[c], np.float32(1e-6))
    for c in range(count):  # the line begins after as many numbers as there are weights
        first[c] = min(max(first[c] - start + taps, 0), stop - start + taps)


@_compiled
def _means(line: Any, first: Any, weight: Any, count: int, means: Any) -> None:
    """The weighted means of numbers on a line."""
    for c in range(count):
        at = np.uint64(first[c])
        means[c] = weight[0, c] * line[at] + weight[1, c] * line[at + np.uint64(1)]
    for i in range(2, weight.shape[0]):
        for c in range(count):
            means[c] += weight[i, c] * line[np.uint64(first[c] + i)]
