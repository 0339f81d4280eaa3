"""Prompts over many moments: what a map does through the year and the day."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import ModelError, PromptError, WhenError
from sat2cap.geo import When
from sat2cap.model import Checkpoint
from sat2cap.query.chances import Chances, fit_chances
from sat2cap.query.engine.blocks import Cells
from sat2cap.query.engine.cosine import Cosines, dynamic_offset_at
from sat2cap.query.engine.scan import Scan
from sat2cap.query.prompts import GENERIC, embed_prompts
from sat2cap.query.scoring import check_atlas_model

Floats = NDArray[np.float32]
MeanScale = Literal["cosine", "contrast"]


def default_mean_scale(checkpoint: Checkpoint) -> MeanScale:
    """What is best averaged: chances, if the model is calibrated, as their mean is a share of photos.

    A mean of cosines follows the many cells where a thing never is.
    """
    return "cosine" if checkpoint.calibration is None else "contrast"


def mean_scores(
    atlas: Atlas,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    times: Sequence[When],
    scale: MeanScale | None = None,
) -> NDArray[np.float64]:
    """The mean score over the atlas's embedded cells, float64 ``[prompts, times]``.

    The same as the means of what `score` gives for each time, but prompts are embedded and the atlas is read
    only once. `contrast` needs a calibrated model: its mean is the share of photos, if as many are taken in
    every cell, that fit the prompt. No `scale`: `default_mean_scale`. Without a Dynamic Encoder all times
    are alike. NaN if no cell is embedded. Raises `PromptError`, `WhenError`, `ModelError`, `AtlasError`.
    """
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    if not times:
        raise WhenError("no moment is given; write one, such as 2024-05-20T08:00")
    check_atlas_model(atlas, checkpoint)
    texts = embed_prompts(checkpoint, prompts)
    worth = (
        _chances(checkpoint, texts) if (scale or default_mean_scale(checkpoint)) == "contrast" else _cosines
    )
    directions = worth.directions if isinstance(worth, Chances) else texts
    at = [Cosines(directions, dynamic_offset_at(checkpoint, when)) for when in times]

    def work(cells: Cells) -> tuple[NDArray[np.float64], int]:
        found = (worth(cosines(cells).reshape(len(texts), -1)) for cosines in at)
        sums = np.stack([np.nansum(values, axis=1, dtype=np.float64) for values in found], axis=1)
        return sums, int(np.isfinite(cells.inverse).sum())

    sums, count = np.zeros((len(prompts), len(times))), 0
    for more, embedded in Scan(atlas, checkpoint.encoding).each(work):
        sums, count = sums + more, count + embedded
    return sums / count if count else np.full_like(sums, np.nan)


def _cosines(cosines: Floats) -> Floats:
    return cosines


def _chances(checkpoint: Checkpoint, texts: Floats) -> Chances:
    """From cosines `[P, N]` to chances, for prompts at some date and hour."""
    if checkpoint.calibration is None:
        name = checkpoint.card.get("name", "this model")
        raise ModelError(f"{name} is not calibrated, see sat2cap models calibrate; or take the cosine")
    none = np.zeros((0, checkpoint.dim), np.float32)
    return fit_chances(checkpoint, texts, none, embed_prompts(checkpoint, GENERIC), told=True)
