"""Maps of the miniature world against its truth, in space and in time; no real data set allows this."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.store import Atlas
from sat2cap.evaluate.maps import auroc, spearman
from sat2cap.geo.when import When, parse_when
from sat2cap.miniworld.prompts import Prompt, southern
from sat2cap.miniworld.truth import Survey
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query.score import score

FEWEST = 12
"""Positive, and negative, cells that a region needs for its map of a prompt to be judged."""

CALENDAR = tuple(When(2020, month, 15, float(hour)) for month in range(1, 13) for hour in range(2, 24, 3))
"""Month by hour: when `time_agreement` asks."""


@dataclass(frozen=True)
class Country:
    """A region of the miniature world with its atlas and its truth."""

    name: str
    atlas: Atlas
    survey: Survey
    south: bool = False
    """South of the equator: prompts with a season are asked half a year later."""

    def when(self, prompt: Prompt) -> When | None:
        """When `prompt` is asked here."""
        if prompt.when is None:
            return None
        return parse_when(southern(prompt.when) if self.south else prompt.when)

    def truth(self, prompt: Prompt) -> NDArray[np.float32]:
        """Probability of what the prompt means, ``[cells]``."""
        return np.asarray(self.survey.truth(prompt.concept, self.when(prompt)).values).ravel()


def positives(truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Cells where the truth is at least half of the region's greatest probability."""
    return np.asarray(truth >= 0.5 * truth.max())


def map_agreement(
    countries: Sequence[Country], checkpoint: Checkpoint, prompts: Sequence[Prompt]
) -> Iterator[tuple[Prompt, float]]:
    """Each prompt's AUROC against the thresholded truth, the mean over the countries that can judge it.

    A country judges a prompt if it has `FEWEST` positive and negative cells and the concept reaches a
    probability of 0.2 somewhere; a prompt that no country can judge is left out.
    """
    for prompt in prompts:
        found = []
        for country in countries:
            truth = country.truth(prompt)
            positive = positives(truth)
            if truth.max() < 0.2 or not FEWEST <= positive.sum() <= positive.size - FEWEST:
                continue
            scores = score(country.atlas, checkpoint, [prompt.text], when=country.when(prompt)).values.ravel()
            found.append(auroc(scores, positive))
        if found:
            yield prompt, float(np.mean(found))


def time_agreement(
    countries: Sequence[Country], checkpoint: Checkpoint, prompts: Sequence[Prompt]
) -> Iterator[tuple[Prompt, float]]:
    """Rank correlation over `CALENDAR` between the map's mean and the truth's, the mean over the countries.

    Left out: prompts whose concept never reaches a mean probability of 0.1 % in any of the countries.
    """
    for prompt in prompts:
        found = []
        for country in countries:
            truth = country.survey.series(prompt.concept, CALENDAR).mean(1)
            if truth.max() >= 0.001:
                found.append(spearman(mean_scores(country.atlas, checkpoint, prompt.text), truth))
        if found:
            yield prompt, float(np.mean(found))


def mean_scores(atlas: Atlas, checkpoint: Checkpoint, text: str) -> NDArray[np.float64]:
    """The map's mean at each time of `CALENDAR`."""
    return np.array([float(np.nanmean(score(atlas, checkpoint, [text], when=when).values)) for when in CALENDAR])


def summary(name: str, found: Sequence[tuple[Prompt, float]]) -> dict[str, float]:
    """``{name}.mean``, ``{name}.median`` and how many prompts they are over."""
    values = [value for _, value in found]
    return {f"{name}.mean": float(np.mean(values)), f"{name}.median": float(median(values)), f"{name}.prompts": float(len(values))}
