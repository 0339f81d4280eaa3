"""A prompt, and if asked a date and hour, to a score for every cell of an atlas."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import AtlasError, PromptError
from sat2cap.geo import Region, When, on_grid
from sat2cap.model import Checkpoint
from sat2cap.query.chances import fit_chances
from sat2cap.query.engine.blocks import Cells
from sat2cap.query.engine.cosine import Cosines, Offset, dynamic_offset_at
from sat2cap.query.engine.scan import Scan
from sat2cap.query.engine.window import Window, whole, within
from sat2cap.query.examples import Examples, has_example
from sat2cap.query.prompts import GENERIC, PLAIN, embed_prompts
from sat2cap.query.scales import contrast, percentile

ScoreScale = Literal["cosine", "percentile", "contrast"]
SCALES: tuple[str, ...] = get_args(ScoreScale)
Floats = NDArray[np.float32]

STATIC = "static"
DYNAMIC = "dynamic"
IGNORED = "ignored: the model has no Dynamic Encoder"
OUTSIDE = "outside the years of the training photos, {} to {}: the model guesses"
"""Values of the attribute `dynamic`: no moment was asked for, it was used, or it comes with a warning."""

CALIBRATED = "{:,} photos held out of training"
"""Value of the attribute `calibration`, which scores of the scale `contrast` have if they are chances."""


@dataclass(frozen=True)
class _Asked:
    """A query as vectors."""

    texts: Floats
    """`[T, D]`, unit: all that cells are compared with; the prompts come first."""
    prompts: int
    """P: how many of them."""
    offset: Offset | None
    score: Callable[[Floats], Floats]
    """`[P, N]` of the cosines of `texts`, `[T, N]`."""


def score_atlas(
    atlas: Atlas | Scan,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    *,
    when: When | None = None,
    negatives: Sequence[str] = (),
    scale: ScoreScale = "cosine",
    bank: Sequence[str] = GENERIC,
    templates: Sequence[str] = PLAIN,
    region: Region | None = None,
) -> xr.DataArray:
    """Scores float32 with dims ``(prompt, y, x)`` on the atlas's grid; NaN where there is no embedding.

    A prompt, or a part of one joined by " + ", is a text, ``place:LON,LAT`` or ``photo:FILE``. `cosine` is
    the cosine itself; `percentile` its rank within the atlas, 0 to 100; `contrast` the chance, 0 to 1, that a
    photo taken there fits the prompt better than anything in `bank`, as the model's held-out photos tell
    (attribute `calibration`), or without such photos the share of the prompt in a softmax with the bank at
    the model's logit scale. With `negatives` the greatest of their cosines is taken off first, or, for
    `contrast`, they join the bank. With a `region` only its cells
    are read, ranked and returned, on the block of the grid that holds them.

    `when` is local to each cell. If the model has no Dynamic Encoder the scores are those without it; the
    attribute `dynamic` says so, and also when the year is not among those trained on. To ask more than once
    give a `Scan`, which remembers dates. Raises `PromptError`, `RegionError` (no cell in it), `ModelError`
    (no text tower), `AtlasError` (made by another model).
    """
    if scale not in SCALES:
        raise PromptError(f"scale {scale!r} is unknown; use one of {', '.join(SCALES)}")
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    scan = atlas if isinstance(atlas, Scan) else Scan(atlas, checkpoint.encoding)
    check_atlas_model(scan.atlas, checkpoint)
    window = whole(scan.atlas) if region is None else within(scan.atlas, region)
    offset = None if when is None else dynamic_offset_at(checkpoint, when)
    asked = _as_vectors(scan.atlas, checkpoint, prompts, negatives, scale, bank, templates, offset)
    values = _layers(scan, asked, window, everything=region is None)
    if scale == "percentile":
        values = np.stack([percentile(layer) for layer in values])
    attrs = _attributes(scan.atlas, prompts, negatives, scale, when, _use(checkpoint, when))
    if scale == "contrast" and checkpoint.calibration is not None:
        attrs["calibration"] = CALIBRATED.format(len(checkpoint.calibration.ground))
    return on_grid(values, window.grid, ("prompt", "y", "x"), {"prompt": list(prompts)}, attrs)


def select_prompt(scores: xr.DataArray, index: int = 0) -> xr.DataArray:
    """One layer ``(y, x)`` of what `score_atlas` gave, its attributes naming that prompt alone."""
    layer = scores.isel(prompt=index)
    return layer.assign_attrs(prompt=str(layer.coords["prompt"].item()))


def check_atlas_model(atlas: Atlas, checkpoint: Checkpoint) -> None:
    """Raise `AtlasError` unless `checkpoint` embedded the atlas; its text tower may be another's."""
    made_by = str(atlas.model.get("place_identity"))
    if made_by != checkpoint.place_identity:
        name = atlas.model.get("card", {}).get("name", "another model")
        given = checkpoint.card.get("name", "this model")
        raise AtlasError(
            f"{given} ({checkpoint.place_identity[:12]}) is not the model of this atlas, "
            f"{name} ({made_by[:12]}); give that model, or embed again"
        )


