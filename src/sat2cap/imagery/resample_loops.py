"""The loops of `resample`, which explains them, compiled by numba."""

from typing import Any

import numpy as np

from sat2cap.compilation import compiled
from sat2cap.imagery.resample_numpy import NODE_STEP_PX


@compiled
def resample_rows(
    planes: Any, cols: Any, rows: Any, support_x: float, support_y: float, out: Any, inside: Any
) -> None:
    """Fill `out` ``[B, h, w]`` and `inside` ``[h, w]``, row by row, each row in pieces of at most 64 pixels.

    A piece runs between two nodes, where positions are linear: pixel ``c`` of it lies at column
    ``x + c * across`` and row ``y + c * across * slope`` of the raster. For each piece:

    1. interpolate the two ends of the piece between the nodes above and below;
    2. take the raster columns `start` to `stop` that any pixel of the piece can reach;
    3. pass 1: average each of these columns around the line (`_average_columns`);
    4. pass 2: compute the weights of the piece's pixels once, and apply them to every band.
    """
    bands, height, width = planes.shape
    taps = int(np.ceil(2 * support_x))
    longest = int(np.abs(cols[:, 1:] - cols[:, :-1]).max()) + 4 * taps + 4
    line = np.zeros((bands, longest), np.float32)
    share = np.empty(longest, np.float32)
    weight, means = np.empty((taps, NODE_STEP_PX), np.float32), np.empty(NODE_STEP_PX, np.float32)
    first = np.empty(NODE_STEP_PX, np.int64)
    for row in range(out.shape[1]):
        node = row // NODE_STEP_PX
        down = (row + 0.5) / NODE_STEP_PX - node
        for piece in range(cols.shape[1] - 1):
            left = piece * NODE_STEP_PX
            count = min(NODE_STEP_PX, out.shape[2] - left)
            x, x_end, y, across, slope = _place_piece(cols, rows, node, down, piece)
            start = max(0, int(np.floor(min(x, x_end) - support_x)))
            stop = min(width, int(np.ceil(max(x, x_end) + support_x)) + 1)
            if start >= stop:
                continue
            _average_columns(
                planes, start, stop, y + (start - x) * slope, slope, support_y, share, line, taps
            )
            x += across / 2
            y += across * slope / 2
            for c in range(count):
                inside[row, left + c] = (
                    -0.5 <= x + c * across <= width - 0.5 and -0.5 <= y + c * across * slope <= height - 0.5
                )
            _compute_weights(x, across, count, support_x, start, stop, first, weight)
            for band in range(bands):
                _apply_weights(line[band], first, weight, count, means)
                for c in range(count):
                    if inside[row, left + c]:
                        out[band, row, left + c] = np.int32(means[c] + np.float32(0.5))


@compiled
def _place_piece(
    cols: Any, rows: Any, node: int, down: float, piece: int
) -> tuple[float, float, float, float, float]:
    """Return where a piece lies in the raster: ``x``, ``x_end``, ``y``, ``across`` and ``slope``.

    It begins at column ``x`` and row ``y`` and ends at column ``x_end``. A pixel is ``across`` raster columns
    wide, and the piece goes down by ``slope`` rows a column. Centres of raster pixels are at whole numbers.
    """
    x = _interpolate_nodes(cols, node, down, piece)
    x_end = _interpolate_nodes(cols, node, down, piece + 1)
    y = _interpolate_nodes(rows, node, down, piece)
    y_end = _interpolate_nodes(rows, node, down, piece + 1)
    return x, x_end, y, (x_end - x) / NODE_STEP_PX, (y_end - y) / (x_end - x)


@compiled
def _interpolate_nodes(places: Any, node: int, down: float, piece: int) -> float:
    """Return a position between two nodes, one above the other, counted from the centre of pixel 0."""
    position: float = places[node, piece] * (1 - down) + places[node + 1, piece] * down - 0.5
    return position


@compiled
def _average_columns(
    planes: Any,
    start: int,
    stop: int,
    y: float,
    slope: float,
    support: float,
    share: Any,
    line: Any,
    lead: int,
) -> None:
    """Pass 1: write the mean of each column `start` to `stop` around a line to ``line[:, lead:]``.

    The line is at row `y` in column `start` and goes down by `slope` a column. Rows are visited one after
    another, as they lie in memory; `share` holds the weights of one row, `total` their sum so far.
    """
    bands, height = planes.shape[0], planes.shape[1]
    count = stop - start
    y_end = y + (count - 1) * slope
    top = max(0, int(np.ceil(min(y, y_end) - support)))
    bottom = min(height, int(np.floor(max(y, y_end) + support)) + 1)
    steep, reach = np.float32(slope), np.float32(support)
    total = np.zeros(count, np.float32)
    for band in range(bands):
        line[band, lead : lead + count] = 0
    for row in range(top, bottom):
        above = np.float32(row - y)
        for u in range(count):
            off = above - np.float32(u) * steep
            share[u] = min(np.float32(1), max(np.float32(0), reach - abs(off)))
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


@compiled
def _compute_weights(
    x: float, across: float, count: int, support: float, start: int, stop: int, first: Any, weight: Any
) -> None:
    """Compute for each of `count` pixels where its weights begin on the line, and the weights themselves.

    Pixel ``c`` lies at raster column ``x + c * across``; its value is the sum over ``i`` of
    ``weight[i, c] * line[first[c] + i]``.
    """
    taps, reach = weight.shape[0], np.float32(support)
    total = np.zeros(count, np.float32)
    for c in range(count):
        first[c] = np.int64(np.floor(x + c * across - support)) + 1
    for i in range(taps):
        for c in range(count):
            off = np.float32(first[c] + i - (x + c * across))
            is_on_line = start <= first[c] + i < stop
            weight[i, c] = (
                min(np.float32(1), max(np.float32(0), reach - abs(off))) if is_on_line else np.float32(0)
            )
            total[c] += weight[i, c]
    for i in range(taps):
        for c in range(count):
            weight[i, c] /= max(total[c], np.float32(1e-6))
    # From raster columns to indices of `line`, whose values begin at index `taps`. Pixels that lie beyond the
    # line are moved beside it: their weights are 0, and so they read inside the array.
    for c in range(count):
        first[c] = min(max(first[c] - start + taps, 0), stop - start + taps)


@compiled
def _apply_weights(line: Any, first: Any, weight: Any, count: int, means: Any) -> None:
    """Pass 2: write the weighted means of the line's values for `count` pixels to `means`."""
    for c in range(count):
        at = np.uint64(first[c])
        means[c] = weight[0, c] * line[at] + weight[1, c] * line[at + np.uint64(1)]
    for i in range(2, weight.shape[0]):
        for c in range(count):
            means[c] += weight[i, c] * line[np.uint64(first[c] + i)]
