"""Where and when people take photos: clustered where they live and travel, mostly by day."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.planet.cover import cover
from sat2cap.miniworld.planet.land import CITY_CELL_M, VILLAGE_CELL_M, ground, latitude, mercator
from sat2cap.miniworld.planet.noise import CIRCUMFERENCE_M, Floats, Positions

Random = np.random.Generator

YEARS = (2008, 2024)
"""First and last year in which the planet takes photos."""

APPEAL = np.array(
    [
        0.02,
        0.3,
        1,
        1,
        0.8,
        0.1,
        0.1,
        0.1,
        0.1,
        0.12,
        0.15,
        0.6,
        0.25,
        0.3,
        0.6,
        0.6,
        0.2,
        0.7,
        1,
        0.8,
        1,
        1,
        0.8,
        0.7,
        0.8,
        0.5,
    ],
    np.float32,
)
"""Chance that a photographer who passes stops, for each `Cover`."""


@dataclass(frozen=True)
class Bounds:
    """A box of degrees; photos are taken inside it."""

    west: float = -180.0
    south: float = -62.0
    east: float = 180.0
    north: float = 66.0


@dataclass(frozen=True)
class Shot:
    """Where and when one photo was taken: the truth, before anything is written down wrongly."""

    lon: float
    lat: float
    taken: datetime


def shots(
    seed: int, world_seed: int, count: int, bounds: Bounds = Bounds(), appeal: Floats = APPEAL
) -> list[Shot]:
    """`count` photos, always the same for the same arguments; a longer list begins with the shorter one."""
    found: list[Shot] = []
    for batch in _batches(seed, world_seed, bounds, appeal):
        found += batch
        if len(found) >= count:
            return found[:count]
    raise AssertionError("unreachable: the planet has no end of photographers")


def _batches(seed: int, world_seed: int, bounds: Bounds, appeal: Floats) -> Iterator[list[Shot]]:
    r = np.random.default_rng([seed, 4001])
    while True:
        lon, lat = _wanderers(r, 4096, bounds)
        x, y = mercator(lon, lat)
        here = cover(ground(x[:, None, None], y[:, None, None], world_seed), world_seed)[:, 0, 0]
        keep = r.random(len(lon)) < appeal[here]
        lon, lat = lon[keep], lat[keep]
        yield [Shot(float(a), float(b), t) for a, b, t in zip(lon, lat, _times(r, len(lon)), strict=True)]


def _wanderers(r: Random, count: int, bounds: Bounds) -> tuple[Positions, Positions]:
    """Candidate places: a third anywhere by area, the rest close to where settlements may stand."""
    low, high = np.sin(np.radians([bounds.south, bounds.north]))
    lon = r.uniform(bounds.west, bounds.east, count)
    lat = np.degrees(np.arcsin(r.uniform(low, high, count)))
    x, y = mercator(lon, lat)
    kind = r.random(count)
    for first, last, cell, spread in ((0.33, 0.6, VILLAGE_CELL_M, 450.0), (0.6, 1.0, CITY_CELL_M, 1_800.0)):
        chosen = (kind >= first) & (kind < last)
        size = CIRCUMFERENCE_M / round(CIRCUMFERENCE_M / cell)
        for values in (x, y):
            middle = (np.floor(values[chosen] / size) + 0.5) * size
            values[chosen] = (
                middle + r.uniform(-0.2, 0.2, chosen.sum()) * size + r.normal(0, spread, chosen.sum())
            )
    lon, lat = (x / CIRCUMFERENCE_M * 360 + 180) % 360 - 180, latitude(y)
    inside = (lon >= bounds.west) & (lon <= bounds.east) & (lat >= bounds.south) & (lat <= bounds.north)
    return lon[inside], lat[inside]


def _times(r: Random, count: int) -> list[datetime]:
    """Any day of the year; hours mostly around the early afternoon, a third at any time."""
    first = np.datetime64(f"{YEARS[0]}-01-01", "D")
    days = int((np.datetime64(f"{YEARS[1] + 1}-01-01", "D") - first).astype(int))
    date = first + r.integers(0, days, count).astype("timedelta64[D]")
    hour = np.where(r.random(count) < 0.35, r.uniform(0, 24, count), r.normal(14, 4, count) % 24)
    moment: NDArray[np.datetime64] = date.astype("datetime64[s]") + (hour * 3600).astype("timedelta64[s]")
    return [datetime.fromisoformat(str(m)) for m in moment]
