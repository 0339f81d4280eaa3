"""Whether a threshold on a scale means the same from prompt to prompt, against the miniature world's truth.

A share of 0.7 on the `contrast` scale should mean that 7 of 10 photos taken in such cells show what the
prompt says; and a prompt that means nothing should be found nowhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.evaluate.maps import spearman
from sat2cap.evaluate.truth import Country, judges
from sat2cap.miniworld.prompts import Prompt
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query import Scan, score
from sat2cap.query.score import Scale

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

SCALES: tuple[Scale, ...] = ("cosine", "percentile", "contrast")

LIT = 0.05
"""Of all cells of all prompts, the share that a threshold lets through when scales are compared."""


@dataclass(frozen=True)
class Bin:
    """The cells whose share lies within a tenth of the scale."""

    share: float
    """Mean share."""
    truth: float
    """Mean probability that a photo there shows what the prompt means."""
    cells: int


def reliability(share: Floats, truth: Floats, bins: int = 10) -> list[Bin]:
    """The reliability diagram of shares and true probabilities `[N]`, 0 to 1; bins without cells left out."""
    number = np.minimum((share * bins).astype(int), bins - 1)
    return [
        Bin(float(share[mine].mean()), float(truth[mine].mean()), int(mine.sum()))
        for mine in (number == index for index in range(bins))
        if mine.any()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between share and truth, each bin weighted by its cells (Naeini et al. 2015)."""
    total = sum(one.cells for one in bins)
    return sum(one.cells * abs(one.share - one.truth) for one in bins) / total


@dataclass(frozen=True)
class Asked:
    """Scores and truth of the embedded cells of one country, for one prompt."""

    scores: dict[str, Floats]
    """By scale, `[N]`."""
    truth: Floats
    """`[N]`; zeros for a prompt that means nothing."""
    nonsense: bool


def ask_all(countries: Sequence[Country], checkpoint: Checkpoint, prompts: Sequence[Prompt]) -> list[Asked]:
    """Every prompt that a country `judges`, and all of `NONSENSE`, on every scale."""
    found = []
    for country in countries:
        scan = Scan(country.atlas, checkpoint.encoding)
        real = [(p.text, country.when(p), country.truth(p)) for p in prompts if judges(country, p)]
        nothing = np.zeros(country.atlas.grid.shape).ravel()
        for text, when, truth in [*real, *((text, None, nothing) for text in NONSENSE)]:
            by_scale: dict[str, Floats] = {
                name: score(scan, checkpoint, [text], when=when, scale=name).values.ravel() for name in SCALES
            }
            known = np.isfinite(by_scale["cosine"])
            scores = {name: values[known].astype(np.float64) for name, values in by_scale.items()}
            found.append(Asked(scores, truth[known].astype(np.float64), text in NONSENSE))
    return found


def evaluate_calibration(asked: Sequence[Asked]) -> Iterator[tuple[str, float]]:
    """Figures of the share as a probability, and of each scale when one threshold serves all prompts.

    ``contrast.ece`` is over all cells, most of which have next to no share, ``contrast.ece_above_tenth`` over
    the others. Then for each scale, at the threshold that lets `LIT` of all cells through: the mean truth of
    what is lit, the rank correlation over prompts between how much is lit and how much should be, and how
    much of nonsense is lit.
    """
    real, nonsense = ([one for one in asked if one.nonsense is kind] for kind in (False, True))
    truth = np.concatenate([one.truth for one in real])
    bins = reliability(np.concatenate([one.scores["contrast"] for one in real]), truth)
    yield "contrast.ece", expected_calibration_error(bins)
    yield "contrast.ece_above_tenth", expected_calibration_error([one for one in bins if one.share >= 0.1])
    yield "prompts", float(len(real))
    for name in SCALES:
        values = np.concatenate([one.scores[name] for one in real])
        threshold = float(np.quantile(values, 1 - LIT))
        lit = [float((one.scores[name] >= threshold).mean()) for one in real]
        yield f"{name}.threshold", threshold
        yield f"{name}.truth_where_lit", float(truth[values >= threshold].mean())
        yield f"{name}.lit_against_true", spearman(lit, [float(one.truth.mean()) for one in real])
        yield f"{name}.nonsense_lit", float(np.mean([(n.scores[name] >= threshold).mean() for n in nonsense]))
