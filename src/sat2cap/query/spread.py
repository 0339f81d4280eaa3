"""The spread of a score over what a query leaves open, as a second layer beside it.

It is the standard deviation of the score over other wordings of the prompt, over the hours of the day or over
the years. It measures how stable the model's answer is, not how likely it is to be right.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Unpack, get_args

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError, WhenError
from sat2cap.geo import GridArray
from sat2cap.model import QueryModel
from sat2cap.query.attributes import training_years
from sat2cap.query.chance_errors import compute_chance_errors
from sat2cap.query.engine.scan import Scan
from sat2cap.query.prompts import PLAIN, TEMPLATES
from sat2cap.query.scoring import ScoreOptions, compute_scores

SpreadOver = Literal["templates", "hours", "years", "photos"]
SPREAD_OVERS: tuple[str, ...] = get_args(SpreadOver)

_HOURS = tuple(float(hour) for hour in range(0, 24, 3))
"""Hours of the day, local, over which the spread is taken."""
_YEARS_AROUND = 2
"""Years before and after the one asked for, if the training years are unknown."""


def score_with_spread(
    scan: Scan,
    checkpoint: QueryModel,
    prompts: Sequence[str],
    over: SpreadOver,
    **options: Unpack[ScoreOptions],
) -> GridArray:
    """Return the scores of P prompts, then P layers with their spreads, dims ``(prompt, y, x)``.

    A spread is the standard deviation over the scores of several queries:

    - ``templates``: each wording of `TEMPLATES` on its own, or of `templates` if there are several;
    - ``hours``: every third hour of the day of `when`;
    - ``years``: the date and hour of `when` in every training year, or from two years before to two years
      after if the model's card does not name them. 29 February becomes 28 February;
    - ``photos``: not of queries, but the standard error that a chance has because the held-out photos it was
      fitted to are a sample, by `chance_errors`.

    `options` are those of `compute_scores`. Raises as it does; `PromptError` for an unknown `over`;
    `WhenError` for hours or years without a date, or with a model without Dynamic Encoder.
    """
    check_spread_over(over)
    base = compute_scores(scan, checkpoint, prompts, **options)
    if over == "photos":
        spread = compute_chance_errors(scan, checkpoint, prompts, **options)
    else:
        queries = varied_options(checkpoint, over, options)
        spread = standard_deviation(
            compute_scores(scan, checkpoint, prompts, **varied).values for varied in queries
        )
    return with_spread(base, spread, prompts, over)


def check_spread_over(over: str) -> None:
    """Raise `PromptError` for what no spread is taken over."""
    if over not in SPREAD_OVERS:
        raise PromptError(f"spread over {over!r} is unknown; use one of {', '.join(SPREAD_OVERS)}")


def with_spread(
    base: GridArray, spread: NDArray[np.float32], prompts: Sequence[str], over: SpreadOver
) -> GridArray:
    """Return the scores of P prompts and after them their spreads, both of the shape of `base`."""
    labels = [*prompts, *(f"{prompt} (spread over {over})" for prompt in prompts)]
    return replace(
        base,
        values=np.concatenate([base.values, spread]),
        coords={"prompt": np.array(labels)},
        attrs={**base.attrs, "prompt": labels},
    )


def standard_deviation(sets: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the standard deviation of each number over several sets of scores of one shape, float32."""
    # Welford's algorithm: mean and sum of squared deviations, with one set of scores in memory at a time
    mean, squares, count = np.zeros(()), np.zeros(()), 0
    for count, scores in enumerate(sets, 1):
        values = scores.astype(np.float64)
        deviation = values - mean
        mean = mean + deviation / count
        squares = squares + deviation * (values - mean)
    return np.sqrt(squares / count).astype(np.float32)


def varied_options(checkpoint: QueryModel, over: SpreadOver, options: ScoreOptions) -> Iterator[ScoreOptions]:
    """Yield the options of each query that the spread is taken over."""
    if over == "templates":
        templates = options.get("templates", PLAIN)
        for wording in templates if len(templates) > 1 else TEMPLATES:
            yield {**options, "templates": (wording,)}
        return
    when = options.get("when")
    if when is None or checkpoint.dynamic_weights is None:
        reason = "no date is given" if when is None else "the model has no Dynamic Encoder"
        raise WhenError(f"spread over {over} has nothing to go over: {reason}; use templates")
    if over == "hours":
        for hour in _HOURS:
            yield {**options, "when": replace(when, hour=hour)}
        return
    first, last = training_years(checkpoint) or (when.year - _YEARS_AROUND, when.year + _YEARS_AROUND)
    day = 28 if (when.month, when.day) == (2, 29) else when.day
    for year in range(first, last + 1):
        yield {**options, "when": replace(when, year=year, day=day)}
