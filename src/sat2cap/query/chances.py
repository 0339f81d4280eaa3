"""What a score is worth: the chance that a photo taken there fits the prompt, learnt from held-out photos.

CLIP itself says which of a model's held-out photos fit a prompt; the model says what it makes of their
places. A logistic regression from the latter to the former is fitted when the prompt is asked, held near the
prompt by a prior, so that a chance means the same from prompt to prompt, a prompt that fits no photo has none
anywhere, and places that only resemble it have less. Nothing is labelled.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model import Calibration, Checkpoint

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

ALIKE = 0.9
"""Correlation over photos from which two texts are taken to say the same, and are no rivals."""

ALONG = 1 / 2
"""Standard deviation of the weights' prior along the prompt, as a share of the training's scale."""

ACROSS = 2.0
"""The same across the prompt, in logits: five-fold cross-validation over 64 prompts likes 1 to 4 best."""

_STEPS, _ENOUGH = 50, 1e-4
_LITTLE = 1e-9


@dataclass(frozen=True)
class Chances:
    """A logistic curve for each of P prompts: what cells are compared with, and what the cosine is worth."""

    directions: Floats
    """`[P, D]`, unit: the prompts, turned to where the places are whose photos fit."""
    slope: Doubles
    """`[P]`."""
    intercept: Doubles
    """`[P]`."""

    def __call__(self, cosines: Floats) -> Floats:
        """Chances 0 to 1, float32 `[P, N]`, of cosines with `directions`, `[P, N]`."""
        slope, intercept = (each.astype(np.float32)[:, None] for each in (self.slope, self.intercept))
        return np.asarray(_logistic(slope * cosines + intercept), np.float32)


def fit_chances(
    checkpoint: Checkpoint, prompts: Floats, negatives: Floats, bank: Floats, *, told: bool
) -> Chances:
    """The chance of each prompt as a function of a place's embedding.

    `prompts` `[P, D]`, `negatives` `[M, D]` and `bank` `[B, D]` are unit vectors; `told` is whether places
    are scored at a date and hour. Raises `PromptError` if the bank says nothing else than a prompt.
    """
    sample, scale = checkpoint.calibration, checkpoint.text_scale
    if sample is None:
        raise ValueError("the checkpoint carries no photos to calibrate with")
    places = _places(checkpoint, sample, told=told)
    generic, against = sample.ground @ bank.T, sample.ground @ negatives.T
    found = [
        fitted(places, _fits(sample.ground @ prompt, generic, against, scale), prompt, checkpoint.logit_scale)
        for prompt in prompts
    ]
    weights = np.array([weight for weight, _ in found]).reshape(prompts.shape)
    slope = np.maximum(np.linalg.norm(weights, axis=1), _LITTLE)
    directions = (weights / slope[:, None]).astype(np.float32)
    return Chances(directions, slope, np.array([intercept for _, intercept in found]))


def _fits(photos: Floats, generic: Floats, against: Floats, scale: float) -> Doubles:
    """How well photos fit a prompt, `[N]` in 0 to 1: its share beside the rival that fits each best.

    From cosines with the prompt `[N]`, with the bank `[N, B]` and with negatives `[N, M]`.
    """
    rivals = np.concatenate([generic[:, ~_alike(photos, generic)], against], axis=1)
    if rivals.shape[1] == 0:
        raise PromptError("every prompt of the bank says what the prompt says; give others to set it against")
    return np.asarray(_logistic(scale * (photos - rivals.max(1)).astype(np.float64)))


def fitted(places: Floats, fits: Doubles, prompt: Floats, scale: float) -> tuple[Doubles, float]:
    """Weights `[D]` and intercept of the likeliest ``logistic(places @ weights + intercept)``.

    `places` `[N, D]` are unit vectors, `fits` `[N]` lie in 0 to 1. The prior of the weights is normal about
    ``scale * prompt``, which is what training made of a cosine, and narrow across the prompt: many photos are
    needed to turn it, and a prompt that hardly one fits stays as it is. Newton's method.
    """
    x = np.concatenate([places, np.ones((len(places), 1), np.float32)], axis=1)
    along = np.append(prompt, 0).astype(np.float64)
    across = np.append(np.full(len(prompt), ACROSS**-2), 1e-6)
    precision = np.diag(across) + ((ALONG * scale) ** -2 - ACROSS**-2) * np.outer(along, along)
    prior = scale * along

    def unlikely(at: Doubles, logits: Doubles) -> float:
        away = at - prior
        return float((np.logaddexp(0, logits) - fits * logits).sum() + away @ precision @ away / 2)

    mean = np.clip(fits.mean(), 1e-6, 1 - 1e-6)
    best = np.append(np.zeros(len(prompt)), np.log(mean / (1 - mean)))  # every place the same
    logits = np.full(len(fits), best[-1])
    for _ in range(_STEPS):
        p = _logistic(logits)
        gradient = (p - fits) @ x + precision @ (best - prior)
        spread = x * np.sqrt(p * (1 - p)).astype(np.float32)[:, None]
        step = np.linalg.solve(spread.T @ spread + precision, gradient)
        change, before = x @ step, unlikely(best, logits)
        while unlikely(best - step, logits - change) > before and np.abs(step).max() > _LITTLE:
            step, change = step / 2, change / 2  # Newton's steps overshoot where the curve is flat
        best, logits = best - step, logits - change
        if np.abs(step).max() <= _ENOUGH * scale:
            break
    return best[:-1], float(best[-1])


def _places(checkpoint: Checkpoint, sample: Calibration, *, told: bool) -> Floats:
    """What the model makes of the photos' places, unit `[N, D]`."""
    embeddings = sample.overhead
    if told and checkpoint.dynamic is not None:
        embeddings = embeddings + checkpoint.dynamic_from_features(sample.features)
    return np.asarray(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), np.float32)


def _alike(photos: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which columns of `[N, B]` rank photos as `[N]` does: bool `[B]`."""
    mine, theirs = photos - photos.mean(), others - others.mean(0)
    lengths = np.linalg.norm(mine) * np.linalg.norm(theirs, axis=0)
    return np.asarray(mine @ theirs >= ALIKE * np.maximum(lengths, _LITTLE))


def _logistic(values: NDArray[Any]) -> NDArray[Any]:
    """In the precision of its argument."""
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -80, 80))))
