"""The best cells of a map, some distance apart, as plain arrays."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.geo import (
    EARTH_RADIUS_M,
    PlainGrid,
    ground_metres,
    plain_grid_of,
    transformer,
    unit_vectors,
)
from sat2cap.maps.layers import AnyScore, one_layer, table_attributes, values_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

APART_CELLS = 3
"""How many cells the best places of a map are apart where nobody says how far."""

_DEGREES = "EPSG:4326"
_BLOCK = 4096
"""Number of candidate cells that `_choose_apart` converts to points on the sphere at once."""


@dataclass(frozen=True, eq=False)
class BestCells:
    """N cells of a map, best first."""

    rank: NDArray[np.int64]
    """1 for the best, and so on."""
    score: NDArray[np.float64]
    lon: NDArray[np.float64]
    """Longitude of the cell's centre, degrees."""
    lat: NDArray[np.float64]
    """Latitude of the cell's centre, degrees."""
    attrs: Mapping[str, Any] = field(default_factory=dict)
    """Provenance of the score, as `table_attributes` returns it."""


def default_distance_m(grid: "GeoBox | PlainGrid") -> float:
    """Return how far apart the best places of a map on `grid` are by default: three cells, in metres."""
    return float(APART_CELLS * abs(grid.affine.a) * ground_metres(grid))


def best_cells(score: AnyScore, n: int, min_distance_m: float = 0.0) -> BestCells:
    """Return the `n` best cells of one map, at least `min_distance_m` metres apart.

    There are fewer where no more such cells exist. Equal scores are taken row by row from the top left.
    Raises `InputError` if `score` holds several maps, `n` is below 1, or the distance is not 0 m or more.
    """
    return best_cells_of_all([score], n, min_distance_m)


def best_cells_of_all(scores: Sequence[AnyScore], n: int, min_distance_m: float = 0.0) -> BestCells:
    """Return what `best_cells` does for several maps that together are one, such as those of UTM zones.

    Equal scores are taken map by map. The provenance is that of the first. Raises `InputError` if `n` is
    below 1, or `min_distance_m` is negative or not finite.
    """
    if n < 1 or not 0 <= min_distance_m < math.inf:  # so that NaN is neither
        raise InputError(f"{n} places {min_distance_m:g} m apart: give at least 1 place and 0 m or more")
    layers = [values_of(one_layer(part, "places are of")).ravel() for part in scores]
    values, centres = np.concatenate(layers), _Centres([plain_grid_of(part) for part in scores])
    cells = np.flatnonzero(np.isfinite(values))
    order = cells[np.argsort(-values[cells], kind="stable")]
    chosen = _choose_apart(order, centres, n, min_distance_m)
    lon, lat = centres.lonlat(chosen)
    rank = np.arange(1, len(chosen) + 1)
    return BestCells(rank, values[chosen].astype(np.float64), lon, lat, table_attributes(scores[0]))


@dataclass(frozen=True)
class _Centres:
    """The centres of the cells of one or several grids, counted on from grid to grid, row by row."""

    grids: Sequence[PlainGrid]

    def lonlat(self, cells: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude, degrees, of the centres of cells given by their number."""
        lon, lat = np.empty(len(cells)), np.empty(len(cells))
        start = 0
        for grid in self.grids:
            stop = start + math.prod(grid.shape)
            in_grid = (cells >= start) & (cells < stop)
            if in_grid.any():
                lon[in_grid], lat[in_grid] = _centres_lonlat(cells[in_grid] - start, grid)
            start = stop
        return lon, lat


def _centres_lonlat(
    cells: NDArray[np.intp], grid: PlainGrid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude, degrees, of the centres of cells given by their flat index."""
    row, col = np.divmod(cells, grid.shape[1])
    to_crs: Any = grid.affine  # takes arrays, too
    x, y = to_crs @ (col + 0.5, row + 0.5)
    lon, lat = transformer(grid.crs, _DEGREES).transform(x, y)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def _choose_apart(
    order: NDArray[np.intp], centres: _Centres, n: int, min_distance_m: float
) -> NDArray[np.intp]:
    """Return the first `n` cells of `order` that are at least `min_distance_m` apart, greedily.

    `order` holds cells by their number, best first. The best cell is chosen, all cells too near to it are
    dropped, the best of the rest is chosen, and so on. Cells come in blocks, so that a map of millions of
    cells is converted to points on the sphere only as far as needed; each new block is first cleared of
    cells near the places chosen from earlier blocks. Distances are compared as chords, straight through
    the Earth: on a sphere of radius 1 an arc of d metres has the chord 2 sin(d / 2R).
    """
    if min_distance_m == 0:
        return order[:n]
    chord = 2 * np.sin(min(min_distance_m / (2 * EARTH_RADIUS_M), np.pi / 2))
    chosen: list[np.intp] = []
    points: list[NDArray[np.float64]] = []
    for start in range(0, len(order), _BLOCK):
        block = order[start : start + _BLOCK]
        on_sphere = unit_vectors(*centres.lonlat(block))
        for point in points:
            block, on_sphere = _keep_farther(block, on_sphere, point, chord)
        while len(block) and len(chosen) < n:
            chosen.append(block[0])
            points.append(on_sphere[0])
            block, on_sphere = _keep_farther(block, on_sphere, on_sphere[0], chord)
        if len(chosen) == n:
            break
    return np.array(chosen, dtype=np.intp)


def _keep_farther(
    cells: NDArray[np.intp], points: NDArray[np.float64], centre: NDArray[np.float64], chord: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the cells and unit vectors at least `chord` away from `centre`, and never `centre` itself."""
    distance = np.linalg.norm(points - centre, axis=1)
    keep = (distance >= chord) & (distance > 0)
    return cells[keep], points[keep]
