"""Scores of prompts, with or without a date and hour, for every cell of an atlas."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import AtlasError, PromptError
from sat2cap.geo import GridArray, When, as_data_array
from sat2cap.maps import as_single_map
from sat2cap.model import QueryModel
from sat2cap.query.attributes import score_attributes
from sat2cap.query.chances import Chances, fit_chances
from sat2cap.query.engine.blocks import Cells
from sat2cap.query.engine.cosine import Cosines, DynamicOffset, dynamic_offset_at
from sat2cap.query.engine.scan import Scan, Snapshot
from sat2cap.query.engine.window import Window, region_window, whole_window
from sat2cap.query.examples import Examples, has_example
from sat2cap.query.photo_support import list_few_photos
from sat2cap.query.prompts import GENERIC, PLAIN, embed_prompts
from sat2cap.query.scales import contrast, percentile

if TYPE_CHECKING:
    import xarray as xr

    from sat2cap.geo import Region

ScoreScale = Literal["cosine", "percentile", "contrast"]
SCALES: tuple[str, ...] = get_args(ScoreScale)
Floats = NDArray[np.float32]
Scores = TypeVar("Scores", "xr.DataArray", GridArray)


@dataclass(frozen=True)
class EmbeddedQuery:
    """A query as vectors, and the way from cosines to scores."""

    prompts: Floats
    """Unit vectors of the P prompts, `[P, D]`."""
    texts: Floats
    """Unit vectors `[T, D]` that cells are compared with: one for each prompt first."""
    offset: DynamicOffset | None
    """The Dynamic Encoder at the date asked for; None for static scores."""
    to_scores: Callable[[Floats], Floats]
    """Turns the cosines of `texts` with N cells, `[T, N]`, into scores `[P, N]`."""

    @property
    def chances(self) -> Chances | None:
        """The curves that give chances; None for scores that are no chances."""
        return self.to_scores if isinstance(self.to_scores, Chances) else None


class ScoreOptions(TypedDict, total=False):
    """The keyword arguments of `compute_scores`, which describes them."""

    when: When | None
    negatives: Sequence[str]
    scale: ScoreScale
    bank: Sequence[str]
    templates: Sequence[str]
    region: "Region | None"
    vectors: Mapping[str, Floats]


def score_atlas(
    atlas: Atlas | Scan, checkpoint: QueryModel, prompts: Sequence[str], **options: Unpack[ScoreOptions]
) -> "xr.DataArray":
    """Return what `compute_scores` does as an `xarray.DataArray` with its CRS; it raises the same errors.

    >>> score_atlas(atlas, checkpoint, ["snow"], when=When(2024, 1, 15, 12.0), scale="percentile")
    """
    return as_data_array(compute_scores(atlas, checkpoint, prompts, **options))


def compute_scores(
    atlas: Atlas | Scan,
    checkpoint: QueryModel,
    prompts: Sequence[str],
    *,
    when: When | None = None,
    negatives: Sequence[str] = (),
    scale: ScoreScale = "cosine",
    bank: Sequence[str] = GENERIC,
    templates: Sequence[str] = PLAIN,
    region: "Region | None" = None,
    vectors: Mapping[str, Floats] = MappingProxyType({}),
) -> GridArray:
    """Return the scores of prompts, float32 with dims ``(prompt, y, x)``; NaN where there is no embedding.

    They lie on the atlas's grid, or with a `region` on the block of it that holds the region's cells; then
    only these cells are read and ranked.

    - `prompts`: each one, or each part of one joined by " + ", is a text, ``place:LON,LAT`` or
      ``photo:FILE``.
    - `when`: a date and hour on each cell's local clock. A model without Dynamic Encoder gives static scores;
      the attribute `dynamic`, a value of `maps.Conditioning`, says so, and also whether the year lies outside
      those of the training photos.
    - `scale`: `cosine` is the cosine itself. `percentile` is its rank within the atlas or region, 0 to 100.
      `contrast` is the share of photos, 0 to 1, that CLIP would say fit the prompt better than anything in
      `bank`, fitted to the model's held-out photos (attribute `calibration`; `few_photos` names the prompts
      that fewer than 20 of them fit); for a model without such photos it is the share of the prompt in a
      softmax with the bank at the logit scale of the text tower's CLIP.
    - `negatives`: the largest of their cosines is subtracted; for `contrast` they join the bank.
    - `templates`: a prompt's vector is the mean over them.
    - `vectors`: unit vectors `[D]` of prompts that are no text, by the name they have in `prompts` or
      `negatives`.

    To score an atlas more than once give a `Scan`, which keeps what a date costs. Raises `PromptError`,
    `RegionError` if the region holds no cell, `ModelError` if the model has no text tower, and `AtlasError`
    if another model made the atlas. Does not import xarray, whose import takes longer than a map of a city.
    """
    if scale not in SCALES:
        raise PromptError(f"scale {scale!r} is unknown; use one of {', '.join(SCALES)}")
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    scan = atlas if isinstance(atlas, Scan) else Scan(atlas, checkpoint.encoding)
    check_atlas_model(scan.atlas, checkpoint)
    window = choose_window(scan.atlas, region)
    query = embed_query(
        scan.atlas,
        checkpoint,
        prompts,
        when=when,
        negatives=negatives,
        scale=scale,
        bank=bank,
        templates=templates,
        vectors=vectors,
    )
    layers = score_window(scan, query, window, is_whole=region is None)
    if scale == "percentile":
        layers = np.stack([percentile(layer) for layer in layers])
    attrs = score_attributes(scan.atlas, checkpoint, prompts, negatives, scale, when)
    if query.chances is not None:
        attrs |= list_few_photos(checkpoint.calibration, prompts, query.chances.fitting_photos)
    return GridArray(layers, window.grid, ("prompt", "y", "x"), {"prompt": np.array(prompts)}, attrs)


def choose_window(atlas: Atlas, region: "Region | None") -> Window:
    """Return the cells to score: all of the atlas for None, or those that touch a region.

    Raises `RegionError` if no cell of the atlas touches it.
    """
    return whole_window(atlas) if region is None else region_window(atlas, region)


def select_prompt(scores: Scores, index: int = 0) -> Scores:
    """Return the layer ``(y, x)`` of one prompt from the scores of `score_atlas`.

    Its attribute `prompt` names that prompt alone.
    """
    return as_single_map(scores.isel(prompt=index))


def check_atlas_model(atlas: Atlas, checkpoint: QueryModel) -> None:
    """Raise `AtlasError` unless `checkpoint` embedded the atlas.

    What embeds places is compared, by its hash; the text tower may come from another model.
    """
    made_by = str(atlas.model.get("place_identity"))
    if made_by != checkpoint.place_identity:
        name = atlas.model.get("card", {}).get("name", "another model")
        other = checkpoint.card.get("name", "this model")
        raise AtlasError(
            f"{other} ({checkpoint.place_identity[:12]}) is not the model of this atlas, "
            f"{name} ({made_by[:12]}); give that model, or embed again"
        )


def embed_query(
    atlas: Atlas, checkpoint: QueryModel, prompts: Sequence[str], **options: Unpack[ScoreOptions]
) -> EmbeddedQuery:
    """Embed all that cells are compared with, and choose how the cosines become scores.

    Options and errors are those of `compute_scores`; a region decides nothing here.

    ==========================  =======================================  ==============================
    scale                       texts                                    scores from cosines
    ==========================  =======================================  ==============================
    cosine, percentile          prompts, negatives                       `_subtract_negatives`
    contrast, calibrated        directions fitted to held-out photos     `Chances`
    contrast, not calibrated    prompts, negatives with the bank         `_share_against_bank`
    ==========================  =======================================  ==============================
    """
    when, bank, negatives = options.get("when"), options.get("bank", GENERIC), options.get("negatives", ())
    offset = None if when is None else dynamic_offset_at(checkpoint, when)
    examples = Examples(atlas, checkpoint, offset, options.get("vectors", {}))
    is_contrast = options.get("scale") == "contrast"
    rivals = list(dict.fromkeys([*negatives, *bank])) if is_contrast else []
    if is_contrast:
        _check_contrast([*prompts, *rivals], rivals, bank, examples)

    def embed(texts: Sequence[str]) -> Floats:
        return embed_prompts(checkpoint, texts, options.get("templates", PLAIN), examples)

    prompt_vectors, negative_vectors = embed(prompts), embed(negatives)
    count = len(prompt_vectors)
    if not is_contrast:
        texts = np.concatenate([prompt_vectors, negative_vectors])
        return EmbeddedQuery(prompt_vectors, texts, offset, partial(_subtract_negatives, count))
    if checkpoint.calibration is not None:
        bank_vectors = embed([text for text in rivals if text not in negatives])
        chances = fit_chances(
            checkpoint, prompt_vectors, negative_vectors, bank_vectors, conditioned=offset is not None
        )
        return EmbeddedQuery(prompt_vectors, chances.directions, offset, chances)
    in_bank = np.array([prompt in rivals for prompt in prompts])
    to_share = partial(_share_against_bank, count, in_bank, checkpoint.text_scale)
    texts = np.concatenate([prompt_vectors, embed(rivals)])
    return EmbeddedQuery(prompt_vectors, texts, offset, to_share)


def _check_contrast(
    texts: Sequence[str], rivals: Sequence[str], bank: Sequence[str], examples: Examples
) -> None:
    """Raise `PromptError` if there are too few rivals, or if any of the texts is an example."""
    if len(rivals) < 2:
        raise PromptError(f"bank {list(bank)} is too small to set a prompt against; give 2 prompts or more")
    example = next((text for text in texts if text in examples.vectors or has_example(text)), None)
    if example is not None:
        rule = "images are nearer to each other than to any text, so its share among texts means nothing"
        raise PromptError(f"example {example!r} with contrast: {rule}; use cosine or percentile")


def _subtract_negatives(prompt_count: int, cosines: Floats) -> Floats:
    """Subtract from each prompt's cosine the largest cosine of any negative prompt.

    The rows of `cosines` `[T, N]` are the P prompts, then the negatives; the result is `[P, N]`.
    """
    prompt_cosines, negative_cosines = cosines[:prompt_count], cosines[prompt_count:]
    return prompt_cosines - negative_cosines.max(0) if len(negative_cosines) else prompt_cosines


def _share_against_bank(
    prompt_count: int, in_bank: NDArray[np.bool_], text_scale: float, cosines: Floats
) -> Floats:
    """Return each prompt's share in a softmax with the bank, `[P, N]`.

    The rows of `cosines` `[T, N]` are the P prompts, then the bank.
    """
    return contrast(cosines[:prompt_count], cosines[prompt_count:], in_bank, text_scale)


def score_window(scan: Scan, query: EmbeddedQuery, window: Window, *, is_whole: bool) -> Floats:
    """Score every cell of a window, float32 `[P, y, x]`; NaN for no data.

    Each run of blocks is scored, and written to its place in the layers, by the thread that read it.
    """
    cosines_of = Cosines(query.texts, query.offset)
    side = scan.atlas.spec.chunk

    def score_once(snapshot: Snapshot) -> Floats:
        layers = np.full((len(query.prompts), *window.grid.shape), np.nan, np.float32)
        lengths = None if query.offset is None else scan.date_lengths(query.offset.when, snapshot)

        def score_blocks(cells: Cells) -> None:
            cosines = cosines_of(cells, lengths)
            scores = query.to_scores(cosines.reshape(len(cosines), -1))
            blocks = scores.reshape(len(scores), *cosines.shape[1:])
            window.write_blocks(blocks, cells.chunks, side, layers)

        for _ in scan.map_blocks(score_blocks, None if is_whole else window, snapshot):
            pass
        return layers

    return scan.scan_consistently(score_once)
