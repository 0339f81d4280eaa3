"""The precision of a run: chosen by the machine, recorded, and kept by a run that is resumed."""

import json
from pathlib import Path

import pytest
import torch
from fake_pairs import FakePairs, log_of, small_run
from tiny_model import tiny_clip

from sat2cap.errors import RunFileError
from sat2cap.model import compute
from sat2cap.model.load import load_model
from sat2cap.training.loop import train
from sat2cap.training.precision import settle_compute


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pairs").mkdir()
    tiny_clip(tmp_path / "clip", image=24, hidden=32, dim=16)
    return tmp_path


def pretend(monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool) -> None:
    """A processor with or without bfloat16 instructions, and no GPU."""
    for module in (torch.cuda, torch.xpu, torch.backends.mps):
        monkeypatch.setattr(module, "is_available", lambda: False)
    monkeypatch.setattr(compute, "has_bfloat16", lambda device="cpu": has_bfloat16)
    monkeypatch.setattr(compute, "measure_bfloat16_speedup", lambda device: 2.0 if has_bfloat16 else 0.1)


@pytest.mark.parametrize(("has_bfloat16", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_what_the_machine_is_fast_at_and_is_said_and_recorded(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch, has_bfloat16: bool, precision: str
) -> None:
    pretend(monkeypatch, has_bfloat16)
    said: list[str] = []
    run = small_run(root / "out", optim={"precision": "auto", "steps": 2})
    model = load_model(train(run, pairs=pairs, progress=lambda stage, done, total: said.append(stage)))
    assert model.card["training"]["precision"] == precision
    assert model.card["training"]["run"]["optim"]["precision"] == precision
    lines = [stage for stage in said if stage.startswith("training in ")]
    reason = f"this processor has {'' if has_bfloat16 else 'no '}bfloat16 instructions"
    assert lines == [f"training in {precision} on cpu ({reason})"]
    explicit = small_run(root / "explicit", optim={"precision": precision, "steps": 2})
    same = load_model(train(explicit, pairs=pairs))
    assert same.identity == model.identity
    assert same.card["training"] == model.card["training"], "the same run, however its precision was chosen"


class StoppedError(Exception):
    """What ends a run before its last step."""


def test_a_resumed_run_keeps_its_precision_and_says_that_the_machine_differs(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run(root / "out", optim={"precision": "auto"})

    def stop(stage: str, done: int, total: int) -> None:
        if stage.startswith("training, loss") and done >= total / 2:
            raise StoppedError

    pretend(monkeypatch, has_bfloat16=True)
    with pytest.raises(StoppedError):
        train(run, pairs=pairs, progress=stop)
    assert json.loads((root / "out" / "run.json").read_text())["optim"]["precision"] == "bfloat16"

    pretend(monkeypatch, has_bfloat16=False)
    said: list[str] = []
    with pytest.warns(UserWarning, match="bfloat16 takes 10 times as long as float32"):
        resumed = load_model(train(run, pairs=pairs, progress=lambda stage, *_: said.append(stage)))
    assert resumed.card["training"]["precision"] == "bfloat16"
    (line,) = [stage for stage in said if stage.startswith("training in ")]
    assert line.startswith("training in bfloat16 on cpu (as the run began; this machine would take float32: ")
    pretend(monkeypatch, has_bfloat16=True)
    whole = small_run(root / "whole", optim={"precision": "auto"})
    uninterrupted = load_model(train(whole, pairs=pairs))
    assert log_of(root / "out") == log_of(root / "whole")
    assert resumed.identity == uninterrupted.identity


def test_an_explicit_precision_makes_another_run(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, has_bfloat16=False)
    train(small_run(root / "out", optim={"precision": "auto", "steps": 2}), pairs=pairs)
    with (
        pytest.warns(UserWarning, match="bfloat16 takes"),
        pytest.raises(RunFileError, match=r"optim\.precision float32 -> bfloat16"),
    ):
        train(small_run(root / "out", optim={"precision": "bfloat16", "steps": 2}), pairs=pairs)


def test_a_gpu_that_training_cannot_use_is_left_with_a_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, has_bfloat16=False)
    monkeypatch.setattr(torch.xpu, "is_available", lambda: True)
    monkeypatch.setattr(compute, "find_device_error", lambda device: None)
    run = small_run(root / "out", optim={"device": "auto"})
    settled, chosen = settle_compute(run)
    assert (chosen.device, settled.optim.precision) == ("cpu", "float32")
    assert chosen.reason == "training does not run on xpu; this processor has no bfloat16 instructions"
    for device in ("cuda", "mps"):
        with pytest.raises(RunFileError, match=f'optim.device "{device}" is not available on this machine'):
            settle_compute(small_run(root / "out", optim={"device": device}))
