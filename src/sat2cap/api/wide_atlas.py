"""An opened atlas of several UTM zones: it is asked as an atlas in one CRS is, and its maps have no seam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Unpack

import numpy as np

from sat2cap.api.atlas import OpenAtlas
from sat2cap.atlas import WideAtlas
from sat2cap.geo import GridArray

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from sat2cap.geo import UtmZone
    from sat2cap.query import ScoreOptions, SpreadOver, WideScan


class WideOpenAtlas(OpenAtlas):
    """A wide atlas that answers prompts, zone by zone with one model and one calibration."""

    atlas: WideAtlas

    @cached_property
    def scan(self) -> WideScan:  # type: ignore[override]  # what both are asked is the same
        """The stored cells of all UTM zones, opened once for all maps. Warns if the atlas is unfinished."""
        from sat2cap.query import WideScan

        self._warn_if_unfinished()
        return WideScan.open(self.atlas, self.query_model.encoding)

    @property
    def picture_crs(self) -> str | None:
        """The CRS of maps that people look at: that given as `map_crs`, or else a Mercator projection."""
        return self.map_crs or self.mosaics.picture_crs

    @property
    def parts(self) -> dict[str, OpenAtlas]:
        """The atlas of each UTM zone by its name, such as ``utm31n``, for what needs the cells of one grid.

        A part has the cells of its zone that the zone's edges cross as well, which its neighbour has, too.
        """
        return {part.zone.name: OpenAtlas(part.atlas, self.model) for part in self.atlas.parts}

    @property
    def _embedding_grid(self) -> GeoBox:
        return self.mosaics.grid(self.map_crs).as_geobox()

    def _ask(
        self, prompts: Sequence[str], spread: SpreadOver | None, **options: Unpack[ScoreOptions]
    ) -> dict[UtmZone | None, GridArray]:
        """Return the scores of prompts at one moment in each zone."""
        from sat2cap.query import score_by_zone

        scores = score_by_zone(self.scan, self.query_model, prompts, spread, **options)
        return {zone: score for zone, score in scores.items()}  # noqa: C416 - a dict of another type

    def _with_own_cells(self, scores: dict[UtmZone | None, GridArray]) -> list[GridArray]:
        """Return maps of only the cells whose centre lies in their zone: no ground is there twice."""
        from sat2cap.geo import cells_in_zone

        own = []
        for zone, score in scores.items():
            assert zone is not None
            is_own = cells_in_zone(score.grid, zone)
            own.append(replace(score, values=np.where(is_own, score.values, np.float32(np.nan))))
        return own

    def __repr__(self) -> str:
        from sat2cap.api.display import wide_atlas_text

        return wide_atlas_text(self.atlas)

    def _repr_html_(self) -> str:
        """Return the facts, for notebooks."""
        from sat2cap.api.display import wide_atlas_html

        return wide_atlas_html(self.atlas)
