"""Mean scores of prompts over an atlas at many moments: through the year, through the day."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, WideAtlas
from sat2cap.errors import ModelError, PromptError, WhenError
from sat2cap.geo import When
from sat2cap.model import QueryModel
from sat2cap.query.chances import Chances, fit_chances
from sat2cap.query.engine.blocks import Cells
from sat2cap.query.engine.cosine import Cosines, dynamic_offset_at
from sat2cap.query.engine.scan import Scan, Snapshot
from sat2cap.query.prompts import GENERIC, embed_prompts
from sat2cap.query.scoring import check_atlas_model

Floats = NDArray[np.float32]
MeanScale = Literal["cosine", "contrast"]


def default_mean_scale(checkpoint: QueryModel) -> MeanScale:
    """Return the scale that is best averaged: `contrast` for a calibrated model, else `cosine`.

    A mean of chances is a share of photos, while a mean of cosines is dominated by the many cells where the
    prompt never fits.
    """
    return "cosine" if checkpoint.calibration is None else "contrast"


def mean_scores(
    atlas: Atlas,
    checkpoint: QueryModel,
    prompts: Sequence[str],
    times: Sequence[When],
    scale: MeanScale | None = None,
) -> NDArray[np.float64]:
    """Return the mean score of each prompt at each time over all cells, float64 ``[prompts, times]``.

    Of a wide atlas they are the cells whose centre lies in their UTM zone, so that none counts twice.

    It equals the mean of `score_atlas` at each time, but the prompts are embedded and the atlas is read only
    once. NaN if no cell is embedded. `scale` None stands for `default_mean_scale`. The mean of `contrast` is
    the share of photos that fit the prompt, if every cell has equally many. For a model without Dynamic
    Encoder all times are equal.

    Raises `PromptError` or `WhenError` if there are no prompts or times, `ModelError` for `contrast` of a
    model that is not calibrated, and `AtlasError` if another model made the atlas.
    """
    if not prompts:
        raise PromptError("no prompt is given; write what a photo there would show")
    if not times:
        raise WhenError("no moment is given; write one, such as 2024-05-20T08:00")
    check_atlas_model(atlas, checkpoint)
    texts = embed_prompts(checkpoint, prompts)
    uses_chances = (scale or default_mean_scale(checkpoint)) == "contrast"
    chances = _fit_generic_chances(checkpoint, texts) if uses_chances else None
    directions = texts if chances is None else chances.directions
    cosines_at = [Cosines(directions, dynamic_offset_at(checkpoint, when)) for when in times]

    def sum_scores(cells: Cells) -> NDArray[np.float64]:
        """Return the sums `[prompts, times]` over some blocks."""
        sums = np.empty((len(prompts), len(times)))
        for column, cosines_of in enumerate(cosines_at):
            cosines = cosines_of(cells).reshape(len(texts), -1)
            scores = cosines if chances is None else chances(cosines)
            sums[:, column] = np.nansum(scores, axis=1, dtype=np.float64)
        return sums

    total, count = np.zeros((len(prompts), len(times))), 0
    for member, counted in _counted_cells(atlas):
        scan = Scan(member, checkpoint.encoding)
        sums, embedded = _sum_consistently(scan, sum_scores, total.shape, counted)
        total, count = total + sums, count + embedded
    return total / count if count else np.full_like(total, np.nan)


def _counted_cells(atlas: Atlas) -> list[tuple[Atlas, NDArray[np.bool_] | None]]:
    """Return each atlas in one CRS with the cells `[y, x]` that count; None for all of them."""
    if isinstance(atlas, WideAtlas):
        return [(part.atlas, part.owned) for part in atlas.parts]
    return [(atlas, None)]


def _sum_consistently(
    scan: Scan,
    sum_scores: Callable[[Cells], NDArray[np.float64]],
    shape: tuple[int, ...],
    counted: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float64], int]:
    """Return the sums of scores, of this shape, over the counted cells of a grid, and their number."""

    def sum_block(cells: Cells) -> tuple[NDArray[np.float64], int]:
        if counted is not None:  # a cell without an embedding is in no sum
            is_counted = _counted_in(cells, counted)
            cells = replace(cells, inverse=np.where(is_counted, cells.inverse, np.float32(np.nan)))
        return sum_scores(cells), int(np.isfinite(cells.inverse).sum())

    def sum_once(snapshot: Snapshot) -> tuple[NDArray[np.float64], int]:
        total, count = np.zeros(shape), 0
        for sums, embedded in scan.map_blocks(sum_block, snapshot=snapshot):
            total, count = total + sums, count + embedded
        return total, count

    return scan.scan_consistently(sum_once)


def _counted_in(cells: Cells, counted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which cells of blocks are counted, `[n, B]`."""
    side = math.isqrt(cells.inverse.shape[1])
    mask = np.zeros((len(cells.chunks), side, side), bool)
    for block, chunk in zip(mask, cells.chunks, strict=True):
        part = counted[chunk.rows, chunk.cols]
        block[: part.shape[0], : part.shape[1]] = part
    return mask.reshape(len(mask), -1)


def _fit_generic_chances(checkpoint: QueryModel, texts: Floats) -> Chances:
    """Fit the chances of prompts `[P, D]` against the generic bank, at a date and hour.

    Raises `ModelError` if the model is not calibrated.
    """
    if checkpoint.calibration is None:
        name = checkpoint.card.get("name", "this model")
        raise ModelError(f"{name} is not calibrated, see sat2cap models calibrate; or take the cosine")
    no_negatives = np.zeros((0, checkpoint.dim), np.float32)
    return fit_chances(checkpoint, texts, no_negatives, embed_prompts(checkpoint, GENERIC), conditioned=True)
