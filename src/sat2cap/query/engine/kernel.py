"""The loops over stored embeddings, compiled by numba: what the speed of a query rests on.

A block is one chunk of an atlas as it lies on disk: `[D, B]` for D numbers of B cells. Going down it four
numbers at a time, in strips of cells, each element is converted once, multiplied while it is in a register
and added to a row of sums that stays in the first-level cache, while what comes next is fetched from memory,
so that a scan runs at the speed of memory. Half precision is passed as its bits, uint16. All run without
Python's lock; who calls decides the threads. docs/LOG.md has what else was tried.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TINY = np.float32(1e-12)
_STRIP = 128
"""Cells taken at once: their sums, for four texts, lie in the first-level cache beside what is being read."""
_LINE = 64
_AHEAD = 16 * 1024
"""Bytes: of what memory gives at once, and how far ahead it is asked."""

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


@intrinsic
def _fetch(_context: Any, array: Any, offset: Any) -> Any:
    """Ask for the memory `offset` bytes into an array, or beyond its end, where that does nothing."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.pointer_add(builder, made.data, arguments[1])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        read, second_level, data = (ir.Constant(number, value) for value in (0, 2, 1))
        builder.call(function, [address, read, second_level, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


@_compiled
def _fetch_ahead(block: Any, d: int, s: int) -> None:
    """Ask for as much as four numbers of a strip take, so that a block is asked for from end to end."""
    _, strips, width = block.shape
    start = (d * strips + 4 * s) * width * block.itemsize + _AHEAD
    for offset in range(start, start + 4 * width * block.itemsize, _LINE):
        _fetch(block, offset)


@_compiled
def _dot(block: Any, row: Floats, sums: Floats) -> None:
    """Add ``row · block`` to `sums` `[S + 1, W]`, of a block `[D, S, W]`."""
    depth, strips, width = block.shape
    whole = depth // 4 * 4
    for d in range(0, whole, 4):
        a, b, c, e = row[d], row[d + 1], row[d + 2], row[d + 3]
        for s in range(strips):
            _fetch_ahead(block, d, s)
            for j in range(width):
                total = sums[s, j] + a * _real(block[d, s, j]) + b * _real(block[d + 1, s, j])
                sums[s, j] = total + c * _real(block[d + 2, s, j]) + e * _real(block[d + 3, s, j])
    for d in range(whole, depth):
        for s in range(strips):
            for j in range(width):
                sums[s, j] += row[d] * _real(block[d, s, j])


@_compiled
def _four_dots(block: Any, rows: Floats, sums: Floats) -> None:
    """Add ``rows · block`` to `sums` `[4, S + 1, W]`: a number is converted once for four texts."""
    depth, strips, width = block.shape
    s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
    whole = depth // 4 * 4
    for d in range(0, whole, 4):
        a0, a1, a2, a3 = rows[0, d], rows[0, d + 1], rows[0, d + 2], rows[0, d + 3]
        b0, b1, b2, b3 = rows[1, d], rows[1, d + 1], rows[1, d + 2], rows[1, d + 3]
        c0, c1, c2, c3 = rows[2, d], rows[2, d + 1], rows[2, d + 2], rows[2, d + 3]
        e0, e1, e2, e3 = rows[3, d], rows[3, d + 1], rows[3, d + 2], rows[3, d + 3]
        for s in range(strips):
            _fetch_ahead(block, d, s)
            for j in range(width):
                x0, x1 = _real(block[d, s, j]), _real(block[d + 1, s, j])
                x2, x3 = _real(block[d + 2, s, j]), _real(block[d + 3, s, j])
                s0[s, j] = s0[s, j] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                s1[s, j] = s1[s, j] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                s2[s, j] = s2[s, j] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                s3[s, j] = s3[s, j] + e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
    for d in range(whole, depth):
        for k in range(4):
            for s in range(strips):
                for j in range(width):
                    sums[k, s, j] += rows[k, d] * _real(block[d, s, j])


@_compiled
def _room(rows: Floats, block: Any) -> Floats:
    """For `_dots`: `[K, B + W]`, a strip more than is used.

    Without it the sums of all texts for a cell would lie a multiple of 4096 bytes apart, and a processor that
    stores one waits to see that it is not another that it is about to load.
    """
    cells = block.shape[1]
    return np.empty((len(rows), cells + _strip(cells)), np.float32)


@_compiled
def _strip(cells: int) -> int:
    """W, of which B is a multiple."""
    return _STRIP if cells % _STRIP == 0 else cells


@_compiled
def _dots(block: Any, rows: Floats, sums: Floats) -> None:
    """``rows · block`` into the first B of `sums` (`_room`)."""
    depth, cells = block.shape
    width = _strip(cells)
    strips = cells // width
    parts = block.reshape(depth, strips, width)
    found = sums.reshape(len(rows), strips + 1, width)
    sums[:] = 0
    fours = len(rows) // 4 * 4
    for k in range(0, fours, 4):
        _four_dots(parts, rows[k : k + 4], found[k : k + 4])
    for k in range(fours, len(rows)):
        _dot(parts, rows[k], found[k])


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
    sums = _room(texts, stored[0])
    for i in range(len(stored)):
        _dots(stored[i], texts, sums)
        for k in range(len(texts)):
            for j in range(stored.shape[2]):
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
    sums = _room(rows, block)
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

    On these blocks E = rowsᵀ z with C numbers z (see `query.engine.cosine`): `rows` `[C, D]`, `gram` their
    products `[C, C]`, `text_rows` their products with the texts `[K, C]`, `relu` `[M, P + 1]`. `inverse`
    `[n, B]` is 1 / ‖O + E‖, read where `known` `[n]` and written where not; `cosines` is `[K, n, B]`.
    """
    width = stored.shape[2]
    z = np.empty((text_rows.shape[1], width), np.float32)
    sums = _room(texts, stored[0])
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
