from dataclasses import replace

import numpy as np
import pytest
from made_model import atlas, calibrated, embeddings, unit

from sat2cap.errors import PromptError
from sat2cap.geo.when import When
from sat2cap.query import score
from sat2cap.query.calibrated import chance, curves, fitted
from sat2cap.query.prompts import embed_prompts

MAY = When(2024, 5, 20, 8.0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def test_a_known_curve_is_found_again():
    rng = np.random.default_rng(0)
    cosines = rng.normal(0.3, 0.2, 100_000).astype(np.float32)
    happened = (rng.random(100_000) < logistic(12 * cosines - 5)).astype(float)
    np.testing.assert_allclose(fitted(cosines, happened, 20.0), (12, -5), rtol=0.03)


def test_the_curve_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    cosines = rng.normal(0.2, 0.3, 5000)
    happened = rng.random(5000) < logistic(6 * cosines - 2)
    theirs = linear.LogisticRegression(C=np.inf, tol=1e-8).fit(cosines[:, None], happened)
    expected = (theirs.coef_[0, 0], theirs.intercept_[0])
    # a prior as wide as this one says nothing
    np.testing.assert_allclose(
        fitted(cosines.astype(np.float32), happened.astype(float), 1e4), expected, rtol=1e-3
    )


def test_where_no_photo_fits_no_place_has_a_chance_and_the_prior_decides_the_slope():
    slope, intercept = fitted(np.linspace(0, 0.6, 500).astype(np.float32), np.full(500, 1e-6), 15.0)
    assert slope == pytest.approx(15, rel=0.05)
    assert logistic(slope * 0.6 + intercept) < 1e-4


def test_a_score_that_says_the_opposite_gives_every_place_the_same_chance():
    cosines = np.linspace(-1, 1, 400).astype(np.float32)
    slope, intercept = fitted(cosines, logistic(-4 * cosines.astype(float) - 1), 5.0)
    assert slope == 0
    assert logistic(intercept) == pytest.approx(logistic(-4 * cosines - 1).mean(), rel=1e-6)


def test_chances_by_hand():
    got = chance(np.float32([[0.5, 0.0], [1.0, -1.0]]), np.array([[4.0, -2.0], [0.0, 1.0]]))
    np.testing.assert_allclose(got, [[0.5, logistic(-2)], [logistic(1)] * 2], rtol=1e-6)
    assert got.dtype == np.float32


def rival_share(checkpoint, prompt, others):
    """Of the prompt and the rival that fits the photo best, the prompt's share: written out."""
    photos, scale = checkpoint.calibration.ground, checkpoint.text_scale
    mine, theirs = photos @ prompt, (photos @ others.T).max(1)
    return logistic(scale * (mine - theirs).astype(float))


def test_curves_follow_what_photos_say_and_negatives_are_rivals_always():
    checkpoint = calibrated()
    prompt, negative, *bank = embed_prompts(checkpoint, ["snow", "a car", "the sea", "a town", "sand"])
    bank, none = np.stack(bank), np.zeros((0, 64), np.float32)
    places = unit(checkpoint.calibration.overhead) @ prompt
    for negatives, others in ((none, bank), (negative[None], np.stack([*bank, negative]))):
        ((slope, intercept),) = curves(checkpoint, prompt[None], negatives, bank, told=False)
        fits = rival_share(checkpoint, prompt, others)
        got = logistic(slope * places + intercept)
        assert got.mean() == pytest.approx(fits.mean(), rel=0.02), "as many as there are"
        assert np.corrcoef(got, fits)[0, 1] > 0.6


def test_a_prompt_is_no_rival_of_itself_nor_of_what_says_the_same():
    checkpoint = calibrated()
    prompt, town, sand = embed_prompts(checkpoint, ["snow", "a town", "sand"])
    none = np.zeros((0, 64), np.float32)
    nearly = unit(prompt + 0.02 * town)
    alone = curves(checkpoint, prompt[None], none, np.stack([town, sand]), told=False)
    with_itself = curves(checkpoint, prompt[None], none, np.stack([town, prompt, sand, nearly]), told=False)
    np.testing.assert_allclose(alone, with_itself)
    with pytest.raises(PromptError, match="every prompt of the bank says what"):
        curves(checkpoint, prompt[None], none, np.stack([prompt, nearly]), told=False)


def test_a_date_is_judged_by_places_at_their_dates():
    checkpoint = calibrated()
    prompts = embed_prompts(checkpoint, ["snow", "a town"])
    none, bank = np.zeros((0, 64), np.float32), embed_prompts(checkpoint, ["the sea", "sand"])
    offset = checkpoint.dynamic_from_features(checkpoint.calibration.features)
    sample = checkpoint.calibration
    written_out = replace(checkpoint, calibration=replace(sample, overhead=sample.overhead + offset))
    told = curves(checkpoint, prompts, none, bank, told=True)
    np.testing.assert_allclose(told, curves(written_out, prompts, none, bank, told=False), rtol=1e-4)
    assert np.abs(told - curves(checkpoint, prompts, none, bank, told=False)).max() > 0.1


@pytest.mark.parametrize("when", [None, MAY], ids=str)
def test_contrast_of_a_calibrated_model_is_the_curve_of_the_cosine(tmp_path, when):
    checkpoint = calibrated()
    made = atlas(tmp_path / "a.zarr", embeddings(9, 7, 64), checkpoint, np.zeros((9, 7), bool))
    asked = ["snow", "the sea + sand"]
    bank = ["a town", "a river", "sand"]
    got = score(made, checkpoint, asked, when=when, scale="contrast", bank=bank, negatives=["a car"])
    cosines = score(made, checkpoint, asked, when=when).values
    vectors = [embed_prompts(checkpoint, texts) for texts in (asked, ["a car"], bank)]
    expected = chance(cosines.reshape(2, -1), curves(checkpoint, *vectors, told=when is not None))
    np.testing.assert_allclose(got.values.reshape(2, -1), expected, atol=1e-5)
    assert got.attrs["calibration"] == "3,000 photos held out of training"
    plain = score(made, replace(checkpoint, calibration=None), asked, when=when, scale="contrast")
    assert "calibration" not in plain.attrs
    assert "calibration" not in score(made, checkpoint, asked, when=when).attrs
