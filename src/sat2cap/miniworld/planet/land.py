"""The shape of the planet: continuous fields on a fixed lattice of nodes, bilinear between them.

The lattice is the definition, not an approximation: every query, at any resolution, interpolates the same
nodes, so neighbouring images join, and photos, overhead images and truth agree about what is where.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sat2cap.miniworld.planet.noise import (
    CIRCUMFERENCE_M,
    Floats,
    Integers,
    Positions,
    fractal_noise,
    hash_to_unit,
    lattice_coordinates,
    linear_ramp,
    value_noise,
)

NODE_M = CIRCUMFERENCE_M / 333_958
"""Distance between lattice nodes, almost 120 m.

A whole, even number of nodes goes round the planet, so that they meet at the antimeridian.
"""

SPHERE_RADIUS_M = CIRCUMFERENCE_M / (2 * np.pi)
"""Radius of the sphere of Web Mercator."""

CITY_CELL_M, VILLAGE_CELL_M = 22_000.0, 3_600.0
"""Sides of the squares that have at most one city, and at most one village, each."""

FIELDS = (
    "elevation",  # fraction of the tallest ordinary land; below 0 is sea
    "height",  # metres above the sea, mountains included
    "relief",  # 0 flat to 1 alpine
    "temperature",  # yearly mean, degrees Celsius
    "swing",  # half the difference between the warmest and the coldest month, degrees Celsius
    "moisture",  # 0 desert to 1 rainforest
    "forest",  # 0 open to 1 closed canopy
    "farm",  # 0 wild to 1 tilled
    "river",  # signed; a river runs along its zero
    "highway",  # signed; a highway runs along its zero
    "lane",  # signed; a country lane runs along its zero
    "warp_x",  # bends the parcels, metres
    "warp_y",
    "urban",  # 0 empty, 0.15 hamlet, 0.4 streets of houses, 0.78 and above downtown
    "industry",  # 0 none to 1 factories
    "shade",  # light on slopes, about 1
    "roof",  # which roofs this district builds, 0 to 1
    "sand",  # colour of sand, 0 white to 1 black
    "water",  # colour of water, 0 turquoise to 1 brown
)
"""Names of the fields of the terrain."""


@dataclass(frozen=True)
class Terrain:
    """The fields at positions: each array float32, of the positions' shape ``[B, ...]``."""

    x: Positions
    """Web Mercator metres east."""
    y: Positions
    """Web Mercator metres north."""
    values: dict[str, Floats]
    """Field values by name from `FIELDS`."""

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]


def to_web_mercator(lon: Positions, lat: Positions) -> tuple[Positions, Positions]:
    """Return Web Mercator metres ``(x, y)`` of degrees, of the same shape; latitudes are clipped to 85."""
    phi = np.radians(np.clip(lat, -85.0, 85.0))
    return np.radians(lon) * SPHERE_RADIUS_M, np.arcsinh(np.tan(phi)) * SPHERE_RADIUS_M


def to_latitude(y: Positions) -> Positions:
    """Return degrees north of Web Mercator metres `y`."""
    return np.degrees(np.arctan(np.sinh(y / SPHERE_RADIUS_M)))


