import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import rioxarray  # noqa: F401
from made_model import atlas, embeddings, grid, model

from sat2cap.errors import AtlasError, PromptError
from sat2cap.geo.frame import grid_of
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.when import When
from sat2cap.maps.conditioning import Conditioning
from sat2cap.maps.layers import provenance
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.query import score_atlas, select_prompt
from sat2cap.query.engine import scan
from sat2cap.query.prompts import embed_prompts

PROMPTS = ["busy street", "snow in a forest + the sea", "fishing"]
WHENS = [None, When(2024, 5, 20, 8.0), When(2019, 12, 31, 23.5)]


def exact_cosines(stored, checkpoint, prompts, when):
    """normalise(O + E)·T in float64, written out: [P, y, x]."""
    values = stored.astype(np.float64)
    if when is not None:
        height, width, dim = stored.shape
        lon, lat = cell_lonlat(grid(height, width))
        moment = (when.year, when.month, when.day, when.hour)
        offset = checkpoint.dynamic_offset(lat.ravel(), lon.ravel(), *moment)
        values += offset.astype(np.float64).reshape(height, width, dim)
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    return np.einsum("yxd,pd->pyx", values, embed_prompts(checkpoint, prompts).astype(np.float64))


@pytest.mark.parametrize("encoding", ["cyclic", "reference", "sphere"])
@pytest.mark.parametrize("when", WHENS, ids=str)
@pytest.mark.parametrize(("dtype", "dim"), [("int8", 64), ("float16", 64), ("int8", 512)])
def test_cosines_are_those_of_brute_force(tmp_path, when, dtype, dim, encoding):
    checkpoint, values = model(dim, encoding=encoding), embeddings(37, 41, dim)
    holes = np.random.default_rng(0).random((37, 41)) < 0.2
    holes[:, 32:] |= np.arange(37)[:, None] >= 32  # one whole chunk has nothing
    opened = atlas(tmp_path / "a.zarr", values, checkpoint, holes, dtype)
    scores = score_atlas(opened, checkpoint, PROMPTS, when=when).values
    is_embedded = ~holes & opened.wanted
    assert (np.isfinite(scores) == is_embedded).all()
    stored = opened.read(slice(0, 37), slice(0, 41))
    assert np.abs(scores - exact_cosines(stored, checkpoint, PROMPTS, when))[:, is_embedded].max() < 2e-6
    if dim == 512:  # what the quantisation itself costs, on noise, the worst case for it
        loss = (scores - exact_cosines(values, checkpoint, PROMPTS, when))[:, is_embedded]
        assert np.sqrt((loss**2).mean()) < 5e-4
        assert np.abs(loss).max() < 2e-3


def test_the_moment_matters_as_it_should(tmp_path):
    """Otherwise the test above would pass for an offset that is ignored on both sides."""
    checkpoint, values = model(), embeddings(5, 6, 64)
    opened = atlas(tmp_path / "a.zarr", values, checkpoint, np.zeros((5, 6), bool))
    static, may, night = (
        score_atlas(opened, checkpoint, PROMPTS, when=when).values[..., :-1] for when in WHENS
    )
    assert np.abs(may - static).mean() > 0.02
    assert np.abs(may - night).mean() > 0.02


def test_memory_is_a_runs_not_the_regions(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "RUN_BYTES", 2**20)
    checkpoint = model(256)
    peaks = []
    for side in (96, 192):
        opened = atlas(
            tmp_path / f"{side}.zarr", embeddings(side, side, 256), checkpoint, np.zeros((side, side), bool)
        )
        tracemalloc.start()
        score_atlas(opened, checkpoint, PROMPTS, when=WHENS[1], scale="contrast")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    more = (192**2 - 96**2) * 256 * 4  # what the added cells would take as float32
    assert peaks[1] - peaks[0] < more / 8
    assert peaks[1] < 192**2 * 256 * 4


def test_the_result_knows_where_it_is_and_where_it_comes_from(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(4, 5, 64), checkpoint, np.zeros((4, 5), bool))
    scores = score_atlas(opened, checkpoint, PROMPTS, when=WHENS[1], negatives=["a car"])
    assert scores.dims == ("prompt", "y", "x")
    assert scores.dtype == np.float32
    assert grid_of(scores) == opened.grid
    assert scores.rio.crs.to_epsg() == 32631
    assert scores.attrs == {
        "prompt": PROMPTS,
        "negatives": ["a car"],
        "when": "2024-05-20T08:00",
        "dynamic": "dynamic",
        "scale": "cosine",
        "model": "made 0",
        "identity": opened.identity,
        "imagery": "land.tif",
        "attribution": "Nobody",
        "licence": "CC0-1.0",
    }
    layer = select_prompt(scores, 2)
    assert layer.dims == ("y", "x")
    assert layer.attrs["prompt"] == "fishing"
    assert grid_of(layer) == opened.grid
    assert (layer.values == scores.values[2])[:, :-1].all()
    assert score_atlas(opened, checkpoint, ["fishing"]).attrs["prompt"] == "fishing"


def test_a_moment_without_dynamic_encoder_gives_static_scores_and_says_so(tmp_path):
    static_model = model(dynamic=False)
    opened = atlas(tmp_path / "a.zarr", embeddings(4, 5, 64), static_model, np.zeros((4, 5), bool))
    static, dated = (
        score_atlas(opened, static_model, PROMPTS),
        score_atlas(opened, static_model, PROMPTS, when=WHENS[1]),
    )
    np.testing.assert_array_equal(static.values, dated.values)
    assert (static.attrs["dynamic"], static.attrs["when"]) == ("static", "")
    assert dated.attrs["dynamic"] == Conditioning.NO_DYNAMIC_ENCODER
    assert provenance(dated)["dynamic"] == "ignored: the model has no Dynamic Encoder"
    assert dated.attrs["when"] == ""


