# ruff: noqa: E501 (a table, one row a line)
"""Concepts: what a ground photo can show, and how likely it is at a place and a time.

These probabilities are the truth that maps are measured against.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sat2cap.miniworld.planet.cover import ROOF_NAMES, LandCover, variant_index
from sat2cap.miniworld.planet.noise import Floats, linear_ramp, logistic_ramp
from sat2cap.miniworld.surroundings import LocalTimes, Surroundings

C = LandCover
ProbabilityFunction = Callable[[Surroundings, LocalTimes], Floats]
"""From N places and times to probabilities ``[N]``."""

VISIBILITY_IN_THE_DARK = np.float32(0.3)
"""Probability at night of a concept that emits no light, relative to its probability by day."""


@dataclass(frozen=True)
class Concept:
    """Something that a photo shows or does not show."""

    name: str
    """Name that captions, prompts and maps of the truth refer to."""
    daylight_probability: ProbabilityFunction
    """Probability ``[N]`` that a photo taken at a place and time would show it, if there were enough light."""
    visible_from_above: bool
    """Whether it can be seen from overhead, given fine enough pixels, on an ordinary day."""
    varies_with: str = ""
    """``month``, ``hour`` or ``month hour``: what its daylight probability depends on; empty for neither."""
    emits_light: bool = False
    """Whether it is seen in the dark as well as by day: a fire, lamps, the stars."""

    def probability(self, surroundings: Surroundings, times: LocalTimes) -> Floats:
        """Return the probability that a photo taken at each place and time shows it, float32 ``[N]``."""
        dimmed = VISIBILITY_IN_THE_DARK + (1 - VISIBILITY_IN_THE_DARK) * times.day
        light = np.float32(1) if self.emits_light else dimmed
        probability = self.daylight_probability(surroundings, times) * light
        return np.broadcast_to(probability, surroundings.lat.shape).astype(np.float32)


def air_temperature_c(s: Surroundings, t: LocalTimes) -> Floats:
    """Return the air temperature in degrees Celsius, ``[N]``; afternoons are warmer than nights."""
    degrees: Floats = s.temperature + s.swing * t.warmth + 3 * (t.day - 0.5)
    return degrees


def snow_probability(s: Surroundings, t: LocalTimes) -> Floats:
    """Return the probability of lying snow ``[N]``: where the month is freezing and the land not too dry."""
    month_mean_c = s.temperature + s.swing * t.warmth
    land = 1 - s.in_view(C.SEA, C.DEEP_SEA, full_share=1.0)
    return logistic_ramp(month_mean_c, 1.5, -3.0) * linear_ramp(s.moisture, 0.02, 0.12) * land


def _if_roofs(variant: int) -> ProbabilityFunction:
    """Return the probability of houses with roofs of one variant, an index into `ROOF_NAMES`."""

    def probability(s: Surroundings, t: LocalTimes) -> Floats:
        roofs: Floats = 0.9 * s.in_view(C.HOUSES) * (variant_index(s.roof, len(ROOF_NAMES)) == variant)
        return roofs

    return probability


def _if_in_view(*covers: LandCover, highest: float = 0.92, full_share: float = 0.2) -> ProbabilityFunction:
    """Return a probability that rises to `highest` as these covers take `full_share` of the view."""

    def probability(s: Surroundings, t: LocalTimes) -> Floats:
        return highest * s.in_view(*covers, full_share=full_share)

    return probability


def _mild_weather(s: Surroundings, t: LocalTimes) -> Floats:
    return logistic_ramp(air_temperature_c(s, t), 9, 15)


def _hot_weather(s: Surroundings, t: LocalTimes) -> Floats:
    return logistic_ramp(air_temperature_c(s, t), 15, 21)


def _no_snow(s: Surroundings, t: LocalTimes) -> Floats:
    return 1 - snow_probability(s, t)


TOWN_COVERS = (C.HOUSES, C.DOWNTOWN, C.STREET)
TREE_COVERS = (C.BROADLEAF, C.CONIFER, C.PALM)

CONCEPTS: tuple[Concept, ...] = (
    # What stays, and is seen from above.
    Concept("sea", _if_in_view(C.SEA, C.DEEP_SEA), True),
    Concept("beach", _if_in_view(C.BEACH, full_share=0.12), True),
    Concept("cliffs", _if_in_view(C.CLIFF, full_share=0.12), True),
    Concept("river", _if_in_view(C.RIVER, full_share=0.12), True),
    Concept("harbour", _if_in_view(C.HARBOUR), True),
    Concept("marsh", _if_in_view(C.MARSH), True),
    Concept("meadow", lambda s, t: 0.9 * s.in_view(C.GRASS) * _no_snow(s, t), True, "month"),
    Concept("broadleaf forest", _if_in_view(C.BROADLEAF), True),
    Concept("conifer forest", _if_in_view(C.CONIFER), True),
    Concept("palm trees", _if_in_view(C.PALM), True),
    Concept("desert", _if_in_view(C.DESERT), True),
    Concept("rocks", _if_in_view(C.ROCK), True),
    Concept("glacier", _if_in_view(C.ICE), True),
    Concept("wheat field", lambda s, t: 0.9 * s.in_view(C.WHEAT) * _no_snow(s, t), True, "month"),
    Concept("rice paddy", _if_in_view(C.RICE), True),
    Concept("vineyard", _if_in_view(C.VINEYARD), True),
    Concept("orchard", _if_in_view(C.ORCHARD), True),
    Concept("red roofs", _if_roofs(0), True),
    Concept("grey roofs", _if_roofs(1), True),
    Concept("white houses", _if_roofs(2), True),
    Concept("thatched houses", _if_roofs(3), True),
    Concept("skyscrapers", _if_in_view(C.DOWNTOWN, highest=0.95), True),
    Concept("factory", _if_in_view(C.INDUSTRY), True),
    Concept("park", _if_in_view(C.PARK, full_share=0.15), True),
    Concept("highway", _if_in_view(C.HIGHWAY, full_share=0.1), True),
    Concept("country lane", _if_in_view(C.LANE, highest=0.8, full_share=0.1), True),
    Concept("mountains", lambda s, t: 0.9 * linear_ramp(s.relief, 0.3, 0.6), True),
    # What cannot be seen from above.
    Concept("church", lambda s, t: 0.7 * linear_ramp(s.urban, 0.15, 0.25) * linear_ramp(s.urban, 0.7, 0.5) * s.in_view(C.HOUSES), False),
    Concept("cows", lambda s, t: 0.75 * s.in_view(C.PASTURE) * _mild_weather(s, t) * t.day, False, "month hour"),
    Concept("traffic jam", lambda s, t: 0.9 * np.maximum(s.in_view(C.HIGHWAY, full_share=0.1), linear_ramp(s.urban, 0.6, 0.8) * s.in_view(C.STREET, C.DOWNTOWN)) * np.maximum(t.between_hours(7, 9), t.between_hours(16, 19)), False, "hour", emits_light=True),
    Concept("market", lambda s, t: 0.75 * linear_ramp(s.urban, 0.3, 0.42) * s.in_view(*TOWN_COVERS) * t.between_hours(7.5, 12.5), False, "hour"),
    Concept("crowd", lambda s, t: 0.8 * s.in_view(C.DOWNTOWN) * t.between_hours(9, 20, 2.0), False, "hour", emits_light=True),
    Concept("cafe terrace", lambda s, t: 0.75 * linear_ramp(s.urban, 0.4, 0.55) * s.in_view(*TOWN_COVERS) * _mild_weather(s, t) * t.between_hours(11, 22), False, "month hour", emits_light=True),
    Concept("festival", lambda s, t: 0.7 * linear_ramp(s.urban, 0.3, 0.45) * s.in_view(*TOWN_COVERS) * t.summer * t.between_hours(19.5, 1), False, "month hour", emits_light=True),
    Concept("night lights", lambda s, t: 0.95 * s.in_view(*TOWN_COVERS, C.INDUSTRY) * (1 - t.day), False, "hour", emits_light=True),
    Concept("children playing", lambda s, t: 0.85 * s.in_view(C.PARK, full_share=0.15) * t.between_hours(13, 18) * logistic_ramp(air_temperature_c(s, t), 2, 8), False, "month hour"),
    Concept("cyclists", lambda s, t: 0.6 * s.in_view(C.PARK, C.LANE, C.HOUSES) * _mild_weather(s, t) * t.day, False, "month hour"),
    Concept("umbrellas", lambda s, t: 0.5 * linear_ramp(s.moisture, 0.3, 0.7) * s.in_view(*TOWN_COVERS) * t.between_hours(7, 20) * logistic_ramp(air_temperature_c(s, t), 1, 5), False, "month hour"),
    Concept("workers", lambda s, t: 0.8 * s.in_view(C.INDUSTRY) * t.between_hours(7, 17), False, "hour"),
    Concept("harvest", lambda s, t: 0.85 * s.in_view(C.WHEAT) * t.between_hours(8, 19) * t.summer * _no_snow(s, t), False, "month hour"),
    Concept("grape pickers", lambda s, t: 0.85 * s.in_view(C.VINEYARD) * t.autumn * t.day, False, "month hour"),
    Concept("rice planting", lambda s, t: 0.8 * s.in_view(C.RICE) * np.maximum(t.spring, 0.25) * t.between_hours(6, 17), False, "month hour"),
    Concept("blossom", lambda s, t: 0.9 * s.in_view(C.ORCHARD) * t.spring, False, "month"),
    Concept("apples", lambda s, t: 0.85 * s.in_view(C.ORCHARD) * t.autumn, False, "month"),
    Concept("autumn leaves", lambda s, t: 0.92 * s.in_view(C.BROADLEAF, C.PARK) * t.autumn, False, "month"),
    Concept("wild flowers", lambda s, t: 0.8 * s.in_view(C.GRASS) * t.spring * _no_snow(s, t), False, "month"),
    Concept("snow", lambda s, t: np.maximum(snow_probability(s, t), 0.95 * s.in_view(C.ICE)), False, "month"),
    Concept("skiers", lambda s, t: 0.85 * linear_ramp(s.relief, 0.25, 0.5) * snow_probability(s, t) * t.between_hours(9, 16), False, "month hour"),
    Concept("hikers", lambda s, t: 0.8 * linear_ramp(s.relief, 0.3, 0.6) * _no_snow(s, t) * t.between_hours(8, 18), False, "month hour"),
    Concept("bathers", lambda s, t: 0.9 * s.in_view(C.BEACH, full_share=0.12) * _hot_weather(s, t) * t.between_hours(10, 18), False, "month hour"),
    Concept("surfers", lambda s, t: 0.6 * s.in_view(C.BEACH, C.CLIFF, full_share=0.12) * _mild_weather(s, t) * t.between_hours(7, 17), False, "month hour"),
    Concept("sailing boats", lambda s, t: 0.75 * s.in_view(C.SEA, C.HARBOUR) * logistic_ramp(air_temperature_c(s, t), 10, 17) * t.day, False, "month hour"),
    Concept("fishermen", lambda s, t: 0.8 * s.in_view(C.HARBOUR, C.RIVER, full_share=0.12) * t.between_hours(4.5, 9), False, "hour"),
    Concept("fog", lambda s, t: 0.85 * s.in_view(C.MARSH, C.RIVER, full_share=0.12) * t.between_hours(4, 9.5) * np.maximum(t.autumn, 0.35), False, "month hour"),
    Concept("geese", lambda s, t: 0.8 * s.in_view(C.MARSH) * np.maximum(t.autumn, t.spring) * t.day, False, "month hour"),
    Concept("camp fire", lambda s, t: 0.75 * s.in_view(*TREE_COVERS) * logistic_ramp(air_temperature_c(s, t), 8, 14) * t.between_hours(20, 3), False, "month hour", emits_light=True),
    Concept("camels", lambda s, t: 0.7 * s.in_view(C.DESERT) * t.day, False, "hour"),
    Concept("sunset", lambda s, t: 0.75 * t.dusk, False, "month hour", emits_light=True),
    Concept("starry sky", lambda s, t: 0.85 * (1 - t.day) * linear_ramp(s.urban, 0.3, 0.1), False, "month hour", emits_light=True),
    Concept("blue sky", lambda s, t: t.day * (1 - t.dusk) * (0.85 - 0.65 * s.moisture), False, "month hour"),
)  # fmt: skip
"""Every concept, in the order of the columns of `concept_probabilities`."""

CONCEPT_NAMES = tuple(concept.name for concept in CONCEPTS)
"""Names of `CONCEPTS`, in the same order."""


def concept_probabilities(surroundings: Surroundings, times: LocalTimes) -> Floats:
    """Return the probability that a photo at each place and time shows each concept.

    float32, shape (N, C), 0 to 1, for N places, N times and the C concepts, in the order of `CONCEPT_NAMES`.
    """
    return np.stack([concept.probability(surroundings, times) for concept in CONCEPTS], 1)
