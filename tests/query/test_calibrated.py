from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from made_model import atlas, calibrated, embeddings, unit

from sat2cap.errors import PromptError
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.when import When
from sat2cap.maps.few_photos import few_photos_warning
from sat2cap.query import score_atlas, select_prompt
from sat2cap.query.chances import PRIOR_SD_ACROSS, PRIOR_SD_ALONG, Chances, fit_chances, fit_logistic
from sat2cap.query.prompts import embed_prompts

MAY = When(2024, 5, 20, 8.0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def spread_out(count, dim, seed=0):
    """Unit vectors, and a prompt that some of them are near."""
    rng = np.random.default_rng(seed)
    places = unit(rng.normal(size=(count, dim)) + 0.5 * np.eye(dim)[0])
    return places, np.eye(dim, dtype=np.float32)[0]


def test_a_known_curve_is_found_again():
    places, prompt = spread_out(100_000, 8)
    true = 12 * prompt
    happened = np.random.default_rng(1).random(100_000) < logistic(places @ true - 5)
    weights, intercept = fit_logistic(places, happened.astype(float), prompt, 20.0)
    np.testing.assert_allclose(weights, true, atol=0.4)
    assert intercept == pytest.approx(-5, rel=0.03)


def test_the_curve_is_the_likeliest_there_is():
    """Against a general optimiser on the posterior, written out."""
    optimize = pytest.importorskip("scipy.optimize")
    places, prompt = spread_out(400, 6)
    fits = logistic(places.astype(float) @ np.arange(6) - 2)
    scale = 7.0

    def loss(at):
        logits, away = places.astype(float) @ at[:-1] + at[-1], at[:-1] - scale * prompt
        along = away @ prompt
        across = away - along * prompt
        prior = (
            (along / (PRIOR_SD_ALONG * scale)) ** 2
            + (across / PRIOR_SD_ACROSS) @ (across / PRIOR_SD_ACROSS)
            + 1e-6 * at[-1] ** 2
        )
        return np.sum(np.logaddexp(0, logits) - fits * logits) + prior / 2

    expected = optimize.minimize(loss, np.zeros(7), method="BFGS", options={"gtol": 1e-6}).x
    weights, intercept = fit_logistic(places, fits, prompt, scale)
    np.testing.assert_allclose([*weights, intercept], expected, atol=2e-4)


@pytest.mark.parametrize(("scale", "rarity"), [(100.0, 7.0), (100.0, 1.0), (15.0, 4.0)])
def test_the_curve_of_a_large_model_is_that_of_newtons_method(scale, rarity):
    """Against dense Newton steps in float64, to the end, for 512 numbers and 2,000 photos."""
    rng = np.random.default_rng(3)
    places = unit(rng.normal(size=(2000, 512)) * np.exp(-np.arange(512) / 60) + 0.1)
    prompt = unit(places[5:6] + 0.02 * rng.normal(size=(1, 512)))[0]
    closeness = places @ prompt
    fits = logistic(3 * (closeness - closeness.mean()) / closeness.std() - rarity)
    x, along = np.column_stack([places, np.ones(2000)]).astype(float), np.append(prompt, 0).astype(float)
    precision = np.diag(np.append(np.full(512, PRIOR_SD_ACROSS**-2), 1e-6))
    precision += ((PRIOR_SD_ALONG * scale) ** -2 - PRIOR_SD_ACROSS**-2) * np.outer(along, along)
    w = np.append(scale * prompt, 0.0)
    for _ in range(60):
        p = logistic(np.clip(x @ w, -80, 80))
        gradient = x.T @ (p - fits) + precision @ (w - scale * along)
        step = np.linalg.solve(x.T @ (x * (p * (1 - p))[:, None]) + precision, gradient)
        w -= step * min(1, 3 / np.abs(x @ step).max())
        if np.abs(step).max() < 1e-9:
            break
    assert np.abs(step).max() < 1e-9
    weights, intercept = fit_logistic(places, fits, prompt, scale)
    np.testing.assert_allclose([*weights, intercept], w, atol=1e-4)
    np.testing.assert_allclose(logistic(places @ weights + intercept), logistic(x @ w), atol=1e-4)


def test_where_no_photo_fits_the_prompt_stays_as_it_is_and_no_place_has_a_chance():
    places, prompt = spread_out(500, 8)
    weights, intercept = fit_logistic(places, np.full(500, 1e-6), prompt, 15.0)
    np.testing.assert_allclose(weights, 15 * prompt, atol=0.1)
    assert logistic(places @ weights + intercept).max() < 1e-3


def test_places_that_only_resemble_the_prompt_have_less():
    """Half of the places near the prompt have another thing in common, and none of their photos fits."""
    places, prompt = spread_out(4000, 16)
    other = np.eye(16)[5]
    fits = np.where(places @ other > 0, 1e-3, logistic(10 * (places @ prompt) - 3))
    weights, intercept = fit_logistic(places, fits, prompt, 10.0)
    chance = logistic(places @ weights + intercept)
    turned, near = weights / np.linalg.norm(weights), places @ prompt > 0.4
    assert turned @ prompt > 0.6
    assert turned @ other < -0.3
    assert chance[near & (places @ other > 0.2)].mean() < 0.3 * chance[near & (places @ other < -0.2)].mean()


def test_chances_by_hand():
    chances = Chances(np.eye(2, dtype=np.float32), np.array([4.0, 0.0]), np.array([-2.0, 1.0]), np.zeros(2))
    chance = chances(np.float32([[0.5, 0.0], [1.0, -1.0]]))
    np.testing.assert_allclose(chance, [[0.5, logistic(-2)], [logistic(1)] * 2], rtol=1e-6)
    assert chance.dtype == np.float32


def predict(chances, places):
    """Chances `[P, N]` of unit places."""
    return chances(chances.directions @ places.T)


def rival_share(checkpoint, prompt, rivals):
    """Of the prompt and the rival that fits the photo best, the prompt's share: written out."""
    photos, scale = checkpoint.calibration.ground, checkpoint.text_scale
    own_cosines, rival_cosines = photos @ prompt, (photos @ rivals.T).max(1)
    return logistic(scale * (own_cosines - rival_cosines).astype(float))


def test_curves_follow_what_photos_say_and_negatives_are_rivals_always():
    checkpoint = calibrated()
    prompt, negative, *bank = embed_prompts(checkpoint, ["snow", "a car", "the sea", "a town", "sand"])
    bank, none = np.stack(bank), np.zeros((0, 64), np.float32)
    places = unit(checkpoint.calibration.overhead)
    for negatives, rivals in ((none, bank), (negative[None], np.stack([*bank, negative]))):
        fits = rival_share(checkpoint, prompt, rivals)
        (chance,) = predict(fit_chances(checkpoint, prompt[None], negatives, bank, conditioned=False), places)
        assert chance.mean() == pytest.approx(fits.mean(), rel=0.02), "as many as there are"
        assert np.corrcoef(chance, fits)[0, 1] > 0.6


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.002])
def test_chances_of_rare_things_are_as_high_as_their_truth_where_they_are(rate):
    """Vectors as CLIP's: most of each is the same in all, and a scale of 100 tells them apart.

    The model was trained at a scale of 1 / 0.07. A prior around that scale had 0.8, 0.5 and 0.2 at these
    rates, where the truth is 0.8 to 0.9.
    """
    rng, common = np.random.default_rng(2), np.eye(32, dtype=np.float32)[0]

    def draw(count):
        content = unit(rng.normal(size=(count, 31)) * np.linspace(2, 0.2, 31))
        return np.concatenate([np.full((count, 1), 0.9), content * (1 - 0.81) ** 0.5], axis=1).astype(
            np.float32
        )

    photos, cells, (prompt,) = draw(2000), draw(20_000), draw(1)
    rival = common[None] * np.quantile(cells @ prompt, 1 - rate) / 0.9  # as near to every photo
    sample = SimpleNamespace(ground=photos, overhead=photos)
    model = SimpleNamespace(calibration=sample, text_scale=100.0, logit_scale=1 / 0.07, dynamic_weights=None)
    none = np.zeros((0, 32), np.float32)
    (chance,) = predict(fit_chances(model, prompt[None], none, rival, conditioned=False), cells)
    truth = logistic(100 * (cells @ prompt - (cells @ rival.T)[:, 0]).astype(float))
    there = truth > 0.5
    assert there.sum() >= 20
    assert chance[there].mean() == pytest.approx(truth[there].mean(), abs=0.1)
    assert chance.mean() == pytest.approx(truth.mean(), rel=0.2)


