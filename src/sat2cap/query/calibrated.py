"""What a cosine is worth: the chance that a photo taken there fits the prompt, learnt from held-out photos.

CLIP itself says which of a model's held-out photos fit a prompt; the model says what it scores their places.
A logistic curve from the one to the other (Platt 1999) is fitted when the prompt is asked, so that a chance
means the same from prompt to prompt, and a prompt that fits no photo has none anywhere. Nothing is labelled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model.calibration import Calibration
from sat2cap.model.checkpoint import Checkpoint

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

ALIKE = 0.9
"""Correlation over photos from which two texts are taken to say the same, and are no rivals."""

_STEPS = 50
_LITTLE = 1e-9


def curves(
    checkpoint: Checkpoint, prompts: Floats, negatives: Floats, bank: Floats, *, told: bool
) -> Doubles:
    """Slope and intercept `[P, 2]` of each prompt's chance, a logistic function of its cosine.

    `prompts` `[P, D]`, `negatives` `[M, D]` and `bank` `[B, D]` are unit vectors; `told` is whether places
    are scored at a date and hour. Raises `PromptError` if the bank says nothing else than a prompt.
    """
    sample, scale = checkpoint.calibration, checkpoint.text_scale
    if sample is None:
        raise ValueError("the checkpoint carries no photos to calibrate with")
    places = _places(checkpoint, sample, told=told)
    generic, against = sample.ground @ bank.T, sample.ground @ negatives.T
    found = []
    for prompt in prompts:
        photos = sample.ground @ prompt
        rivals = np.concatenate([generic[:, ~_alike(photos, generic)], against], 1)
        if rivals.shape[1] == 0:
            raise PromptError(
                "every prompt of the bank says what the prompt says; give others to set it against"
            )
        fits = _logistic(scale * (photos - rivals.max(1)).astype(np.float64))
        found.append(fitted(places @ prompt, fits, checkpoint.logit_scale))
    return np.array(found).reshape(-1, 2)


def chance(cosines: Floats, curves: Doubles) -> Floats:
    """Chances 0 to 1, float32 `[P, N]`, of cosines `[P, N]` by `curves` `[P, 2]`."""
    slope, intercept = (curves[:, [column]].astype(np.float32) for column in (0, 1))
    return np.asarray(_logistic(slope * cosines + intercept), np.float32)


def fitted(cosines: Floats, fits: Doubles, slope: float) -> tuple[float, float]:
    """Slope and intercept that make ``logistic(slope * cosine + intercept)`` likeliest, given `fits` in 0-1.

    Maximum likelihood by Newton's method, with a normal prior on the slope about that of the training's loss,
    half as wide, which decides where hardly a photo fits. A slope below zero becomes zero: then the score
    tells nothing of the prompt, and every place has the same chance.
    """
    x, prior = np.stack([cosines.astype(np.float64), np.ones(len(cosines))], 1), np.array([slope, 0.0])
    precision = np.array([4 / slope**2, 1e-6])
    mean = np.clip(fits.mean(), 1e-6, 1 - 1e-6)
    even = np.array([0.0, np.log(mean / (1 - mean))])

    def loss(at: Doubles) -> float:
        logits = x @ at
        unlikely = np.logaddexp(0, logits) - fits * logits
        return float(unlikely.sum() + precision @ (at - prior) ** 2 / 2)

    best = even
    for _ in range(_STEPS):
        p = _logistic(x @ best)
        gradient = x.T @ (p - fits) + precision * (best - prior)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + np.diag(precision), gradient)
        before = loss(best)
        while loss(best - step) > before and np.abs(step).max() > _LITTLE:
            step /= 2  # Newton's steps overshoot where the curve is flat
        best = best - step
        if np.abs(step).max() <= _LITTLE:
            break
    slope, intercept = best if best[0] >= 0 else even
    return float(slope), float(intercept)


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
