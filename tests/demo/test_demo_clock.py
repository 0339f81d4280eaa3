import subprocess
import sys
import time
from pathlib import Path

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
    assert StepClock(path).seconds["train"] < both


def test_a_complete_step_without_a_time_gets_the_one_it_took_now(tmp_path: Path) -> None:
    with StepClock(tmp_path / "demo.json").time_step("embed", complete=True):
        time.sleep(0.01)
    assert StepClock(tmp_path / "demo.json").seconds["embed"] >= 0.01


@pytest.mark.parametrize("text", ["", "[]", '{"seconds": 3}', '{"seconds": {"a": "b"}, "peak_memory_mb": 1}'])
def test_an_unreadable_file_is_a_new_start(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text)
    clock = StepClock(tmp_path / "demo.json")
    assert (clock.seconds, clock.peak_mb) == ({}, 0.0)


HELD = """
import sys, time
from pathlib import Path
from sat2cap.demo.clock import StepClock
clock = StepClock(Path(sys.argv[1]))
for size in (0, 300_000_000, 0):
    with clock.time_step("train"):
        held = b"x" * size
        time.sleep(0.6)
        del held
    print(StepClock(Path(sys.argv[1])).peak_mb)
"""
"""Measured in a process of its own: one that ran other tests has freed memory, which it may use again."""


def test_peak_memory_is_what_was_held_at_the_most(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HELD, str(tmp_path / "demo.json")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, most, after = map(float, done.stdout.split())
    assert before + 280 < most < before + 340
    assert after == most


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
