"""The cells of an atlas as evaluations count them: N in one order, whether it has one grid or several.

Of an atlas in one CRS they are all cells of the grid, row by row. Of a wide atlas they are the region's cells
whose centre lies in their own UTM zone, zone by zone, so that no place is there twice.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, Unpack

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, WideAtlas
from sat2cap.errors import InputError
from sat2cap.geo import cell_lonlat, default_mosaic_crs, mosaic_grid
from sat2cap.maps import Placement
from sat2cap.model import Checkpoint
from sat2cap.query import ScoreOptions, WideScan, compute_scores, score_by_zone

Float32 = NDArray[np.float32]
Value = TypeVar("Value", bound=np.generic)


class RegionCells:
    """The N cells of an atlas that are counted, and what lies on its grids taken to them."""

    def __init__(self, atlas: Atlas) -> None:
        """Take an atlas, in one CRS or of several UTM zones."""
        self.atlas = atlas
        self._own: list[NDArray[np.bool_]] = []
        if isinstance(atlas, WideAtlas):
            self._own = [part.atlas.wanted & part.owned for part in atlas.parts]

    def gather(self, layers_of: Callable[[Atlas], NDArray[Value]]) -> NDArray[Value]:
        """Return `[..., N]` of what a function returns for the whole grid of an atlas, `[..., y, x]`."""
        if not self._own:
            layers = layers_of(self.atlas)
            return layers.reshape(*layers.shape[:-2], -1)
        members = zip(self.atlas.members, self._own, strict=True)
        return np.concatenate([layers_of(member)[..., own] for member, own in members], axis=-1)

    @cached_property
    def lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of the centres in degrees, `[N]` each."""
        lon, lat = self.gather(lambda member: np.stack(cell_lonlat(member.plain_grid)))
        return lon, lat

    @property
    def is_southern(self) -> bool:
        """Whether the mean latitude is south of the equator."""
        return bool(self.lonlat[1].mean() < 0)

    def in_atlas(self, other: Atlas) -> "RegionCells":
        """Return the same cells in another atlas. Raises `InputError` if its grids are others."""
        if [one.grid for one in other.members] != [one.grid for one in self.atlas.members]:
            raise InputError(
                f"{other.name} has another grid than {self.atlas.name}; "
                "embed the same region with the same cells"
            )
        cells = RegionCells(other)
        cells._own = self._own  # which cells of a grid are the region's may differ
        return cells

    def scores(
        self, checkpoint: Checkpoint, prompts: Sequence[str], **options: Unpack[ScoreOptions]
    ) -> Float32:
        """Return the scores of P prompts, float32 `[P, N]`; options and errors as of `compute_scores`."""
        if not isinstance(self.atlas, WideAtlas):
            return compute_scores(self.atlas, checkpoint, prompts, **options).values.reshape(len(prompts), -1)
        scan = WideScan.open(self.atlas, checkpoint.encoding)
        by_zone = score_by_zone(scan, checkpoint, prompts, **options)
        parts = zip(self.atlas.parts, self._own, strict=True)
        return np.concatenate([by_zone[part.zone].values[..., own] for part, own in parts], axis=-1)

    def on_map(self, values: NDArray[Value], nothing: Any) -> NDArray[Value]:
        """Return values `[..., N]` as a picture shows them, `[..., y, x]`; `nothing` where there is no cell.

        That is the atlas's own grid, or for several UTM zones one in the CRS of their maps.
        """
        if self._shown is None:
            return values.reshape(*values.shape[:-1], *self.atlas.grid.shape)
        end = np.full((*values.shape[:-1], 1), nothing, values.dtype)
        return np.concatenate([values, end], axis=-1)[..., self._shown]  # its last is what -1 takes

    @cached_property
    def _shown(self) -> NDArray[np.int64] | None:
        """Which cell each pixel of a map of several UTM zones shows, `[y, x]`, -1 for none; None for one."""
        if not isinstance(self.atlas, WideAtlas):
            return None
        parts = self.atlas.parts
        blocks = [(part.zone, part.atlas.wanted_grid) for part in parts]
        grid = mosaic_grid(blocks, default_mosaic_crs(blocks))
        numbers = self._number_grid_cells(self.atlas)
        return numbers[Placement.of([(part.zone, part.atlas.plain_grid) for part in parts], grid).cells]

    def _number_grid_cells(self, atlas: WideAtlas) -> NDArray[np.int64]:
        """Return which of the N cells stands for each cell of the grids, and -1 at the end.

        For a cell whose centre lies in another zone it is the nearest of the N.
        """
        is_own = np.concatenate([own.ravel() for own in self._own])
        numbers = np.full(is_own.size + 1, -1, np.int64)
        numbers[:-1][is_own] = np.arange(is_own.sum())
        others = [member.wanted & ~own for member, own in zip(atlas.members, self._own, strict=True)]
        places = [
            np.stack(cell_lonlat(member.plain_grid))[:, other]
            for member, other in zip(atlas.members, others, strict=True)
        ]
        tree: Any = shapely.STRtree(_as_points(*self.lonlat))
        is_other = np.concatenate([other.ravel() for other in others])
        numbers[:-1][is_other] = tree.nearest(_as_points(*np.concatenate(places, axis=1)))
        return numbers


def _as_points(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Any:
    """Return places as points of a plane in which distances to neighbours are about right."""
    return shapely.points(lon * np.cos(np.radians(lat)), lat)
