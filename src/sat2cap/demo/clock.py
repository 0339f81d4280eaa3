"""Seconds and peak memory of the demo's steps, summed over interrupted runs."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2cap.demo.memory import MemoryWatch
from sat2cap.files import write_json


class StepClock:
    """Seconds by step, kept in a file, so that a run that reuses results still states what they cost.

    The time of a step is added when it ends, by an error or ctrl-C too, but not when the process is killed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            self.seconds = {str(name): float(value) for name, value in saved["seconds"].items()}
            self.peak_mb = float(saved["peak_memory_mb"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.seconds, self.peak_mb = {}, 0.0  # the first run, or an unreadable file

    @contextmanager
    def time_step(self, name: str, *, complete: bool = False, begun: bool = False) -> Iterator[None]:
        """Time the step `name`, which runs in the body of the with statement.

        A step that was `begun` by an earlier run adds to its time; one that is `complete` has nothing to do
        and keeps it.
        """
        before = self.seconds.get(name, 0.0) if begun or complete else 0.0
        start_s, memory = time.monotonic(), MemoryWatch()
        try:
            with memory.sample():
                yield
        finally:
            if not (complete and name in self.seconds):
                self.seconds[name] = before + time.monotonic() - start_s
            self.peak_mb = max(self.peak_mb, memory.peak_mb)
            write_json(self._path, {"seconds": self.seconds, "peak_memory_mb": self.peak_mb})
