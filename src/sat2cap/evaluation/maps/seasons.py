"""Maps through the year and the day: the measured form of "dynamic" (section 3.3, figure 6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.catalogue import find_world
from sat2cap.errors import InputError
from sat2cap.evaluation.maps.agreement import spearman
from sat2cap.evaluation.maps.location_baseline import CALENDAR
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.miniworld import ground_truth_at
from sat2cap.model import Checkpoint
from sat2cap.query import mean_scores

Floats = NDArray[np.float64]

CALENDAR_HOURS = tuple(sorted({when.hour for when in CALENDAR}))
"""Hours of the day in `CALENDAR`."""
_MONTHS = 12
_MIN_PROBABILITY = 0.001
"""Least mean probability, at the best time, for a concept's truth to be compared with."""


@dataclass(frozen=True)
class TrackedPrompt:
    """A prompt to follow through the year."""

    text: str
    concept: str = ""
    """Name of what it means in the miniature world; empty if the truth is not known."""


@dataclass(frozen=True)
class TrackedRegion:
    """A region to follow prompts in."""

    name: str
    atlas: Atlas

    @property
    def south(self) -> bool:
        """Whether the mean latitude of its cells is south of the equator."""
        return RegionCells(self.atlas).is_southern

    def truth_series(self, concept: str) -> Floats | None:
        """Return a concept's mean probability at each time of `CALENDAR`: float64, shape (96,), 0 to 1.

        None outside the miniature world, and for a concept that hardly ever happens in this region.
        """
        world = find_world(str(self.atlas.imagery.get("uri", "")))
        if world is None or not concept:
            return None
        cells = RegionCells(self.atlas)
        embedded = cells.gather(lambda member: member.status) == CellStatus.OK
        truth = ground_truth_at(world, *cells.lonlat)
        series = truth.truth_series(concept, CALENDAR)[:, embedded].mean(1)
        return np.asarray(series, np.float64) if series.max() >= _MIN_PROBABILITY else None


def evaluate_time(
    regions: Sequence[TrackedRegion],
    checkpoint: Checkpoint,
    prompts: Sequence[TrackedPrompt],
    *,
    draws: int = 1000,
) -> Evaluation:
    """Measure how the mean score of each prompt moves over 12 months by 8 hours, in each region.

    Scores are on `default_mean_scale`. Against the truth, where it is known:
    ``rank_correlation.REGION.PROMPT`` over month and hour, and of the means over hours (``month.…``) and
    over months (``hour.…``); ``….median`` over all of them, its interval from resampling prompts. Without
    it: ``swing.REGION.PROMPT``, greatest less least mean score; ``peak_month.…`` and ``peak_hour.…``; and
    for regions on both sides of the equator ``months_apart.PROMPT``, how many months one must be turned
    for the years to agree best (6 for what has a season, 0 for what has none), with that of the truth
    beside it. Raises `InputError` for names that repeat, or a model without a Dynamic Encoder.
    """
    if len({region.name for region in regions}) != len(regions):
        raise InputError("two regions have the same name; rename the folder of one atlas")
    if checkpoint.dynamic is None:
        name = checkpoint.card.get("name", "this model")
        raise InputError(
            f"{name} has no Dynamic Encoder, so its maps do not change with time; give a model with one"
        )
    texts = [prompt.text for prompt in prompts]
    curves: dict[str, dict[str, dict[str, Floats]]] = {text: {} for text in texts}
    for region in regions:
        for prompt, mean in zip(prompts, mean_scores(region.atlas, checkpoint, texts, CALENDAR), strict=True):
            series = {"score": mean}
            truth = region.truth_series(prompt.concept)
            if truth is not None:
                series["truth"] = truth
            curves[prompt.text][region.name] = series
    south = {region.name: region.south for region in regions}
    metrics = [*_prompt_metrics(curves), *_median_metrics(curves, draws), *_hemisphere_metrics(curves, south)]
    return Evaluation(tuple(metrics), _table_data(curves, south), curves)


Curves = dict[str, dict[str, dict[str, Floats]]]
"""Means at each time of `CALENDAR`, float64 `[96]`, by prompt, region, and ``score`` or ``truth``."""


def _mean_by_month(series: Floats) -> Floats:
    """Return the mean over the hours for each month: `[12]`."""
    return np.asarray(series.reshape(_MONTHS, len(CALENDAR_HOURS)).mean(1))


def _mean_by_hour(series: Floats) -> Floats:
    """Return the mean over the months for each hour of `CALENDAR_HOURS`."""
    return np.asarray(series.reshape(_MONTHS, len(CALENDAR_HOURS)).mean(0))


