# ruff: noqa: E501 (a table, one row a line)
"""What a ground photo can show, and how likely it is at a place and a time: the truth that maps are measured against."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sat2cap.miniworld.planet.cover import ROOF_NAMES, Cover, variant
from sat2cap.miniworld.planet.noise import Floats, ramp, rise
from sat2cap.miniworld.surroundings import Moments, Places

C = Cover
Chance = Callable[[Places, Moments], Floats]


IN_THE_DARK = np.float32(0.3)
"""Of what does not shine, the share that a photo still shows by night."""


@dataclass(frozen=True)
class Concept:
    """Something a photo shows or does not."""

    name: str
    by_light: Chance
    """Probability ``[N]`` that a photo taken at a place and time would show it, were there light enough."""
    above: bool
    """Whether it can be seen from overhead, given fine enough pixels, on an ordinary day."""
    varies: str = ""
    """``month``, ``hour`` or ``month hour``: what changes it, darkness aside; empty for things that stay."""
    shines: bool = False
    """Whether it is seen in the dark as well as by day: a fire, lamps, the stars."""

    def chance(self, p: Places, m: Moments) -> Floats:
        """Probability ``[N]`` that a photo taken at a place and time shows it."""
        light = np.float32(1) if self.shines else IN_THE_DARK + (1 - IN_THE_DARK) * m.day
        return np.broadcast_to(self.by_light(p, m) * light, p.lat.shape).astype(np.float32)


def air_temperature(p: Places, m: Moments) -> Floats:
    """Degrees Celsius now, afternoon warmer than night."""
    degrees: Floats = p.temperature + p.swing * m.warmth + 3 * (m.day - 0.5)
    return degrees


def snow(p: Places, m: Moments) -> Floats:
    """Probability of lying snow ``[N]``: frost over the month, and not the driest land."""
    month_mean = p.temperature + p.swing * m.warmth
    land = 1 - p.sees(C.SEA, C.DEEP_SEA, enough=1.0)
    return rise(month_mean, 1.5, -3.0) * ramp(p.moisture, 0.02, 0.12) * land


def _roof(kind: int) -> Chance:
    def chance(p: Places, m: Moments) -> Floats:
        here: Floats = 0.9 * p.sees(C.HOUSES) * (variant(p.roof, len(ROOF_NAMES)) == kind)
        return here

    return chance


def _there(*kinds: Cover, most: float = 0.92, enough: float = 0.2) -> Chance:
    def chance(p: Places, m: Moments) -> Floats:
        return most * p.sees(*kinds, enough=enough)

    return chance


def _mild(p: Places, m: Moments) -> Floats:
    return rise(air_temperature(p, m), 9, 15)


def _hot(p: Places, m: Moments) -> Floats:
    return rise(air_temperature(p, m), 15, 21)


def _thawed(p: Places, m: Moments) -> Floats:
    return 1 - snow(p, m)


TOWN = (C.HOUSES, C.DOWNTOWN, C.STREET)
TREES = (C.BROADLEAF, C.CONIFER, C.PALM)

CONCEPTS: tuple[Concept, ...] = (
    # What stays, and is seen from above.
    Concept("sea", _there(C.SEA, C.DEEP_SEA), True),
    Concept("beach", _there(C.BEACH, enough=0.12), True),
    Concept("cliffs", _there(C.CLIFF, enough=0.12), True),
    Concept("river", _there(C.RIVER, enough=0.12), True),
    Concept("harbour", _there(C.HARBOUR), True),
    Concept("marsh", _there(C.MARSH), True),
    Concept("meadow", lambda p, m: 0.9 * p.sees(C.GRASS) * _thawed(p, m), True, "month"),
    Concept("broadleaf forest", _there(C.BROADLEAF), True),
    Concept("conifer forest", _there(C.CONIFER), True),
    Concept("palm trees", _there(C.PALM), True),
    Concept("desert", _there(C.DESERT), True),
    Concept("rocks", _there(C.ROCK), True),
    Concept("glacier", _there(C.ICE), True),
    Concept("wheat field", lambda p, m: 0.9 * p.sees(C.WHEAT) * _thawed(p, m), True, "month"),
    Concept("rice paddy", _there(C.RICE), True),
    Concept("vineyard", _there(C.VINEYARD), True),
    Concept("orchard", _there(C.ORCHARD), True),
    Concept("red roofs", _roof(0), True),
    Concept("grey roofs", _roof(1), True),
    Concept("white houses", _roof(2), True),
    Concept("thatched houses", _roof(3), True),
    Concept("skyscrapers", _there(C.DOWNTOWN, most=0.95), True),
    Concept("factory", _there(C.INDUSTRY), True),
    Concept("park", _there(C.PARK, enough=0.15), True),
    Concept("highway", _there(C.HIGHWAY, enough=0.1), True),
    Concept("country lane", _there(C.LANE, most=0.8, enough=0.1), True),
    Concept("mountains", lambda p, m: 0.9 * ramp(p.relief, 0.3, 0.6), True),
    # What cannot be seen from above.
    Concept("church", lambda p, m: 0.7 * ramp(p.urban, 0.15, 0.25) * ramp(p.urban, 0.7, 0.5) * p.sees(C.HOUSES), False),
    Concept("cows", lambda p, m: 0.75 * p.sees(C.PASTURE) * _mild(p, m) * m.day, False, "month hour"),
    Concept("traffic jam", lambda p, m: 0.9 * np.maximum(p.sees(C.HIGHWAY, enough=0.1), ramp(p.urban, 0.6, 0.8) * p.sees(C.STREET, C.DOWNTOWN)) * np.maximum(m.hours(7, 9), m.hours(16, 19)), False, "hour", shines=True),
    Concept("market", lambda p, m: 0.75 * ramp(p.urban, 0.3, 0.42) * p.sees(*TOWN) * m.hours(7.5, 12.5), False, "hour"),
    Concept("crowd", lambda p, m: 0.8 * p.sees(C.DOWNTOWN) * m.hours(9, 20, 2.0), False, "hour", shines=True),
    Concept("cafe terrace", lambda p, m: 0.75 * ramp(p.urban, 0.4, 0.55) * p.sees(*TOWN) * _mild(p, m) * m.hours(11, 22), False, "month hour", shines=True),
    Concept("festival", lambda p, m: 0.7 * ramp(p.urban, 0.3, 0.45) * p.sees(*TOWN) * m.summer * m.hours(19.5, 1), False, "month hour", shines=True),
    Concept("night lights", lambda p, m: 0.95 * p.sees(*TOWN, C.INDUSTRY) * (1 - m.day), False, "hour", shines=True),
    Concept("children playing", lambda p, m: 0.85 * p.sees(C.PARK, enough=0.15) * m.hours(13, 18) * rise(air_temperature(p, m), 2, 8), False, "month hour"),
    Concept("cyclists", lambda p, m: 0.6 * p.sees(C.PARK, C.LANE, C.HOUSES) * _mild(p, m) * m.day, False, "month hour"),
    Concept("umbrellas", lambda p, m: 0.5 * ramp(p.moisture, 0.3, 0.7) * p.sees(*TOWN) * m.hours(7, 20) * rise(air_temperature(p, m), 1, 5), False, "month hour"),
    Concept("workers", lambda p, m: 0.8 * p.sees(C.INDUSTRY) * m.hours(7, 17), False, "hour"),
    Concept("harvest", lambda p, m: 0.85 * p.sees(C.WHEAT) * m.hours(8, 19) * m.summer * _thawed(p, m), False, "month hour"),
    Concept("grape pickers", lambda p, m: 0.85 * p.sees(C.VINEYARD) * m.autumn * m.day, False, "month hour"),
    Concept("rice planting", lambda p, m: 0.8 * p.sees(C.RICE) * np.maximum(m.spring, 0.25) * m.hours(6, 17), False, "month hour"),
    Concept("blossom", lambda p, m: 0.9 * p.sees(C.ORCHARD) * m.spring, False, "month"),
    Concept("apples", lambda p, m: 0.85 * p.sees(C.ORCHARD) * m.autumn, False, "month"),
    Concept("autumn leaves", lambda p, m: 0.92 * p.sees(C.BROADLEAF, C.PARK) * m.autumn, False, "month"),
    Concept("wild flowers", lambda p, m: 0.8 * p.sees(C.GRASS) * m.spring * _thawed(p, m), False, "month"),
    Concept("snow", lambda p, m: np.maximum(snow(p, m), 0.95 * p.sees(C.ICE)), False, "month"),
    Concept("skiers", lambda p, m: 0.85 * ramp(p.relief, 0.25, 0.5) * snow(p, m) * m.hours(9, 16), False, "month hour"),
    Concept("hikers", lambda p, m: 0.8 * ramp(p.relief, 0.3, 0.6) * _thawed(p, m) * m.hours(8, 18), False, "month hour"),
    Concept("bathers", lambda p, m: 0.9 * p.sees(C.BEACH, enough=0.12) * _hot(p, m) * m.hours(10, 18), False, "month hour"),
    Concept("surfers", lambda p, m: 0.6 * p.sees(C.BEACH, C.CLIFF, enough=0.12) * _mild(p, m) * m.hours(7, 17), False, "month hour"),
    Concept("sailing boats", lambda p, m: 0.75 * p.sees(C.SEA, C.HARBOUR) * rise(air_temperature(p, m), 10, 17) * m.day, False, "month hour"),
    Concept("fishermen", lambda p, m: 0.8 * p.sees(C.HARBOUR, C.RIVER, enough=0.12) * m.hours(4.5, 9), False, "hour"),
    Concept("fog", lambda p, m: 0.85 * p.sees(C.MARSH, C.RIVER, enough=0.12) * m.hours(4, 9.5) * np.maximum(m.autumn, 0.35), False, "month hour"),
    Concept("geese", lambda p, m: 0.8 * p.sees(C.MARSH) * np.maximum(m.autumn, m.spring) * m.day, False, "month hour"),
    Concept("camp fire", lambda p, m: 0.75 * p.sees(*TREES) * rise(air_temperature(p, m), 8, 14) * m.hours(20, 3), False, "month hour", shines=True),
    Concept("camels", lambda p, m: 0.7 * p.sees(C.DESERT) * m.day, False, "hour"),
    Concept("sunset", lambda p, m: 0.75 * m.dusk, False, "month hour", shines=True),
    Concept("starry sky", lambda p, m: 0.85 * (1 - m.day) * ramp(p.urban, 0.3, 0.1), False, "month hour", shines=True),
    Concept("blue sky", lambda p, m: m.day * (1 - m.dusk) * (0.85 - 0.65 * p.moisture), False, "month hour"),
)  # fmt: skip
"""Every concept, in the order of the columns of `chances`."""

NAMES = tuple(concept.name for concept in CONCEPTS)


def chances(p: Places, m: Moments) -> Floats:
    """Probability that a photo at each place and time shows each concept, ``[N, len(CONCEPTS)]``."""
    return np.stack([c.chance(p, m) for c in CONCEPTS], 1)
