"""The package as a library: open an atlas, ask it for maps and places.

::

    atlas = sat2cap.open("x.zarr")
    score = atlas.map("a busy street", when="2024-05-20 08:00")  # xarray.DataArray with its CRS
    sat2cap.save(score, "busy.png")                              # or .tif, .geojson, .pmtiles …
    atlas.search("a quiet beach", top=5)                         # geopandas.GeoDataFrame
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import xarray as xr

from sat2cap.atlas import USER_SPEC_KEY, Atlas, open_atlas
from sat2cap.errors import ImageryError, InputError, ModelError, PromptError, RegionError, WhenError
from sat2cap.geo import Region, When, grid_of, ground_metres, parse_region, parse_when, patch_box
from sat2cap.maps import (
    LabelledPoint,
    read_outlines,
    read_places,
    stack_times,
    top_places,
    with_standard_attributes,
)
from sat2cap.progress import Progress, silent

# The networks are imported when first needed: that takes seconds, saying that a path is wrong should not.
if TYPE_CHECKING:
    from sat2cap.model import Checkpoint
    from sat2cap.query import Scan, ScoreScale, SpreadOver

Moment = str | When | datetime
"""A date and hour local to each place: ``"2024-05-20 08:00"``, ``"2024-05-20"``, ``"2024-05"``."""

_APART_CELLS = 3
_PICTURE_PIXELS = 1600


@dataclass(frozen=True)
class OpenAtlas:
    """An atlas with the model that reads prompts for it; the model is loaded when it is first needed."""

    atlas: Atlas
    model: str | Path | None = None
    """A name or folder; None for the model that the atlas names."""
    text: str | Path | None = None
    """A CLIP model whose text tower to use, for a model that has none of its own."""

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """The model, checked to be the one that embedded the atlas. Raises `ModelError`, `AtlasError`."""
        from sat2cap.catalogue import resolve_model
        from sat2cap.query import check_atlas_model

        checkpoint = self._named() if self.model is None else resolve_model(self.model)
        check_atlas_model(self.atlas, checkpoint)
        return checkpoint if self.text is None else checkpoint.with_text_of(resolve_model(self.text))

    @cached_property
    def scan(self) -> "Scan":
        """The cells, opened once for all maps; it remembers dates that were asked for."""
        from sat2cap.query import Scan

        if not self.atlas.complete:
            warnings.warn(
                f"atlas {str(self.atlas.path)!r} is not finished: what is not embedded yet has no data",
                stacklevel=2,
            )
        return Scan(self.atlas, self.checkpoint.encoding)

    def map(
        self,
        prompt: str | Sequence[str],
        when: Moment | Sequence[Moment] | None = None,
        negatives: Sequence[str] = (),
        scale: "ScoreScale" = "cosine",
        templates: Sequence[str] = ("{}",),
        region: str | Region | None = None,
        spread: "SpreadOver | None" = None,
    ) -> xr.DataArray:
        """The score of every cell, float32 ``(y, x)``, or ``(prompt, y, x)`` for a list; NaN for no data.

        `when` is a date and hour local to each place, such as ``"2024-05-20 08:00"``; None for no date. A
        list of them gives the dimension ``time`` before ``y``; see `geo.when.months_of` and `hours_of`.
        `scale` is ``cosine``, ``percentile`` (within the region, 0 to 100) or ``contrast`` (the chance
        that a photo there fits the prompt better than generic ones, 0 to 1; a share among them for a model
        that is not calibrated). A prompt is averaged over the `templates`, such as
        ``"a photo of {}"``. Only the cells of `region` are read, if it is given. `spread` over ``templates``,
        ``hours`` or ``years`` adds a layer for each prompt, see `query.spread`, so dims are always
        ``(prompt, y, x)``. Raises `PromptError`, `WhenError`, `RegionError`, `ModelError`, `AtlasError`.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        place = _region(region)
        from sat2cap.query import score_atlas, score_with_spread, select_prompt

        ask: Callable[..., xr.DataArray] = (
            score_atlas if spread is None else partial(score_with_spread, over=spread)
        )

        def at(moment: When | None) -> xr.DataArray:
            return ask(
                self.scan, self.checkpoint, prompts, when=moment, negatives=negatives, scale=scale,
                templates=templates, region=place,
            )  # fmt: skip

        if when is None or isinstance(when, str | When | datetime):
            found = at(None if when is None else _moment(when))
        else:
            several = when if isinstance(when, Iterable) else [when]
            moments = self._several([_moment(each) for each in several])
            found = stack_times([at(moment) for moment in moments], moments)
        single = isinstance(prompt, str) and spread is None
        return with_standard_attributes(select_prompt(found) if single else found)

    def difference(
        self,
        prompt: str,
        less: str | None = None,
        when: Moment | None = None,
        less_when: Moment | None = None,
        scale: "ScoreScale" = "cosine",
        region: str | Region | None = None,
    ) -> xr.DataArray:
        """The map of `prompt` at `when` minus that of `less` at `less_when`, float32 ``(y, x)``.

        What is left out is the same on both sides. Raises as `map` does, and `PromptError` where both sides
        would be the same.
        """
        from sat2cap.maps import difference

        other, then = less or prompt, less_when or when
        if other == prompt and then == when:
            raise PromptError(f"{prompt!r} minus itself is 0; give another prompt or date to take off")
        if other == prompt:
            self._several([_moment(each) for each in (when, then) if each is not None])
        first = self.map(prompt, when, scale=scale, region=region)
        return with_standard_attributes(difference(first, self.map(other, then, scale=scale, region=region)))

    def classify(
        self, prompts: Sequence[str], when: Moment | None = None, region: str | Region | None = None
    ) -> xr.Dataset:
        """Which of the prompts fits each cell best, and how surely: see `maps.compare.classify`.

        `category` ``(y, x)`` is 1 for the first prompt and so on, `confidence` its share among the prompts.
        """
        from sat2cap.maps import classify

        if isinstance(prompts, str):
            raise PromptError(f"categories are a list of prompts, not {prompts!r} alone; give 2 or more")
        found = classify(self.map(list(prompts), when, region=region), self.checkpoint.logit_scale)
        return found.assign({str(name): with_standard_attributes(layer) for name, layer in found.items()})

    def prepare(self, progress: Progress = silent) -> Path:
        """Write the file that makes every later map faster, beside the atlas's chunks; see docs/query.md."""
        from sat2cap.query import prepare_atlas

        return prepare_atlas(self.atlas, self.checkpoint.encoding, progress)

    def search(
        self,
        prompt: str,
        top: int = 20,
        when: Moment | None = None,
        apart_m: float | None = None,
        region: str | Region | None = None,
    ) -> gpd.GeoDataFrame:
        """The `top` places by cosine, best first, at least `apart_m` metres apart (None for three cells).

        Columns rank, score, lon, lat, geometry (EPSG:4326). Raises as `map` does.
        """
        if not isinstance(prompt, str):
            raise PromptError(f"search takes one prompt, not {prompt!r}; search for each in turn")
        if apart_m is None:
            apart_m = _APART_CELLS * abs(self.atlas.grid.affine.a) * ground_metres(self.atlas.grid)
        return top_places(self.map(prompt, when, region=region), top, apart_m)

    def _several(self, moments: list[When]) -> list[When]:
        """The moments, for a model to which they are not all alike. Raises `WhenError`, `ModelError`."""
        if not moments:
            raise WhenError("no moment is given; write one, such as 2024-05-20T08:00")
        if self.checkpoint.dynamic is None:
            name = self.checkpoint.card.get("name", "this model")
            raise ModelError(
                f"{name} has no Dynamic Encoder, so its maps are the same at every date; leave the dates "
                "out, or embed with a model trained to know time"
            )
        return moments

    def _named(self) -> "Checkpoint":
        """The model the atlas names: from here, or from the nearest folder above the atlas that has it."""
        from sat2cap.catalogue import resolve_model

        card = self.atlas.model.get("card", {})
        spec = str(card.get(USER_SPEC_KEY) or self.atlas.model.get("source", ""))
        folders = self.atlas.path.resolve().parents
        beside = next((folder / spec for folder in folders if spec and (folder / spec).exists()), None)
        try:
            return resolve_model(spec)
        except ModelError as error:
            if beside is not None:
                return resolve_model(str(beside))
            name = card.get("name", "a model without a name")
            raise ModelError(
                f"atlas {str(self.atlas.path)!r} was made by {name}, which is not at {spec!r}; "
                "say where it is with --model, or model= in Python"
            ) from error


