import numpy as np
import pytest
from made_model import atlas, calibrated, embeddings, model

from sat2cap.errors import AtlasError, ModelError, PromptError, WhenError
from sat2cap.geo.when import When
from sat2cap.query import score_atlas
from sat2cap.query.series import mean_scores

PROMPTS = ["busy street", "snow in a forest + the sea"]
TIMES = [When(2024, 5, 20, 8.0), When(2019, 12, 31, 23.5), When(2020, 1, 1, 0.0)]


@pytest.mark.parametrize("dynamic", [True, False])
def test_means_are_those_of_the_maps(tmp_path, dynamic):
    checkpoint = model(dynamic=dynamic)
    holes = np.random.default_rng(1).random((37, 41)) < 0.3
    opened = atlas(tmp_path / "a.zarr", embeddings(37, 41, 64), checkpoint, holes)
    scores = mean_scores(opened, checkpoint, PROMPTS, TIMES)
    assert scores.shape == (2, 3)
    for column, when in enumerate(TIMES):
        maps = score_atlas(opened, checkpoint, PROMPTS, when=when).values.astype(np.float64)
        np.testing.assert_allclose(scores[:, column], np.nanmean(maps, axis=(1, 2)), atol=1e-7)
    assert (np.ptp(scores, axis=1) > 1e-3).all() == dynamic


@pytest.mark.parametrize("dynamic", [True, False])
def test_mean_chances_are_those_of_the_maps_too(tmp_path, dynamic):
    checkpoint = calibrated(dynamic=dynamic)
    holes = np.random.default_rng(1).random((9, 41)) < 0.3
    opened = atlas(tmp_path / "a.zarr", embeddings(9, 41, 64), checkpoint, holes)
    scores = mean_scores(opened, checkpoint, PROMPTS, TIMES, "contrast")
    for column, when in enumerate(TIMES):
        maps = score_atlas(opened, checkpoint, PROMPTS, when=when, scale="contrast").values.astype(np.float64)
        np.testing.assert_allclose(scores[:, column], np.nanmean(maps, axis=(1, 2)), rtol=1e-5)
    by_itself = mean_scores(opened, checkpoint, PROMPTS, TIMES)
    np.testing.assert_array_equal(by_itself, scores, "chances are averaged, of a calibrated model")
    with pytest.raises(ModelError, match="is not calibrated, see sat2cap models calibrate"):
        mean_scores(opened, model(dynamic=dynamic), PROMPTS, TIMES, "contrast")


def test_an_atlas_without_embeddings_has_no_mean(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(4, 5, 64), checkpoint, np.ones((4, 5), bool))
    assert np.isnan(mean_scores(opened, checkpoint, PROMPTS, TIMES)).all()


def test_what_is_wrong_is_said(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(4, 5, 64), checkpoint, np.zeros((4, 5), bool))
    with pytest.raises(PromptError, match="no prompt"):
        mean_scores(opened, checkpoint, [], TIMES)
    with pytest.raises(WhenError, match="no moment"):
        mean_scores(opened, checkpoint, PROMPTS, [])
    with pytest.raises(AtlasError, match="embed again"):
        mean_scores(opened, model(seed=5), PROMPTS, TIMES)