def _prompt_metrics(curves: Curves) -> Iterator[Metric]:
    """Yield swing, peaks and rank correlations of every prompt in every region."""
    for text, places in curves.items():
        for place, series in places.items():
            name, score = f"{place}.{text}", series["score"]
            yield Metric(f"swing.{name}", float(np.ptp(score)))
            yield Metric(f"peak_month.{name}", float(_mean_by_month(score).argmax() + 1))
            yield Metric(f"peak_hour.{name}", float(CALENDAR_HOURS[int(_mean_by_hour(score).argmax())]))
            if "truth" in series:
                yield Metric(f"peak_month.truth.{name}", float(_mean_by_month(series["truth"]).argmax() + 1))
                yield Metric(
                    f"peak_hour.truth.{name}",
                    float(CALENDAR_HOURS[int(_mean_by_hour(series["truth"]).argmax())]),
                )
            for kind, value in _truth_correlations(series).items():
                yield Metric(f"{kind}.{name}", value)


def _truth_correlations(series: dict[str, Floats]) -> dict[str, float]:
    """Return rank correlations of score and truth: over all times, of the months and of the hours.

    Empty without a truth. NaN for the months if the truth has no season, for the hours if it has no hour.
    """
    if "truth" not in series:
        return {}
    score, truth = series["score"], series["truth"]
    return {
        "rank_correlation": spearman(score, truth),
        "month": _spearman_if_varied(_mean_by_month(score), _mean_by_month(truth)),
        "hour": _spearman_if_varied(_mean_by_hour(score), _mean_by_hour(truth)),
    }


def _spearman_if_varied(score: Floats, truth: Floats) -> float:
    """Return the rank correlation, or NaN if the truth changes by less than a tenth of its mean."""
    return spearman(score, truth) if np.ptp(truth) > 0.1 * truth.mean() else float("nan")


def _median_metrics(curves: Curves, draws: int) -> Iterator[Metric]:
    """Yield medians over all prompts and regions; prompts are resampled, since regions share them."""
    by_prompt = [[_truth_correlations(series) for series in places.values()] for places in curves.values()]
    for kind in ("rank_correlation", "month", "hour"):
        defined = [[c[kind] for c in prompt if kind in c and np.isfinite(c[kind])] for prompt in by_prompt]
        defined = [values for values in defined if values]
        if not defined:
            continue
        random = np.random.default_rng(0)
        drawn = [
            np.median(np.concatenate([defined[i] for i in random.integers(0, len(defined), len(defined))]))
            for _ in range(draws)
        ]
        ends = (float(np.percentile(drawn, 2.5)), float(np.percentile(drawn, 97.5))) if drawn else None
        yield Metric(f"{kind}.median", float(np.median(np.concatenate(defined))), ends)
        yield Metric(f"{kind}.prompts", float(len(defined)))


def _hemisphere_metrics(curves: Curves, south: dict[str, bool]) -> Iterator[Metric]:
    """Yield the months between the years of northern and southern regions: means over all such pairs."""
    pairs = [(a, b) for a, b in combinations(south, 2) if south[a] != south[b]]
    errors = []
    for text, places in curves.items() if pairs else ():
        apart = {pair: _months_between(places, pair, "score") for pair in pairs}
        true_apart = {
            pair: _months_between(places, pair, "truth") for pair in pairs if _has_season(places, pair)
        }
        yield Metric(f"months_apart.{text}", float(np.mean(list(apart.values()))))
        if true_apart:
            yield Metric(f"months_apart.truth.{text}", float(np.mean(list(true_apart.values()))))
            errors.append(np.mean([abs(apart[pair] - true_apart[pair]) for pair in true_apart]))
    if errors:
        yield Metric("months_apart.mean_error", float(np.mean(errors)))
        yield Metric("months_apart.prompts", float(len(errors)))


def _months_between(places: dict[str, dict[str, Floats]], pair: tuple[str, str], kind: str) -> float:
    """Return `months_apart` of two regions, of their scores or their truths."""
    return months_apart(*(_mean_by_month(places[place][kind]) for place in pair))


def _has_season(places: dict[str, dict[str, Floats]], pair: tuple[str, str]) -> bool:
    """Return whether the truth is known in both regions, and swings by more than half of its mean there."""
    years = [_mean_by_month(places[place]["truth"]) for place in pair if "truth" in places[place]]
    return len(years) == 2 and min(np.ptp(year) / max(year.mean(), 1e-12) for year in years) > 0.5


def months_apart(first: Floats, second: Floats) -> float:
    """Return by how many months, 0 to 6, `second` must be shifted to correlate best with `first`.

    Both are one value a month, `[12]`; a shift may go either way round the year. Two hemispheres with
    opposite seasons are 6 months apart.
    """
    a, b = first - first.mean(), second - second.mean()
    correlations = [float(a @ np.roll(b, shift)) for shift in range(_MONTHS)]
    best = int(np.argmax(correlations))
    return float(min(best, _MONTHS - best))


def _table_data(curves: Curves, south: dict[str, bool]) -> dict[str, Any]:
    """Return hours, hemispheres and curves as plain values, rounded to five digits."""
    rounded = {
        text: {
            place: {kind: [float(f"{v:.5g}") for v in values] for kind, values in series.items()}
            for place, series in places.items()
        }
        for text, places in curves.items()
    }
    return {"hours": list(CALENDAR_HOURS), "south": south, "curves": rounded}
