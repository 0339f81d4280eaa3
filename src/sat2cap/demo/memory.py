"""The memory that a process and those it started hold together, sampled while something runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import psutil

_INTERVAL_S = 0.25


class MemoryWatch:
    """The most resident memory that was seen so far."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        """Of this process and all that descend from it, together; pages that they share count for each."""

    @contextmanager
    def sample(self) -> Iterator[None]:
        """Sample four times a second, in a thread, while the body of the with statement runs.

        What is held for less than that may be missed. The peak that Linux remembers of a process is not asked
        for: it includes that of the process it was forked from, so that a large one seems to have large
        children.
        """
        ended = Event()
        thread = Thread(target=self._sample_until, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.peak_mb = max(self.peak_mb, measure_resident_mb())

    def _sample_until(self, ended: Event) -> None:
        while not ended.wait(_INTERVAL_S):
            self.peak_mb = max(self.peak_mb, measure_resident_mb())


def measure_resident_mb() -> float:
    """Return the resident memory of this process and all that descend from it, now, in MB."""
    own = psutil.Process()
    total = own.memory_info().rss
    for child in own.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it has ended meanwhile
            continue
    return float(total / 1e6)
