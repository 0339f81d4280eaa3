"""The scores behind the answers of an opened atlas, on its own cells, by UTM zone where it has several."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Unpack

import numpy as np

from sat2cap.api.atlas_places import AtlasPlaces
from sat2cap.api.inputs import (
    Moment,
    Prompt,
    RegionLike,
    to_moments,
    to_places,
    to_prompts,
    to_region,
    to_texts,
)
from sat2cap.api.models import embed_examples
from sat2cap.arguments import check_count, check_metres, check_text
from sat2cap.atlas import STATUS_MEANINGS, CellStatus
from sat2cap.errors import AtlasError
from sat2cap.geo import GridArray, When

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sat2cap.geo import Region, UtmZone
    from sat2cap.maps import BestCells
    from sat2cap.query import ScoreOptions, ScoreScale, SpreadOver


class AtlasScores(AtlasPlaces):
    """Scores by UTM zone, under None for an atlas in one CRS, and the best cells among them."""

    def _score_parts(
        self,
        prompt: Prompt | Sequence[Prompt],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: ScoreScale = "cosine",
        templates: str | Sequence[str] = ("{}",),
        region: RegionLike = None,
        spread: SpreadOver | None = None,
    ) -> dict[UtmZone | None, GridArray]:
        """Return the scores on the atlas's own cells, by UTM zone; under None for an atlas in one CRS."""
        check_text(scale, "scale", "cosine")
        if spread is not None:
            check_text(spread, "spread", "templates")
        prompts, subtracted = to_prompts(prompt), to_prompts(negatives, "negatives")
        wordings, place, moments = to_texts(templates, "templates"), to_region(region), to_moments(when)
        from sat2cap.maps import stack_times
        from sat2cap.query import select_prompt

        vectors = embed_examples(self.query_model, prompts) | embed_examples(self.query_model, subtracted)

        def at(moment: When | None) -> dict[UtmZone | None, GridArray]:
            return self._ask(
                prompts.names, spread, when=moment, negatives=subtracted.names, scale=scale,
                templates=wordings, region=place, vectors=vectors,
            )  # fmt: skip

        if isinstance(moments, list):
            moments = self._require_dates(moments)
            stack = [at(moment) for moment in moments]
            scores = {zone: stack_times([each[zone] for each in stack], moments) for zone in stack[0]}
        else:
            scores = at(moments)
        self._require_data(scores.values(), place)
        single = not isinstance(prompt, list | tuple) and spread is None
        return {zone: select_prompt(score) if single else score for zone, score in scores.items()}

    def score_at(
        self,
        lon: float,
        lat: float,
        prompt: Prompt,
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: ScoreScale = "cosine",
    ) -> NDArray[np.float32]:
        """Return the score of the cell that holds a place in degrees.

        float32, shape () for one date and (T,) for T of them; NaN without an embedding. Arguments and errors
        are those of `map`.
        """
        from sat2cap.geo import cell_at

        ((lon, lat),) = to_places([(lon, lat)])
        around = f"{lon:.6f},{lat:.6f},1m"
        scores = self._score_parts(prompt, when, negatives, scale, region=around)
        for zone, score in scores.items():
            row, col = cell_at(score.grid, lon, lat)
            if row >= 0 and (zone is None or zone.holds(lon, lat)):
                return np.asarray(score.values[..., int(row), int(col)])
        return np.full(score.values.shape[:-2], np.nan, np.float32)

    def _ask(
        self, prompts: Sequence[str], spread: SpreadOver | None, **options: Unpack[ScoreOptions]
    ) -> dict[UtmZone | None, GridArray]:
        """Return the scores of prompts at one moment, as `query.compute_scores` gives them."""
        from sat2cap.query import compute_scores, score_with_spread

        ask: Callable[..., GridArray] = (
            compute_scores if spread is None else partial(score_with_spread, over=spread)
        )
        return {None: ask(self.scan, self.query_model, prompts, **options)}

    def _require_data(self, scores: Iterable[GridArray], place: Region | None) -> None:
        """Raise `AtlasError` if no cell of the atlas has a score; warn if no cell of the region has one."""
        if any(np.isfinite(part.values).any() for part in scores):
            return
        status = self.atlas.status[self.atlas.wanted]
        codes = [CellStatus(code) for code in np.unique(status)]
        reasons = ", ".join(f"{STATUS_MEANINGS[code]}: {(status == code).sum()}" for code in codes)
        if place is None or CellStatus.OK not in codes:
            raise AtlasError(
                f"atlas {self.atlas.name!r} has no cell with an embedding ({reasons}), so maps are empty; "
                "look at its imagery, and try: sat2cap atlas repair"
            )
        warnings.warn(f"no cell of region {place.label!r} has an embedding: the map is empty", stacklevel=4)

    def _best_of(self, scores: dict[UtmZone | None, GridArray], top: int, apart_m: float | None) -> BestCells:
        """Return the best cells of one map, at least `apart_m` metres apart (None for three cells)."""
        from sat2cap.maps import best_cells_of_all, default_distance_m

        check_count(top, "top")
        if apart_m is not None:
            check_metres(apart_m, "apart_m")
        else:
            apart_m = default_distance_m(self.atlas.members[0].plain_grid)
        return best_cells_of_all(self._with_own_cells(scores), top, apart_m)

    def _with_own_cells(self, scores: dict[UtmZone | None, GridArray]) -> list[GridArray]:
        """Return maps in which no cell stands twice: an atlas in one CRS has none."""
        return list(scores.values())
