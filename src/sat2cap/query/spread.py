"""How much a score depends on what the prompt leaves open: a second layer beside it.

It is the standard deviation of the score over other wordings of the prompt, over the hours of the day or over
the years. It says how firmly the model holds to its answer, not how likely the answer is to be right.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from sat2cap.errors import PromptError, WhenError
from sat2cap.geo import Region, When
from sat2cap.model import Checkpoint
from sat2cap.query.engine.scan import Scan
from sat2cap.query.prompts import PLAIN, TEMPLATES
from sat2cap.query.scoring import ScoreScale, score_atlas, training_years

SpreadOver = Literal["templates", "hours", "years"]
SPREAD_OVERS: tuple[str, ...] = get_args(SpreadOver)

_HOURS = tuple(float(hour) for hour in range(0, 24, 3))
_YEARS_AROUND = 2


def score_with_spread(
    scan: Scan,
    checkpoint: Checkpoint,
    prompts: Sequence[str],
    over: SpreadOver,
    *,
    when: When | None = None,
    negatives: Sequence[str] = (),
    scale: ScoreScale = "cosine",
    templates: Sequence[str] = PLAIN,
    region: Region | None = None,
) -> xr.DataArray:
    """What `score_atlas` gives, and after it a layer for each prompt with the spread of its score.

    Over ``templates``: the wordings of `TEMPLATES`, or the given ones if there are several. Over ``hours``:
    every third hour of the day asked for. Over ``years``: the same date and hour in every year trained on, or
    two years before and after if the model's card does not say.
    Raises as `score_atlas` does, `PromptError` for an
    unknown `over`, `WhenError` if hours or years are asked for without a date or of a model without time.
    """
    if over not in SPREAD_OVERS:
        raise PromptError(f"spread over {over!r} is unknown; use one of {', '.join(SPREAD_OVERS)}")

    def ask(**changed: Any) -> xr.DataArray:
        asked = {"when": when, "negatives": negatives, "scale": scale, "templates": templates}
        return score_atlas(scan, checkpoint, prompts, region=region, **asked | changed)

    base = ask()
    mean, squares, count = np.zeros(base.shape), np.zeros(base.shape), 0
    for change in _changes(checkpoint, over, when, templates):
        values, count = ask(**change).values.astype(np.float64), count + 1
        step = values - mean
        mean += step / count
        squares += step * (values - mean)
    names = [f"{prompt} (spread over {over})" for prompt in prompts]
    spread = base.copy(data=np.sqrt(squares / count).astype(np.float32)).assign_coords(prompt=names)
    both = xr.concat([base, spread], "prompt", combine_attrs="override")
    both.encoding["grid_mapping"] = "spatial_ref"
    return both.assign_attrs(prompt=[*prompts, *names])


def _changes(
    checkpoint: Checkpoint, over: SpreadOver, when: When | None, templates: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """What is asked otherwise, each time."""
    if over == "templates":
        yield from ({"templates": (t,)} for t in (templates if len(templates) > 1 else TEMPLATES))
        return
    if when is None or checkpoint.dynamic is None:
        reason = "no date is given" if when is None else "the model has no Dynamic Encoder"
        raise WhenError(f"spread over {over} has nothing to go over: {reason}; use templates")
    if over == "hours":
        yield from ({"when": replace(when, hour=hour)} for hour in _HOURS)
        return
    first, last = training_years(checkpoint) or (when.year - _YEARS_AROUND, when.year + _YEARS_AROUND)
    day = 28 if (when.month, when.day) == (2, 29) else when.day
    yield from ({"when": replace(when, year=year, day=day)} for year in range(first, last + 1))
