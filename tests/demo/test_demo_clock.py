import time
from pathlib import Path

import numpy as np
import pytest

from sat2cap.demo.clock import Clock, peak_mb


def test_a_step_that_was_stopped_adds_up_and_a_complete_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"

    def stopped() -> None:
        with Clock(path).step("train"):
            time.sleep(0.02)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    first = Clock(path).seconds["train"]
    assert first >= 0.02
    with Clock(path).step("train", begun=True):
        time.sleep(0.02)
    both = Clock(path).seconds["train"]
    assert both >= first + 0.02
    with Clock(path).step("train", begun=True, complete=True):
        time.sleep(0.02)
    assert Clock(path).seconds["train"] == both
    with Clock(path).step("train"):
        pass
    assert Clock(path).seconds["train"] < 0.02


def test_a_complete_step_without_a_time_gets_the_one_it_took_now(tmp_path: Path) -> None:
    with Clock(tmp_path / "demo.json").step("embed", complete=True):
        time.sleep(0.01)
    assert Clock(tmp_path / "demo.json").seconds["embed"] >= 0.01


@pytest.mark.parametrize("text", ["", "[]", '{"seconds": 3}', '{"seconds": {"a": "b"}, "peak_memory_mb": 1}'])
def test_a_file_that_tells_nothing_is_a_new_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text)
    clock = Clock(tmp_path / "demo.json")
    assert (clock.seconds, clock.peak_mb) == ({}, 0.0)


def test_peak_memory_grows_with_what_is_held() -> None:
    before = peak_mb()
    assert 30 < before < 30_000
    held = np.ones(int(1.2 * before * 1e6 / 8))
    assert peak_mb() > 0.8 * held.nbytes / 1e6
