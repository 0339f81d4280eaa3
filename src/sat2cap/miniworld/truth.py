"""What no real data set has: the probability that a photo taken at a place and time shows a concept."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo import When, cell_lonlat, on_grid
from sat2cap.miniworld.concepts import CONCEPTS, NAMES, Concept
from sat2cap.miniworld.planet.noise import Floats
from sat2cap.miniworld.surroundings import Places, moments, places
from sat2cap.miniworld.world import World

ANY_TIME = tuple(When(2020, month, 15, float(hour)) for month in range(1, 13) for hour in range(1, 24, 3))
"""What "no date given" means: every month, every third hour, each as likely."""


def concept(name: str) -> Concept:
    """The concept of that name. Raises `InputError`, listing the known ones."""
    if name not in NAMES:
        raise InputError(f"no concept {name!r} in the miniature world; known: {', '.join(NAMES)}")
    return CONCEPTS[NAMES.index(name)]


@dataclass(frozen=True)
class Survey:
    """The planet's places at the centres of a grid's cells, worked out once for many questions."""

    grid: GeoBox
    places: Places

    def truth(self, name: str, when: When | None = None) -> xr.DataArray:
        """Probability ``(y, x)`` that a photo from a cell's centre at local time `when` shows concept `name`.

        Without `when`, the mean over `ANY_TIME`. Raises `InputError` for an unknown concept.
        """
        values = self.series(name, ANY_TIME if when is None else (when,)).mean(0)
        attrs = {"concept": name, "when": "any time" if when is None else when.isoformat()}
        return on_grid(values.reshape(self.grid.shape), self.grid, attrs=attrs)

    def series(self, name: str, times: Sequence[When]) -> Floats:
        """The same for several times, ``[len(times), cells]``."""
        asked, p = concept(name), self.places
        cells = len(p.lat)

        def at(t: When) -> Floats:
            m = moments(p.lat, *(np.full(cells, v) for v in (t.month, t.day, t.hour)))
            return asked.chance(p, m)

        return np.stack([at(t) for t in times])


def survey(world: World, grid: GeoBox) -> Survey:
    """The places of every cell of `grid`, ready for questions."""
    lon, lat = (values.ravel() for values in cell_lonlat(grid))
    return Survey(grid, places(lon, lat, world.seed))


def truth(world: World, name: str, grid: GeoBox, when: When | None = None) -> xr.DataArray:
    """`Survey.truth` for one question."""
    return survey(world, grid).truth(name, when)