def test_a_prompt_is_no_rival_of_itself_nor_of_what_says_the_same():
    checkpoint = calibrated()
    prompt, town, sand = embed_prompts(checkpoint, ["snow", "a town", "sand"])
    none = np.zeros((0, 64), np.float32)
    nearly = unit(prompt + 0.02 * town)
    places = unit(checkpoint.calibration.overhead)
    alone, with_itself = (
        predict(fit_chances(checkpoint, prompt[None], none, np.stack(bank), conditioned=False), places)
        for bank in ([town, sand], [town, prompt, sand, nearly])
    )
    np.testing.assert_allclose(alone, with_itself, rtol=1e-5)
    with pytest.raises(PromptError, match="every prompt of the bank says what"):
        fit_chances(checkpoint, prompt[None], none, np.stack([prompt, nearly]), conditioned=False)


def test_a_date_is_judged_by_places_at_their_dates():
    checkpoint = calibrated()
    prompts = embed_prompts(checkpoint, ["snow", "a town"])
    none, bank = np.zeros((0, 64), np.float32), embed_prompts(checkpoint, ["the sea", "sand"])
    offset = checkpoint.dynamic_from_features(checkpoint.calibration.features)
    sample = checkpoint.calibration
    written_out = replace(checkpoint, calibration=replace(sample, overhead=sample.overhead + offset))
    places = unit(sample.overhead + offset)
    conditioned, same, static = (
        predict(fit_chances(model, prompts, none, bank, conditioned=when), places)
        for model, when in ((checkpoint, True), (written_out, False), (checkpoint, False))
    )
    np.testing.assert_allclose(conditioned, same, rtol=1e-4)
    assert np.abs(conditioned - static).max() > 0.01


