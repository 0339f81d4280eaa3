"""The scores of all cells in 8 bits: what the page colours on its own, without asking again."""

import json
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Response

from sat2cap.geo import grid_of
from sat2cap.maps import date_warning, few_photos_warning, with_standard_attributes
from sat2cap.server.parts import Part, part_within, read_bounds
from sat2cap.server.scores import Answer
from sat2cap.server.state import AskedAnswer, AskedAtlas

_PERCENTILES = (2, 50, 95, 98)

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["scores"])


@router.get(
    "/scores",
    summary="Score every cell",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "One byte for each cell."}},
)
async def read_scores(
    served: AskedAtlas,
    answer: AskedAnswer,
    bounds: Annotated[tuple[float, float, float, float] | None, Depends(read_bounds)],
) -> Response:
    """One byte for each cell, row by row from the top left: 0 for no data, 1 to 255 evenly from low to high.

    The header ``X-Score`` holds, as JSON, ``shape``, ``low``, ``high``, the percentiles 2, 50, 95 and 98,
    the name and unit of the scale, a ``warning`` about the date, with ``unfinished`` how much of an atlas is
    done that is not finished, with ``few_photos`` which prompts of a chance few held-out photos speak for,
    if there are any, and with ``says_nothing`` whether the words of a chance fit no held-out photo better
    than words without meaning do. With ``bbox`` the answer is the block of cells that lies there, whose first
    is at row and column ``offset`` of the atlas; low, high and percentiles are still those of the whole map,
    so that colours stay while one pans. A difference (``minus``, ``minus_when``) is ``centred``: low is
    -high, and the level 128 is no change.
    """
    part = part_within(grid_of(answer.score), bounds)
    about = {**_describe(answer, part), "unfinished": served.unfinished or None}
    levels = answer.levels[part.rows, part.cols]
    return Response(
        levels.tobytes(),
        media_type="application/octet-stream",
        headers={"X-Score": json.dumps(about), "Cache-Control": "no-cache"},
    )


def _describe(answer: Answer, part: Part) -> dict[str, object]:
    """Return what a legend needs to know about the levels; numbers are None without any data."""
    attrs = with_standard_attributes(answer.score).attrs
    has_data = bool(answer.counts[1:].any())
    return {
        "shape": list(part.shape),
        "offset": [part.rows.start, part.cols.start],
        "low": answer.low if has_data else None,
        "high": answer.high if has_data else None,
        "centred": answer.is_centred,
        **{f"p{percent}": score for percent, score in _percentiles(answer).items()},
        "name": attrs.get("long_name", ""),
        "unit": attrs.get("units", ""),
        "says_nothing": answer.says_nothing,
        "warning": date_warning(answer.score.attrs) or None,
        "few_photos": few_photos_warning(answer.score.attrs) or None,
    }


def _percentiles(answer: Answer) -> dict[int, float | None]:
    """Return percentiles of the scores from the counts of their levels: sorting them takes longer."""
    reached = np.cumsum(np.where(np.arange(256) > 0, answer.counts, 0))
    if reached[-1] == 0:
        return dict.fromkeys(_PERCENTILES)
    step = (answer.high - answer.low) / 254
    levels = [int(np.searchsorted(reached, percent / 100 * reached[-1])) for percent in _PERCENTILES]
    return {
        percent: answer.low + (level - 1) * step for percent, level in zip(_PERCENTILES, levels, strict=True)
    }
