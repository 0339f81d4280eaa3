"""Chances: the share of photos taken in a cell that CLIP would say fit the prompt, from held-out photos.

A calibrated model carries photos that it was not trained on, and its embeddings of their places. When a
prompt is asked, CLIP says how well each photo fits it, and a logistic regression from the places to these
fits is fitted (docs/query.md#scales). A prior holds it near the prompt. So a chance means the same from
prompt to prompt, a prompt that fits no photo has no chance anywhere, and places that only resemble the prompt
have a smaller one. No labels are needed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model import Calibration, QueryModel
from sat2cap.query.logistic import NormalPrior, fit_posterior_mode, logistic

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SYNONYM_CORRELATION = 0.9
"""Correlation over photos above which two texts count as saying the same, and are no rivals."""

PRIOR_SD_ALONG = 1 / 2
"""Standard deviation of the weights' prior along the prompt, as a share of the text tower's logit scale."""

PRIOR_SD_ACROSS = 2.0
"""Standard deviation of the prior across the prompt, logits; 1 to 4 was best in cross-validation (5 folds,
64 prompts)."""

_TINY = 1e-9


@dataclass(frozen=True)
class Chances:
    """A logistic curve for each of P prompts, from the cosine with a direction to a chance."""

    directions: Floats
    """Unit vectors `[P, D]`: the prompts, turned towards the places whose photos fit."""
    slope: Doubles
    """Slopes of the curves, `[P]`."""
    intercept: Doubles
    """Logits at cosine 0, `[P]`."""
    fitting_photos: Doubles
    """Sum over the held-out photos of how well each fits the prompt, `[P]`: how many speak for it."""

    def select(self, number: int) -> "Chances":
        """Return the curve of one prompt, counted from 0, as `Chances` of that prompt alone."""
        one = slice(number, number + 1)
        return Chances(self.directions[one], self.slope[one], self.intercept[one], self.fitting_photos[one])

    def __call__(self, cosines: Floats) -> Floats:
        """Return chances in 0 to 1, float32 `[P, N]`, for cosines `[P, N]` of `directions`."""
        slope, intercept = (values.astype(np.float32)[:, None] for values in (self.slope, self.intercept))
        return np.asarray(logistic(slope * cosines + intercept), np.float32)


def fit_chances(
    checkpoint: QueryModel, prompts: Floats, negatives: Floats, bank: Floats, *, conditioned: bool
) -> Chances:
    """Fit a logistic curve for each of P prompts to the checkpoint's held-out photos.

    `prompts` `[P, D]`, `negatives` `[M, D]` and `bank` `[B, D]` are unit vectors. `conditioned` tells whether
    cells are scored at a date and hour; then the photos' places are embedded at their dates, too. Raises
    `PromptError` if every prompt of the bank says the same as a prompt, `ValueError` if the checkpoint is not
    calibrated.
    """
    sample, text_scale = checkpoint.calibration, checkpoint.text_scale
    if sample is None:
        raise ValueError("the checkpoint carries no photos to calibrate with")
    places = embed_photo_places(checkpoint, sample, conditioned=conditioned)
    bank_cosines, negative_cosines = sample.ground @ bank.T, sample.ground @ negatives.T
    weights, intercepts, totals = np.empty(prompts.shape), np.empty(len(prompts)), np.empty(len(prompts))
    for number, prompt in enumerate(prompts):
        fits = _photo_fits(sample.ground @ prompt, bank_cosines, negative_cosines, text_scale)
        totals[number] = fits.sum()
        weights[number], intercepts[number] = fit_logistic(places, fits, prompt, text_scale)
    slope = np.maximum(np.linalg.norm(weights, axis=1), _TINY)
    directions = (weights / slope[:, None]).astype(np.float32)
    return Chances(directions, slope, intercepts, totals)


def _photo_fits(
    prompt_cosines: Floats, bank_cosines: Floats, negative_cosines: Floats, text_scale: float
) -> Doubles:
    """Return how well each of N photos fits a prompt, `[N]` in 0 to 1.

    That is the prompt's share in a softmax, at CLIP's own scale, with the one rival that fits the photo best.
    Rivals are the negatives, and the prompts of the bank that do not say the same as the prompt. The cosines
    of the photos are `[N]` with the prompt, `[N, B]` with the bank and `[N, M]` with the negatives.
    """
    differs = ~_are_synonyms(prompt_cosines, bank_cosines)
    rivals = np.concatenate([bank_cosines[:, differs], negative_cosines], axis=1)
    if rivals.shape[1] == 0:
        raise PromptError("every prompt of the bank says what the prompt says; give others to set it against")
    return np.asarray(logistic(text_scale * (prompt_cosines - rivals.max(1)).astype(np.float64)))


def fit_logistic(places: Floats, fits: Doubles, prompt: Floats, scale: float) -> tuple[Doubles, float]:
    """Fit ``logistic(places @ weights + intercept)`` to `fits`; return the weights `[D]` and the intercept.

    `places` `[N, D]` are unit vectors and `fits` `[N]` lie in 0 to 1. It is the maximum a posteriori estimate
    under a normal prior of the weights around ``scale * prompt``, which is what CLIP makes of the cosine of a
    photo. The prior is narrow across the prompt: many photos are needed to turn the weights, and a prompt
    that hardly any photo fits keeps its own direction.
    """
    return fit_posterior_mode(places, fits, prompt_prior(prompt, scale))


def prompt_prior(prompt: Floats, scale: float) -> NormalPrior:
    """Return the normal prior of the regression weights of a prompt, a vector `[D]`.

    Its mean is `scale`, the logit scale of the text tower, times the prompt's direction: an embedding that
    says what a photo taken there would show needs no other weights. A lower scale, such as 1/0.07 of a
    training's temperature, would hold the chances of rare things down, as few photos speak against it
    (docs/method.md). The standard deviation is `PRIOR_SD_ALONG` of the scale along the
    prompt and `PRIOR_SD_ACROSS` across it.
    """
    direction = prompt.astype(np.float64)
    return NormalPrior(direction / np.linalg.norm(direction), scale, PRIOR_SD_ALONG * scale, PRIOR_SD_ACROSS)


def embed_photo_places(checkpoint: QueryModel, sample: Calibration, *, conditioned: bool) -> Floats:
    """Return the unit embeddings of the places of the held-out photos, float32 `[N, D]`.

    With `conditioned`, the Dynamic Encoder's offset for the place and date of each photo is added first, as
    it is for the cells of a dated map.
    """
    embeddings = sample.overhead
    if conditioned and checkpoint.dynamic_weights is not None:
        embeddings = embeddings + checkpoint.dynamic_from_features(sample.features)
    return np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), np.float32)


def _are_synonyms(prompt_cosines: Floats, bank_cosines: Floats) -> NDArray[np.bool_]:
    """Return which of B texts score photos as a prompt does, bool `[B]`.

    A text does if its cosines, a column of `[N, B]`, correlate with the prompt's `[N]` at
    `SYNONYM_CORRELATION` or more over the N photos.
    """
    first, second = prompt_cosines - prompt_cosines.mean(), bank_cosines - bank_cosines.mean(0)
    lengths = np.linalg.norm(first) * np.linalg.norm(second, axis=0)
    return np.asarray(first @ second >= SYNONYM_CORRELATION * np.maximum(lengths, _TINY))
