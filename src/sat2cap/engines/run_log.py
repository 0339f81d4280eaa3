"""What a run did: progress while it goes, and the record of it when it ends."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sat2cap.errors import StoreError
from sat2cap.progress import Progress, announce


class RunLog:
    """Counts what a run does and reports its progress as one stage; it follows `sat2cap.engines.Listener`."""

    def __init__(
        self, stage: str, units: str, tasks: str, to_do: int, total: int, progress: Progress
    ) -> None:
        """Take the stage's name, the plural names of units and tasks, units to do and of all, a listener."""
        self.workers: dict[str, dict[str, Any]] = {}
        self.retries: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.failure: str | None = None
        self._stage, self._units, self._tasks = stage, units, tasks
        self._done, self._total, self._progress = total - to_do, total, progress
        progress(stage, self._done, total)

    def advance(self, units: int) -> None:
        """Report that so many more units are done."""
        self._done += units
        self._progress(self._stage, self._done, self._total)

    def add_machine(self, name: str, machine: dict[str, Any]) -> None:
        """Note the machine of a worker: its ``host``, and what decides the bytes that it makes."""
        self.workers[name] = {**machine, self._tasks: 0, self._units: 0}

    def add_retry(self, reason: str, tasks: int) -> None:
        """Note and report that so many tasks of a worker that was lost are done again, and why."""
        self.retries[reason] += tasks
        announce(self._progress, f"a worker was lost ({reason}); tasks that are done again: {tasks}")

    def add_done(self, worker: str, statuses: Mapping[str, int], failure: str | None = None) -> None:
        """Count the units of a task that is done, by what became of them; `failure` is a first message."""
        self.statuses.update(statuses)
        self.failure = self.failure or failure
        counts = self.workers.setdefault(worker, {self._tasks: 0, self._units: 0})
        counts[self._tasks] += 1
        counts[self._units] += sum(statuses.values())

    @contextmanager
    def recorded(
        self, append: Callable[[dict[str, Any]], None], identity: str, engine: str
    ) -> Iterator[None]:
        """Append the record of the run when the body of a `with` statement ends, however it ends.

        A run that had nothing to do leaves no record, nor does one that a bucket ended which takes none.
        """
        started, start_s = datetime.now(UTC), time.perf_counter()
        outcome = "finished"
        try:
            yield
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise
        finally:
            if self.workers:
                seconds = time.perf_counter() - start_s
                times = {"started": started.isoformat(timespec="seconds"), "seconds": round(seconds, 3)}
                head = {"identity": identity, "outcome": outcome, "engine": engine, **times}
                with suppress(*(() if outcome == "finished" else (StoreError,))):
                    append({**head, **self._counts(seconds)})

    def _counts(self, seconds: float) -> dict[str, Any]:
        """Return the second half of a record: what was done, by whom, and how often again."""
        done = sum(self.statuses.values())
        return {
            "host": socket.gethostname(),
            self._units: done,
            f"{self._units}_per_s": round(done / seconds, 3),
            "statuses": dict(sorted(self.statuses.items())),
            "first_failure": self.failure,
            "retries": dict(sorted(self.retries.items())),
            "workers": list(self.workers.values()),
        }
