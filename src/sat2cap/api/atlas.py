"""An opened atlas: ask it for maps, places, zones, embeddings.

::

    atlas = sat2cap.open("x.zarr")
    score = atlas.map("a busy street", when="2024-05-20 08:00")  # xarray.DataArray with its CRS
    sat2cap.save(score, "busy.png")                              # or .tif, .geojson, .pmtiles …
    atlas.search("a quiet beach", top=5)                         # geopandas.GeoDataFrame
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sat2cap.api.atlas_places import AtlasPlaces
from sat2cap.api.inputs import (
    Moment,
    ProgressLike,
    Prompt,
    RegionLike,
    listening,
    to_moment,
    to_moments,
    to_prompts,
    to_region,
    to_texts,
)
from sat2cap.api.models import embed_examples
from sat2cap.atlas import STATUS_MEANINGS, CellStatus, open_atlas
from sat2cap.errors import AtlasError, PromptError
from sat2cap.geo import GridArray, When, as_data_array

# Networks, tables and xarray are imported when first needed: saying that a path is wrong should not wait.
if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from sat2cap.geo import Region
    from sat2cap.maps import BestCells
    from sat2cap.model import Checkpoint
    from sat2cap.query import ScoreScale, SpreadOver

_APART_CELLS = 3


class OpenAtlas(AtlasPlaces):
    """An atlas that answers prompts; its model is loaded when it is first needed.

    The methods of this class answer with maps and what is made of them; those about single places, and the
    model itself, are inherited.
    """

    def map(
        self,
        prompt: Prompt | Sequence[Prompt],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: "ScoreScale" = "cosine",
        templates: str | Sequence[str] = ("{}",),
        region: RegionLike = None,
        spread: "SpreadOver | None" = None,
    ) -> "xr.DataArray":
        """Return the score of every cell, float32 ``(y, x)``, or ``(prompt, y, x)`` for a list.

        Cells without data are NaN.

        `when` is a date and hour local to each place, such as ``"2024-05-20 08:00"``; None for no date. A
        list of them gives the dimension ``time`` before ``y``; see `geo.when.months_of` and `hours_of`.
        `scale` is ``cosine``, ``percentile`` (within the region, 0 to 100) or ``contrast`` (0 to 1:
        of a calibrated model, the share of photos taken there that CLIP would say fit the prompt; of another,
        a share among generic prompts). A prompt is averaged over the `templates`, such as
        ``"a photo of {}"``. Only the cells of `region` are read, if it is given. `spread` over ``templates``,
        ``hours`` or ``years`` adds a layer for each prompt, see `query.spread`, so dims are always
        ``(prompt, y, x)``. Raises `PromptError`, `WhenError`, `RegionError`, `ModelError`, `AtlasError`.
        """
        from sat2cap.maps import with_standard_attributes

        scores = self.compute_map(prompt, when, negatives, scale, templates, region, spread)
        return with_standard_attributes(as_data_array(scores))

    def compute_map(
        self,
        prompt: Prompt | Sequence[Prompt],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: "ScoreScale" = "cosine",
        templates: str | Sequence[str] = ("{}",),
        region: RegionLike = None,
        spread: "SpreadOver | None" = None,
    ) -> GridArray:
        """Return what `map` does as an array that carries its grid, without importing xarray.

        `sat2cap.save` takes it, too. The import of xarray takes longer than a map of a city. Raises as `map`
        does.
        """
        prompts, subtracted = to_prompts(prompt), to_prompts(negatives, "negatives")
        wordings, place, moments = to_texts(templates, "templates"), to_region(region), to_moments(when)
        from sat2cap.maps import stack_times
        from sat2cap.query import compute_scores, score_with_spread, select_prompt

        ask: Callable[..., GridArray] = (
            compute_scores if spread is None else partial(score_with_spread, over=spread)
        )
        vectors = embed_examples(self.query_model, prompts) | embed_examples(self.query_model, subtracted)

        def at(moment: When | None) -> GridArray:
            return ask(
                self.scan, self.query_model, prompts.names, when=moment, negatives=subtracted.names,
                scale=scale, templates=wordings, region=place, vectors=vectors,
            )  # fmt: skip

        if isinstance(moments, list):
            moments = self._require_dates(moments)
            scores = stack_times([at(moment) for moment in moments], moments)
        else:
            scores = at(moments)
        self._require_data(scores, place)
        single = not isinstance(prompt, list | tuple) and spread is None
        return select_prompt(scores) if single else scores

    def _require_data(self, scores: GridArray, place: "Region | None") -> None:
        """Raise `AtlasError` if no cell of the atlas has a score; warn if no cell of the region has one."""
        if np.isfinite(scores.values).any():
            return
        status = self.atlas.status[self.atlas.wanted]
        codes = [CellStatus(code) for code in np.unique(status)]
        reasons = ", ".join(f"{STATUS_MEANINGS[code]}: {(status == code).sum()}" for code in codes)
        if place is None or CellStatus.OK not in codes:
            raise AtlasError(
                f"atlas {self.atlas.name!r} has no cell with an embedding ({reasons}), so maps are empty; "
                "look at its imagery, and try: sat2cap atlas repair"
            )
        warnings.warn(f"no cell of region {place.label!r} has an embedding: the map is empty", stacklevel=3)

    def difference(
        self,
        prompt: str,
        less: str | None = None,
        when: Moment | None = None,
        less_when: Moment | None = None,
        scale: "ScoreScale" = "cosine",
        region: RegionLike = None,
        negatives: Prompt | Sequence[Prompt] = (),
    ) -> "xr.DataArray":
        """Return the map of `prompt` at `when` minus that of `less` at `less_when`, float32 ``(y, x)``.

        What is left out is the same on both sides; `negatives` count on both. Raises as `map` does, and
        `PromptError` where both sides would be the same.
        """
        from sat2cap.maps import difference, with_standard_attributes

        other, then = less or prompt, less_when or when
        if other == prompt and then == when:
            raise PromptError(f"{prompt!r} minus itself is 0; give another prompt or date to take off")
        if other == prompt:
            self._require_dates([to_moment(each) for each in (when, then) if each is not None])
        first = self.map(prompt, when, negatives, scale, region=region)
        second = self.map(other, then, negatives, scale, region=region)
        return with_standard_attributes(difference(first, second))

    def classify(
        self, prompts: Sequence[str], when: Moment | None = None, region: RegionLike = None
    ) -> "xr.Dataset":
        """Return which of the prompts fits each cell best, and how surely; see `maps.classify`.

        `category` ``(y, x)`` is 1 for the first prompt and so on, `confidence` its share among the prompts.
        """
        from sat2cap.maps import classify, with_standard_attributes

        if isinstance(prompts, str):
            raise PromptError(f"categories are a list of prompts, not {prompts!r} alone; give 2 or more")
        classes = classify(self.map(list(prompts), when, region=region), self.query_model.logit_scale)
        return classes.assign({str(name): with_standard_attributes(layer) for name, layer in classes.items()})

    def prepare(self, progress: ProgressLike = None) -> Path:
        """Write the folder that makes later maps faster, and return its path in the atlas (docs/query.md).

        Does nothing if it is there and up to date. Raises `AtlasError` for an unfinished or damaged atlas.
        """
        from sat2cap.query import prepare_atlas

        with listening(progress) as report:
            return prepare_atlas(self.atlas, self.query_model.encoding, report)

    def search(
        self,
        prompt: Prompt | Sequence[Prompt],
        top: int = 20,
        when: Moment | None = None,
        apart_m: float | None = None,
        region: RegionLike = None,
    ) -> "gpd.GeoDataFrame":
        """Return the `top` places by cosine, best first, at least `apart_m` metres apart (None for three
        cells).

        Columns rank, score, lon, lat, geometry (EPSG:4326). Several prompts are searched for each on its own;
        the column prompt then comes first, and ranks begin anew with each. Raises as `map` does.
        """
        from sat2cap.maps import places_table

        layers = self.compute_map(prompt, when, region=region)
        if "prompt" not in layers.dims:
            return places_table(self._best_of(layers, top, apart_m))
        import pandas as pd

        named = [
            places_table(self._best_of(layers.isel(prompt=number), top, apart_m)).assign(prompt=str(name))
            for number, name in enumerate(layers.coords["prompt"])
        ]
        table = pd.concat(named, ignore_index=True)
        return table[["prompt", *table.columns.drop("prompt")]]

    def find_best(
        self,
        prompt: Prompt,
        top: int = 20,
        when: Moment | None = None,
        apart_m: float | None = None,
        region: RegionLike = None,
    ) -> "BestCells":
        """Return what `search` does for one prompt as plain arrays, without importing geopandas.

        `apart_m` is in metres. Raises as `map` does.
        """
        return self._best_of(self.compute_map(prompt, when, region=region), top, apart_m)

    def _best_of(self, score: GridArray, top: int, apart_m: float | None) -> "BestCells":
        """Return the best cells of one map, at least `apart_m` metres apart (None for three cells)."""
        from sat2cap.maps import best_cells

        if apart_m is None:
            from sat2cap.geo import ground_metres

            grid = self.atlas.plain_grid
            apart_m = _APART_CELLS * abs(grid.affine.a) * ground_metres(grid)
        return best_cells(score, top, apart_m)

    def zones(
        self,
        zones: "gpd.GeoDataFrame | gpd.GeoSeries | Path | str",
        prompt: Prompt | Sequence[Prompt],
        statistics: str | Sequence[str] = "mean",
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: "ScoreScale" = "cosine",
        templates: str | Sequence[str] = ("{}",),
        layer: str | None = None,
        progress: ProgressLike = None,
    ) -> "gpd.GeoDataFrame":
        """Return the zones with statistics of the map of a prompt: one column each, NaN where it has no data.

        `zones` are polygons in any CRS, or their file (of several layers, `layer`). A statistic is ``mean``,
        ``min``, ``max``, ``median``, ``p90``, ``share-above=0.3`` (0 to 1) or ``area-above=0.3`` (km²). Each
        cell counts for the ground that the zone covers of it; ``covered_share`` says how much of a zone has
        data. Several prompts or dates are columns of their own. Raises as `map` does, and `InputError`.

        >>> atlas.zones("municipalities.gpkg", "a busy street", ["mean", "p90"]).sort_values("mean")
        """
        from sat2cap.api.zones import summarise_zones, to_zones

        table = to_zones(zones, layer)
        score = self.map(prompt, when, negatives, scale, templates)
        return summarise_zones(score, table, statistics, progress)


def open(
    path: str | Path, model: "str | Path | Checkpoint | None" = None, text: str | Path | None = None
) -> OpenAtlas:
    """Open an atlas for prompts. Raises `AtlasError` if there is none; the model is loaded when first needed.

    `model` is needed when the model is no longer where it was when the atlas was made.
    """
    return OpenAtlas(open_atlas(path), model, text)
