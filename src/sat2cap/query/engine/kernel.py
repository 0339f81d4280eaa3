"""The loops over stored embeddings, compiled by numba; the speed of a query rests on them.

A block is one chunk of an atlas as it lies on disk: `[D, B]`, the first number of all B cells, then the
second number of all B cells, and so on. Cosines need, for each text T and cell j, the sum over d of
T[d] · block[d, j]. The loops walk down d and add to one row of accumulators for each text, in this order
(`_dot_one_text`)::

                     strip 0             strip 1            B cells in strips of W = 128
                 j = 0 … 127         j = 128 … 255
    d = 0   |  1 →→→→→→→→→→→→→ |  2 →→→→→→→→→→→→→ |  …
    d = 1   |  1 →→→→→→→→→→→→→ |  2 →→→→→→→→→→→→→ |  …      four rows at once: each number is read once,
    d = 2   |  1 →→→→→→→→→→→→→ |  2 →→→→→→→→→→→→→ |  …      and an accumulator is loaded and stored once
    d = 3   |  1 →→→→→→→→→→→→→ |  2 →→→→→→→→→→→→→ |  …      for four numbers
            |------------------|------------------|
    d = 4   |  9 →→→→→→→→→→→→→ | 10 →→→→→→→→→→→→→ |  …      then the next four rows (B = 1024: 8 strips)

1. Four rows of one strip are 4 · 128 numbers. Each is converted to float32 once, in a register.
2. It is multiplied by the text's number for that row and added to accumulator[strip, j], which stays in the
   first-level cache because the accumulators of one text are only 4 KB. With four texts
   (`_dot_four_texts`) the converted number is used four times before the next is read.
3. At each step the memory 16 KB further on is requested (`_prefetch_ahead`), as it takes longer to arrive
   than a step takes. So a scan runs at the speed of memory.

Example: D = 4, B = 2, one text T = (1, 2, 0, 1) and the block ((5, 1), (0, 3), (9, 9), (2, 2)). The
accumulators begin as (0, 0); after the four rows they are (1·5 + 2·0 + 0·9 + 1·2, 1·1 + 2·3 + 0·9 + 1·2) =
(7, 9). Multiplied by 1 / ‖O‖ of each cell they are the cosines.

Half precision is passed as its bits, uint16. All functions run without Python's global lock; the caller
decides on the number of threads. docs/LOG.md has what else was tried.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from sat2cap.compilation import CACHE_LINE_BYTES, compiled, prefetch

Floats = NDArray[np.float32]

_TINY = np.float32(1e-12)
_STRIP = 128
"""Cells in a strip (W): accumulators of four texts fit in the first-level cache beside what is being read."""
_PREFETCH_DISTANCE = 16 * 1024
"""Bytes between what is being read and what is requested from memory."""


@intrinsic
def _to_float32(_context: Any, x: Any) -> Any:
    """Convert one stored number, int8 or the bits of a float16, to float32."""

    def build(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if signature.args[0] == types.int8:
            return builder.sitofp(arguments[0], ir.FloatType())
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(x), build


@compiled
def _prefetch_ahead(block: Any, d: int, s: int) -> None:
    """Request as many bytes as four rows of a strip take, so that all of the block is requested."""
    _, strips, width = block.shape
    start = (d * strips + 4 * s) * width * block.itemsize + _PREFETCH_DISTANCE
    for offset in range(start, start + 4 * width * block.itemsize, CACHE_LINE_BYTES):
        prefetch(block, offset)


@compiled
def _dot_one_text(block: Any, row: Floats, accumulators: Floats) -> None:
    """Add ``row · block`` to `accumulators` `[S + 1, W]`; `block` is `[D, S, W]`, S strips of W cells.

    The module's docstring draws the order. Rows left over when D is no multiple of 4 follow one by one.
    """
    depth, strips, width = block.shape
    whole = depth // 4 * 4
    for d in range(0, whole, 4):
        a, b, c, e = row[d], row[d + 1], row[d + 2], row[d + 3]
        for s in range(strips):
            _prefetch_ahead(block, d, s)
            for j in range(width):
                x0, x1 = _to_float32(block[d, s, j]), _to_float32(block[d + 1, s, j])
                x2, x3 = _to_float32(block[d + 2, s, j]), _to_float32(block[d + 3, s, j])
                accumulators[s, j] = accumulators[s, j] + a * x0 + b * x1 + c * x2 + e * x3
    for d in range(whole, depth):
        for s in range(strips):
            for j in range(width):
                accumulators[s, j] += row[d] * _to_float32(block[d, s, j])


@compiled
def _dot_four_texts(block: Any, rows: Floats, accumulators: Floats) -> None:
    """Add ``rows · block`` to `accumulators` `[4, S + 1, W]`: `_dot_one_text` for four texts `[4, D]`.

    A stored number is read and converted once and used four times, once in each line of the inner loop.
    """
    depth, strips, width = block.shape
    s0, s1, s2, s3 = accumulators[0], accumulators[1], accumulators[2], accumulators[3]
    whole = depth // 4 * 4
    for d in range(0, whole, 4):
        a0, a1, a2, a3 = rows[0, d], rows[0, d + 1], rows[0, d + 2], rows[0, d + 3]
        b0, b1, b2, b3 = rows[1, d], rows[1, d + 1], rows[1, d + 2], rows[1, d + 3]
        c0, c1, c2, c3 = rows[2, d], rows[2, d + 1], rows[2, d + 2], rows[2, d + 3]
        e0, e1, e2, e3 = rows[3, d], rows[3, d + 1], rows[3, d + 2], rows[3, d + 3]
        for s in range(strips):
            _prefetch_ahead(block, d, s)
            for j in range(width):
                x0, x1 = _to_float32(block[d, s, j]), _to_float32(block[d + 1, s, j])
                x2, x3 = _to_float32(block[d + 2, s, j]), _to_float32(block[d + 3, s, j])
                s0[s, j] = s0[s, j] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                s1[s, j] = s1[s, j] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                s2[s, j] = s2[s, j] + c0 * x0 + c1 * x1 + c2 * x2 + c3 * x3
                s3[s, j] = s3[s, j] + e0 * x0 + e1 * x1 + e2 * x2 + e3 * x3
    for d in range(whole, depth):
        for k in range(4):
            for s in range(strips):
                for j in range(width):
                    accumulators[k, s, j] += rows[k, d] * _to_float32(block[d, s, j])


@compiled
def _allocate_accumulators(rows: Floats, block: Any) -> Floats:
    """Allocate the accumulators of K texts for `_dot_all_texts`: `[K, B + W]`, one strip more than is used.

    Without the extra strip the accumulators of two texts for the same cell would lie a multiple of 4096 bytes
    apart. A processor compares only the low 12 bits of addresses to see whether a load depends on an earlier
    store, so it would wait for stores that have nothing to do with the load.
    """
    cells = block.shape[1]
    return np.empty((len(rows), cells + _strip_width(cells)), np.float32)


@compiled
def _strip_width(cells: int) -> int:
    """Return W, the width of a strip: 128, or all cells if their number is no multiple of 128."""
    return _STRIP if cells % _STRIP == 0 else cells


@compiled
def _dot_all_texts(block: Any, rows: Floats, accumulators: Floats) -> None:
    """Write ``rows · block`` `[K, B]` into the first B columns of `accumulators` (`_allocate_accumulators`).

    Texts are taken four at a time, those left over one at a time.
    """
    depth, cells = block.shape
    width = _strip_width(cells)
    strips = cells // width
    parts = block.reshape(depth, strips, width)
    by_strip = accumulators.reshape(len(rows), strips + 1, width)
    accumulators[:] = 0
    fours = len(rows) // 4 * 4
    for k in range(0, fours, 4):
        _dot_four_texts(parts, rows[k : k + 4], by_strip[k : k + 4])
    for k in range(fours, len(rows)):
        _dot_one_text(parts, rows[k], by_strip[k])


@compiled
def inverse_lengths(stored: Any, inverse: Floats) -> None:
    """Write 1 / ‖stored‖ of every cell of `stored` `[n, D, B]` into `inverse` `[n, B]`; NaN stays NaN."""
    for i in range(len(stored)):
        squares = inverse[i]
        squares[:] = 0
        for d in range(stored.shape[1]):
            for j in range(stored.shape[2]):
                x = _to_float32(stored[i, d, j])
                squares[j] += x * x
        for j in range(len(squares)):
            squares[j] = 1 / np.sqrt(_TINY if squares[j] < _TINY else squares[j])


@compiled
def static_cosines(stored: Any, inverse: Floats, texts: Floats, cosines: Floats) -> None:
    """Write the cosines of unit `texts` `[K, D]` with `stored` `[n, D, B]` into `cosines` `[K, n, B]`.

    `inverse` `[n, B]` is what `inverse_lengths` gives. A cell's scale cancels and is not needed.
    """
    accumulators = _allocate_accumulators(texts, stored[0])
    for i in range(len(stored)):
        _dot_all_texts(stored[i], texts, accumulators)
        for k in range(len(texts)):
            for j in range(stored.shape[2]):
                cosines[k, i, j] = accumulators[k, j] * inverse[i, j]


@compiled
def _fill_z(place: Floats, mixed_weights: Floats, z: Floats) -> None:
    """Write z of one block, `[P + 1 + M, B]`: the place features, 1, and the M mixed hidden units.

    `place` is `[P, B]`, `mixed_weights` `[M, P + 1]` the weights of the hidden units and their constant.
    """
    count = len(place)
    z[:count] = place
    z[count] = 1
    for m in range(len(mixed_weights)):
        for j in range(z.shape[1]):
            total = mixed_weights[m, count]
            for c in range(count):
                total += mixed_weights[m, c] * place[c, j]
            z[count + 1 + m, j] = max(total, np.float32(0))


@compiled
def _inverse_sum_lengths(block: Any, scale: Floats, stored_inverse: Floats, z: Floats, rows: Floats,
                         gram: Floats, inverse: Floats) -> None:  # fmt: skip
    """Write 1 / ‖O + E‖ of one block into `inverse` `[B]`.

    ‖O + E‖² = ‖O‖² + z·(2 R O + gram z), where `rows` `[C, D]` is R, `gram` `[C, C]` is R Rᵀ and
    O = scale · block. The products R O are taken like those with texts.
    """
    width = len(scale)
    accumulators = _allocate_accumulators(rows, block)
    _dot_all_texts(block, rows, accumulators)
    for j in range(width):
        length = scale[j] / stored_inverse[j]
        inverse[j] = length * length
    for c in range(len(rows)):
        for j in range(width):
            accumulators[c, j] *= 2 * scale[j]
        for b in range(len(rows)):
            for j in range(width):
                accumulators[c, j] += gram[c, b] * z[b, j]
        for j in range(width):
            inverse[j] += z[c, j] * accumulators[c, j]
    for j in range(width):
        inverse[j] = 1 / np.sqrt(_TINY if inverse[j] < _TINY else inverse[j])


@compiled
def dynamic_cosines(block_indices: Any, stored: Any, scale: Floats, stored_inverse: Floats, place: Floats,
                    texts: Floats, rows: Floats, gram: Floats, text_products: Floats, mixed_weights: Floats,
                    is_computed: Any, inverse: Floats, cosines: Floats) -> None:  # fmt: skip
    """Write the cosines of unit texts with O + E for the blocks `block_indices` of one affine piece.

    On these blocks E = Rᵀ z with C numbers z, see `query.engine.cosine`: `rows` `[C, D]` is R, `gram`
    `[C, C]` is R Rᵀ, `text_products` `[K, C]` the products of the texts with R, `mixed_weights` `[M, P + 1]`
    the weights of the mixed hidden units. `inverse` `[n, B]`, 1 / ‖O + E‖, is read where `is_computed` `[n]`
    and written where not. `cosines` is `[K, n, B]`. For each block:

    1. z from the place features; 1 / ‖O + E‖ if it has not been computed, in memory of this call's own, since
       another thread may be reading or writing `inverse`: what is copied there is the final value, the same
       from every thread;
    2. accumulators[k, j] = T_k · stored_j, times scale_j, which is T_k · O_j;
    3. plus text_products[k] · z_j, which is T_k · E_j;
    4. times 1 / ‖O_j + E_j‖.
    """
    width = stored.shape[2]
    z = np.empty((text_products.shape[1], width), np.float32)
    accumulators = _allocate_accumulators(texts, stored[0])
    inverse_lengths_of_block = np.empty(width, np.float32)
    for i in block_indices:
        _fill_z(place[i], mixed_weights, z)
        if is_computed[i]:
            inverse_lengths_of_block[:] = inverse[i]
        else:
            _inverse_sum_lengths(
                stored[i], scale[i], stored_inverse[i], z, rows, gram, inverse_lengths_of_block
            )
            inverse[i] = inverse_lengths_of_block
        _dot_all_texts(stored[i], texts, accumulators)
        for k in range(len(texts)):
            for j in range(width):
                accumulators[k, j] *= scale[i, j]
            for c in range(len(z)):
                for j in range(width):
                    accumulators[k, j] += text_products[k, c] * z[c, j]
            for j in range(width):
                cosines[k, i, j] = accumulators[k, j] * inverse_lengths_of_block[j]
