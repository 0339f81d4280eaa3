"""The shape of the planet: continuous fields on a fixed lattice of nodes, bilinear between them.

The lattice is the definition, not an approximation: whoever asks for a place, at any resolution, interpolates
the same nodes, so neighbouring images join and photos, overhead images and truth agree about what is where.
"""

from dataclasses import dataclass

import numpy as np

from sat2cap.miniworld.planet.noise import (
    CIRCUMFERENCE_M,
    Floats,
    Positions,
    fractal,
    hash01,
    lattice,
    noise,
    ramp,
)

NODE_M = CIRCUMFERENCE_M / 333_958
"""Almost 120 m; a whole and even number of nodes goes round the planet, so they meet at the antimeridian."""
EARTH_RADIUS_M = CIRCUMFERENCE_M / (2 * np.pi)
CITY_CELL_M, VILLAGE_CELL_M = 22_000.0, 3_600.0

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


@dataclass(frozen=True)
class Ground:
    """The fields at positions: each array float32, of the positions' shape ``[B, ...]``."""

    x: Positions
    """Web Mercator metres east."""
    y: Positions
    """Web Mercator metres north."""
    values: dict[str, Floats]
    """By name from `FIELDS`."""

    def __getitem__(self, name: str) -> Floats:
        return self.values[name]


def mercator(lon: Positions, lat: Positions) -> tuple[Positions, Positions]:
    """Web Mercator metres of degrees; latitudes beyond 85 are held there."""
    phi = np.radians(np.clip(lat, -85.0, 85.0))
    return np.radians(lon) * EARTH_RADIUS_M, np.arcsinh(np.tan(phi)) * EARTH_RADIUS_M


def latitude(y: Positions) -> Positions:
    """Degrees north of Web Mercator `y`."""
    return np.degrees(np.arctan(np.sinh(y / EARTH_RADIUS_M)))


