import time
from pathlib import Path

import numpy as np
import pytest

from sat2cap.demo.clock import StepClock, measure_peak_mb


def test_a_step_that_was_stopped_adds_up_and_a_complete_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"

    def stopped() -> None:
        with StepClock(path).time_step("train"):
            time.sleep(0.02)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    first = StepClock(path).seconds["train"]
    assert first >= 0.02
    with StepClock(path).time_step("train", begun=True):
        time.sleep(0.02)
    both = StepClock(path).seconds["train"]
    assert both >= first + 0.02
    with StepClock(path).time_step("train", begun=True, complete=True):
        time.sleep(0.02)
    assert StepClock(path).seconds["train"] == both
    with StepClock(path).time_step("train"):
        pass
    assert StepClock(path).seconds["train"] < 0.02


def test_a_complete_step_without_a_time_gets_the_one_it_took_now(tmp_path: Path) -> None:
    with StepClock(tmp_path / "demo.json").time_step("embed", complete=True):
        time.sleep(0.01)
    assert StepClock(tmp_path / "demo.json").seconds["embed"] >= 0.01


@pytest.mark.parametrize("text", ["", "[]", '{"seconds": 3}', '{"seconds": {"a": "b"}, "peak_memory_mb": 1}'])
def test_an_unreadable_file_is_a_new_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text)
    clock = StepClock(tmp_path / "demo.json")
    assert (clock.seconds, clock.peak_mb) == ({}, 0.0)


def test_peak_memory_grows_with_what_is_held() -> None:
    before = measure_peak_mb()
    assert 30 < before < 30_000
    held = np.ones(int(1.2 * before * 1e6 / 8))
    assert measure_peak_mb() > 0.8 * held.nbytes / 1e6
