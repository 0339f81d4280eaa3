"""Scores of an atlas, on its own cells, as one map in the CRS that was asked for."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sat2cap.atlas import Atlas, WideAtlas
from sat2cap.geo import GridArray, PlainGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sat2cap.geo import GridPart, UtmZone
    from sat2cap.maps import Placement

_KEPT_PLACEMENTS = 2


class Mosaics:
    """Places the scores of one atlas on grids in other CRSs; it remembers which cells whole maps show."""

    def __init__(self, atlas: Atlas) -> None:
        """Begin with no grid; `atlas` is in one CRS or of several UTM zones."""
        if isinstance(atlas, WideAtlas):
            self._atlases: dict[UtmZone | None, Atlas] = {part.zone: part.atlas for part in atlas.parts}
        else:
            self._atlases = {None: atlas}
        self._grids: dict[str, PlainGrid] = {}
        self._placements: dict[str, Placement] = {}

    def place(self, scores: "Mapping[UtmZone | None, GridArray]", crs: str | None) -> GridArray:
        """Return scores on the atlas's own cells, whole or of a region, as one map.

        `crs` None is for the atlas's own, or the default of several UTM zones. A map of a region is a part of
        the grid of the whole. Raises `RegionError` for a CRS that cannot be used.
        """
        if crs is None and self._only is not None:
            return scores[None]
        from sat2cap.geo import mosaic_grid
        from sat2cap.maps import Placement

        grids: list[GridPart] = [(zone, score.grid) for zone, score in scores.items()]
        whole, layers = self.grid(crs), list(scores.values())
        if [(zone, grid.shape) for zone, grid in grids] == [(zone, grid.shape) for zone, grid in self._full]:
            return self._place_all(whole).place(layers)
        grid = mosaic_grid(grids, whole.crs, abs(whole.affine.a))
        return Placement.of(grids, grid).place(layers)

    def one_pixel_a_cell(self, crs: str | None) -> "NDArray[np.bool_] | None":
        """Return a mask ``(y, x)`` that picks one pixel of a whole map for each cell.

        Statistics over cells use it, because a cell may fill several pixels of a map in another CRS. None
        where pixels are the cells themselves. `crs` and errors are those of `place`.
        """
        if crs is None and self._only is not None:
            return None
        return self._place_all(self.grid(crs)).one_pixel_a_cell()

    def _place_all(self, whole: PlainGrid) -> "Placement":
        """Return the placement of all cells on the grid of a whole map; the latest ones are remembered."""
        from sat2cap.maps import Placement

        if whole.crs not in self._placements:
            self._placements[whole.crs] = Placement.of(self._full, whole)
            for oldest in list(self._placements)[:-_KEPT_PLACEMENTS]:
                self._placements.pop(oldest, None)
        return self._placements[whole.crs]

    def grid(self, crs: str | None) -> PlainGrid:
        """Return the grid of a map of the whole atlas; None as `crs` is the atlas's own, or `default_crs`.

        Grids are computed once for each CRS. Raises `RegionError` for a CRS that is not known or not in
        metres.
        """
        if crs is None and self._only is not None:
            return self._only.plain_grid
        from sat2cap.geo import mosaic_grid

        target = self.default_crs if crs is None else crs
        if target not in self._grids:
            self._grids[target] = mosaic_grid(self._parts, target)
        return self._grids[target]

    @cached_property
    def default_crs(self) -> str:
        """The CRS of a map of several UTM zones where none is asked for: EPSG:6933, equal in area.

        Across the antimeridian it is the same projection around 180 degrees; see `geo.default_mosaic_crs`.
        """
        from sat2cap.geo import default_mosaic_crs

        return default_mosaic_crs(self._parts)

    @cached_property
    def picture_crs(self) -> str:
        """The CRS of a map of several UTM zones that people look at: a Mercator projection.

        See `geo.picture_mosaic_crs`.
        """
        from sat2cap.geo import picture_mosaic_crs

        return picture_mosaic_crs(self._parts)

    @cached_property
    def _parts(self) -> "list[GridPart]":
        return [(zone, atlas.wanted_grid) for zone, atlas in self._atlases.items()]

    @property
    def _full(self) -> "list[GridPart]":
        return [(zone, atlas.plain_grid) for zone, atlas in self._atlases.items()]

    @property
    def _only(self) -> Atlas | None:
        """The atlas, if it is in one CRS."""
        return self._atlases.get(None)
