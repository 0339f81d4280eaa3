"""The loops of `kernel` in numpy: the same functions, within rounding, without the import of numba.

A block is converted to float32 before it is multiplied, so a scan takes some ten times longer than the
compiled one, but for a map of a city that is less than numba takes to be imported. `loops` chooses.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_TINY = np.float32(1e-12)


def inverse_lengths(stored: NDArray[Any], inverse: Floats) -> None:
    """Write 1 / ‖stored‖ of every cell of `stored` `[n, D, B]` into `inverse` `[n, B]`; NaN stays NaN."""
    for block, row in zip(stored, inverse, strict=True):
        values = _to_float32(block)
        row[:] = _inverse_root(np.einsum("db,db->b", values, values))


def static_cosines(stored: NDArray[Any], inverse: Floats, texts: Floats, cosines: Floats) -> None:
    """Write the cosines of unit `texts` `[K, D]` with `stored` `[n, D, B]` into `cosines` `[K, n, B]`.

    `inverse` `[n, B]` is what `inverse_lengths` gives.
    """
    for i, block in enumerate(stored):
        cosines[:, i] = (texts @ _to_float32(block)) * inverse[i]


def dynamic_cosines(block_indices: NDArray[np.int64], stored: NDArray[Any], scale: Floats,
                    stored_inverse: Floats, place: Floats, texts: Floats, rows: Floats, gram: Floats,
                    text_products: Floats, mixed_weights: Floats, is_computed: NDArray[np.bool_],
                    inverse: Floats, cosines: Floats) -> None:  # fmt: skip
    """Write the cosines of unit texts with O + E for the blocks `block_indices` of one affine piece.

    Arguments, steps and the rule for `inverse` are those of `kernel.dynamic_cosines`.
    """
    for i in block_indices:
        features = np.concatenate([place[i], np.ones((1, place.shape[2]), np.float32)])
        z = np.concatenate([features, np.maximum(mixed_weights @ features, 0)])
        values = _to_float32(stored[i])
        if is_computed[i]:
            inverse_sum = inverse[i]
        else:
            length = scale[i] / stored_inverse[i]
            products = 2 * scale[i] * (rows @ values) + gram @ z
            inverse_sum = _inverse_root(length * length + np.einsum("cb,cb->b", z, products))
            inverse[i] = inverse_sum
        cosines[:, i] = ((texts @ values) * scale[i] + text_products @ z) * inverse_sum


def _to_float32(block: NDArray[Any]) -> Floats:
    """Return stored numbers, int8 or the bits of float16 as uint16, as float32."""
    values = block.view(np.float16) if block.dtype == np.uint16 else block
    return values.astype(np.float32)


def _inverse_root(squares: Floats) -> Floats:
    return np.asarray(1 / np.sqrt(np.maximum(squares, _TINY)), np.float32)
