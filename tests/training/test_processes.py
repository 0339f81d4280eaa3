"""Several processes: how long they wait for each other, and how many threads each of them has."""

import os
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_pairs import small_run
from lightning_fabric.strategies import DDPStrategy

from sat2cap.model import choose_compute
from sat2cap.training import loop
from sat2cap.training.data import loader


class Recorded:
    """Stands for Fabric, whose processes are not started here."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def launch(self) -> None:
        pass

    def broadcast(self, value: object) -> object:
        return value


@pytest.mark.parametrize(("output", "hours"), [({}, 12), ({"wait_hours": 1.5}, 1.5)])
def test_processes_wait_as_long_as_the_run_file_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: dict[str, object], hours: float
) -> None:
    monkeypatch.setattr(loop, "Fabric", Recorded)
    run = small_run(tmp_path, optim={"devices": 2}, output=output)
    fabric: Any = loop.start_fabric(run, choose_compute("float32", "cpu"))
    strategy = fabric.settings["strategy"]
    assert isinstance(strategy, DDPStrategy)
    assert strategy._timeout == timedelta(hours=hours)
    single: Any = loop.start_fabric(small_run(tmp_path), choose_compute("float32", "cpu"))
    assert single.settings["strategy"] == "auto"


def test_processes_of_a_machine_share_its_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "count_cores", lambda: 16)
    assert loader.count_threads(small_run(tmp_path)) == 16
    assert loader.count_threads(small_run(tmp_path, optim={"devices": 4})) == 4
    assert loader.count_threads(small_run(tmp_path, optim={"devices": 32, "batch": 32})) == 1
    assert loader.count_threads(small_run(tmp_path, output={"threads": 3})) == 3


def test_nothing_is_said_of_a_slurm_that_is_installed_and_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        loop.start_fabric(small_run(tmp_path), choose_compute("float32", "cpu"))
    assert [str(warning.message) for warning in said] == []
