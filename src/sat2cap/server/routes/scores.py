"""The scores of all cells in 8 bits: what the page colours on its own, without asking again."""

import json

import numpy as np
from fastapi import APIRouter, Response

from sat2cap.maps import date_warning, with_standard_attributes
from sat2cap.server.scores import Answer
from sat2cap.server.state import AskedAnswer

_PERCENTILES = (2, 50, 95, 98)

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["scores"])


@router.get(
    "/scores",
    summary="Score every cell",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "One byte for each cell."}},
)
def read_scores(answer: AskedAnswer) -> Response:
    """One byte for each cell, row by row from the top left: 0 for no data, 1 to 255 evenly from low to high.

    The header ``X-Score`` holds, as JSON, ``shape``, ``low``, ``high``, the percentiles 2, 50, 95 and 98,
    the name and unit of the scale, and a warning about the date, if there is one.
    """
    return Response(
        answer.levels.tobytes(),
        media_type="application/octet-stream",
        headers={"X-Score": json.dumps(_describe(answer)), "Cache-Control": "no-cache"},
    )


def _describe(answer: Answer) -> dict[str, object]:
    """Return what a legend needs to know about the levels; numbers are None without any data."""
    attrs = with_standard_attributes(answer.score).attrs
    has_data = bool(answer.levels.any())
    return {
        "shape": list(answer.levels.shape),
        "low": answer.low if has_data else None,
        "high": answer.high if has_data else None,
        **{f"p{percent}": score for percent, score in _percentiles(answer).items()},
        "name": attrs.get("long_name", ""),
        "unit": attrs.get("units", ""),
        "warning": date_warning(answer.score.attrs) or None,
    }


def _percentiles(answer: Answer) -> dict[int, float | None]:
    """Return percentiles of the scores from the counts of their levels: sorting them takes longer."""
    counts = np.bincount(answer.levels.ravel(), minlength=256)
    counts[0] = 0
    reached = np.cumsum(counts)
    if reached[-1] == 0:
        return dict.fromkeys(_PERCENTILES)
    step = (answer.high - answer.low) / 254
    levels = [int(np.searchsorted(reached, percent / 100 * reached[-1])) for percent in _PERCENTILES]
    return {
        percent: answer.low + (level - 1) * step for percent, level in zip(_PERCENTILES, levels, strict=True)
    }
