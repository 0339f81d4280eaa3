import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sat2cap.demo.clock import StepClock


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


def test_peak_memory_is_what_was_held_at_the_most(tmp_path: Path) -> None:
    clock = StepClock(tmp_path / "demo.json")
    with clock.time_step("pairs"):
        pass
    before = clock.peak_mb
    assert 30 < before < 30_000
    with clock.time_step("train"):
        held = np.ones(300_000_000 // 8)
        time.sleep(0.6)
        del held
    assert before + 250 < clock.peak_mb < before + 400
    with clock.time_step("map"):
        pass
    assert StepClock(tmp_path / "demo.json").peak_mb == clock.peak_mb > before + 250


CHILDREN = """
import subprocess, sys
from sat2cap.demo.memory import MemoryWatch, measure_resident_mb
held = b"x" * 400_000_000
for code in ("pass", "import time; held = b'x' * 300_000_000; time.sleep(1)"):
    watch = MemoryWatch()
    with watch.sample():
        subprocess.run([sys.executable, "-c", code], check=True)
    print(watch.peak_mb - measure_resident_mb())
"""


def test_children_count_for_what_they_hold_and_not_for_what_they_were_forked_from() -> None:
    done = subprocess.run([sys.executable, "-c", CHILDREN], check=True, capture_output=True, text=True)
    of_nothing, of_300_mb = map(float, done.stdout.split())
    assert of_nothing < 60
    assert 280 < of_300_mb < 360