def training_years(checkpoint: Checkpoint) -> tuple[int, int] | None:
    """First and last year of the photos that a model was trained on; None if its card does not say."""
    years = checkpoint.card.get("training", {}).get("years")
    return None if years is None else (int(years[0]), int(years[1]))


def _as_vectors(
    atlas: Atlas,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    negatives: Sequence[str],
    scale: ScoreScale,
    bank: Sequence[str],
    templates: Sequence[str],
    offset: Offset | None,
) -> _Asked:
    against = list(dict.fromkeys([*negatives, *bank])) if scale == "contrast" else []
    if scale == "contrast" and len(against) < 2:
        raise PromptError(f"bank {list(bank)} is too small to set a prompt against; give 2 prompts or more")
    shown = [prompt for prompt in [*prompts, *against] if against and has_example(prompt)]
    if shown:
        rule = "images are nearer to each other than to any text, so its share among texts means nothing"
        raise PromptError(f"example {shown[0]!r} with contrast: {rule}; use cosine or percentile")
    examples = Examples(atlas, checkpoint, offset)

    def vectors(texts: Sequence[str]) -> Floats:
        return embed_prompts(checkpoint, texts, templates, examples)

    mine, others = vectors(prompts), vectors(negatives)
    if not against:
        return _Asked(np.concatenate([mine, others]), len(mine), offset, partial(_less, len(mine)))
    if checkpoint.calibration is not None:
        generic = vectors([text for text in against if text not in negatives])
        chances = fit_chances(checkpoint, mine, others, generic, told=offset is not None)
        return _Asked(chances.directions, len(mine), offset, chances)
    in_bank = np.array([prompt in against for prompt in prompts])
    share = partial(_share, len(mine), in_bank, checkpoint.logit_scale)
    return _Asked(np.concatenate([mine, vectors(against)]), len(mine), offset, share)


def _less(prompts: int, cosines: Floats) -> Floats:
    """Less the greatest cosine of the negatives, which come after the prompts."""
    mine, others = cosines[:prompts], cosines[prompts:]
    return mine - others.max(0) if len(others) else mine


def _share(prompts: int, in_bank: NDArray[np.bool_], logit_scale: float, cosines: Floats) -> Floats:
    """In a softmax with the bank, which comes after the prompts."""
    return contrast(cosines[:prompts], cosines[prompts:], in_bank, logit_scale)


def _layers(scan: Scan, asked: _Asked, window: Window, everything: bool) -> Floats:
    """`[P, y, x]`: every run of blocks is scored and put in its place by the thread that read it."""
    values = np.full((asked.prompts, *window.grid.shape), np.nan, np.float32)
    cosines = Cosines(asked.texts, asked.offset)
    moment = None if asked.offset is None else scan.moment(asked.offset.when)
    side = scan.atlas.spec.chunk

    def work(cells: Cells) -> None:
        found = cosines(cells, moment)
        scores = asked.score(found.reshape(len(found), -1))
        window.put(scores.reshape(len(scores), *found.shape[1:]), cells.chunks, side, values)

    for _ in scan.each(work, None if everything else window):
        pass
    return values


def _use(checkpoint: Checkpoint, when: When | None) -> str:
    """The attribute `dynamic`."""
    if when is None:
        return STATIC
    if checkpoint.dynamic is None:
        return IGNORED
    years = training_years(checkpoint)
    if years is not None and not years[0] <= when.year <= years[1]:
        return OUTSIDE.format(*years)
    return DYNAMIC


def _attributes(
    atlas: Atlas,
    prompts: Sequence[str],
    negatives: Sequence[str],
    scale: str,
    when: When | None,
    use: str,
) -> dict[str, Any]:
    """Where the scores come from, as text and lists of text, so that any file format can hold them."""
    imagery = atlas.imagery
    attrs: dict[str, Any] = {
        "prompt": prompts[0] if len(prompts) == 1 else list(prompts),
        "scale": scale,
        "when": when.isoformat() if when and use != IGNORED else "",
        "dynamic": use,
        "model": str(atlas.model.get("card", {}).get("name", "unknown")),
        "identity": atlas.identity,
        "imagery": str(imagery.get("uri", "")),
        "attribution": str(imagery.get("attribution", "")),
        "licence": str(imagery.get("licence", "unknown")),
    }
    return attrs | ({"negatives": list(negatives)} if negatives else {})
