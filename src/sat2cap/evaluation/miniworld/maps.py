"""Maps of the miniature world against its truth, in space and in time; no real data set allows this."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.evaluation.maps.agreement import auroc, spearman
from sat2cap.evaluation.maps.location_baseline import CALENDAR, location_cosines
from sat2cap.geo import When, parse_when
from sat2cap.miniworld import GroundTruth, Prompt, half_year_later
from sat2cap.model import Checkpoint
from sat2cap.query import MeanScale, mean_scores, score_atlas

Floats = NDArray[np.float32]

FEWEST = 12
"""Positive, and negative, cells that a region needs for its map of a prompt to be judged."""


@dataclass(frozen=True)
class Country:
    """A region of the miniature world with its atlas and its truth."""

    name: str
    atlas: Atlas
    ground_truth: GroundTruth
    south: bool = False
    """South of the equator: prompts with a season are asked half a year later."""
    _known: dict[tuple[str, When | None], Floats] = field(default_factory=dict, repr=False, compare=False)
    """Truths worked out before; a country with another atlas (`dataclasses.replace`) shares them."""

    def when(self, prompt: Prompt) -> When | None:
        """When `prompt` is asked here."""
        if prompt.when is None:
            return None
        return parse_when(half_year_later(prompt.when) if self.south else prompt.when)

    def truth(self, prompt: Prompt) -> Floats:
        """Probability of what the prompt means, ``[cells]``."""
        key = prompt.concept, self.when(prompt)
        if key not in self._known:
            self._known[key] = np.asarray(self.ground_truth.truth_map(*key).values).ravel()
        return self._known[key]

    def mean_truth(self, prompt: Prompt, calendar: Sequence[When]) -> Floats:
        """Mean probability over the embedded cells at each time, ``[times]``, for any date of the prompt."""
        embedded = self.atlas.status.ravel() == CellStatus.OK
        return np.asarray(self.ground_truth.truth_series(prompt.concept, calendar)[:, embedded].mean(1))


Scores = Callable[[Country, Checkpoint, Sequence[str], When | None], Floats]
"""What gives every cell of a country a score for each text, ``[texts, cells]``: a map, or a baseline."""


def map_scores(country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None) -> Floats:
    """The maps themselves."""
    found = score_atlas(country.atlas, checkpoint, texts, when=when).values
    return np.asarray(found.reshape(len(texts), -1))


def location_scores(
    country: Country, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Floats:
    """What place and time alone say: `location_cosines` of the country's grid."""
    return location_cosines(country.atlas.grid, checkpoint, texts, when)


def positives(truth: Floats) -> NDArray[np.bool_]:
    """Cells where the truth is at least half of the region's greatest probability."""
    return np.asarray(truth >= 0.5 * truth.max())


def can_judge(country: Country, prompt: Prompt) -> bool:
    """Whether a country can judge a prompt's map.

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
) -> Iterator[tuple[Prompt, float]]:
    """Each prompt's AUROC against the thresholded truth, the mean over the countries that can judge it.

    A prompt that no country `can_judge` is left out, whatever its scores: a baseline in `scores` is measured
    on the same prompts as the maps.
    """
    found: dict[Prompt, list[float]] = {prompt: [] for prompt in prompts}
    for country in countries:
        mine = [prompt for prompt in prompts if can_judge(country, prompt)]
        for when in dict.fromkeys(country.when(prompt) for prompt in mine):
            group = [prompt for prompt in mine if country.when(prompt) == when]
            layers = scores(country, checkpoint, [prompt.text for prompt in group], when)
            for prompt, layer in zip(group, layers, strict=True):
                found[prompt].append(auroc(layer, positives(country.truth(prompt))))
    for prompt, values in found.items():
        if values:
            yield prompt, float(np.mean(values))


def time_agreement(
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    prompts: Sequence[Prompt],
    *,
    calendar: Sequence[When] = CALENDAR,
    scale: MeanScale | None = None,
) -> Iterator[tuple[Prompt, float]]:
    """Rank correlation over a calendar between the map's mean and the truth's, the mean over the countries.

    No `scale` is that of `default_mean_scale`: chances, of a calibrated model.
    Left out: prompts whose concept never reaches a mean probability of 0.1 % in any of the countries.
    """
    found: dict[Prompt, list[float]] = {prompt: [] for prompt in prompts}
    for country in countries:
        truths = {prompt: country.mean_truth(prompt, calendar) for prompt in prompts}
        mine = [prompt for prompt in prompts if truths[prompt].max() >= 0.001]
        texts = [prompt.text for prompt in mine]
        means = mean_scores(country.atlas, checkpoint, texts, calendar, scale) if mine else ()
        for prompt, mean in zip(mine, means, strict=True):
            found[prompt].append(spearman(mean, truths[prompt]))
    for prompt, values in found.items():
        if values:
            yield prompt, float(np.mean(values))


def summary(name: str, found: Sequence[tuple[Prompt, float]]) -> dict[str, float]:
    """``{name}.mean``, ``{name}.median`` and how many prompts they are over."""
    values = [value for _, value in found]
    return {
        f"{name}.mean": float(np.mean(values)),
        f"{name}.median": float(median(values)),
        f"{name}.prompts": float(len(values)),
    }
