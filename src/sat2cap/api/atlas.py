"""An opened atlas: ask it for maps, places, zones, embeddings.

::

    atlas = sat2cap.open("x.zarr")
    score = atlas.map("a busy street", when="2024-05-20 08:00")  # xarray.DataArray with its CRS
    sat2cap.save(score, "busy.png")                              # or .tif, .geojson, .pmtiles …
    atlas.search("a quiet beach", top=5)                         # geopandas.GeoDataFrame
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.atlas_scores import AtlasScores
from sat2cap.api.inputs import (
    CrsLike,
    Moment,
    Prompt,
    RegionLike,
    is_same_prompt,
    to_crs_text,
    to_moment,
    to_prompts,
)
from sat2cap.api.reporting import ProgressLike, listening
from sat2cap.arguments import check_sequence, type_words
from sat2cap.errors import InputError, PromptError
from sat2cap.geo import GridArray, as_data_array

# Networks, tables and xarray are imported when first needed: saying that a path is wrong should not wait.
if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr

    from sat2cap.maps import BestCells
    from sat2cap.query import ScoreScale, SpreadOver


class OpenAtlas(AtlasScores):
    """An atlas that answers prompts; its model is loaded when it is first needed.

    The methods of this class answer with maps and what is made of them; those about single places, and the
    model itself, are inherited.
    """

    def map(
        self,
        prompt: Prompt | Sequence[Prompt],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: ScoreScale = "cosine",
        templates: str | Sequence[str] = ("{}",),
        region: RegionLike = None,
        spread: SpreadOver | None = None,
        crs: CrsLike = None,
    ) -> xr.DataArray:
        """Return the score of every cell, float32 ``(y, x)``, or ``(prompt, y, x)`` for a list.

        Cells without data are NaN.

        `when` is a date and hour local to each place, such as ``"2024-05-20 08:00"``; None for no date. A
        list of them gives the dimension ``time`` before ``y``; see `geo.when.months_of` and `hours_of`.
        `scale` is ``cosine``, ``percentile`` (within the region, 0 to 100) or ``contrast`` (0 to 1:
        of a calibrated model, the share of photos taken there that CLIP would say fit the prompt; of another,
        a share among generic prompts). A prompt is averaged over the `templates`, such as
        ``"a photo of {}"``. Only the cells of `region` are read, if it is given. `spread` over ``templates``,
        ``hours`` or ``years`` adds a layer for each prompt, see `query.spread`, so dims are always
        ``(prompt, y, x)``. `crs`, such as ``"EPSG:3857"``, gives a map in that CRS, each pixel with the score
        of the cell that holds its centre; None is that of the atlas, or EPSG:6933 for one of several UTM
        zones. Raises `PromptError`, `WhenError`, `RegionError`, `ModelError`, `AtlasError`.
        """
        from sat2cap.maps import with_standard_attributes

        scores = self.compute_map(prompt, when, negatives, scale, templates, region, spread, crs)
        return with_standard_attributes(as_data_array(scores))

    def compute_map(
        self,
        prompt: Prompt | Sequence[Prompt],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: ScoreScale = "cosine",
        templates: str | Sequence[str] = ("{}",),
        region: RegionLike = None,
        spread: SpreadOver | None = None,
        crs: CrsLike = None,
    ) -> GridArray:
        """Return what `map` does as an array that carries its grid, without importing xarray.

        `sat2cap.save` takes it, too. The import of xarray takes longer than a map of a city. Raises as `map`
        does.
        """
        target = to_crs_text(crs) or self.map_crs
        scores = self._score_parts(prompt, when, negatives, scale, templates, region, spread)
        return self.mosaics.place(scores, target)

    def difference(
        self,
        prompt: Prompt,
        less: Prompt | None = None,
        when: Moment | None = None,
        less_when: Moment | None = None,
        scale: ScoreScale = "cosine",
        region: RegionLike = None,
        negatives: Prompt | Sequence[Prompt] = (),
        crs: CrsLike = None,
        less_atlas: OpenAtlas | None = None,
    ) -> xr.DataArray:
        """Return the map of `prompt` at `when` minus that of `less` at `less_when`, float32 ``(y, x)``.

        What is left out is the same on both sides; `negatives` count on both, and so does `crs`, as in `map`.
        `less_atlas` is the atlas of the subtracted map, by the same model from other imagery, such as that of
        another year: the map is of the cells that both have. Raises as `map` does, `PromptError` where both
        sides would be the same, and `InputError` where cells of the two atlases do not coincide.
        """
        from sat2cap.maps import difference, on_common_cells, with_standard_attributes

        if less_atlas is not None and not isinstance(less_atlas, OpenAtlas):
            raise InputError(f"less_atlas is {type_words(less_atlas)}; give what sat2cap.open returned")
        other, then = prompt if less is None else less, when if less_when is None else less_when
        subtracted = self if less_atlas is None else less_atlas
        to_prompts(prompt), to_prompts(other, "less")
        is_same = is_same_prompt(prompt, other)
        if is_same and then == when and subtracted.atlas.identity == self.atlas.identity:
            raise PromptError(f"{prompt!r} minus itself is 0; give another prompt, date or atlas to subtract")
        if is_same and then != when:
            self._require_dates([to_moment(each) for each in (when, then) if each is not None])
        first = self.map(prompt, when, negatives, scale, region=region, crs=crs)
        second = subtracted.map(other, then, negatives, scale, region=region, crs=crs)
        if less_atlas is not None:
            first, second = on_common_cells(first, second)
        return with_standard_attributes(difference(first, second))

    def classify(
        self,
        prompts: Sequence[Prompt],
        when: Moment | None = None,
        region: RegionLike = None,
        crs: CrsLike = None,
    ) -> xr.Dataset:
        """Return which of the prompts fits each cell best, and how surely; see `maps.classify`.

        `category` ``(y, x)`` is 1 for the first prompt and so on, `confidence` its share among the
        prompts. `crs` is that of `map`. Raises as `map` does, and `PromptError` for one prompt alone.
        """
        from sat2cap.maps import classify, with_standard_attributes

        if isinstance(prompts, str):
            raise PromptError(f"categories are a list of prompts, not {prompts!r} alone; give 2 or more")
        check_sequence(prompts, "prompts", "a list of 2 or more prompts")
        classes = classify(
            self.map(list(prompts), when, region=region, crs=crs), self.query_model.logit_scale
        )
        return classes.assign({str(name): with_standard_attributes(layer) for name, layer in classes.items()})

    def prepare(self, progress: ProgressLike = None) -> Path:
        """Write the folder that makes later maps faster, and return its path in the atlas (docs/query.md).

        Of an atlas of several UTM zones each has its own, and the atlas's path is returned.

        Does nothing if it is there and up to date. Raises `AtlasError` for an unfinished or damaged atlas.
        """
        from sat2cap.query import prepare_atlas

        for member in self.atlas.members:
            member.require_original()
        with listening(progress) as report:
            encoding = self.query_model.encoding
            written = [prepare_atlas(member, encoding, report) for member in self.atlas.members]
        return written[0] if len(written) == 1 else self.atlas.path

    def search(
        self,
        prompt: Prompt | Sequence[Prompt],
        top: int = 20,
        when: Moment | None = None,
        apart_m: float | None = None,
        region: RegionLike = None,
    ) -> gpd.GeoDataFrame:
        """Return the `top` places by cosine, best first, at least `apart_m` metres apart.

        None for `apart_m` is three cells. Columns rank, score, lon, lat, geometry (EPSG:4326). Several
        prompts are searched for each on its own; the column prompt then comes first, and ranks begin anew
        with each. Raises as `map` does.
        """
        from sat2cap.maps import places_table

        scores = self._score_parts(prompt, when, region=region)
        first = next(iter(scores.values()))
        if "prompt" not in first.dims:
            return places_table(self._best_of(scores, top, apart_m))
        import pandas as pd

        named = []
        for number, name in enumerate(first.coords["prompt"]):
            of_prompt = {zone: score.isel(prompt=number) for zone, score in scores.items()}
            named.append(places_table(self._best_of(of_prompt, top, apart_m)).assign(prompt=str(name)))
        table = pd.concat(named, ignore_index=True)
        return table[["prompt", *table.columns.drop("prompt")]]

    def find_best(
        self,
        prompt: Prompt,
        top: int = 20,
        when: Moment | None = None,
        apart_m: float | None = None,
        region: RegionLike = None,
    ) -> BestCells:
        """Return what `search` does for one prompt as plain arrays, without importing geopandas.

        `apart_m` is in metres. Raises as `map` does.
        """
        return self._best_of(self._score_parts(prompt, when, region=region), top, apart_m)

    def zones(
        self,
        zones: gpd.GeoDataFrame | gpd.GeoSeries | Path | str,
        prompt: Prompt | Sequence[Prompt],
        statistics: str | Sequence[str] = "mean",
        when: Moment | Sequence[Moment] | None = None,
        negatives: Prompt | Sequence[Prompt] = (),
        scale: ScoreScale = "cosine",
        templates: str | Sequence[str] = ("{}",),
        layer: str | None = None,
        progress: ProgressLike = None,
    ) -> gpd.GeoDataFrame:
        """Return the zones with statistics of the map of a prompt: one column each, NaN where it has no data.

        `zones` are polygons in any CRS, or their file (of several layers, `layer`). A statistic is ``mean``,
        ``min``, ``max``, ``median``, ``p90``, ``share-above=0.3`` (0 to 1) or ``area-above=0.3`` (km²). Each
        cell counts for the ground that the zone covers of it; ``covered_share`` says how much of a zone has
        data. Several prompts or dates are columns of their own. Raises as `map` does, and `InputError`.

        >>> atlas.zones("municipalities.gpkg", "a busy street", ["mean", "p90"]).sort_values("mean")
        """
        from sat2cap.api.zones import summarise_zones, to_zones
        from sat2cap.maps import with_standard_attributes

        table = to_zones(zones, layer)
        scores = self._score_parts(prompt, when, negatives, scale, templates)
        maps = {zone: with_standard_attributes(as_data_array(score)) for zone, score in scores.items()}
        return summarise_zones(maps, table, statistics, progress)
