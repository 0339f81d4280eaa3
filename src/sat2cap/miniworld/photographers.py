"""Photographers of a planet: where and when they take photos; close to settlements and mostly by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.cover import LandCover, classify_land_cover
from sat2cap.miniworld.planet.land import (
    CITY_CELL_M,
    VILLAGE_CELL_M,
    sample_terrain,
    to_latitude,
    to_web_mercator,
)
from sat2cap.miniworld.planet.noise import CIRCUMFERENCE_M, Floats, Positions

Random = np.random.Generator

PHOTO_YEARS = (2008, 2024)
"""First and last year in which photos are taken."""

_C = LandCover
_APPEAL_BY_COVER = {
    _C.DEEP_SEA: 0.02, _C.SEA: 0.3, _C.BEACH: 1, _C.CLIFF: 1, _C.MARSH: 0.8, _C.GRASS: 0.1,
    _C.BROADLEAF: 0.1, _C.CONIFER: 0.1, _C.PALM: 0.1, _C.DESERT: 0.12, _C.ROCK: 0.15, _C.ICE: 0.6,
    _C.WHEAT: 0.25, _C.RICE: 0.3, _C.VINEYARD: 0.6, _C.ORCHARD: 0.6, _C.PASTURE: 0.2, _C.HOUSES: 0.7,
    _C.DOWNTOWN: 1, _C.INDUSTRY: 0.8, _C.PARK: 1, _C.HARBOUR: 1, _C.STREET: 0.8, _C.HIGHWAY: 0.7,
    _C.RIVER: 0.8, _C.LANE: 0.5,
}  # fmt: skip
COVER_APPEAL = np.array([_APPEAL_BY_COVER[cover] for cover in LandCover], np.float32)
"""Probability that a passing photographer takes a photo, for each `LandCover`, float32 ``[26]``."""


@dataclass(frozen=True)
class LonLatBounds:
    """A box in degrees in which photos are taken; by default most of the land where people live."""

    west: float = -180.0
    south: float = -62.0
    east: float = 180.0
    north: float = 66.0


@dataclass(frozen=True)
class Shot:
    """The true place and time of one photo, before its record is written, perhaps wrongly."""

    lon: float
    """Degrees east."""
    lat: float
    """Degrees north."""
    taken: datetime
    """Local time."""


def simulate_shots(
    seed: int,
    world_seed: int,
    count: int,
    bounds: LonLatBounds = LonLatBounds(),
    appeal: Floats = COVER_APPEAL,
) -> list[Shot]:
    """Return `count` shots within `bounds`, always the same for the same arguments.

    A longer list begins with the shorter one. `appeal` is the probability of a photo for each `LandCover`,
    0 to 1, in the order of the enumeration, as `COVER_APPEAL`.
    """
    shots: list[Shot] = []
    for batch in _shot_batches(seed, world_seed, bounds, appeal):
        shots += batch
        if len(shots) >= count:
            return shots[:count]
    raise AssertionError("unreachable: batches of shots never end")


def _shot_batches(seed: int, world_seed: int, bounds: LonLatBounds, appeal: Floats) -> Iterator[list[Shot]]:
    """Yield batches of shots without end.

    Each batch begins as candidates, and is thinned by the appeal of the land cover where they stand.
    """
    r = np.random.default_rng([seed, 4001])
    while True:
        lon, lat = _candidate_positions(r, 4096, bounds)
        x, y = to_web_mercator(lon, lat)
        terrain = sample_terrain(x[:, None, None], y[:, None, None], world_seed)
        cover = classify_land_cover(terrain, world_seed)[:, 0, 0]
        taken = r.random(len(lon)) < appeal[cover]
        lon, lat = lon[taken], lat[taken]
        times = _sample_times(r, len(lon))
        yield [Shot(float(a), float(b), t) for a, b, t in zip(lon, lat, times, strict=True)]


def _candidate_positions(r: Random, count: int, bounds: LonLatBounds) -> tuple[Positions, Positions]:
    """Return degrees ``(lon, lat)`` of at most `count` candidates in the bounds.

    A third lie anywhere, evenly by area; the others near the middle of the squares that may hold a village
    (27 %) or a city (40 %), see `land`.
    """
    low, high = np.sin(np.radians([bounds.south, bounds.north]))
    lon = r.uniform(bounds.west, bounds.east, count)
    lat = np.degrees(np.arcsin(r.uniform(low, high, count)))
    x, y = to_web_mercator(lon, lat)
    kind = r.random(count)
    for first, last, cell_m, spread_m in (
        (0.33, 0.6, VILLAGE_CELL_M, 450.0),
        (0.6, 1.0, CITY_CELL_M, 1_800.0),
    ):
        near = (kind >= first) & (kind < last)
        size = CIRCUMFERENCE_M / round(CIRCUMFERENCE_M / cell_m)
        for values in (x, y):
            middle = (np.floor(values[near] / size) + 0.5) * size
            values[near] = (
                middle + r.uniform(-0.2, 0.2, near.sum()) * size + r.normal(0, spread_m, near.sum())
            )
    lon, lat = (x / CIRCUMFERENCE_M * 360 + 180) % 360 - 180, to_latitude(y)
    inside = (lon >= bounds.west) & (lon <= bounds.east) & (lat >= bounds.south) & (lat <= bounds.north)
    return lon[inside], lat[inside]


def _sample_times(r: Random, count: int) -> list[datetime]:
    """Return local times on any day of `PHOTO_YEARS`.

    Two thirds of the hours lie around the early afternoon, a third anywhere.
    """
    first = np.datetime64(f"{PHOTO_YEARS[0]}-01-01", "D")
    days = int((np.datetime64(f"{PHOTO_YEARS[1] + 1}-01-01", "D") - first).astype(int))
    date = first + r.integers(0, days, count).astype("timedelta64[D]")
    hour = np.where(r.random(count) < 0.35, r.uniform(0, 24, count), r.normal(14, 4, count) % 24)
    times: NDArray[np.datetime64] = date.astype("datetime64[s]") + (hour * 3600).astype("timedelta64[s]")
    return [datetime.fromisoformat(str(time)) for time in times]
