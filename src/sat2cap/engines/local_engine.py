"""The engine that needs nothing but this machine, and is the default."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sat2cap.engines.protocol import Job, Listener, ReceiptT, TaskT


@dataclass(frozen=True)
class LocalEngine:
    """Does tasks in this process, as the job itself does them best; it follows `sat2cap.engines.Engine`."""

    name = "process"
    has_workers = False

    def run(
        self, job: Job[TaskT, ReceiptT], tasks: Sequence[TaskT], listener: Listener
    ) -> Iterator[tuple[int, ReceiptT]]:
        """Do `tasks` as `Engine.run` says."""
        return job.run_here(tasks, listener)
