"""Noise on the whole planet: smooth, without a seam at the antimeridian, and the same for the same seed.

Positions are Web Mercator metres (EPSG:3857): conformal, so shapes keep their form, and periodic in x, so a
lattice that divides the circumference wraps. Things are smaller on the ground towards the poles; it is a
made-up planet.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]
Positions = NDArray[np.float64]
Integers = NDArray[np.int64]

CIRCUMFERENCE_M = 2 * 20037508.342789244


def hash01(ix: Integers, iy: Integers, seed: int) -> Floats:
    """A number in [0, 1) for each lattice point, float32, same shape: an integer mix with good avalanche."""
    with np.errstate(over="ignore"):
        h = ix.astype(np.uint32) * np.uint32(0x9E3779B1)
        h ^= iy.astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32((seed * 0xC2B2AE3D) & 0xFFFFFFFF)
        h ^= h >> np.uint32(15)
        h *= np.uint32(0x2C1B3C6D)
        h ^= h >> np.uint32(12)
        h *= np.uint32(0x297A2D39)
        h ^= h >> np.uint32(15)
    return (h >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def lattice(x: Positions, wavelength_m: float) -> tuple[Positions, int]:
    """Lattice coordinate of `x`, and how many cells of about `wavelength_m` go round the planet."""
    count = round(CIRCUMFERENCE_M / wavelength_m)
    return (x / CIRCUMFERENCE_M + 0.5) * count, count


def noise(x: Positions, y: Positions, wavelength_m: float, seed: int) -> Floats:
    """Value noise in [0, 1], smooth to the second derivative, float32, shape of `x`."""
    u, count = lattice(x, wavelength_m)
    v, _ = lattice(y, wavelength_m)
    iu, iv = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = (u - iu).astype(np.float32), (v - iv).astype(np.float32)
    s, t = (w * w * w * (w * (w * 6 - 15) + 10) for w in (s, t))
    left, right = iu % count, (iu + 1) % count
    low = hash01(left, iv, seed) * (1 - s) + hash01(right, iv, seed) * s
    high = hash01(left, iv + 1, seed) * (1 - s) + hash01(right, iv + 1, seed) * s
    values: Floats = (low * (1 - t) + high * t).astype(np.float32, copy=False)
    return values


def fractal(x: Positions, y: Positions, wavelength_m: float, octaves: int, seed: int) -> Floats:
    """Noise of `octaves` halving wavelengths and amplitudes: mean 0.5, most values in [0, 1]."""
    total = np.zeros(np.shape(x), np.float32)
    amplitude, variance = 1.0, 0.0
    for octave in range(octaves):
        total += amplitude * (noise(x, y, wavelength_m / 2**octave, seed + 7919 * octave) - 0.5)
        variance += amplitude**2
        amplitude *= 0.5
    return np.float32(0.5) + total / np.float32(np.sqrt(variance))


def ramp(value: Reals, low: float, high: float) -> Floats:
    """0 at `low`, 1 at `high`, linear between and constant outside; `high` may be below `low`."""
    along: Floats = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    return along


def rise(value: Floats, low: float, high: float) -> Floats:
    """A logistic from 0.1 at `low` to 0.9 at `high`; nothing in time is ever quite impossible."""
    slope, middle = 4.4 / (high - low), (low + high) / 2
    risen: Floats = (1 / (1 + np.exp(np.clip(-slope * (value - middle), -30, 30)))).astype(np.float32)
    return risen
