"""Seconds and peak memory of the demo's steps, summed over interrupted runs."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    def time_step(
        self, name: str, *, complete: bool = False, begun: bool = False, workers: int = 0
    ) -> Iterator[None]:
        """Time the step `name`, which runs in the body of the with statement.

        A step that was `begun` by an earlier run adds to its time; one that is `complete` has nothing to do
        and keeps it. `workers` is the number of processes that the step starts beside this one.
        """
        before = self.seconds.get(name, 0.0) if begun or complete else 0.0
        start_s = time.monotonic()
        try:
            yield
        finally:
            if not (complete and name in self.seconds):
                self.seconds[name] = before + time.monotonic() - start_s
            self.peak_mb = max(self.peak_mb, measure_peak_mb(workers))
            write_json(self._path, {"seconds": self.seconds, "peak_memory_mb": self.peak_mb})


def measure_peak_mb(workers: int = 0) -> float:
    """Return the peak resident memory so far in MB: this process, and its largest child times `workers`."""
    units_per_mb = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # macOS counts bytes, others KiB
    own_mb, child_mb = (
        resource.getrusage(who).ru_maxrss / units_per_mb
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return float(own_mb + workers * child_mb)
