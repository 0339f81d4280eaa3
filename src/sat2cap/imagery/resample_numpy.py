"""The loops of `resample` in numpy: for one patch, in less time than numba takes to be imported."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NODE_STEP_PX = 64
"""Grid pixels between two nodes, whose positions are computed exactly."""


def resample_rows(
    planes: Any, cols: Any, rows: Any, support_x: float, support_y: float, out: Any, inside: Any
) -> None:
    """Fill `out` ``[B, h, w]`` and `inside` ``[h, w]`` by the steps of `resample_loops.resample_rows`."""
    _, height, width = planes.shape
    for row in range(out.shape[1]):
        node = row // NODE_STEP_PX
        down = (row + 0.5) / NODE_STEP_PX - node
        xs, ys = (places[node] * (1 - down) + places[node + 1] * down - 0.5 for places in (cols, rows))
        for piece in range(cols.shape[1] - 1):
            part = slice(piece * NODE_STEP_PX, min((piece + 1) * NODE_STEP_PX, out.shape[2]))
            (x, x_end), (y, y_end) = xs[piece : piece + 2], ys[piece : piece + 2]
            across, slope = (x_end - x) / NODE_STEP_PX, (y_end - y) / (x_end - x)
            start = max(0, math.floor(min(x, x_end) - support_x))
            stop = min(width, math.ceil(max(x, x_end) + support_x) + 1)
            if start >= stop:
                continue
            line = _average_columns(planes[:, :, start:stop], y + (start - x) * slope, slope, support_y)
            steps = across * (np.arange(part.stop - part.start) + 0.5)
            x_at, y_at = x + steps, y + steps * slope
            is_inside = (x_at >= -0.5) & (x_at <= width - 0.5) & (y_at >= -0.5) & (y_at <= height - 0.5)
            means = _weigh_line(line, x_at - start, support_x)
            inside[row, part] = is_inside
            out[:, row, part] = np.where(is_inside, means + np.float32(0.5), 0).astype(np.int32)


def _average_columns(columns: NDArray[Any], y: float, slope: float, support: float) -> Floats:
    """Pass 1: return the mean of each column around a line, ``[B, n]``.

    The line is at row `y` in the first of the n columns ``[B, h, n]``, and goes down by `slope` a column.
    """
    on_line = y + slope * np.arange(columns.shape[2])
    top = max(0, math.ceil(on_line.min() - support))
    bottom = max(top, min(columns.shape[1], math.floor(on_line.max() + support) + 1))
    share = _weights(np.arange(top, bottom)[:, None] - on_line, support)
    total = share.sum(0)
    sums = np.einsum("rn,brn->bn", share, columns[:, top:bottom].astype(np.float32))
    return np.asarray(sums / np.where(total > 0, total, 1), np.float32)


def _weigh_line(line: Floats, x: NDArray[np.float64], support: float) -> Floats:
    """Pass 2: return the weighted means ``[B, c]`` around the places `x` ``[c]`` of a line ``[B, n]``."""
    count = line.shape[1]
    taps = math.ceil(2 * support)
    at = np.floor(x - support).astype(np.int64) + 1 + np.arange(taps)[:, None]
    weight = np.where((at >= 0) & (at < count), _weights(at - x, support), np.float32(0))
    weight /= np.maximum(weight.sum(0), np.float32(1e-6))
    return np.asarray(np.einsum("tc,btc->bc", weight, line[:, at.clip(0, count - 1)]), np.float32)


def _weights(distance: NDArray[np.float64], support: float) -> Floats:
    """Return the weights of raster pixels at distances from the centre of a grid pixel, 0 to 1."""
    return np.clip(np.float32(support) - np.abs(distance.astype(np.float32)), 0, 1)
