"""What a run keeps on its way: figures on held-out pairs, the best model, and other loggers."""

import io
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from fake_pairs import FakePairs, log_of, small_run
from PIL import Image
from tiny_model import tiny_clip

from sat2cap.errors import ModelError, PairsError, RunFileError
from sat2cap.model.load import load_model
from sat2cap.training.calibration import calibrate
from sat2cap.training.loop import train


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pairs").mkdir()
    tiny_clip(tmp_path / "clip", image=24, hidden=32, dim=16)
    return tmp_path


def test_the_best_model_on_held_out_pairs_is_kept(root: Path, pairs: FakePairs) -> None:
    run = small_run(
        root / "out",
        data={"validation_pairs": 12},
        optim={"steps": 40, "lr": 3e-3},
        output={"validate_every": 5, "checkpoint_every": 100},
    )
    last = load_model(train(run, pairs=pairs))
    log = log_of(root / "out")
    names = [f"validation.{way}.r10" for way in ("overhead2ground", "ground2overhead")]
    judged = {line["step"]: sum(line[name] for name in names) for line in log if names[0] in line}
    assert list(judged) == [5, 10, 15, 20, 25, 30, 35, 40]
    step = max(judged, key=lambda step: (judged[step], -step))
    best = load_model(root / "out" / "best")
    assert best.card["training"]["steps"] == step
    recorded = log[step - 1]
    assert best.card["metrics"] == {name: v for name, v in recorded.items() if name.startswith("validation")}
    assert last.card["training"]["steps"] == 40
    for name in names:
        assert last.card["metrics"][name] == log[-1][name], "judging does not disturb what is judged"


def test_the_pairs_that_judge_a_model_calibrate_it(root: Path, pairs: FakePairs) -> None:
    run = small_run(root / "out", data={"validation_pairs": 10}, optim={"steps": 6, "precision": "float32"})
    trained, start = load_model(train(run, pairs=pairs)), load_model(root / "clip")
    sample = trained.calibration
    assert sample is not None
    held_out = [pairs.pair("val", number) for number in range(10)]
    photos, patches = (
        np.stack([np.asarray(Image.open(io.BytesIO(getattr(pair, side)))) for pair in held_out])
        for side in ("ground", "overhead")
    )
    np.testing.assert_allclose(sample.ground, start.embed_ground(list(photos)), atol=1e-3)
    np.testing.assert_allclose(sample.overhead, trained.embed_overhead(patches), atol=4e-3)
    moments = [(p.lat, p.lon, p.taken.year, p.taken.month, p.taken.day) for p in held_out]
    hours = [p.taken.hour + p.taken.minute / 60 + p.taken.second / 3600 for p in held_out]
    offset = trained.dynamic_offset(*np.array(moments).T, hours)
    np.testing.assert_allclose(trained.dynamic_from_features(sample.features), offset, atol=1e-6)

    again = small_run(root / "again", model={"init": str(root / "out" / "checkpoint")}, optim={"steps": 2})
    assert load_model(train(again, pairs=pairs)).calibration is None, "another model's photos are not its own"


def test_a_model_trained_elsewhere_is_calibrated_afterwards(root: Path, pairs: FakePairs) -> None:
    run = small_run(root / "out", data={"validation_pairs": 12}, optim={"steps": 6, "precision": "float32"})
    trained = load_model(train(run, pairs=pairs))
    calibrated = calibrate(replace(trained, calibration=None), pairs, cache=root / "cache")
    assert calibrated.place_identity == trained.place_identity
    assert calibrated.calibration is not None
    assert trained.calibration is not None
    for name in ("ground", "overhead", "features"):
        np.testing.assert_allclose(*(getattr(m.calibration, name) for m in (calibrated, trained)), atol=4e-3)
    with pytest.raises(PairsError, match=r"split 'test' of .* has no pairs"):
        calibrate(trained, pairs, "test", cache=root / "cache")
    with pytest.raises(ModelError, match="join it with its CLIP"):
        calibrate(replace(trained, text=None), pairs, cache=root / "cache")


@pytest.fixture
def offline_wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let wandb run as it does by itself, and leave no process, variable or error handler of it."""
    import wandb

    with mock.patch.dict(os.environ):
        os.environ.pop("WANDB_MODE", None)
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)
        yield
        wandb.teardown()


@pytest.mark.usefixtures("offline_wandb")
def test_figures_go_to_tensorboard_and_to_wandb_offline(root: Path, pairs: FakePairs) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = small_run(root / "out", optim={"steps": 4}, output={"loggers": ["tensorboard", "wandb"]})
    train(run, pairs=pairs)
    events = EventAccumulator(str(root / "out" / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("loss")
    log = log_of(root / "out")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    np.testing.assert_allclose([event.value for event in scalars], [line["loss"] for line in log], rtol=1e-6)
    written = list((root / "out" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(written) == 1
    assert written[0].stat().st_size > 0


def test_a_model_is_called_as_the_run_file_says_or_as_its_folder(root: Path, pairs: FakePairs) -> None:
    models = []
    for folder, named in (("one", {}), ("two", {"name": "towns"})):
        run = small_run(root / folder, optim={"steps": 4}, output=named)
        models.append(load_model(str(train(run, pairs=pairs))))
    assert [model.card["name"] for model in models] == ["one", "towns"]
    assert models[0].identity == models[1].identity
    assert models[0].card["training"] == models[1].card["training"], "a name makes no other run"


def test_a_logger_that_is_not_installed_is_named(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    with pytest.raises(RunFileError, match=r"needs a package .*pip install 'sat2cap\[log\]'"):
        train(small_run(root / "out", output={"loggers": ["wandb"]}), pairs=pairs)