def open(path: str | Path, model: str | Path | None = None, text: str | Path | None = None) -> OpenAtlas:
    """Open an atlas for prompts. Raises `AtlasError` if there is none; the model is loaded when first needed.

    `model` is needed when the model is no longer where it was when the atlas was made.
    """
    return OpenAtlas(open_atlas(path), model, text)


def save(
    score: xr.DataArray | xr.Dataset,
    path: Path | str,
    *,
    title: str | None = None,
    underlay: str | xr.DataArray | None = None,
    outlines: Path | str | gpd.GeoSeries | None = None,
    places: Path | str | Sequence[LabelledPoint] = (),
    above: float | None = None,
    best: int | None = None,
    progress: Progress = silent,
) -> None:
    """Publish a map as the kind of file that `path` ends in.

    ``.tif`` is a cloud-optimised GeoTIFF with a QGIS style beside it; ``.png`` a picture; ``.gif`` and
    ``.mp4`` one that moves through the dates; ``.geojson`` and ``.parquet`` the areas that score `above`
    something, or the `best` so many cells, or the best 5 %; ``.pmtiles`` web tiles; ``.html`` a page.

    Pictures have a `title` instead of the prompt, imagery under the scores (`underlay`, a name or RGBA pixels
    in the CRS of the score), `outlines` over them and `places` to label, both as files or as they are.
    Raises `InputError`, `ImageryError`.
    """
    from sat2cap.maps import MapOptions
    from sat2cap.maps import save as write_map

    if not isinstance(score, xr.DataArray | xr.Dataset):
        raise InputError(f"a {type(score).__name__} is no map; save what map, difference or classify gave")
    options = MapOptions(
        title,
        _imagery_under(score, underlay) if isinstance(underlay, str) else underlay,
        read_outlines(outlines) if isinstance(outlines, str | Path) else outlines,
        read_places(places) if isinstance(places, str | Path) else places,
        above,
        best,
    )
    write_map(score, path, options, progress)


def _imagery_under(score: xr.DataArray | xr.Dataset, spec: str) -> xr.DataArray:
    """Imagery on the grid of the score, as fine as a picture can show."""
    from sat2cap.catalogue import open_imagery

    grid = grid_of(score)
    pixels = max(1, _PICTURE_PIXELS // max(grid.shape))
    found = open_imagery(spec).read(patch_box(grid, slice(None), slice(None), pixels))
    if not found.sel(band="alpha").any():
        raise ImageryError(f"imagery {spec!r} has no pixels where the map is; give imagery of that place")
    return found


def _moment(when: Moment) -> When:
    if isinstance(when, datetime):
        return When.from_datetime(when)
    if not isinstance(when, str | When):
        raise WhenError(f"{when!r} is no date; write one, such as '2024-05-20 08:00'")
    return parse_when(when) if isinstance(when, str) else when


def _region(region: str | Region | None) -> Region | None:
    if not isinstance(region, str | Region | None):
        raise RegionError(f"region {region!r} is no text; write 'west,south,east,north' or a file's path")
    return parse_region(region) if isinstance(region, str) else region
