"""What an opened atlas says at points: embeddings, cosines, captions, phrases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sat2cap.api.atlas_model import AtlasWithModel
from sat2cap.api.inputs import (
    Moment,
    Prompt,
    RegionLike,
    to_moment,
    to_moments,
    to_places,
    to_prompts,
    to_region,
    to_texts,
)
from sat2cap.api.models import embed_examples
from sat2cap.arguments import check_count, type_words
from sat2cap.errors import InputError
from sat2cap.geo import When

# Tables and xarray are imported when first needed.
if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from sat2cap.model import Captioner


class AtlasPlaces(AtlasWithModel):
    """The questions to an atlas about single places, and the embeddings behind all questions."""

    def embeddings(self, region: RegionLike = None, when: Moment | None = None) -> xr.DataArray:
        """Return the embeddings behind the maps, float32 ``(embedding, y, x)``, with their CRS.

        They are not normalised, and are read when their values are asked for, so that part of a large atlas
        costs only that part. Cells outside `region`, and those without imagery, are NaN. `when` adds the
        offset of the Dynamic Encoder for a date and hour. Raises `RegionError`, `WhenError`, `ModelError` for
        a date that the model cannot use. Of an atlas of several UTM zones they lie on the grid of its maps,
        where each pixel has the embedding of the cell that holds its centre, and the offset of that centre.

        >>> atlas.embeddings("4.85,52.35,4.95,52.40").sel(x=627_000, y=5_805_000, method="nearest").values
        """
        from sat2cap.api.vectors import lazy_embeddings

        moment = None if when is None else self._require_dates([to_moment(when)])[0]
        checkpoint = None if moment is None else self.query_model
        return lazy_embeddings(self.atlas, self._embedding_grid, checkpoint, to_region(region), moment)

    @property
    def _embedding_grid(self) -> GeoBox:
        """Grid of the array that `embeddings` returns."""
        return self.atlas.grid

    def sample(
        self,
        points: object,
        prompts: Prompt | Sequence[Prompt] = (),
        when: Moment | None = None,
        *,
        vectors: bool = False,
    ) -> gpd.GeoDataFrame:
        """Return what the atlas says at points: a row for each, with its cosine with each prompt.

        `points` are pairs ``(lon, lat)`` in degrees, an array ``(N, 2)``, or a GeoSeries or GeoDataFrame of
        points in any CRS. The columns are lon, lat, geometry and the prompts. With `vectors` the unit
        embedding follows as columns ``e0``, ``e1`` …, ready for scikit-learn. Points outside the atlas, or
        where there is no imagery, have NaN. Raises `InputError`, `PromptError`.

        >>> table = atlas.sample(plots, vectors=True)
        >>> LogisticRegression().fit(table.filter(regex="^e[0-9]+$"), plots["crop"])
        """
        from sat2cap.api.vectors import sample_points

        moment = None if when is None else self._require_dates([to_moment(when)])[0]
        places, prompt_set = to_places(points), to_prompts(prompts, "prompts")
        examples = embed_examples(self.query_model, prompt_set)
        return sample_points(
            self.atlas, self.query_model, places, prompt_set.names, moment, examples=examples, vectors=vectors
        )

    def caption(
        self,
        points: object,
        when: Moment | Sequence[Moment] | None = None,
        *,
        captioner: str | Path | Captioner | None = None,
        beams: int = 5,
        tokenizer: str | Path = "gpt2",
    ) -> gpd.GeoDataFrame:
        """Return what a photo at each point would show, as a sentence written by a language model.

        `points` are those of `sample`; each is captioned at each date of `when`. Columns lon, lat, when,
        geometry, caption. `captioner` is a folder, a file of CLIPCap's weights, one that was loaded, or None
        for the one that ships, where the model is in its space; `beams` is the width of the search for words;
        `tokenizer` is GPT-2's, needed by weights of CLIPCap. A language model may say what is not there;
        `phrases` does not. Raises `InputError`, `WhenError`, `ModelError`.

        >>> country.caption([(-69.84, 46.1)], ["2024-01", "2024-07"])["caption"]
        """
        check_count(beams, "beams")
        from sat2cap.api.places import caption_places
        from sat2cap.catalogue import resolve_captioner

        if captioner is None or isinstance(captioner, str | Path):
            loaded = resolve_captioner(captioner, self.checkpoint, tokenizer)
        else:
            if not hasattr(captioner, "check_model"):
                raise InputError(f"captioner is {type_words(captioner)}; give a folder or a file")
            loaded = captioner
            loaded.check_model(self.checkpoint)
        moments = _as_moments(when)
        return caption_places(self.atlas, self.checkpoint, loaded, to_places(points), moments, beams)

    def phrases(
        self,
        points: object,
        when: Moment | Sequence[Moment] | None = None,
        *,
        bank: Sequence[str] | None = None,
        top: int = 5,
    ) -> gpd.GeoDataFrame:
        """Return the `top` phrases of a list that fit each point best.

        Columns lon, lat, when, geometry, phrases. The last holds lists of (phrase, cosine), best first, empty
        without an embedding. `bank` is the list to choose from; None is the one that ships. Raises as
        `caption` does, and `PromptError`.
        """
        check_count(top, "top")
        from sat2cap.api.places import describe_places
        from sat2cap.query import DEFAULT_PHRASES

        texts = list(DEFAULT_PHRASES) if bank is None else to_texts(bank, "bank")
        moments = _as_moments(when)
        return describe_places(self.atlas, self.query_model, to_places(points), moments, texts, top)


def _as_moments(when: Moment | Sequence[Moment] | None) -> list[When | None]:
    """Return dates as a list; no date at all is one moment, None."""
    moments = to_moments(when)
    return list(moments) if isinstance(moments, list) else [moments]
