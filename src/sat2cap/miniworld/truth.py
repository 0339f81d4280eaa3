"""The truth of the miniature world: the probability that a photo taken at a place and time shows a concept.

No real data set has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo import When, cell_lonlat, on_grid
from sat2cap.miniworld.concepts import CONCEPT_NAMES, CONCEPTS, Concept
from sat2cap.miniworld.planet.noise import Floats
from sat2cap.miniworld.surroundings import LocalTimes, Surroundings, local_times, sample_surroundings
from sat2cap.miniworld.world import World

if TYPE_CHECKING:
    import xarray as xr

ANY_TIME = tuple(When(2020, month, 15, float(hour)) for month in range(1, 13) for hour in range(1, 24, 3))
"""The times that "no date given" stands for: every month, every third hour, all equally likely."""

_MOST_KNOWN_TIMES = 128


def find_concept(name: str) -> Concept:
    """Return the concept of that name. Raises `InputError`, which lists all names, if there is none."""
    if name not in CONCEPT_NAMES:
        raise InputError(f"no concept {name!r} in the miniature world; known: {', '.join(CONCEPT_NAMES)}")
    return CONCEPTS[CONCEPT_NAMES.index(name)]


@dataclass(frozen=True)
class GroundTruth:
    """The truth at the centres of a grid's cells, or at other places.

    Computing the surroundings of the cells takes longest; it is done once, for any number of questions.
    """

    grid: GeoBox | None
    """Grid of the cells; None for places on no grid, of which there is no `truth_map`."""
    surroundings: Surroundings
    """Surroundings of the cells, row by row."""
    _known_times: dict[When, LocalTimes] = field(default_factory=dict, repr=False, compare=False)
    """Seasons and light at the cells at moments asked for before, which all concepts share."""

    def truth_map(self, name: str, when: When | None = None) -> "xr.DataArray":
        """Return the probability that a photo from each cell's centre at local time `when` shows a concept.

        float32, shape (y, x), in [0, 1]. Without `when`, the mean over `ANY_TIME`. Raises `InputError` for an
        unknown concept `name`, and for places on no grid.
        """
        if self.grid is None:
            raise InputError("these places are on no grid, so there is no map of them; ask with truth_at")
        values = self.truth_at(name, when)
        attrs = {"concept": name, "when": "any time" if when is None else when.isoformat()}
        return on_grid(values.reshape(self.grid.shape), self.grid, attrs=attrs)

    def truth_at(self, name: str, when: When | None = None) -> Floats:
        """Return what `truth_map` does without its grid, float32, shape (cells,), row by row."""
        values: Floats = self.truth_series(name, ANY_TIME if when is None else (when,)).mean(0)
        return values

    def truth_series(self, name: str, times: Sequence[When]) -> Floats:
        """Return the probability of a concept at T local times: float32, shape (T, cells), 0 to 1.

        Raises `InputError` for an unknown concept `name`.
        """
        concept = find_concept(name)
        return np.stack(
            [concept.probability(self.surroundings, self._local_times_at(when)) for when in times]
        )

    def _local_times_at(self, when: When) -> LocalTimes:
        """Return the seasons and the light at the cells, kept for up to `_MOST_KNOWN_TIMES` moments."""
        known = self._known_times.get(when)
        if known is None:
            lat = self.surroundings.lat
            clock = (np.full(len(lat), value) for value in (when.month, when.day, when.hour))
            known = local_times(lat, *clock)
            if len(self._known_times) >= _MOST_KNOWN_TIMES:  # bounds memory: ten numbers a cell and moment
                self._known_times.clear()
            self._known_times[when] = known
        return known


def prepare_ground_truth(world: World, grid: GeoBox) -> GroundTruth:
    """Return the truth of a planet at every cell of `grid`, ready for many questions.

    The land is looked at once; a question is then a matter of arithmetic.
    """
    lon, lat = (values.ravel() for values in cell_lonlat(grid))
    return GroundTruth(grid, sample_surroundings(lon, lat, world.seed))


def ground_truth_at(world: World, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> GroundTruth:
    """Return the truth of a planet at N places in degrees, shape (N,) each, ready for many questions."""
    return GroundTruth(None, sample_surroundings(lon, lat, world.seed))


def truth_map(world: World, name: str, grid: GeoBox, when: When | None = None) -> "xr.DataArray":
    """Return `GroundTruth.truth_map` for a single question: float32, shape (y, x), 0 to 1.

    ``truth_map(World(7), "skiers", grid, parse_when("2024-01-20T12:00"))`` is the probability that a photo
    taken at noon on that day shows skiers. Raises `InputError` for an unknown concept `name`.
    """
    return prepare_ground_truth(world, grid).truth_map(name, when)