def test_it_is_said_which_prompts_few_photos_fit(tmp_path):
    checkpoint = calibrated()
    opened = atlas(tmp_path / "a.zarr", embeddings(9, 7, 64), checkpoint, np.zeros((9, 7), bool))
    bank, prompts = ["a town", "a river", "sand"], ["snow", "a unicorn"]
    vectors = [embed_prompts(checkpoint, texts) for texts in (prompts, bank)]
    none = np.zeros((0, 64), np.float32)
    chances = fit_chances(checkpoint, vectors[0], none, vectors[1], conditioned=False)
    by_hand = [rival_share(checkpoint, prompt, vectors[1]).sum() for prompt in vectors[0]]
    np.testing.assert_allclose(chances.fitting_photos, by_hand, rtol=1e-4)

    few = replace(checkpoint, calibration=first_photos(checkpoint.calibration, 12))
    scores = score_atlas(opened, few, prompts, scale="contrast", bank=bank)
    listed = scores.attrs["few_photos"]
    assert [entry.split(":")[0] for entry in listed] == prompts, "of 12 photos fewer than 20 fit anything"
    assert all(entry.endswith(" of 12 photos") for entry in listed)
    one = select_prompt(scores, 1)
    assert one.attrs["few_photos"] == listed[1:]
    assert few_photos_warning(one.attrs).startswith(f"few held-out photos fit ({listed[1]})")
    assert "few_photos" not in score_atlas(opened, few, prompts, bank=bank).attrs, "a cosine needs no photos"
    many = score_atlas(opened, checkpoint, prompts, scale="contrast", bank=bank).attrs.get("few_photos", [])
    assert [entry.split(":")[0] for entry in many] == [
        prompt for prompt, photos in zip(prompts, by_hand, strict=True) if photos < 20
    ]


def first_photos(calibration, count):
    """The first photos of a calibration."""
    return replace(calibration, ground=calibration.ground[:count], overhead=calibration.overhead[:count],
                   features=calibration.features[:count])  # fmt: skip


@pytest.mark.parametrize("when", [None, MAY], ids=str)
def test_contrast_of_a_calibrated_model_is_the_chance_of_every_place(tmp_path, when):
    checkpoint = calibrated()
    opened = atlas(tmp_path / "a.zarr", embeddings(9, 7, 64), checkpoint, np.zeros((9, 7), bool))
    prompts = ["snow", "the sea + sand"]
    bank = ["a town", "a river", "sand"]
    chance = score_atlas(
        opened, checkpoint, prompts, when=when, scale="contrast", bank=bank, negatives=["a car"]
    )
    vectors = [embed_prompts(checkpoint, texts) for texts in (prompts, ["a car"], bank)]
    chances = fit_chances(checkpoint, *vectors, conditioned=when is not None)
    places = opened.read(slice(None), slice(None)).reshape(-1, 64)
    if when is not None:
        lon, lat = (side.ravel() for side in cell_lonlat(opened.grid))
        places = places + checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    np.testing.assert_allclose(chance.values.reshape(2, -1), predict(chances, unit(places)), atol=1e-4)
    assert chance.attrs["calibration"] == "3,000 photos held out of training"
    uncalibrated = score_atlas(
        opened, replace(checkpoint, calibration=None), prompts, when=when, scale="contrast"
    )
    assert "calibration" not in uncalibrated.attrs
    assert "calibration" not in score_atlas(opened, checkpoint, prompts, when=when).attrs