def sample_terrain(x: Positions, y: Positions, seed: int, names: tuple[str, ...] = FIELDS) -> Terrain:
    """Return the fields at blocks of positions ``[B, ...]`` in Web Mercator metres.

    `x` and `y` broadcast against each other. Each block should span at most a few kilometres: it is covered
    by its own small grid of lattice nodes, so the cost grows with the area of the blocks, not with their
    pixels.
    """
    x, y = np.broadcast_arrays(x, y)
    flat_x, flat_y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    first_x, first_y = (np.floor(v.min(1) / NODE_M).astype(np.int64) for v in (flat_x, flat_y))
    span = max(int(np.floor(v.max(1) / NODE_M - f).max()) for v, f in ((flat_x, first_x), (flat_y, first_y)))
    side = span + 3  # one node beyond the last corner, for slopes
    # Blocks come last at the nodes: numpy is slow at last axes as short as the side of a block.
    node_x = (first_x + np.arange(side)[None, :, None]) * NODE_M
    node_y = (first_y + np.arange(side)[:, None, None]) * NODE_M
    nodes = _fields_at_nodes(node_x, node_y, seed)

    # Bilinear: the value at a position is the weighted sum of the nodes of its lattice cell, which lie at
    # these offsets, times the number of blocks, from the cell's first corner in the flattened nodes; with
    # their weights, s and t from 0 to 1 across the cell:
    #
    #      0 ------- 1         (1-s)(1-t)   s(1-t)
    #      |  (s,t)  |
    #    side -- side+1         (1-s)t       s t
    u, v = flat_x / NODE_M - first_x[:, None], flat_y / NODE_M - first_y[:, None]
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = (u - column).astype(np.float32), (v - row).astype(np.float32)
    corner = (row * side + column) * len(x) + np.arange(len(x))[:, None]
    weights = ((1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t)
    corners = tuple(corner + offset * len(x) for offset in (0, 1, side, side + 1))
    values = {name: _weighted_sum(nodes[name].ravel(), corners, weights).reshape(x.shape) for name in names}
    # Parcels and grain are hashed from positions: a place beyond the antimeridian must have the same x from
    # both sides.
    return Terrain((x / CIRCUMFERENCE_M + 0.5) % 1.0 * CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2, y, values)


def _weighted_sum(values: Floats, indices: Sequence[Integers], weights: Sequence[Floats]) -> Floats:
    """Return the sum of ``weight * values[index]``, of the shape of one index."""
    total: Floats = weights[0] * values.take(indices[0])
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total += weight * values.take(index)
    return total


def _fields_at_nodes(x: Positions, y: Positions, seed: int) -> dict[str, Floats]:
    """Return all fields at lattice nodes ``[n, n, B]``, of columns ``[1, n, B]`` and rows ``[n, 1, B]``."""
    lat = to_latitude(y)
    elevation = _elevation(x, y, seed)
    range_mask = linear_ramp(value_noise(x, y, 36_000, seed + 11), 0.58, 0.8) * linear_ramp(
        elevation, 0.0, 0.05
    )
    ridges = 1 - np.abs(2 * fractal_noise(x, y, 9_000, 3, seed + 12) - 1)
    relief = np.clip(range_mask * (0.35 + 0.9 * linear_ramp(ridges, 0.35, 1.0)), 0, 1)
    height = np.maximum(elevation, 0) * 350 + relief * 2200 * linear_ramp(ridges, 0.2, 1.0)
    sine = np.sin(np.radians(lat)).astype(np.float32)
    temperature = 28 - 36 * sine**2 - 0.0055 * height + 8 * (value_noise(x, y, 90_000, seed + 13) - 0.5)
    arid = np.exp(-(((np.abs(lat) - 24) / 9) ** 2)).astype(np.float32)
    moisture = np.clip(1.6 * fractal_noise(x, y, 24_000, 2, seed + 14) - 0.25 - 0.35 * arid, 0, 1)
    urban, industry = _settlements(x, y, seed, relief)
    wild = 1 - linear_ramp(urban, 0.08, 0.2)
    farm = fractal_noise(x, y, 9_000, 2, seed + 16) + 0.25 * linear_ramp(urban, 0.0, 0.15)
    farm = linear_ramp(farm, 0.36, 0.5)
    farm = farm * linear_ramp(relief, 0.25, 0.1) * linear_ramp(temperature, 1, 4)
    farm = farm * linear_ramp(moisture, 0.12, 0.25) * wild
    forest = linear_ramp(fractal_noise(x, y, 5_000, 3, seed + 15) + 0.7 * (moisture - 0.5), 0.42, 0.58)
    forest = forest * linear_ramp(height, 1900, 1500) * linear_ramp(temperature, -6, -2) * wild
    return {
        "elevation": elevation,
        "height": height.astype(np.float32),
        "relief": relief.astype(np.float32),
        "temperature": temperature.astype(np.float32),
        "swing": (15 * np.abs(sine) * (0.8 + 0.4 * value_noise(x, y, 120_000, seed + 17))).astype(np.float32),
        "moisture": moisture.astype(np.float32),
        "forest": forest.astype(np.float32),
        "farm": farm.astype(np.float32),
        "river": fractal_noise(x, y, 14_000, 2, seed + 18) - np.float32(0.5),
        "highway": fractal_noise(x, y, 18_000, 2, seed + 19) - np.float32(0.5),
        "lane": fractal_noise(x, y, 3_500, 2, seed + 20) - np.float32(0.5),
        "warp_x": 900 * value_noise(x, y, 3_200, seed + 21),
        "warp_y": 900 * value_noise(x, y, 3_200, seed + 22),
        "urban": urban,
        "industry": industry,
        "shade": _hill_shade(height),
        "roof": np.clip(1.7 * fractal_noise(x, y, 30_000, 2, seed + 23) - 0.35, 0, 1),
        "sand": np.clip(1.7 * value_noise(x, y, 25_000, seed + 24) - 0.35, 0, 1),
        "water": np.clip(1.7 * value_noise(x, y, 35_000, seed + 25) - 0.35, 0, 1),
    }


def _elevation(x: Positions, y: Positions, seed: int) -> Floats:
    return fractal_noise(x, y, 30_000, 5, seed + 10) - np.float32(0.3)


def _hill_shade(height: Floats) -> Floats:
    """Return the brightness of slopes lit from the north-west.

    The last row and column have no neighbour to slope towards and come out flat; no position uses them.
    """
    slope = np.diff(height, axis=1, append=height[:, -1:]) - np.diff(height, axis=0, append=height[-1:])
    light: Floats = np.clip(1 - slope * np.float32(0.006), 0.55, 1.35).astype(np.float32)
    return light


def _settlements(x: Positions, y: Positions, seed: int, relief: Floats) -> tuple[Floats, Floats]:
    """Return the fields ``urban`` and ``industry`` at nodes, from cities, towns, villages and hamlets."""
    drift = value_noise(x, y, 4_500, seed + 38) - 0.5, value_noise(x, y, 4_500, seed + 39) - 0.5
    city = _settlement_influence(
        x + 5_000 * drift[0],
        y + 5_000 * drift[1],
        seed,
        30,
        CITY_CELL_M,
        radius_m=(2_600, 6_500),
        peak=(0.8, 1.3),
        probability=0.8,
    )
    bend = value_noise(x, y, 1_300, seed + 28) - 0.5, value_noise(x, y, 1_300, seed + 29) - 0.5
    village = _settlement_influence(
        x + 700 * bend[0],
        y + 700 * bend[1],
        seed,
        40,
        VILLAGE_CELL_M,
        radius_m=(420, 1_050),
        peak=(0.28, 0.62),
        probability=0.5,
    )
    rough = 0.22 * (fractal_noise(x, y, 900, 2, seed + 26) - 0.5)
    urban = np.maximum(city, village)
    urban = np.where(urban > 0.02, urban + rough * linear_ramp(urban, 0.02, 0.3), urban)
    urban = urban * linear_ramp(relief, 0.75, 0.4)
    sites = linear_ramp(value_noise(x, y, 2_600, seed + 27), 0.6, 0.68)
    industry = sites * linear_ramp(city, 0.12, 0.2) * linear_ramp(city, 0.75, 0.6)
    return np.clip(urban, 0, 1.2).astype(np.float32), industry.astype(np.float32)


def _settlement_influence(
    x: Positions,
    y: Positions,
    seed: int,
    salt: int,
    cell_m: float,
    *,
    radius_m: tuple[float, float],
    peak: tuple[float, float],
    probability: float,
) -> Floats:
    """Return how built-up each node ``[n, n, B]`` is by the nearest settlements of one kind.

    The planet is divided into squares of `cell_m`; each has a settlement with `probability`, if its centre is
    on land. A settlement is a cone: `peak` high at its centre (smallest and largest settlement), 0 at
    `radius_m`. Radii are less than half a square, so only the 3 x 3 squares round a block can reach it:

    ::

        +---+---+---+
        | 0 | 1 | 2 |
        +---+---+---+
        | 3 | B | 5 |     B: the square in which the block's middle lies
        +---+---+---+
        | 6 | 7 | 8 |
        +---+---+---+
    """
    u, cell_count = lattice_coordinates(x.mean((0, 1)), cell_m)
    v, _ = lattice_coordinates(y.mean((0, 1)), cell_m)
    neighbours = np.array([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)])
    column = np.floor(u).astype(np.int64) + neighbours[:, :1]  # [9, B]
    row = np.floor(v).astype(np.int64) + neighbours[:, 1:]
    key = column % cell_count
    size = hash_to_unit(key, row, seed + salt + 3) ** 2  # many small, few large
    jitter_x, jitter_y = (0.4 * hash_to_unit(key, row, seed + salt + n) for n in (1, 2))
    centre_x = ((column + 0.3 + jitter_x) / cell_count - 0.5) * CIRCUMFERENCE_M
    centre_y = ((row + 0.3 + jitter_y) / cell_count - 0.5) * CIRCUMFERENCE_M
    exists = hash_to_unit(key, row, seed + salt + 4) < probability
    # Wrapped, so that a settlement beyond the antimeridian stands on the same land seen from either side.
    wrapped_x = (centre_x / CIRCUMFERENCE_M + 0.5) % 1.0 * CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2
    exists &= _elevation(wrapped_x, centre_y, seed) > 0.004
    radius = radius_m[0] + size * (radius_m[1] - radius_m[0])
    height = np.where(exists, peak[0] + size * (peak[1] - peak[0]), 0)
    influence = np.zeros(x.shape, np.float32)
    for k in range(9):
        distance = np.hypot(x - centre_x[k], y - centre_y[k])
        influence = np.maximum(influence, height[k] * (1 - distance / radius[k]))
    return influence
