"""Measures of `calibration.py`: whether a threshold on a scale means the same from prompt to prompt.

They compare with the truth of the miniature world. A chance of 0.7 on the `contrast` scale should mean
that 7 of 10 photos taken in such cells show what the prompt says; and a prompt that means nothing should
be found nowhere. What the same model gives without its held-out photos, a share among generic prompts, is
measured beside it as `share`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sat2cap.evaluation.maps.agreement import spearman
from sat2cap.evaluation.miniworld.maps import Country, can_judge
from sat2cap.geo import When
from sat2cap.miniworld import Prompt
from sat2cap.model import Checkpoint
from sat2cap.query import Scan, ScoreScale, score_atlas

Floats = NDArray[np.float64]

NONSENSE = (
    "colourless green ideas sleep furiously",
    "asdf qwer zxcv",
    "the square root of democracy",
    "flibbertigibbet wug blick",
    "tuesday multiplied by seven",
    "lorem ipsum dolor sit amet",
    "quantum chromodynamics lagrangian",
    "invisible unicorn logarithm",
)
"""What no photo shows."""

SCALES: dict[str, ScoreScale] = {
    "cosine": "cosine",
    "percentile": "percentile",
    "share": "contrast",
    "contrast": "contrast",
}
"""What is compared, and the scale it is asked on; `share` is asked of the model without its calibration."""

CHANCES = ("share", "contrast")

LIT_SHARE = 0.05
"""Of all cells of all prompts, the share that a threshold lets through when scales are compared."""


@dataclass(frozen=True)
class CalibrationBin:
    """The cells whose chance lies within a tenth of the scale."""

    chance: float
    """Mean chance that is said."""
    truth: float
    """Mean probability that a photo there shows what the prompt means."""
    cells: int


def reliability(chance: Floats, truth: Floats, bins: int = 10) -> list[CalibrationBin]:
    """Return the reliability diagram of chances and true probabilities `[N]`, 0 to 1; without empty bins."""
    number = np.minimum((chance * bins).astype(int), bins - 1)
    return [
        CalibrationBin(float(chance[in_bin].mean()), float(truth[in_bin].mean()), int(in_bin.sum()))
        for in_bin in (number == index for index in range(bins))
        if in_bin.any()
    ]


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Return the mean distance between chance and truth, bins weighted by cells (Naeini et al. 2015)."""
    total = sum(one.cells for one in bins)
    return sum(one.cells * abs(one.chance - one.truth) for one in bins) / total


@dataclass(frozen=True)
class PromptTruth:
    """Scores and truth of the embedded cells of one country, for one prompt."""

    scores: dict[str, Floats]
    """By scale, `[N]`."""
    truth: Floats
    """`[N]`; zeros for a prompt that means nothing."""
    nonsense: bool


def score_prompts(
    countries: Sequence[Country],
    checkpoint: Checkpoint,
    prompts: Sequence[Prompt],
    moments: Sequence[When] = (),
) -> Iterator[PromptTruth]:
    """Yield the scores of every prompt that a country `can_judge`, and of all of `NONSENSE`, on every scale.

    A prompt that has a time is asked at its own, when there is most to be found, or at each of `moments`.
    """
    models = dict.fromkeys(SCALES, checkpoint) | {"share": replace(checkpoint, calibration=None)}
    for country in countries:
        scan = Scan(country.atlas, checkpoint.encoding)
        for text, when, truth in _prompt_truth_maps(country, prompts, moments):
            by_scale: dict[str, Floats] = {
                name: score_atlas(scan, models[name], [text], when=when, scale=scale).values.ravel()
                for name, scale in SCALES.items()
            }
            embedded = np.isfinite(by_scale["cosine"])
            scores = {name: values[embedded].astype(np.float64) for name, values in by_scale.items()}
            yield PromptTruth(scores, truth[embedded].astype(np.float64), text in NONSENSE)


def _prompt_truth_maps(
    country: Country, prompts: Sequence[Prompt], moments: Sequence[When]
) -> Iterator[tuple[str, When | None, NDArray[np.float32]]]:
    """Yield each prompt's text, its time, and its true probability in every cell, float32 ``[cells]``."""
    for prompt in prompts:
        if can_judge(country, prompt):
            own = country.when(prompt)
            for when in moments if moments and own else (own,):
                yield (
                    prompt.text,
                    when,
                    np.asarray(country.ground_truth.truth_map(prompt.concept, when).values).ravel(),
                )
    for text in NONSENSE:
        yield text, None, np.zeros(country.atlas.grid.shape, np.float32).ravel()


def evaluate_calibration(prompt_truths: Sequence[PromptTruth]) -> Iterator[tuple[str, float]]:
    """Yield how far each of `CHANCES` is a probability, and how one threshold serves all prompts of a scale.

    ``.ece`` is over all cells, most of which have next to no chance, ``.ece_above_tenth`` over the others;
    ``.brier`` is the mean square of the distance between chance and truth; ``.total`` the rank correlation
    over prompts between the mean chance and the mean truth. Then for each scale, at the threshold that lets
    `LIT_SHARE` of all cells through: the mean truth of the cells that pass, the rank correlation over prompts
    between the share of cells that passes and the share that should, and the share of nonsense that passes.
    """
    real, nonsense = ([one for one in prompt_truths if one.nonsense is kind] for kind in (False, True))
    truth = np.concatenate([one.truth for one in real])
    yield "prompts", float(len(real))
    for name in CHANCES:
        values = np.concatenate([one.scores[name] for one in real])
        bins = reliability(values, truth)
        yield f"{name}.ece", expected_calibration_error(bins)
        yield f"{name}.ece_above_tenth", expected_calibration_error([b for b in bins if b.chance >= 0.1])
        yield f"{name}.brier", float(((values - truth) ** 2).mean())
        means = [(float(one.scores[name].mean()), float(one.truth.mean())) for one in real]
        yield f"{name}.total", spearman(*map(list, zip(*means, strict=True)))
    for name in SCALES:
        values = np.concatenate([one.scores[name] for one in real])
        threshold = float(np.quantile(values, 1 - LIT_SHARE))
        lit = [float((one.scores[name] >= threshold).mean()) for one in real]
        yield f"{name}.threshold", threshold
        yield f"{name}.truth_where_lit", float(truth[values >= threshold].mean())
        yield f"{name}.lit_against_true", spearman(lit, [float(one.truth.mean()) for one in real])
        yield f"{name}.nonsense_lit", float(np.mean([(n.scores[name] >= threshold).mean() for n in nonsense]))
