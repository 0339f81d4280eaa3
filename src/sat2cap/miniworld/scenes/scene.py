"""Scenes: what one photo shows, sampled from the probabilities of its place and time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.concepts import CONCEPT_NAMES, concept_probabilities
from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES, variant_index
from sat2cap.miniworld.surroundings import LocalTimes, Surroundings

SEASONS = ("spring", "summer", "autumn", "winter")


@dataclass(frozen=True)
class Scene:
    """Everything about one photo that its picture and its captions depend on."""

    shown: frozenset[str]
    """Names of the concepts in the picture."""
    roof: int
    """Index into `ROOF_NAMES`."""
    sand: int
    """Index into `SAND_NAMES`."""
    water: int
    """Index into `WATER_NAMES`."""
    dryness: float
    """Colour of the grass, 0 lush to 1 parched."""
    bare: bool
    """Whether broadleaf trees have lost their leaves."""
    day: float
    """1 in daylight to 0 at night."""
    dusk: float
    """1 while the sun is on the horizon, falling to 0 above and below."""
    season: str
    """One of `SEASONS`, or empty in the tropics and between seasons."""
    paved: bool
    """Whether there are streets underfoot rather than soil."""

    @property
    def snowy(self) -> bool:
        """Whether snow lies."""
        return "snow" in self.shown

    @property
    def sand_name(self) -> str:
        """Colour of the sand in captions."""
        return SAND_NAMES[self.sand]

    @property
    def water_name(self) -> str:
        """Colour of the water in captions."""
        return WATER_NAMES[self.water]


def sample_scenes(surroundings: Surroundings, times: LocalTimes, uniform: NDArray[np.float32]) -> list[Scene]:
    """Return one scene for each of N places and times.

    A scene shows a concept if its number in `uniform`, ``[N, concepts]`` in [0, 1), is below the concept's
    probability.
    """
    shown = uniform < concept_probabilities(surroundings, times)
    roof = variant_index(surroundings.roof, 4)
    sand, water = variant_index(surroundings.sand, 3), variant_index(surroundings.water, 3)
    seasons = np.stack([times.spring, times.summer, times.autumn, times.winter], 1)
    return [
        Scene(
            shown=frozenset(CONCEPT_NAMES[k] for k in np.flatnonzero(shown[i])),
            roof=int(roof[i]),
            sand=int(sand[i]),
            water=int(water[i]),
            dryness=float(np.clip((0.45 - surroundings.moisture[i]) / 0.3, 0, 1)),
            bare=bool(times.winter[i] > 0.3),
            day=float(times.day[i]),
            dusk=float(times.dusk[i]),
            season=SEASONS[int(seasons[i].argmax())] if seasons[i].max() > 0.3 else "",
            paved=bool(surroundings.urban[i] > 0.35),
        )
        for i in range(len(shown))
    ]
