"""What one photo shows, drawn from the chances of its place and time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.miniworld.concepts import NAMES, chances
from sat2cap.miniworld.planet.cover import SAND_NAMES, WATER_NAMES, variant
from sat2cap.miniworld.surroundings import Moments, Places


@dataclass(frozen=True)
class Scene:
    """Everything the camera and the caption writer need to know of one photo."""

    shown: frozenset[str]
    """Names of the concepts in the picture."""
    roof: int
    """Index into `ROOF_NAMES`."""
    sand: int
    """Index into `SAND_NAMES`."""
    water: int
    """Index into `WATER_NAMES`."""
    dryness: float
    """0 lush to 1 parched grass."""
    bare: bool
    """Broadleaf trees have no leaves."""
    day: float
    """1 daylight to 0 night."""
    dusk: float
    season: str
    """``spring``, ``summer``, ``autumn``, ``winter``, or empty in the tropics."""
    paved: bool
    """Streets rather than soil underfoot."""

    @property
    def snowy(self) -> bool:
        """Snow lies."""
        return "snow" in self.shown

    @property
    def sand_name(self) -> str:
        """What people call this sand."""
        return SAND_NAMES[self.sand]

    @property
    def water_name(self) -> str:
        """What people call this water."""
        return WATER_NAMES[self.water]


def scenes(p: Places, m: Moments, draws: NDArray[np.float32]) -> list[Scene]:
    """One scene a place and time; `draws` are uniform numbers ``[N, concepts]`` that decide what is shown."""
    shown = draws < chances(p, m)
    roof, sand, water = variant(p.roof, 4), variant(p.sand, 3), variant(p.water, 3)
    seasons = np.stack([m.spring, m.summer, m.autumn, m.winter], 1)
    return [
        Scene(
            shown=frozenset(NAMES[k] for k in np.flatnonzero(shown[i])),
            roof=int(roof[i]),
            sand=int(sand[i]),
            water=int(water[i]),
            dryness=float(np.clip((0.45 - p.moisture[i]) / 0.3, 0, 1)),
            bare=bool(m.winter[i] > 0.3),
            day=float(m.day[i]),
            dusk=float(m.dusk[i]),
            season=("spring", "summer", "autumn", "winter")[int(seasons[i].argmax())]
            if seasons[i].max() > 0.3
            else "",
            paved=bool(p.urban[i] > 0.35),
        )
        for i in range(len(shown))
    ]
