"""Noise on the whole planet: smooth, without a seam at the antimeridian, and the same for the same seed.

Positions are Web Mercator metres (EPSG:3857). The projection is conformal, so shapes keep their form, and
periodic in x, so a lattice whose cells divide the circumference wraps round the planet. Features are smaller
on the ground towards the poles, which does no harm on a made-up planet.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
AnyFloats = NDArray[np.floating[Any]]
Positions = NDArray[np.float64]
Integers = NDArray[np.int64]

CIRCUMFERENCE_M = 2 * 20037508.342789244
"""Length of the equator in Web Mercator metres."""


def hash_to_unit(ix: Integers, iy: Integers, seed: int) -> Floats:
    """Return a pseudo-random number in [0, 1) for each pair of integers, float32; `ix` and `iy` broadcast.

    The integers are mixed so that changing any bit of either changes about half of the bits of the hash:
    multiplied and xor-shifted in 32-bit arithmetic that overflows on purpose. The upper 24 bits are used.
    """
    with np.errstate(over="ignore"):
        seeded = iy.astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32((seed * 0xC2B2AE3D) & 0xFFFFFFFF)
        h = (ix.astype(np.uint32) * np.uint32(0x9E3779B1)) ^ seeded
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x2C1B3C6D)
        h ^= h >> np.uint32(12)
        h *= np.uint32(0x297A2D39)
        h ^= h >> np.uint32(15)
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def lattice_coordinates(x: Positions, wavelength_m: float) -> tuple[Positions, int]:
    """Return `x` in units of lattice cells, and the number of cells that go round the planet.

    The cells are as close to `wavelength_m` as lets a whole number of them fit round the equator.
    """
    cell_count = round(CIRCUMFERENCE_M / wavelength_m)
    return (x / CIRCUMFERENCE_M + 0.5) * cell_count, cell_count


def value_noise(x: Positions, y: Positions, wavelength_m: float, seed: int) -> Floats:
    """Return value noise: float32 in [0, 1], continuous up to its second derivative.

    `x` and `y` broadcast: on a grid, columns ``[1, n]`` and rows ``[n, 1]`` take less time than ``[n, n]`` of
    both, for the same numbers. Every lattice corner has a random value; between corners the values are
    blended with Perlin's quintic ``6 t^5 - 15 t^4 + 10 t^3``, whose first and second derivatives vanish at
    the corners.
    """
    u, cell_count = lattice_coordinates(x, wavelength_m)
    v, _ = lattice_coordinates(y, wavelength_m)
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = (u - column).astype(np.float32), (v - row).astype(np.float32)
    s, t = (w * w * w * (w * (w * 6 - 15) + 10) for w in (s, t))
    left, right = column % cell_count, (column + 1) % cell_count
    low = hash_to_unit(left, row, seed) * (1 - s) + hash_to_unit(right, row, seed) * s
    high = hash_to_unit(left, row + 1, seed) * (1 - s) + hash_to_unit(right, row + 1, seed) * s
    values: Floats = (low * (1 - t) + high * t).astype(np.float32, copy=False)
    return values


def fractal_noise(x: Positions, y: Positions, wavelength_m: float, octaves: int, seed: int) -> Floats:
    """Return a sum of `octaves` of value noise: float32, mean 0.5, most values in [0, 1].

    `x` and `y` broadcast. Each octave has half the wavelength and half the amplitude of the one before.
    """
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    amplitude, variance = 1.0, 0.0
    for octave in range(octaves):
        total += amplitude * (value_noise(x, y, wavelength_m / 2**octave, seed + 7919 * octave) - 0.5)
        variance += amplitude**2
        amplitude *= 0.5
    return np.float32(0.5) + total / np.float32(np.sqrt(variance))


def linear_ramp(value: AnyFloats, low: float, high: float) -> Floats:
    """Return 0 at `low`, 1 at `high`, linear between and constant outside: float32 of the shape of `value`.

    `high` may be below `low`; then the ramp falls.

    >>> linear_ramp(np.float32([0, 5, 20]), 0, 10)
    array([0. , 0.5, 1. ], dtype=float32)
    """
    fraction: Floats = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    return fraction


def logistic_ramp(value: Floats, low: float, high: float) -> Floats:
    """Return a logistic curve of `value`, float32 of its shape: 0.1 at `low`, 0.9 at `high`.

    It is never quite 0 or 1.
    """
    slope, middle = 4.4 / (high - low), (low + high) / 2
    curve: Floats = (1 / (1 + np.exp(np.clip(-slope * (value - middle), -30, 30)))).astype(np.float32)
    return curve
