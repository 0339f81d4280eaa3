"""Maps against a land cover, on an atlas that knows it and on one that does not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import atlas, embeddings, grid, model

from sat2cap.errors import InputError
from sat2cap.evaluation.maps.class_shares import class_shares
from sat2cap.evaluation.maps.classes import Classes, LandClass
from sat2cap.evaluation.maps.landcover import evaluate_landcover
from sat2cap.evaluation.metric import metric_values
from sat2cap.evaluation.rows import CLIP, LINEAR
from sat2cap.query import score_atlas

SIDE, DIM = 24, 32
KINDS = ("water", "forest", "town")
NO_HOLES = np.zeros((SIDE, SIDE), bool)


@pytest.fixture(scope="module")
def cover() -> np.ndarray:
    """Which of the kinds each cell is: three bands, and a lake in the last."""
    kind = np.repeat(np.arange(SIDE) // 8, SIDE).reshape(SIDE, SIDE)
    kind[18:22, 4:12] = 0
    return kind


@pytest.fixture(scope="module")
def given(cover: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Classes:
    path = tmp_path_factory.mktemp("cover") / "cover.tif"
    box = grid(SIDE, SIDE)
    profile = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs=str(box.crs), transform=box.affine, nodata=9) as file:
        file.write((cover + 1).astype(np.uint8), 1)
    classes = tuple(
        LandClass(name, (number + 1,), (f"a photo of {name}",), None, 0.5, "")
        for number, name in enumerate(KINDS)
    )
    return Classes(str(path), "", None, (*classes, LandClass("ice", (5,), ("ice",), None, 0.5, "")))


def knowing(checkpoint, cover: np.ndarray) -> np.ndarray:
    """Embeddings that are the text of each cell's kind."""
    return 5 * checkpoint.embed_text([f"a photo of {name}" for name in KINDS])[cover]


def test_an_atlas_that_knows_is_right_everywhere(given, cover, tmp_path) -> None:
    checkpoint = model(DIM)
    made = atlas(tmp_path / "a.zarr", knowing(checkpoint, cover), checkpoint, NO_HOLES, "float16")
    found = evaluate_landcover(made, checkpoint, given, block_km=2.0, draws=50)
    figures = metric_values(found.metrics)
    for name in (*KINDS, "mean"):
        assert figures[f"auroc.{name}"] == figures[f"average_precision.{name}"] == figures[f"f1.{name}"] == 1
    assert figures["confusion.accuracy"] == figures["confusion.mean_recall"] == 1
    assert figures["cells"] == SIDE * (SIDE - 1), "the last column lies outside the region"
    assert found.table_data["left_out"] == ["ice"]
    counts = np.bincount(cover[:, :-1].ravel())
    assert found.table_data["confusion"]["confusion"] == np.diag(counts).tolist()
    intervals = {figure.name: figure.interval for figure in found.metrics}
    assert intervals["auroc.water"] == (1, 1)
    assert set(found.material.layers) == {"", "location", "lookup"}


def test_an_atlas_that_does_not_know_is_at_chance_and_behind(given, cover, tmp_path) -> None:
    ours, theirs = model(DIM), model(DIM, seed=1, dynamic=False)
    knows = atlas(tmp_path / "a.zarr", knowing(ours, cover), ours, NO_HOLES)
    noise = atlas(tmp_path / "b.zarr", embeddings(SIDE, SIDE, DIM), theirs, NO_HOLES)
    baselines = {CLIP: (noise, theirs), LINEAR: (knows, ours)}
    found = evaluate_landcover(knows, ours, given, baselines, block_km=2.0, draws=100)
    figures = {figure.name: figure for figure in found.metrics}
    assert 0.4 < figures["clip.auroc.mean"].value < 0.6
    low, high = figures["clip.auroc.mean"].interval
    assert low < figures["clip.auroc.mean"].value < high
    lead = figures["above_clip.auroc.mean"]
    assert lead.value == pytest.approx(1 - figures["clip.auroc.mean"].value)
    assert lead.interval[0] > 0.3
    assert 0.2 < figures["clip.confusion.accuracy"].value < 0.5
    assert figures["above_linear.auroc.mean"][1:] == (0, (0, 0)), "it is the same atlas"
    aerial = score_atlas(noise, theirs, [f"aerial view of {given.classes[0].prompts[0]}"]).values[0]
    np.testing.assert_allclose(found.material.layers["clip_aerial"][0], aerial, atol=1e-6)


def test_the_look_up_weighs_the_shares_by_the_words(given, cover, tmp_path) -> None:
    checkpoint = model(DIM)
    made = atlas(tmp_path / "a.zarr", knowing(checkpoint, cover), checkpoint, NO_HOLES)
    found = evaluate_landcover(made, checkpoint, given, draws=0)
    shares = class_shares(given, made.grid)
    names = checkpoint.embed_text([kind.name for kind in given.classes])
    for row, kind in enumerate(found.material.classes):
        weight = names @ checkpoint.embed_text(list(kind.prompts))[0]
        expected = np.tensordot(weight, np.nan_to_num(shares), 1)
        np.testing.assert_allclose(found.material.layers["lookup"][row], expected, atol=1e-5)


def test_prompts_of_a_class_are_asked_as_one(given, cover, tmp_path) -> None:
    checkpoint = model(DIM)
    made = atlas(tmp_path / "a.zarr", embeddings(SIDE, SIDE, DIM), checkpoint, NO_HOLES)
    both = LandClass("water", (1,), ("sea", "lake"), None, 0.5, "")
    two = Classes(given.reference, "", None, (both, *given.classes[1:]))
    found = evaluate_landcover(made, checkpoint, two, draws=0)
    expected = score_atlas(made, checkpoint, ["sea + lake"]).values[0]
    np.testing.assert_allclose(found.material.layers[""][0], expected, atol=1e-6)


def test_what_cannot_be_judged_is_refused(given, cover, tmp_path) -> None:
    checkpoint = model(DIM)
    made = atlas(tmp_path / "a.zarr", knowing(checkpoint, cover), checkpoint, NO_HOLES)
    small = atlas(tmp_path / "s.zarr", embeddings(9, 9, DIM), checkpoint, np.zeros((9, 9), bool))
    with pytest.raises(InputError, match="another grid"):
        evaluate_landcover(made, checkpoint, given, {CLIP: (small, checkpoint)}, draws=0)
    rare = Classes(given.reference, "", None, given.classes[3:] * 2)
    with pytest.raises(InputError, match="no class"):
        evaluate_landcover(made, checkpoint, rare, draws=0)
