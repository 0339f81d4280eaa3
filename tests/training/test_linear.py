"""Method linear: the closed form against gradients of the loss that it minimises, and the model it makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import FakePairs

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import atlas as made_atlas
from made_model import embeddings

from sat2cap.errors import ModelError, RunFileError
from sat2cap.geo import When
from sat2cap.model import open_query_model
from sat2cap.model.load import load_model
from sat2cap.model.stored_model import StoredModel
from sat2cap.progress import silent
from sat2cap.query import score_atlas
from sat2cap.training import place_features
from sat2cap.training.data.decoded_file import open_decoded_file
from sat2cap.training.data.patches import decode_image
from sat2cap.training.linear import train_linear
from sat2cap.training.linear_run import LinearRun, load_linear_run
from sat2cap.training.place_features import ClipFeatures
from sat2cap.training.ridge import build_ridge_problem, dropout_error

ROOT = Path(__file__).parents[2]


def linear_run(folder: Path, **sections: dict[str, object]) -> LinearRun:
    values: dict[str, object] = {
        "method": "linear",
        "data": {"pairs": str(folder.parent / "pairs"), "validation_pairs": 12},
        "model": {"init": str(folder.parent / "clip"), "hidden": 8},
        "optim": {"device": "cpu", "precision": "float32"},
        "output": {"folder": str(folder)},
    }
    return LinearRun.model_validate(values | sections)


def test_the_closed_form_is_where_the_gradient_of_the_loss_vanishes() -> None:
    rng = np.random.default_rng(3)
    x, z, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    dropout, strength = 0.3, 0.05
    (solution,) = build_ridge_problem(x, z, y, dropout).solve_all([strength])
    weight = torch.tensor(solution, requires_grad=True)
    tx, tz, ty = (torch.from_numpy(block) for block in (x, z, y))
    plain, whole = tx @ weight[:5], tx @ weight[:5] + tz @ weight[5:]
    errors = [((ty - predicted) ** 2).sum(1).mean() for predicted in (whole, plain)]
    loss = (1 - dropout) * errors[0] + dropout * errors[1]
    assert float(loss.detach()) == pytest.approx(dropout_error(solution, x, z, y, dropout), rel=1e-12)
    (loss + strength * (weight**2).sum()).backward()
    assert weight.grad is not None
    assert float(weight.grad.abs().max()) < 1e-12


def test_the_model_saved_predicts_what_the_regression_says(root: Path, pairs: FakePairs) -> None:
    run = linear_run(root / "out", ridge={"strengths": (1e-3,)})
    model, clip = load_model(train_linear(run, pairs=pairs)), load_model(root / "clip")
    train = list(pairs.read("train"))
    patches = np.stack([np.asarray(decode_image(pair.overhead, pair.key)) for pair in train])
    photos = clip.embed_ground([decode_image(pair.ground, pair.key) for pair in train])
    place = [(p.lat, p.lon, p.taken.year, p.taken.month, p.taken.day) for p in train]
    moments = np.array([(*row, p.taken.hour + p.taken.minute / 60 + p.taken.second / 3600)
                        for row, p in zip(place, train, strict=True)])  # fmt: skip
    offset = model.dynamic_offset(*moments.T)
    predicted = model.embed_overhead(patches) + offset
    assert np.abs(offset.mean(axis=0)).max() < 1e-5, "what place and time add is nothing in the mean"

    # the same ridge, solved by stacking rows: with place and time at weight 0.7, without at 0.3
    vectors = clip.embed_overhead(patches).astype(np.float64)
    vectors /= np.sqrt((vectors**2).mean())
    fc1 = model.dynamic.fc1  # type: ignore[union-attr]
    from sat2cap.model import encode_metadata

    ramps = torch.relu(fc1(torch.from_numpy(encode_metadata(*moments.T, "cyclic")))).detach().numpy()
    ramps = (ramps - ramps.mean(0)) / ramps.std(0)
    zeros, size = np.zeros_like(ramps), vectors.shape[1] + ramps.shape[1]
    rows = np.vstack([
        np.sqrt(0.7) * np.hstack([vectors, ramps]), np.sqrt(0.3) * np.hstack([vectors, zeros]),
        np.sqrt(1e-3 * len(train)) * np.eye(size),
    ])  # fmt: skip
    targets = np.vstack([np.sqrt(0.7) * photos, np.sqrt(0.3) * photos, np.zeros((size, photos.shape[1]))])
    expected = np.hstack([vectors, ramps]) @ np.linalg.lstsq(rows, targets, rcond=None)[0]
    assert np.abs(predicted - expected).max() < 2e-4
    assert model.card["metrics"]["validation.gallery"] == 12
    assert model.calibration is not None
    assert len(model.calibration.ground) == 12


def test_maps_without_torch_are_those_of_the_model_loaded_whole(root: Path, pairs: FakePairs) -> None:
    """A linear model is asked as any other: its towers folded, its Dynamic Encoder of random features."""
    folder = train_linear(linear_run(root / "out"), pairs=pairs)
    whole, stored = load_model(folder), open_query_model(folder)
    assert isinstance(stored, StoredModel)
    opened = made_atlas(root / "a.zarr", embeddings(6, 5, 16), whole, np.zeros((6, 5), bool))
    prompts = ["snow on a roof", "a beach"]
    for when in (None, When(2016, 5, 3, 21.5)):
        for scale in ("cosine", "percentile", "contrast"):
            expected, maps = (
                score_atlas(opened, model, prompts, when=when, scale=scale, bank=["a town", "a road"])
                for model in (whole, stored)
            )
            np.testing.assert_allclose(maps.values, expected.values, atol=2e-4, err_msg=f"{scale} {when}")
            assert float(np.nanstd(expected.values)) > 1e-3
    seasons = [score_atlas(opened, stored, prompts, when=When(2016, month, 3, 9.0)) for month in (1, 7)]
    assert np.nanmax(np.abs(seasons[0].values - seasons[1].values)) > 1e-3, "its Dynamic Encoder is read"
    code = (
        "import sys, sat2cap; opened = sat2cap.open(sys.argv[1], sys.argv[2]); "
        "opened.compute_map('a beach', '2016-05-03T21:30'); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(root / "a.zarr"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_strength_is_that_with_the_least_error_on_held_out_pairs(root: Path, pairs: FakePairs) -> None:
    def error(strengths: tuple[float, ...], name: str) -> tuple[float, float]:
        folder = train_linear(linear_run(root / name, ridge={"strengths": strengths}), pairs=pairs)
        metrics = load_model(folder).card["metrics"]
        return metrics["validation.squared_error"], metrics["ridge.strength"]

    alone = [error((strength,), f"s{strength}") for strength in (1e-6, 1e-2, 1e3)]
    assert error((1e-6, 1e-2, 1e3), "all") == min(alone)
    assert len({value for value, _ in alone}) == 3


def test_equal_runs_give_equal_bytes_and_a_finished_one_is_kept(root: Path, pairs: FakePairs) -> None:
    run = linear_run(root / "out")
    folder = train_linear(run, pairs=pairs)
    first = {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}
    stamp = (folder / "sat2cap.json").stat().st_mtime_ns
    assert train_linear(run, pairs=pairs) == folder
    assert (folder / "sat2cap.json").stat().st_mtime_ns == stamp
    again = train_linear(linear_run(root / "again"), pairs=pairs)
    assert {path.name: path.read_bytes() for path in again.rglob("*.safetensors")} == first
    with pytest.raises(RunFileError, match=r"holds another run \(optim.seed 0 -> 1\)"):
        train_linear(linear_run(root / "out", optim={"seed": 1, "device": "cpu", "precision": "float32"}),
                     pairs=pairs)  # fmt: skip


def test_what_a_training_decoded_to_a_file_is_not_decoded_again(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(root / "clip")
    expected = ClipFeatures(model, "float32").read(pairs, "train", 20, root / "cache", silent)
    open_decoded_file(pairs, "train", model.overhead_preprocess, root / "cache", silent)
    monkeypatch.setattr(place_features, "decode_patch", None)
    read = ClipFeatures(model, "float32").read(pairs, "train", 20, root / "cache", silent)
    np.testing.assert_array_equal(read.vectors, expected.vectors)
    np.testing.assert_array_equal(read.moments, expected.moments)
    with pytest.raises(TypeError, match="not callable"):
        ClipFeatures(model, "float32").read(pairs, "val", 12, root / "cache", silent)


def test_without_place_and_time_there_is_no_dynamic_encoder(root: Path, pairs: FakePairs) -> None:
    run = linear_run(root / "out", model={"init": str(root / "clip"), "dynamic": False})
    model = load_model(train_linear(run, pairs=pairs))
    assert model.dynamic is None
    assert model.calibration is not None
    assert model.calibration.features.shape == (12, 0)


def test_a_run_that_cannot_be_fitted_is_refused_in_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"split val of .* has 1 pairs, fewer than 2: build more pairs"):
        train_linear(linear_run(root / "out"), pairs=FakePairs(root / "pairs", {"train": 9, "val": 1}))
    file = tmp_path / "run.toml"
    file.write_text(
        'method = "linear"\n[data]\npairs = "p"\nvalidation_pairs = 0\n[model]\ninit = "c"\ndropout = 1\n'
        '[ridge]\nstrengths = [0]\n[output]\nfolder = "o"\n'
    )
    with pytest.raises(RunFileError, match=r"dropout.*strengths \[0\.0\] must be one or more finite"):
        load_linear_run(file)
    file.write_text(file.read_text().replace("dropout = 1", "").replace("[0]", "[1, 2]"))
    with pytest.raises(RunFileError, match=r"a choice of ridge.strengths needs data.validation_pairs"):
        load_linear_run(file)


def test_a_tower_without_a_projection_is_refused(clip_folder: Path) -> None:
    model = load_model(clip_folder)
    del model.overhead.visual_projection
    with pytest.raises(ModelError, match='"linear" needs a CLIP model'):
        ClipFeatures(model, "float32")


def test_the_run_file_that_ships_loads() -> None:
    run = load_linear_run(ROOT / "runs" / "linear.toml")
    assert (run.model.init, run.model.encoding, run.model.dropout) == ("miniclip", "zonal", 0.3)