def test_negatives_take_off_their_greatest_cosine(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(6, 7, 64), checkpoint, np.zeros((6, 7), bool))
    per_prompt = score_atlas(opened, checkpoint, ["p", "q", "r"], when=WHENS[1]).values
    scores = score_atlas(opened, checkpoint, ["p"], when=WHENS[1], negatives=["q", "r"]).values[0]
    np.testing.assert_allclose(scores, per_prompt[0] - np.maximum(per_prompt[1], per_prompt[2]), atol=1e-6)


def test_percentile_ranks_within_the_region(tmp_path):
    checkpoint = model()
    holes = np.zeros((6, 7), bool)
    holes[2, 3] = True
    opened = atlas(tmp_path / "a.zarr", embeddings(6, 7, 64), checkpoint, holes)
    cosine = score_atlas(opened, checkpoint, ["p", "q"]).values
    scores = score_atlas(opened, checkpoint, ["p", "q"], scale="percentile").values
    for layer_cosines, ranks in zip(cosine, scores, strict=True):
        valid = np.isfinite(layer_cosines)
        assert valid.sum() == 35
        expected = 100 * np.argsort(np.argsort(layer_cosines[valid])) / 34
        np.testing.assert_allclose(ranks[valid], expected, rtol=1e-6)
        assert np.isnan(ranks[~valid]).all()


def test_contrast_is_a_softmax_of_each_prompt_against_the_bank_alone(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(6, 7, 64), checkpoint, np.zeros((6, 7), bool))
    bank = ["one", "two", "three"]
    scores = score_atlas(
        opened, checkpoint, ["p", "two"], scale="contrast", bank=bank, when=WHENS[1], negatives=["n"]
    ).values
    logits = 20 * score_atlas(
        opened, checkpoint, ["p", "two", "one", "three", "n"], when=WHENS[1]
    ).values.astype(float)
    odds = np.exp(logits)
    np.testing.assert_allclose(scores[0], odds[0] / odds.sum(0), rtol=1e-4)
    np.testing.assert_allclose(scores[1], odds[1] / odds[1:].sum(0), rtol=1e-4)


@pytest.mark.parametrize(("scale", "expected"), [(100.0, 0.996), (None, 0.107)])
def test_contrast_without_calibration_takes_the_scale_of_the_text_towers_clip(
    tmp_path, scale: float | None, expected: float
):
    """The published weights say no scale of their own: cosine 0.30 among thirty generic ones at 0.21."""

    class Chosen(Checkpoint):
        def embed_text(self, texts):
            cosines = np.array([0.30 if text == "p" else 0.21 for text in texts])
            rows = np.zeros((len(texts), self.dim))
            rows[:, 0], rows[:, 1] = cosines, np.sqrt(1 - cosines**2)
            return rows.astype(np.float32)

    made = model(dynamic=False)
    text = SimpleNamespace(scale=scale, find_cut_off_text=lambda text: "")
    checkpoint = Chosen(**{**vars(made), "text": text, "logit_scale": 1 / 0.07})
    vectors = np.zeros((2, 3, 64), np.float32)
    vectors[..., 0] = 1
    opened = atlas(tmp_path / "a.zarr", vectors, checkpoint, np.zeros((2, 3), bool))
    bank = [f"generic {number}" for number in range(30)]
    shares = score_atlas(opened, checkpoint, ["p"], scale="contrast", bank=bank).values
    np.testing.assert_allclose(shares[..., :2], expected, atol=2e-3)  # the last column is outside the region


def test_the_shipped_bank_is_the_default(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(3, 4, 64), checkpoint, np.zeros((3, 4), bool))
    scores = score_atlas(opened, checkpoint, ["p"], scale="contrast").values[..., :-1]
    assert ((scores > 0) & (scores < 0.9)).all()


def test_an_atlas_of_another_model_is_refused_and_another_text_tower_is_not(tmp_path):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(3, 4, 64), checkpoint, np.zeros((3, 4), bool))
    with pytest.raises(
        AtlasError, match=r"made 1 .* is not the model of this atlas, made 0 .*; give that model"
    ):
        score_atlas(opened, model(seed=1), ["p"])
    with pytest.raises(AtlasError, match="not the model"):  # same tower, other Dynamic Encoder
        score_atlas(opened, model(dynamic=False), ["p"])
    assert model().place_identity == checkpoint.place_identity


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"prompts": []}, "no prompt"),
        ({"prompts": [""]}, "empty"),
        ({"prompts": ["fine", "  \t"]}, "empty"),
        ({"prompts": ["snow + "]}, "nothing on one side"),
        ({"prompts": "snow"}, "give a list"),
        ({"negatives": [""]}, "empty"),
        ({"scale": "minmax"}, "cosine, percentile, contrast"),
        ({"scale": "contrast", "bank": []}, "bank"),
        ({"templates": []}, "no template"),
        ({"templates": ["a photo"]}, "must hold {}"),
    ],
)
def test_what_cannot_be_scored_is_one_line(tmp_path, settings, word):
    checkpoint = model()
    opened = atlas(tmp_path / "a.zarr", embeddings(3, 4, 64), checkpoint, np.zeros((3, 4), bool))
    with pytest.raises(PromptError, match=word) as error:
        score_atlas(opened, checkpoint, **{"prompts": ["p"], **settings})
    assert "\n" not in str(error.value)
