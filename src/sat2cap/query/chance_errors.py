"""The standard error of a chance: how far it might be another, had other photos been held out.

A chance is ``logistic(w · x + b)``, where x is a cell's unit embedding, and w and b were fitted to N photos.
Around the fit, w and b are about normal with the inverse of the Hessian H as covariance (Laplace's
approximation; H is the matrix that Newton's method solves with). So with z = (x, 1) the cell's logit has the
variance ``zᵀ H⁻¹ z``, and its chance p the standard error ``p (1 - p) √(zᵀ H⁻¹ z)`` (the delta method).

With H = L Lᵀ the variance is ``|L⁻¹ z|²``: a sum of D + 1 squares, each of the product of z with a row of
L⁻¹. The scan computes these products as it computes the cosines of D + 1 more texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import PromptError
from sat2cap.model import QueryModel
from sat2cap.query.chances import Chances, embed_photo_places, prompt_prior
from sat2cap.query.engine.scan import Scan
from sat2cap.query.logistic import logistic
from sat2cap.query.scoring import (
    EmbeddedQuery,
    ScoreOptions,
    choose_window,
    embed_query,
    score_window,
)

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class LogitDeviations:
    """A whitened basis in which the variance of a cell's logit is a sum of K squares."""

    directions: Floats
    """Unit vectors `[K, D]`."""
    lengths: Floats
    """What each product with a direction is multiplied by, `[K, 1]`."""
    constants: Floats
    """What is added to it, `[K, 1]`: the part of the intercept."""

    def standard_deviation(self, cosines: Floats) -> Floats:
        """Return the standard deviation of the logits of N cells, float `[N]`, from their cosines `[K, N]`.

        The variance of a logit is a sum of K squares, each linear in one cosine of the cell.
        """
        return np.asarray(np.sqrt(np.square(self.lengths * cosines + self.constants).sum(axis=0)))


def fit_deviations(
    places: Floats, weights: Doubles, intercept: float, prompt: Floats, scale: float
) -> LogitDeviations:
    """Return the deviations of a logistic curve that `chances.fit_logistic` fitted to N places `[N, D]`.

    `weights` `[D]` and `intercept` are the fit, `prompt` `[D]` and `scale` those that it was given.
    """
    x = np.concatenate([places, np.ones((len(places), 1))], axis=1, dtype=np.float64)
    p = logistic(x @ np.append(weights, intercept))
    hessian = (x * (p * (1 - p))[:, None]).T @ x + prompt_prior(prompt, scale).precision_matrix()
    rows = np.linalg.inv(np.linalg.cholesky(hessian))
    lengths = np.linalg.norm(rows[:, :-1], axis=1, keepdims=True)
    directions = rows[:, :-1] / np.where(lengths > 0, lengths, 1)
    return LogitDeviations(
        directions.astype(np.float32), lengths.astype(np.float32), rows[:, -1:].astype(np.float32)
    )


def compute_chance_errors(
    scan: Scan, checkpoint: QueryModel, prompts: Sequence[str], **options: Unpack[ScoreOptions]
) -> Floats:
    """Return the standard errors of the chances of P prompts, float32 `[P, y, x]`; NaN for no data.

    Cells and options are those of `compute_scores`, whose scores they belong to, and whose errors are raised.
    Raises `PromptError` besides where scores are no chances fitted to photos. A prompt costs as much as a
    scan of D + 1 texts.
    """
    sample = checkpoint.calibration
    if options.get("scale") != "contrast" or sample is None:
        reason = "the model is not calibrated" if sample is None else "the scale is not contrast"
        raise PromptError(
            f"spread over photos is that of chances fitted to photos, and {reason}; use templates, or "
            "--scale contrast with a calibrated model"
        )
    query = embed_query(scan.atlas, checkpoint, prompts, **options)
    assert query.chances is not None
    places = embed_photo_places(checkpoint, sample, conditioned=query.offset is not None)
    region = options.get("region")
    window = choose_window(scan.atlas, region)
    layers = []
    for number, prompt in enumerate(query.prompts):
        chances = query.chances.select(number)
        weights = chances.slope[0] * chances.directions[0].astype(np.float64)
        deviations = fit_deviations(places, weights, chances.intercept[0], prompt, checkpoint.text_scale)
        texts = np.concatenate([chances.directions, deviations.directions])
        to_errors = partial(_standard_errors, chances, deviations)
        errors = EmbeddedQuery(prompt[None], texts, query.offset, to_errors)
        layers.append(score_window(scan, errors, window, is_whole=region is None)[0])
    return np.stack(layers)


def _standard_errors(chances: Chances, deviations: LogitDeviations, cosines: Floats) -> Floats:
    """Return the standard errors `[1, N]` from the cosines of the curve's direction and of the deviations."""
    chance = chances(cosines[:1])
    return chance * (1 - chance) * deviations.standard_deviation(cosines[1:])
