"""Products of few rows with a large weight, compiled by numba: a prompt's tokens in a process that stays.

A prompt has about eight tokens and a text tower of ViT-B/32's size 38 million weights, so reading the weights
takes most of the time. BLAS rearranges them before each product, which is what this module does once:
`pack_weight` cuts a weight `[O, K]` into strips of 128 outputs, and stores a strip input by input::

               128 outputs
    k = 0   |  w[0, 0]  w[1, 0]  …  w[127, 0]  |
    k = 1   |  w[0, 1]  w[1, 1]  …  w[127, 1]  |     read from top to bottom, each number once
    k = 2   |  …                               |

For four inputs k at a time, `_multiply_strips` multiplies the four lines with the four numbers of each row of
x and adds to the 128 sums of that row, which stay in the first-level cache. The memory that comes next is
requested ahead, so that the product runs at the speed of memory.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.compilation import CACHE_LINE_BYTES, compiled, prefetch

Floats = NDArray[np.float32]

_LANES = 128
"""Outputs in a strip: the sums of 16 rows take 8 KB."""
_UNROLLED = 4
"""Rows and inputs that the loop takes at a time; both are padded with zeros to multiples of it."""
_PREFETCH_DISTANCE = 16 * 1024
"""Bytes between what is being read and what is requested from memory."""


def pack_weight(weight: Floats) -> Floats:
    """Return a weight `[O, K]` in strips for `multiply_few_rows`, `[S, K', 128]`, padded with zeros."""
    outputs, inputs = weight.shape
    padded = np.zeros((_round_up(outputs, _LANES), _round_up(inputs, _UNROLLED)), np.float32)
    padded[:outputs, :inputs] = weight
    return np.ascontiguousarray(padded.reshape(-1, _LANES, padded.shape[1]).transpose(0, 2, 1))


def multiply_few_rows(x: Floats, packed: Floats, outputs: int) -> Floats:
    """Return ``x @ weight.T`` for rows `x` `[N, K]` and a weight that `pack_weight` packed: `[N, outputs]`.

    The sums are in float32, as BLAS's are, in another order.
    """
    strips, inputs, lanes = packed.shape
    rows = np.zeros((_round_up(len(x), _UNROLLED), inputs), np.float32)
    rows[: len(x), : x.shape[1]] = x
    sums = np.zeros((strips, len(rows), lanes), np.float32)
    _multiply_strips(packed, rows, sums)
    return sums.transpose(1, 0, 2).reshape(len(rows), -1)[: len(x), :outputs]


def _round_up(count: int, step: int) -> int:
    return -(-count // step) * step


@compiled
def _prefetch_ahead(packed: Floats, strip: int, k: int) -> None:
    """Request as many bytes as four lines of a strip take."""
    _, inputs, lanes = packed.shape
    start = (strip * inputs + k) * lanes * packed.itemsize + _PREFETCH_DISTANCE
    for offset in range(start, start + _UNROLLED * lanes * packed.itemsize, CACHE_LINE_BYTES):
        prefetch(packed, offset)


@compiled
def _multiply_strips(packed: Any, x: Floats, sums: Any) -> None:
    """Add ``x @ weight.T`` to `sums` `[S, N, W]` for rows `x` `[N, K]` and `packed` `[S, K, W]`.

    The module's docstring explains the order.
    """
    strips, inputs, lanes = packed.shape
    for strip in range(strips):
        for k in range(0, inputs, 4):
            _prefetch_ahead(packed, strip, k)
            line0, line1 = packed[strip, k], packed[strip, k + 1]
            line2, line3 = packed[strip, k + 2], packed[strip, k + 3]
            for n in range(0, len(x), 4):
                sum0, sum1 = sums[strip, n], sums[strip, n + 1]
                sum2, sum3 = sums[strip, n + 2], sums[strip, n + 3]
                a0, a1, a2, a3 = x[n, k], x[n, k + 1], x[n, k + 2], x[n, k + 3]
                b0, b1, b2, b3 = x[n + 1, k], x[n + 1, k + 1], x[n + 1, k + 2], x[n + 1, k + 3]
                c0, c1, c2, c3 = x[n + 2, k], x[n + 2, k + 1], x[n + 2, k + 2], x[n + 2, k + 3]
                d0, d1, d2, d3 = x[n + 3, k], x[n + 3, k + 1], x[n + 3, k + 2], x[n + 3, k + 3]
                for j in range(lanes):
                    w0, w1, w2, w3 = line0[j], line1[j], line2[j], line3[j]
                    sum0[j] += (a0 * w0 + a1 * w1) + (a2 * w2 + a3 * w3)
                    sum1[j] += (b0 * w0 + b1 * w1) + (b2 * w2 + b3 * w3)
                    sum2[j] += (c0 * w0 + c1 * w1) + (c2 * w2 + c3 * w3)
                    sum3[j] += (d0 * w0 + d1 * w1) + (d2 * w2 + d3 * w3)
