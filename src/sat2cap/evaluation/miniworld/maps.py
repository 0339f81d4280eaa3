"""Maps of the miniature world against its truth, in space and in time; no real data set allows this."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.evaluation.maps.agreement import Agreement, spearman
from sat2cap.evaluation.maps.location_baseline import CALENDAR, location_cosines
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.rows import AERIAL_TEMPLATE
from sat2cap.geo import When, parse_when
from sat2cap.miniworld import GroundTruth, Prompt, half_year_later, local_times
from sat2cap.model import Checkpoint
from sat2cap.query import MeanScale, mean_scores

Floats = NDArray[np.float32]

FEWEST = 12
"""Positive, and negative, cells that a region needs for its map of a prompt to be judged."""

_LEAST_MEAN_TRUTH = 0.001
"""Greatest mean probability below which a country is left out for a prompt over the calendar."""

MAP_MEASURES = ("auroc", "average_precision")
"""Measures of a map; AUROC alone flatters maps of rare things."""


@dataclass(frozen=True)
class Country:
    """A region of the miniature world with its atlas and its truth."""

    name: str
    atlas: Atlas
    ground_truth: GroundTruth
    south: bool = False
    """South of the equator: prompts with a season are asked half a year later."""
    _truth_cache: dict[tuple[str, When | None], Floats] = field(
        default_factory=dict, repr=False, compare=False
    )
    """Truths worked out before; a country with another atlas (`dataclasses.replace`) shares them."""

    def when(self, prompt: Prompt) -> When | None:
        """Return the moment at which `prompt` is asked here; None for a prompt without a date.

        South of the equator it is half a year later, so that the season is the same.
        """
        if prompt.when is None:
            return None
        return parse_when(half_year_later(prompt.when) if self.south else prompt.when)

    def truth(self, prompt: Prompt) -> Floats:
        """Return the probability that a photo in each cell shows what the prompt means.

        float32, shape (cells,), 0 to 1, row by row. Raises `InputError` for a concept that is not known.
        """
        key = prompt.concept, self.when(prompt)
        if key not in self._truth_cache:
            self._truth_cache[key] = self.ground_truth.truth_at(*key)
        return self._truth_cache[key]

    def mean_truth(self, prompt: Prompt, calendar: Sequence[When]) -> Floats:
        """Return the mean probability over the embedded cells at each moment of `calendar`.

        float32, shape (times,), 0 to 1. The date of the prompt itself does not count.
        """
        embedded = RegionCells(self.atlas).gather(lambda member: member.status) == CellStatus.OK
        return np.asarray(self.ground_truth.truth_series(prompt.concept, calendar)[:, embedded].mean(1))


Scores = Callable[[Country, Checkpoint, Sequence[str], When | None], Floats]
"""What gives every cell of a country a score for each text, ``[texts, cells]``: a map, or a baseline."""


def map_scores(country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None) -> Floats:
    """Return the scores of the maps themselves, float32 ``[texts, cells]``."""
    return RegionCells(country.atlas).scores(checkpoint, texts, when=when)


def location_scores(
    country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Floats:
    """Return the scores of T texts by place and time alone, float32 ``[texts, cells]``.

    They are `location_cosines` of the country's cells: a baseline that never sees the imagery.
    """
    return location_cosines(*RegionCells(country.atlas).lonlat, checkpoint, texts, when)


def aerial_scores(
    country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Floats:
    """Return the scores of each text asked as a view from above, float32 ``[texts, cells]``.

    Each fills `AERIAL_TEMPLATE`: plain CLIP knows captions of aerial photos, and may do better with these
    words.
    """
    return map_scores(country, checkpoint, [AERIAL_TEMPLATE.format(text) for text in texts], when)


def positives(truth: Floats) -> NDArray[np.bool_]:
    """Return a mask of the cells where the truth is at least half of the region's greatest probability.

    `truth` holds probabilities, 0 to 1, of any shape; the mask has the same.
    """
    return np.asarray(truth >= 0.5 * truth.max())


def can_judge(country: Country, prompt: Prompt) -> bool:
    """Return whether a country has enough variety to judge a prompt's map.

    It needs `FEWEST` positive and negative cells, and a probability of 0.2 somewhere.
    """
    truth = country.truth(prompt)
    positive = positives(truth)
    return bool(truth.max() >= 0.2 and FEWEST <= positive.sum() <= positive.size - FEWEST)


def map_agreement(
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    prompts: Sequence[Prompt],
    *,
    scores: Scores = map_scores,
) -> Iterator[tuple[Prompt, dict[str, float]]]:
    """Yield each prompt's `MAP_MEASURES` against the thresholded truth, means over the countries that judge.

    A prompt that no country `can_judge` is left out, whatever its scores: a baseline in `scores` is measured
    on the same prompts as the maps. Cells without a score are left out.
    """
    values_by_prompt: dict[Prompt, list[list[float]]] = {prompt: [] for prompt in prompts}
    for country in countries:
        judged = [prompt for prompt in prompts if can_judge(country, prompt)]
        for when in dict.fromkeys(country.when(prompt) for prompt in judged):
            group = [prompt for prompt in judged if country.when(prompt) == when]
            layers = scores(country, checkpoint, [prompt.text for prompt in group], when)
            for prompt, layer in zip(group, layers, strict=True):
                values_by_prompt[prompt].append(_measure_map(layer, country.truth(prompt)))
    for prompt, values in values_by_prompt.items():
        if values:
            means = (float(mean) for mean in np.mean(values, axis=0))
            yield prompt, dict(zip(MAP_MEASURES, means, strict=True))


def pick_measure(
    agreement: Sequence[tuple[Prompt, dict[str, float]]], measure: str
) -> list[tuple[Prompt, float]]:
    """Return one of the `MAP_MEASURES`, such as ``"auroc"``, for each prompt of a `map_agreement`."""
    return [(prompt, values[measure]) for prompt, values in agreement]


def time_agreement(
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    prompts: Sequence[Prompt],
    *,
    calendar: Sequence[When] = CALENDAR,
    scale: MeanScale | None = None,
) -> Iterator[tuple[Prompt, float]]:
    """Yield each prompt's rank correlation over a calendar between the means of its map and of the truth.

    It is the mean over the countries, -1 to 1. If `scale` is None it is `default_mean_scale`: probabilities,
    for a calibrated model. A country is left out for a prompt whose concept never reaches a mean probability
    of 0.1 % there, and a prompt that no country is left for is not yielded.
    """
    values_by_prompt: dict[Prompt, list[float]] = {prompt: [] for prompt in prompts}
    for country in countries:
        truths = {prompt: country.mean_truth(prompt, calendar) for prompt in prompts}
        judged = [prompt for prompt in prompts if truths[prompt].max() >= _LEAST_MEAN_TRUTH]
        texts = [prompt.text for prompt in judged]
        means = mean_scores(country.atlas, checkpoint, texts, calendar, scale) if judged else ()
        for prompt, mean in zip(judged, means, strict=True):
            values_by_prompt[prompt].append(spearman(mean, truths[prompt]))
    for prompt, values in values_by_prompt.items():
        if values:
            yield prompt, float(np.mean(values))


def daylight_oracle_agreement(
    countries: Sequence[Country], prompts: Sequence[Prompt], *, calendar: Sequence[When] = CALENDAR
) -> Iterator[tuple[Prompt, float]]:
    """Yield what `time_agreement` would be of an oracle that knows only the month, and day from night.

    At each moment it says the mean truth of that month's moments with the sun up, or of those with it down.
    A map that does no better has followed nothing but daylight and season. A prompt of which it is not
    defined, as the truth never changes, is left out.
    """
    values_by_prompt: dict[Prompt, list[float]] = {prompt: [] for prompt in prompts}
    for country in countries:
        groups = _daylight_groups(country, calendar)
        for prompt in prompts:
            truth = country.mean_truth(prompt, calendar)
            if truth.max() >= _LEAST_MEAN_TRUTH:
                means = np.bincount(groups, truth) / np.bincount(groups)
                values_by_prompt[prompt].append(spearman(means[groups], truth))
    for prompt, values in values_by_prompt.items():
        if values and np.isfinite(values).all():
            yield prompt, float(np.mean(values))


def _daylight_groups(country: Country, calendar: Sequence[When]) -> NDArray[np.intp]:
    """Return a number for each moment, the same for those of one month and one side of the horizon."""
    lat = np.full(len(calendar), np.mean(country.ground_truth.surroundings.lat))
    clock = (np.array([getattr(when, name) for when in calendar]) for name in ("month", "day", "hour"))
    times = local_times(lat, *clock)
    keys = [(when.month, bool(sun > 0)) for when, sun in zip(calendar, times.sun, strict=True)]
    order = sorted(set(keys))
    return np.array([order.index(key) for key in keys], np.intp)


def _measure_map(layer: Floats, truth: Floats) -> list[float]:
    """Return the `MAP_MEASURES` of one map over the cells that have a score."""
    has_score = np.isfinite(layer)
    agreement = Agreement.from_cells(layer[has_score], truth[has_score], positives(truth)[has_score])
    metrics = agreement.weighted_metrics()
    return [metrics[name] for name in MAP_MEASURES]


def summary(name: str, prompt_values: Sequence[tuple[Prompt, float]]) -> dict[str, float]:
    """Return ``{name}.mean``, ``{name}.median`` and ``{name}.prompts``, how many prompts they are over."""
    values = [value for _, value in prompt_values]
    return {
        f"{name}.mean": float(np.mean(values)),
        f"{name}.median": float(median(values)),
        f"{name}.prompts": float(len(values)),
    }
