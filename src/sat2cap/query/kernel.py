"""The loops over stored embeddings, compiled by numba: what the speed of a query rests on.

A block is one chunk of an atlas as it lies on disk: `[D, B]` for D numbers of B cells. Going down it a few
numbers at a time for all cells, each element is converted once, multiplied while it is in a register and
added to a row of sums that stays in the first-level cache, so that a scan runs at the speed of memory. Half
precision is passed as its bits, uint16. All run without Python's lock; who calls decides the threads.
docs/LOG.md has what else was tried.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TINY = np.float32(1e-12)

# Only the liberties that leave NaN alone: no data is NaN, and must stay so. Division is as in numpy.
_compiled = njit(nogil=True, cache=True, fastmath={"contract", "nsz"}, error_model="numpy")


@intrinsic
def _real(_context: Any, x: Any) -> Any:
    """One stored number as float32: int8, or the bits of a float16."""

    def build(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.int8:
            return builder.sitofp(arguments[0], ir.FloatType())
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(x), build


@_compiled
def _dot(block: Any, row: Floats, sums: Floats) -> None:
    """Add ``row · block`` to `sums` `[B]`, eight numbers at a time."""
    depth, width = block.shape
    whole = depth // 8 * 8
    for d in range(0, whole, 8):
        t0, t1, t2, t3 = row[d], row[d + 1], row[d + 2], row[d + 3]
        t4, t5, t6, t7 = row[d + 4], row[d + 5], row[d + 6], row[d + 7]
        for j in range(width):
            total = sums[j] + t0 * _real(block[d, j]) + t1 * _real(block[d + 1, j])
            total = total + t2 * _real(block[d + 2, j]) + t3 * _real(block[d + 3, j])
            total = total + t4 * _real(block[d + 4, j]) + t5 * _real(block[d + 5, j])
            sums[j] = total + t6 * _real(block[d + 6, j]) + t7 * _real(block[d + 7, j])
    for d in range(whole, depth):
        for j in range(width):
            sums[j] += row[d] * _real(block[d, j])


@_compiled
def _four_dots(block: Any, rows: Floats, sums: Floats) -> None:
    """Add ``rows · block`` to `sums` `[4, B]`: a number is converted once for four texts."""
    depth, width = block.shape
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    whole = depth // 4 * 4
    for d in range(0, whole, 4):
        a0, a1, a2, a3 = rows[0, d], rows[0, d + 1], rows[0, d + 2], rows[0, d + 3]
        b0, b1, b2, b3 = rows[1, d], rows[1, d + 1], rows[1, d + 2], rows[1, d + 3]
        c0, c1, c2, c3 = rows[2, d], rows[2, d + 1], rows[2, d + 2], rows[2, d + 3]
        e0, e1, e2, e3 = rows[3, d], rows[3, d + 1], rows[3, d + 2], rows[3, d + 3]
        for j in range(width):
            x0, x1 = _real(block[d, j]), _real(block[d + 1, j])
            x2, x3 = _real(block[d + 2, j]), _real(block[d + 3, j])
            s0[j] = s0[j] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
            s1[j] = s1[j] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
            s2[j] = s2[j] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
            s3[j] = s3[j] + e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
    for d in range(whole, depth):
        for k in range(4):
            for j in range(width):
                sums[k, j] += rows[k, d] * _real(block[d, j])


@_compiled
def _dots(block: Any, rows: Floats, sums: Floats) -> None:
    """``rows · block`` into `sums` `[K, B]`."""
    sums[:] = 0
    fours = len(rows) // 4 * 4
    for k in range(0, fours, 4):
        _four_dots(block, rows[k : k + 4], sums[k : k + 4])
    for k in range(fours, len(rows)):
        _dot(block, rows[k], sums[k])


@_compiled
def inverse_lengths(stored: Any, inverse: Floats) -> None:
    """1 / ‖stored‖ of `[n, D, B]` into `[n, B]`; NaN where a number is."""
    for i in range(len(stored)):
        squares = inverse[i]
        squares[:] = 0
        for d in range(stored.shape[1]):
            for j in range(stored.shape[2]):
                x = _real(stored[i, d, j])
                squares[j] += x * x
        for j in range(len(squares)):
            squares[j] = 1 / np.sqrt(_TINY if squares[j] < _TINY else squares[j])


@_compiled
def static_cosines(stored: Any, inverse: Floats, texts: Floats, cosines: Floats) -> None:
    """`[K, n, B]` of unit texts `[K, D]` with `stored` `[n, D, B]`, whose `inverse_lengths` are `[n, B]`."""
    sums = np.empty((len(texts), stored.shape[2]), np.float32)
    for i in range(len(stored)):
        _dots(stored[i], texts, sums)
        for k in range(len(texts)):
            for j in range(sums.shape[1]):
                cosines[k, i, j] = sums[k, j] * inverse[i, j]


@_compiled
def _features(place: Floats, relu: Floats, z: Floats) -> None:
    """What a piece of the offset is linear in, `[P + 1 + M, B]`: place, one, and M hidden numbers."""
    count = len(place)
    z[:count] = place
    z[count] = 1
    for m in range(len(relu)):
        for j in range(z.shape[1]):
            total = relu[m, count]
            for c in range(count):
                total += relu[m, c] * place[c, j]
            z[count + 1 + m, j] = max(total, np.float32(0))


@_compiled
def _inverse_sum(block: Any, scale: Floats, stored_inverse: Floats, z: Floats, rows: Floats, gram: Floats,
                 inverse: Floats) -> None:  # fmt: skip
    """1 / ‖O + E‖ of one block into `inverse` `[B]`: ‖O‖² + z·(2 rowsᵀO + gram z)."""
    width = len(scale)
    sums = np.empty((len(rows), width), np.float32)
    _dots(block, rows, sums)
    for j in range(width):
        length = scale[j] / stored_inverse[j]
        inverse[j] = length * length
    for c in range(len(rows)):
        for j in range(width):
            sums[c, j] *= 2 * scale[j]
        for b in range(len(rows)):
            for j in range(width):
                sums[c, j] += gram[c, b] * z[b, j]
        for j in range(width):
            inverse[j] += z[c, j] * sums[c, j]
    for j in range(width):
        inverse[j] = 1 / np.sqrt(_TINY if inverse[j] < _TINY else inverse[j])


@_compiled
def dynamic_cosines(which: Any, stored: Any, scale: Floats, stored_inverse: Floats, place: Floats,
                    texts: Floats, rows: Floats, gram: Floats, text_rows: Floats, relu: Floats,
                    known: Any, inverse: Floats, cosines: Floats) -> None:  # fmt: skip
    """Cosines of unit texts with O + E for the blocks `which`, whose offsets are all of one piece.

    On these blocks E = rowsᵀ z with C numbers z (see `sat2cap.query.cosine`): `rows` `[C, D]`, `gram` their
    products `[C, C]`, `text_rows` their products with the texts `[K, C]`, `relu` `[M, P + 1]`. `inverse`
    `[n, B]` is 1 / ‖O + E‖, read where `known` `[n]` and written where not; `cosines` is `[K, n, B]`.
    """
    width = stored.shape[2]
    z = np.empty((text_rows.shape[1], width), np.float32)
    sums = np.empty((len(texts), width), np.float32)
    for i in which:
        _features(place[i], relu, z)
        if not known[i]:
            _inverse_sum(stored[i], scale[i], stored_inverse[i], z, rows, gram, inverse[i])
        _dots(stored[i], texts, sums)
        for k in range(len(texts)):
            for j in range(width):
                sums[k, j] *= scale[i, j]
            for c in range(len(z)):
                for j in range(width):
                    sums[k, j] += text_rows[k, c] * z[c, j]
            for j in range(width):
                cosines[k, i, j] = sums[k, j] * inverse[i, j]
