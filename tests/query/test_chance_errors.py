"""The standard error of a chance: against refits on other photos, and worked out cell by cell."""

import numpy as np
import pytest
from made_model import atlas, calibrated, embeddings, unit

from sat2cap.errors import PromptError
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.when import When
from sat2cap.query import Scan, compute_scores, score_with_spread
from sat2cap.query.chance_errors import fit_deviations
from sat2cap.query.chances import PRIOR_SD_ACROSS, PRIOR_SD_ALONG, fit_chances, fit_logistic
from sat2cap.query.points import embeddings_at
from sat2cap.query.prompts import GENERIC, embed_prompts

MAY = When(2024, 5, 20, 8.0)
HOLES = np.arange(81).reshape(9, 9) % 10 == 3


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_it_is_how_far_refits_on_other_photos_lie_apart() -> None:
    rng = np.random.default_rng(0)
    prompt = np.eye(4, dtype=np.float32)[0]
    places = unit(rng.normal(size=(1500, 4)) + 0.5 * prompt)
    true = logistic(places @ (6 * prompt).astype(float) - 2)
    scale = 8.0
    cells = unit(rng.normal(size=(40, 4)))
    chances = []
    for _ in range(150):
        happened = (rng.random(1500) < true).astype(float)
        weights, intercept = fit_logistic(places, happened, prompt, scale)
        chances.append(logistic(cells @ weights + intercept))
    deviations = fit_deviations(places, weights, intercept, prompt, scale)
    chance = chances[-1]
    errors = chance * (1 - chance) * deviations.standard_deviation(deviations.directions @ cells.T)
    np.testing.assert_allclose(errors, np.std(chances, axis=0), rtol=0.35, atol=0.002)
    assert np.corrcoef(errors, np.std(chances, axis=0))[0, 1] > 0.97


@pytest.mark.parametrize("when", [None, MAY])
def test_every_cell_has_the_error_of_its_own_embedding(tmp_path, when) -> None:
    checkpoint = calibrated(dim=16)
    opened = atlas(tmp_path / "a.zarr", embeddings(9, 9, 16), checkpoint, HOLES)
    options = {"scale": "contrast", "when": when}
    scores = score_with_spread(Scan(opened, "cyclic"), checkpoint, ["p", "q"], "photos", **options)
    assert list(scores.coords["prompt"])[2:] == ["p (spread over photos)", "q (spread over photos)"]
    alone = compute_scores(opened, checkpoint, ["p", "q"], **options).values
    np.testing.assert_array_equal(scores.values[:2], alone)
    assert (np.isnan(scores.values[2:]) == np.isnan(alone)).all()
    prompts, bank = embed_prompts(checkpoint, ["p", "q"]), embed_prompts(checkpoint, list(GENERIC))
    chances = fit_chances(
        checkpoint, prompts, np.zeros((0, 16), np.float32), bank, conditioned=when is not None
    )
    sample = checkpoint.calibration
    photos = sample.overhead
    if when is not None:
        photos = photos + checkpoint.dynamic_from_features(sample.features)
    x = np.concatenate([unit(photos), np.ones((len(photos), 1))], axis=1).astype(float)
    cells = unit(all_embeddings(opened, checkpoint, when))
    for number, prompt in enumerate(prompts):
        weights = np.append(chances.slope[number] * chances.directions[number], chances.intercept[number])
        p = logistic(x @ weights)
        covariance = np.linalg.inv(
            (x * (p * (1 - p))[:, None]).T @ x + prior_precision(prompt, checkpoint.text_scale)
        )
        z = np.concatenate([cells, np.ones((len(cells), 1))], axis=1)
        chance = logistic(z @ weights)
        expected = chance * (1 - chance) * np.sqrt(np.einsum("nd,de,ne->n", z, covariance, z))
        measured = scores.values[2 + number].ravel()
        has_data = np.isfinite(measured)
        np.testing.assert_allclose(measured[has_data], expected[has_data], rtol=2e-3)
        assert has_data.any()
        assert not np.isfinite(expected[~has_data]).any()


def prior_precision(prompt, scale):
    """The prior written out: one standard deviation along the prompt, one across, a free intercept."""
    along = np.outer(prompt, prompt).astype(float)
    precision = np.diag([*np.zeros(len(prompt)), 1e-6])
    precision[:-1, :-1] = (
        along / (PRIOR_SD_ALONG * scale) ** 2 + (np.eye(len(prompt)) - along) / PRIOR_SD_ACROSS**2
    )
    return precision


def all_embeddings(opened, checkpoint, when):
    lon, lat = cell_lonlat(opened.grid)
    return embeddings_at(opened, checkpoint, list(zip(lon.ravel(), lat.ravel(), strict=True)), when)


def test_a_score_that_is_no_chance_has_no_such_error(tmp_path) -> None:
    checkpoint = calibrated(dim=16)
    opened = atlas(tmp_path / "a.zarr", embeddings(9, 9, 16), checkpoint, HOLES)
    with pytest.raises(PromptError, match="the scale is not contrast"):
        score_with_spread(Scan(opened, "cyclic"), checkpoint, ["p"], "photos")
