"""A listener for jobs that keep no record of their runs."""

from typing import Any

from sat2cap.progress import Progress, announce


class RetryAnnouncer:
    """Reports the progress of a job as one stage; it follows `sat2cap.engines.Listener`."""

    def __init__(self, progress: Progress, stage: str, done: int, total: int) -> None:
        """Take who listens, the name of the stage, and the units that are done and that there are."""
        self._progress, self._stage, self._done, self._total = progress, stage, done, total
        progress(stage, done, total)

    def advance(self, units: int) -> None:
        """Report that so many more units are done."""
        self._done += units
        self._progress(self._stage, self._done, self._total)

    def add_machine(self, name: str, machine: dict[str, Any]) -> None:
        """Do nothing: no record names the machines."""

    def add_retry(self, reason: str, tasks: int) -> None:
        """Report that a worker was lost, and how many of its tasks are done again."""
        announce(self._progress, f"a worker was lost ({reason}); tasks that are done again: {tasks}")
