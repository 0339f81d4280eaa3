"""The package as a library: open an atlas, ask it for maps and places.

::

    atlas = sat2cap.open("x.zarr")
    atlas.map("a busy street", when="2024-05-20 08:00")  # xarray.DataArray with its CRS
    atlas.search("a quiet beach", top=5)                  # geopandas.GeoDataFrame
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import xarray as xr

from sat2cap.atlas.store import Atlas, open_atlas
from sat2cap.errors import ModelError, PromptError
from sat2cap.geo.region import Region, parse_region
from sat2cap.geo.when import When, parse_when
from sat2cap.maps.ground import ground_metres
from sat2cap.maps.places import top_places
from sat2cap.progress import Progress, silent

# The networks are imported when first needed: that takes seconds, saying that a path is wrong should not.
if TYPE_CHECKING:
    from sat2cap.model.checkpoint import Checkpoint
    from sat2cap.query import Scale, Scan
    from sat2cap.query.spread import Over

GIVEN = "given"
"""Where the card of an atlas's model keeps what the user wrote to name it."""

_APART_CELLS = 3


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
        from sat2cap.query import check_model

        checkpoint = self._named() if self.model is None else resolve_model(self.model)
        check_model(self.atlas, checkpoint)
        return checkpoint if self.text is None else checkpoint.with_text_of(resolve_model(self.text))

    @cached_property
    def scan(self) -> "Scan":
        """The cells, opened once for all maps; it remembers dates that were asked for."""
        from sat2cap.query import Scan

        return Scan(self.atlas, self.checkpoint.encoding)

    def map(
        self,
        prompt: str | Sequence[str],
        when: str | When | None = None,
        negatives: Sequence[str] = (),
        scale: "Scale" = "cosine",
        templates: Sequence[str] = ("{}",),
        region: str | Region | None = None,
        spread: "Over | None" = None,
    ) -> xr.DataArray:
        """The score of every cell, float32 ``(y, x)``, or ``(prompt, y, x)`` for a list; NaN for no data.

        `when` is a date and hour local to each place, such as ``"2024-05-20 08:00"``; None for no date.
        `scale` is ``cosine``, ``percentile`` (within the region, 0 to 100) or ``contrast`` (share in a
        softmax against generic prompts, 0 to 1). A prompt is averaged over the `templates`, such as
        ``"a photo of {}"``. Only the cells of `region` are read, if it is given. `spread` over ``templates``,
        ``hours`` or ``years`` adds a layer for each prompt, see `query.spread`, so dims are always
        ``(prompt, y, x)``. Raises `PromptError`, `WhenError`, `RegionError`, `ModelError`, `AtlasError`.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        moment = parse_when(when) if isinstance(when, str) else when
        place = parse_region(region) if isinstance(region, str) else region
        from sat2cap.query import one_prompt, score, score_with_spread

        scan, checkpoint = self.scan, self.checkpoint
        if spread is not None:
            return score_with_spread(
                scan, checkpoint, prompts, spread, when=moment, negatives=negatives, scale=scale,
                templates=templates, region=place,
            )  # fmt: skip
        found = score(
            scan, checkpoint, prompts, when=moment, negatives=negatives, scale=scale,
            templates=templates, region=place,
        )  # fmt: skip
        return one_prompt(found) if isinstance(prompt, str) else found

    def prepare(self, progress: Progress = silent) -> Path:
        """Write the file that makes every later map faster, beside the atlas's chunks; see docs/query.md."""
        from sat2cap.query.prepared import prepare

        return prepare(self.atlas, self.checkpoint.encoding, progress)

    def search(
        self,
        prompt: str,
        top: int = 20,
        when: str | When | None = None,
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

    def _named(self) -> "Checkpoint":
        """The model that the atlas names."""
        from sat2cap.catalogue import resolve_model

        card = self.atlas.model.get("card", {})
        spec = str(card.get(GIVEN) or self.atlas.model.get("source", ""))
        try:
            return resolve_model(spec)
        except ModelError as error:
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
