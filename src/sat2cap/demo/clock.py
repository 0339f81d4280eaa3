"""How long each step took and how much memory, over all the runs that it took."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2cap.files import write_json


class Clock:
    """Seconds by step, kept in a file, so that a run that reuses what is there still tells what it cost.

    What a step took before it was killed outright is not known; before an error or ctrl-C, it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            self.seconds = {str(name): float(value) for name, value in known["seconds"].items()}
            self.peak_mb = float(known["peak_memory_mb"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.seconds, self.peak_mb = {}, 0.0  # a first run, or a file that tells nothing

    @contextmanager
    def step(
        self, name: str, *, complete: bool = False, begun: bool = False, workers: int = 0
    ) -> Iterator[None]:
        """Time a step: `begun` adds to what it took before, `complete` keeps that, as there is nothing to do.

        `workers` is how many processes it starts beside this one.
        """
        before = self.seconds.get(name, 0.0) if begun or complete else 0.0
        start = time.monotonic()
        try:
            yield
        finally:
            if not (complete and name in self.seconds):
                self.seconds[name] = before + time.monotonic() - start
            self.peak_mb = max(self.peak_mb, peak_mb(workers))
            write_json(self._path, {"seconds": self.seconds, "peak_memory_mb": self.peak_mb})


def peak_mb(workers: int = 0) -> float:
    """Greatest resident memory so far, MB: this process and its largest child times its workers."""
    unit = 1e6 if sys.platform == "darwin" else 1e6 / 1024  # bytes there, KiB elsewhere
    mine, children = (
        resource.getrusage(who).ru_maxrss / unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return float(mine + workers * children)