def ground(x: Positions, y: Positions, seed: int, names: tuple[str, ...] = FIELDS) -> Ground:
    """The fields at blocks of positions ``[B, ...]``; each block spans at most a few kilometres.

    `x` and `y` broadcast against each other. Every block is covered by its own few lattice nodes, so the cost
    grows with area, not with pixels.
    """
    x, y = np.broadcast_arrays(x, y)
    flat_x, flat_y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    first_x, first_y = (np.floor(v.min(1) / NODE_M).astype(np.int64) for v in (flat_x, flat_y))
    span = max(int(np.floor(v.max(1) / NODE_M - f).max()) for v, f in ((flat_x, first_x), (flat_y, first_y)))
    side = span + 3  # one node beyond the last corner, for slopes
    node_x = (first_x[:, None, None] + np.arange(side)[None, None, :]) * NODE_M + np.zeros((1, side, 1))
    node_y = (first_y[:, None, None] + np.arange(side)[None, :, None]) * NODE_M + np.zeros((1, 1, side))
    nodes = _nodes(node_x, node_y, seed)

    u, v = flat_x / NODE_M - first_x[:, None], flat_y / NODE_M - first_y[:, None]
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    s, t = (u - column).astype(np.float32), (v - row).astype(np.float32)
    corner = (np.arange(len(x))[:, None] * side + row) * side + column
    weights = ((1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t)
    offsets = (0, 1, side, side + 1)
    values = {
        name: sum(w * nodes[name].ravel()[corner + o] for w, o in zip(weights, offsets, strict=True)).reshape(
            x.shape
        )
        for name in names
    }
    # Parcels and grain hash positions: name a place beyond the antimeridian as its own side does.
    return Ground((x / CIRCUMFERENCE_M + 0.5) % 1.0 * CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2, y, values)


def _nodes(x: Positions, y: Positions, seed: int) -> dict[str, Floats]:
    """All fields at lattice nodes ``[B, n, n]``."""
    lat = latitude(y)
    elevation = _elevation(x, y, seed)
    range_mask = ramp(noise(x, y, 36_000, seed + 11), 0.58, 0.8) * ramp(elevation, 0.0, 0.05)
    ridges = 1 - np.abs(2 * fractal(x, y, 9_000, 3, seed + 12) - 1)
    relief = np.clip(range_mask * (0.35 + 0.9 * ramp(ridges, 0.35, 1.0)), 0, 1)
    height = np.maximum(elevation, 0) * 350 + relief * 2200 * ramp(ridges, 0.2, 1.0)
    sine = np.sin(np.radians(lat)).astype(np.float32)
    temperature = 28 - 36 * sine**2 - 0.0055 * height + 8 * (noise(x, y, 90_000, seed + 13) - 0.5)
    arid = np.exp(-(((np.abs(lat) - 24) / 9) ** 2)).astype(np.float32)
    moisture = np.clip(1.6 * fractal(x, y, 24_000, 2, seed + 14) - 0.25 - 0.35 * arid, 0, 1)
    urban, industry = _settled(x, y, seed, relief)
    wild = 1 - ramp(urban, 0.08, 0.2)
    farm = ramp(fractal(x, y, 9_000, 2, seed + 16) + 0.25 * ramp(urban, 0.0, 0.15), 0.36, 0.5)
    farm = farm * ramp(relief, 0.25, 0.1) * ramp(temperature, 1, 4) * ramp(moisture, 0.12, 0.25) * wild
    forest = ramp(fractal(x, y, 5_000, 3, seed + 15) + 0.7 * (moisture - 0.5), 0.42, 0.58)
    forest = forest * ramp(height, 1900, 1500) * ramp(temperature, -6, -2) * wild
    return {
        "elevation": elevation,
        "height": height.astype(np.float32),
        "relief": relief.astype(np.float32),
        "temperature": temperature.astype(np.float32),
        "swing": (15 * np.abs(sine) * (0.8 + 0.4 * noise(x, y, 120_000, seed + 17))).astype(np.float32),
        "moisture": moisture.astype(np.float32),
        "forest": forest.astype(np.float32),
        "farm": farm.astype(np.float32),
        "river": fractal(x, y, 14_000, 2, seed + 18) - np.float32(0.5),
        "highway": fractal(x, y, 18_000, 2, seed + 19) - np.float32(0.5),
        "lane": fractal(x, y, 3_500, 2, seed + 20) - np.float32(0.5),
        "warp_x": 900 * noise(x, y, 3_200, seed + 21),
        "warp_y": 900 * noise(x, y, 3_200, seed + 22),
        "urban": urban,
        "industry": industry,
        "shade": _shade(height),
        "roof": np.clip(1.7 * fractal(x, y, 30_000, 2, seed + 23) - 0.35, 0, 1),
        "sand": np.clip(1.7 * noise(x, y, 25_000, seed + 24) - 0.35, 0, 1),
        "water": np.clip(1.7 * noise(x, y, 35_000, seed + 25) - 0.35, 0, 1),
    }


def _elevation(x: Positions, y: Positions, seed: int) -> Floats:
    return fractal(x, y, 30_000, 5, seed + 10) - np.float32(0.3)


def _shade(height: Floats) -> Floats:
    """Light from the north-west; the last row and column are flat, for want of a neighbour; never used."""
    slope = np.diff(height, axis=-1, append=height[..., -1:]) - np.diff(
        height, axis=-2, append=height[..., -1:, :]
    )
    light: Floats = np.clip(1 - slope * np.float32(0.006), 0.55, 1.35).astype(np.float32)
    return light


def _settled(x: Positions, y: Positions, seed: int, relief: Floats) -> tuple[Floats, Floats]:
    """How built-up each node is, and how industrial, from cities, towns, villages and hamlets."""
    drift = noise(x, y, 4_500, seed + 38) - 0.5, noise(x, y, 4_500, seed + 39) - 0.5
    city = _influence(
        x + 5_000 * drift[0],
        y + 5_000 * drift[1],
        seed,
        30,
        CITY_CELL_M,
        radius_m=(2_600, 6_500),
        peak=(0.8, 1.3),
        chance=0.8,
    )
    bend = noise(x, y, 1_300, seed + 28) - 0.5, noise(x, y, 1_300, seed + 29) - 0.5
    village = _influence(
        x + 700 * bend[0],
        y + 700 * bend[1],
        seed,
        40,
        VILLAGE_CELL_M,
        radius_m=(420, 1_050),
        peak=(0.28, 0.62),
        chance=0.5,
    )
    rough = 0.22 * (fractal(x, y, 900, 2, seed + 26) - 0.5)
    urban = np.maximum(city, village)
    urban = np.where(urban > 0.02, urban + rough * ramp(urban, 0.02, 0.3), urban) * ramp(relief, 0.75, 0.4)
    sites = ramp(noise(x, y, 2_600, seed + 27), 0.6, 0.68)
    industry = sites * ramp(city, 0.12, 0.2) * ramp(city, 0.75, 0.6)
    return np.clip(urban, 0, 1.2).astype(np.float32), industry.astype(np.float32)


def _influence(
    x: Positions,
    y: Positions,
    seed: int,
    salt: int,
    cell_m: float,
    *,
    radius_m: tuple[float, float],
    peak: tuple[float, float],
    chance: float,
) -> Floats:
    """The strongest settlement's pull on each node ``[B, n, n]``: a cone with noise, one candidate a cell.

    A settlement reaches less than half a cell beyond its own, so the 3 x 3 cells round a block suffice.
    """
    u, count = lattice(x.mean((1, 2)), cell_m)
    v, _ = lattice(y.mean((1, 2)), cell_m)
    near = np.array([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)])
    column = np.floor(u).astype(np.int64)[:, None] + near[:, 0]  # [B, 9]
    row = np.floor(v).astype(np.int64)[:, None] + near[:, 1]
    key = column % count
    size = hash01(key, row, seed + salt + 3) ** 2  # many small, few large
    centre_x = ((column + 0.3 + 0.4 * hash01(key, row, seed + salt + 1)) / count - 0.5) * CIRCUMFERENCE_M
    centre_y = ((row + 0.3 + 0.4 * hash01(key, row, seed + salt + 2)) / count - 0.5) * CIRCUMFERENCE_M
    real = hash01(key, row, seed + salt + 4) < chance
    # Wrapped, so that a settlement beyond the antimeridian stands on the same land seen from either side.
    wrapped = (centre_x / CIRCUMFERENCE_M + 0.5) % 1.0 * CIRCUMFERENCE_M - CIRCUMFERENCE_M / 2
    real &= _elevation(wrapped, centre_y, seed) > 0.004
    reach = radius_m[0] + size * (radius_m[1] - radius_m[0])
    top = np.where(real, peak[0] + size * (peak[1] - peak[0]), 0)
    pull = np.zeros(x.shape, np.float32)
    for k in range(9):
        distance = np.hypot(x - centre_x[:, k, None, None], y - centre_y[:, k, None, None])
        pull = np.maximum(pull, top[:, k, None, None] * (1 - distance / reach[:, k, None, None]))
    return pull
