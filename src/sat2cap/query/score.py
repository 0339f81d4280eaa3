"""A prompt, and if asked a date and hour, to a score for every cell of an atlas."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from sat2cap.atlas.store import Atlas
from sat2cap.errors import AtlasError, PromptError
from sat2cap.geo.frame import on_grid
from sat2cap.geo.when import When
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query.cells import embedded_cells
from sat2cap.query.cosine import DynamicCosines, Offset, offset_at, static_cosines
from sat2cap.query.prompts import GENERIC, PLAIN, embed_prompts
from sat2cap.query.scales import contrast, percentile

Scale = Literal["cosine", "percentile", "contrast"]
SCALES: tuple[str, ...] = get_args(Scale)
Floats = NDArray[np.float32]

STATIC = "static"
DYNAMIC = "dynamic"
IGNORED = "ignored: the model has no Dynamic Encoder"
"""Values of the attribute `dynamic`: no moment was asked for, it was used, or it was asked for in vain."""


@dataclass(frozen=True)
class _Asked:
    """A query as vectors."""

    prompts: Floats
    """`[P, D]`, unit."""
    negatives: Floats
    """`[M, D]`, unit; empty if the scale is `contrast`."""
    bank: Floats
    """`[B, D]`, unit, negatives included; empty unless the scale is `contrast`."""
    in_bank: NDArray[np.bool_]
    """`[P]`: which prompts are in the bank themselves."""
    offset: Offset | None
    logit_scale: float

    def score(self, cosines: Floats) -> Floats:
        """`[P, N]` of the cosines of prompts, negatives and bank, `[P + M + B, N]`."""
        mine, others = cosines[: len(self.prompts)], cosines[len(self.prompts) :]
        if len(self.bank):
            return contrast(mine, others, self.in_bank, self.logit_scale)
        return mine - others.max(0) if len(others) else mine


def score(
    atlas: Atlas,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    *,
    when: When | None = None,
    negatives: Sequence[str] = (),
    scale: Scale = "cosine",
    bank: Sequence[str] = GENERIC,
    templates: Sequence[str] = PLAIN,
) -> xr.DataArray:
    """Scores float32 with dims ``(prompt, y, x)`` on the atlas's grid; NaN where there is no embedding.

    `cosine` is the cosine itself; `percentile` its rank within the atlas, 0 to 100; `contrast` the share of
    the prompt, 0 to 1, in a softmax with the prompts of `bank` at the model's logit scale. With `negatives`
    the greatest of their cosines is taken off first, or, for `contrast`, they join the bank.

    `when` is local to each cell. If the model has no Dynamic Encoder the scores are those without it, and the
    attribute `dynamic` says so. Raises `PromptError`, `ModelError` (no text tower), `AtlasError` (made by
    another model).
    """
    if scale not in SCALES:
        raise PromptError(f"scale {scale!r} is unknown; use one of {', '.join(SCALES)}")
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    check_model(atlas, checkpoint)
    offset = None if when is None else offset_at(checkpoint, when)
    against = list(dict.fromkeys([*negatives, *bank])) if scale == "contrast" else []
    if scale == "contrast" and len(against) < 2:
        raise PromptError(f"bank {list(bank)} is too small to set a prompt against; give 2 prompts or more")
    asked = _Asked(
        embed_prompts(checkpoint, prompts, templates),
        embed_prompts(checkpoint, [] if against else negatives, templates),
        embed_prompts(checkpoint, against, templates),
        np.array([prompt in against for prompt in prompts]),
        offset,
        checkpoint.logit_scale,
    )
    values = _scan(atlas, asked)
    if scale == "percentile":
        values = np.stack([percentile(layer) for layer in values])
    attrs = _attributes(atlas, prompts, negatives, scale, when, offset)
    return on_grid(values, atlas.grid, ("prompt", "y", "x"), {"prompt": list(prompts)}, attrs)


def one_prompt(scores: xr.DataArray, index: int = 0) -> xr.DataArray:
    """One layer ``(y, x)`` of what `score` gave, its attributes naming that prompt alone: what maps take."""
    layer = scores.isel(prompt=index)
    return layer.assign_attrs(prompt=str(layer.coords["prompt"].item()))


def check_model(atlas: Atlas, checkpoint: Checkpoint) -> None:
    """Raise `AtlasError` unless `checkpoint` embedded the atlas; its text tower may be another's."""
    made_by = str(atlas.model.get("place_identity"))
    if made_by != checkpoint.place_identity:
        name = atlas.model.get("card", {}).get("name", "another model")
        given = checkpoint.card.get("name", "this model")
        raise AtlasError(
            f"{given} ({checkpoint.place_identity[:12]}) is not the model of this atlas, "
            f"{name} ({made_by[:12]}); give that model, or embed again"
        )


def _scan(atlas: Atlas, asked: _Asked) -> Floats:
    """`[P, y, x]`, a batch of cells at a time."""
    texts = np.concatenate([asked.prompts, asked.negatives, asked.bank])
    values = np.full((len(asked.prompts), *atlas.grid.shape), np.nan, np.float32)
    dynamic = DynamicCosines.of(texts, asked.offset) if asked.offset else None
    for cells in embedded_cells(atlas):
        if asked.offset is None or dynamic is None:
            cosines = static_cosines(cells.stored, texts)
        else:
            hidden = asked.offset.hidden(*cells.lonlat(atlas.grid))
            cosines = dynamic(cells.stored, cells.scale, hidden)
        cells.put(asked.score(cosines), values)
    return values


def _attributes(
    atlas: Atlas,
    prompts: Sequence[str],
    negatives: Sequence[str],
    scale: str,
    when: When | None,
    offset: Offset | None,
) -> dict[str, Any]:
    """Where the scores come from, as text and lists of text, so that any file format can hold them."""
    imagery = atlas.imagery
    attrs: dict[str, Any] = {
        "prompt": prompts[0] if len(prompts) == 1 else list(prompts),
        "scale": scale,
        "when": when.isoformat() if when and offset else "",
        "dynamic": STATIC if when is None else DYNAMIC if offset else IGNORED,
        "model": str(atlas.model.get("card", {}).get("name", "unknown")),
        "identity": atlas.identity,
        "imagery": str(imagery.get("uri", "")),
        "attribution": str(imagery.get("attribution", "")),
        "licence": str(imagery.get("licence", "unknown")),
    }
    return attrs | ({"negatives": list(negatives)} if negatives else {})
