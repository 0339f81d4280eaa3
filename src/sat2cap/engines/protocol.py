"""The engine protocol: a job is a list of tasks, and whoever does one gives back a receipt.

What a task makes is written by its worker, under a name that nobody else uses, and the receipt tells that
name. The process that started the job puts it in place and notes it in the job's journal, the only
checkpoint. So a task may be done twice, by two workers, and only the receipt that was taken counts.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar


class Task(Protocol):
    """A piece of a job, done by one worker; it is pickled, and small."""

    @property
    def size(self) -> int:
        """Number of units, such as cells, that progress counts for it."""
        ...


TaskT = TypeVar("TaskT", bound=Task)
ReceiptT = TypeVar("ReceiptT")
_Task = TypeVar("_Task", bound=Task, contravariant=True)
_Receipt = TypeVar("_Receipt", covariant=True)


class Listener(Protocol):
    """What is told of a running job."""

    def advance(self, units: int) -> None:
        """Note that so many more units are done."""
        ...

    def add_machine(self, name: str, machine: dict[str, Any]) -> None:
        """Note the machine of a worker: its ``host``, and what `WorkerJob.prepare` returned."""
        ...

    def add_retry(self, reason: str, tasks: int) -> None:
        """Note that so many tasks are done again, and why."""
        ...


class WorkerJob(Protocol[_Task, _Receipt]):
    """A job as a worker has it: it is pickled where the job is started and prepared on the worker."""

    @property
    def tasks_at_once(self) -> int:
        """Tasks that a worker has in hand at the same time, each in a thread; this bounds its memory."""
        ...

    @property
    def has_network(self) -> bool:
        """Whether a neural network computes: it gets a GPU, where there are any, or several processors."""
        ...

    def prepare(self) -> dict[str, Any]:
        """Make ready for tasks, and return what is worth telling of the machine, as JSON values.

        Raises `Sat2CapError` if the tasks cannot be done here.
        """
        ...

    def do(self, task: _Task, worker: str) -> _Receipt:
        """Do a task and return its receipt; `worker` is the worker's name. Raises `Sat2CapError`."""
        ...


class Job(Protocol[_Task, _Receipt]):
    """Work that is divided into tasks; it knows how to do them in one process, and elsewhere."""

    @property
    def sources(self) -> str:
        """What it is made from, for messages: ``imagery ortho.tif``."""
        ...

    def run_here(self, tasks: Sequence[_Task], listener: Listener) -> Iterator[tuple[int, _Receipt]]:
        """Do all tasks on this machine, and yield the index and the receipt of each as it is done."""
        ...

    def for_workers(self, tasks: Sequence[_Task]) -> WorkerJob[_Task, _Receipt]:
        """Return the job as workers get it, who will do `tasks`."""
        ...


class Engine(Protocol):
    """Does the tasks of a job, in any order, and gives back a receipt for each."""

    @property
    def name(self) -> str:
        """Name in the record of a run, such as ``ray``."""
        ...

    @property
    def has_workers(self) -> bool:
        """Whether tasks are done by others than the process that asks, so that one process should ask."""
        ...

    def run(
        self, job: Job[TaskT, ReceiptT], tasks: Sequence[TaskT], listener: Listener
    ) -> Iterator[tuple[int, ReceiptT]]:
        """Do all `tasks`, each to its end, and yield the index and the receipt of each as they come.

        Closing the iterator stops the work; what has no receipt by then is not in place. Raises `JobError` if
        a task cannot be done at all.
        """
        ...
