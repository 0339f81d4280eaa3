"""An atlas with the model that reads prompts for it, opened when it is first needed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.models import find_atlas_model
from sat2cap.atlas import Atlas
from sat2cap.errors import ModelError, WhenError
from sat2cap.geo import When

# Networks are imported when first needed: saying that a path is wrong should not wait.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from sat2cap.api.mosaics import Mosaics
    from sat2cap.model import Checkpoint, QueryModel
    from sat2cap.query import Scan


@dataclass(frozen=True, repr=False)
class AtlasWithModel:
    """An atlas, its model and its scan: what every question to an atlas begins with."""

    atlas: Atlas
    model: str | Path | Checkpoint | None = None
    """A name or folder; None for the model that the atlas names."""
    text: str | Path | None = None
    """A CLIP model whose text tower to use, for a model that has none of its own."""
    map_crs: str | None = None
    """The CRS of maps where none is asked for; None for the atlas's own, see `Mosaics`."""

    @cached_property
    def mosaics(self) -> Mosaics:
        """The grids on which maps of this atlas are drawn in other CRSs than its own.

        Computed once, as maps in one CRS share the assignment of pixels to cells.
        """
        from sat2cap.api.mosaics import Mosaics

        return Mosaics(self.atlas)

    @property
    def picture_crs(self) -> str | None:
        """The CRS for maps that people look at, such as pictures and pages; None for the atlas's own.

        An atlas of several UTM zones has a Mercator projection here, as its zones have no CRS in common.
        """
        return self.map_crs

    @property
    def map_grid(self) -> GeoBox:
        """The `GeoBox` of a map of the whole atlas in the CRS that it was opened with, or else in its own.

        For an atlas of several UTM zones that is EPSG:6933 by default. Raises `RegionError` for a CRS that
        the atlas cannot be mapped in.
        """
        return self.mosaics.grid(self.map_crs).as_geobox()

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model with all its networks, checked to be the one that embedded the atlas.

        It is loaded on first use, which imports torch; `query_model` is enough for maps. Raises `ModelError`
        for a model that cannot be read and `AtlasError` for one whose weights are not the atlas's.
        """
        from sat2cap.catalogue import resolve_model
        from sat2cap.query import check_atlas_model

        if self.model is None:
            checkpoint = find_atlas_model(self.atlas, resolve_model)
        else:
            checkpoint = resolve_model(self.model) if isinstance(self.model, str | Path) else self.model
        if self.text is not None:
            checkpoint = checkpoint.with_text_of(resolve_model(self.text))
        check_atlas_model(self.atlas, checkpoint)  # hashes the weights once; maps compare the hash again
        return checkpoint

    @cached_property
    def query_model(self) -> QueryModel:
        """The part of the model that maps need: the text tower, the Dynamic Encoder and the calibration.

        It is read without torch where the model's files allow it, and is otherwise `checkpoint`. Raises as
        `checkpoint` does.
        """
        from sat2cap.catalogue import resolve_query_model
        from sat2cap.query import check_atlas_model

        if "checkpoint" in self.__dict__ or not isinstance(self.model, str | Path | None):
            return self.checkpoint
        resolve = partial(resolve_query_model, text=self.text)
        model = find_atlas_model(self.atlas, resolve) if self.model is None else resolve(self.model)
        check_atlas_model(self.atlas, model)
        return model

    @cached_property
    def scan(self) -> Scan:
        """The stored cells, opened once for all maps.

        It remembers the offsets of dates that were asked for, so that a second prompt at the same date is
        faster. Warns if the atlas is unfinished.
        """
        from sat2cap.query import Scan

        self._warn_if_unfinished()
        return Scan(self.atlas, self.query_model.encoding)

    def one_pixel_a_cell(self) -> NDArray[np.bool_] | None:
        """Return which pixels of a map of a wide atlas stand for a cell: one for each cell, shape (H, W).

        The map is that of the whole atlas in `map_crs`, or in the CRS that is chosen without one. None for an
        atlas in one CRS, whose pixels are its cells. Places are ranked among these pixels alone: a cell that
        several pixels show would be found several times.
        """
        return self.mosaics.one_pixel_a_cell(self.map_crs)

    def count_settled_cells(self) -> int:
        """Return how many of the region's cells are computed, and need not be tried again by a repair."""
        from sat2cap.atlas import CellStatus

        status = self.atlas.status[self.atlas.wanted]
        return int(((status != CellStatus.NONE) & (status != CellStatus.IMAGERY_FAILED)).sum())

    def explain_unfinished(self) -> str:
        """Return a sentence on how much of an unfinished atlas is done; empty for a finished one."""
        if self.atlas.complete:
            return ""
        share = f"{self.count_settled_cells():,} of {self.atlas.wanted.sum():,} cells are done"
        return f"atlas {self.atlas.name!r} is not finished ({share}): what is not embedded yet has no data"

    def _warn_if_unfinished(self) -> None:
        sentence = self.explain_unfinished()
        if sentence:
            warnings.warn(sentence, stacklevel=3)

    def __repr__(self) -> str:
        from sat2cap.api.display import atlas_text

        return atlas_text(self.atlas)

    def _repr_html_(self) -> str:
        """Return a thumbnail and the facts, for notebooks."""
        from sat2cap.api.display import atlas_html

        return atlas_html(self.atlas)

    def _require_dates(self, moments: list[When]) -> list[When]:
        """Return the moments, after checking that the model can tell them apart.

        Raises `WhenError` if there are none, `ModelError` for a model without Dynamic Encoder.
        """
        if not moments:
            raise WhenError("no moment is given; write one, such as 2024-05-20T08:00")
        if self.query_model.dynamic_weights is None:
            name = self.query_model.card.get("name", "this model")
            raise ModelError(
                f"{name} has no Dynamic Encoder, so its maps are the same at every date; leave the dates "
                "out, or embed with a model trained to know time"
            )
        return moments
