"""An engine that does tasks as distant workers would, but in this process."""

import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from sat2cap.engines import Listener
from sat2cap.engines.ray_worker import Worker
from sat2cap.errors import JobError


class PickledEngine:
    """Sends job, tasks and receipts as bytes, and does the last task first.

    Every task is done twice, as if its first worker had been taken for dead after it had written its files.
    """

    name = "pickled"
    has_workers = True

    def run(self, job: Any, tasks: Sequence[Any], listener: Listener) -> Iterator[tuple[int, Any]]:
        worker = Worker(pickle.dumps(job.for_workers(tasks)), "worker 1", os.getcwd())
        listener.add_machine("worker 1", self._checked(worker.prepare()))
        for number in reversed(range(len(tasks))):
            self._checked(worker.do(pickle.dumps(tasks[number])))
            listener.add_retry("RayActorError", 1)
            yield number, pickle.loads(self._checked(worker.do(pickle.dumps(tasks[number]))))
            listener.advance(tasks[number].size)

    def _checked(self, answer: tuple[Any, str | None]) -> Any:
        value, refusal = answer
        if refusal is not None:
            raise JobError(refusal)
        return value
