"""The engine whose workers run on a Ray cluster, or in processes that Ray starts on this machine.

Ray ends a process that has lost its cluster, without an error that could be caught. So this process never
touches Ray: a dispatcher (`sat2cap.engines.ray_dispatcher`), a process of its own, hands tasks to workers
and relays their receipts. It ends with this process, and so do the workers. No pixel and no embedding passes
through either: workers read and write files themselves.
"""

import os
import pickle
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2cap.engines.protocol import Job, Listener, ReceiptT, TaskT
from sat2cap.engines.ray_dispatcher import Needs, Order
from sat2cap.errors import JobError, quote
from sat2cap.locks import temporary_folder

_DISPATCHER = "from sat2cap.engines.ray_dispatcher import main; main()"
_LOG = "dispatcher.log"
_RESUME = "what is finished is kept; run the same command again"


@dataclass(frozen=True)
class RayEngine:
    """Does tasks by workers of a Ray cluster; it follows `sat2cap.engines.Engine`."""

    address: str | None = None
    """``host:port`` of a cluster's head, or ``auto``; None for ``RAY_ADDRESS``, else this machine alone."""
    workers: int | None = None
    """Number of workers; None for one a GPU, or without GPUs one for every four processors, and for jobs that
    have no network one a processor."""

    name = "ray"
    has_workers = True

    def run(
        self, job: Job[TaskT, ReceiptT], tasks: Sequence[TaskT], listener: Listener
    ) -> Iterator[tuple[int, ReceiptT]]:
        """Do `tasks` as `Engine.run` says; progress counts whole tasks.

        Raises `JobError` if the workers cannot go on.
        """
        address = self.address or os.environ.get("RAY_ADDRESS") or None
        packed = [pickle.dumps(task) for task in tasks]
        with temporary_folder("sat2cap-ray-") as folder:
            order = Order(address, self.workers, *_pack(job, tasks), packed, folder, os.getcwd())
            with _dispatched(order) as messages:
                for kind, *values in messages:
                    if kind == "worker":
                        listener.add_machine(*values)
                    elif kind == "retry":
                        listener.add_retry(*values)
                    elif kind == "failed":
                        raise JobError(values[0])
                    elif kind == "receipt":
                        number, receipt = values
                        yield number, pickle.loads(receipt)
                        listener.advance(tasks[number].size)


def _pack(job: Job[TaskT, ReceiptT], tasks: Sequence[TaskT]) -> tuple[bytes, Needs]:
    """Return a job as workers get it, and what a worker needs. Raises `JobError` if it cannot be sent."""
    work = job.for_workers(tasks)
    try:
        return pickle.dumps(work), Needs(work.tasks_at_once, work.has_network)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise JobError(f"{job.sources} cannot be sent to workers ({quote(str(error))})") from None


@contextmanager
def _dispatched(order: Order) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Run a dispatcher for the body of a `with` statement, and yield its messages."""
    with (order.folder / _LOG).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _DISPATCHER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a group of its own; an interrupt from the keyboard is this process's
            env=_environment(is_local=order.address is None),
        )
    try:
        yield _read_messages(process, order)
    finally:
        with suppress(
            ProcessLookupError
        ):  # with what it started here: Ray's helpers may outlive it by a minute
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # of a process that is gone
                if pipe is not None:
                    pipe.close()


def _read_messages(process: "subprocess.Popen[bytes]", order: Order) -> Iterator[tuple[Any, ...]]:
    """Send the order, and yield messages until the work is done. Raises `JobError` if the dispatcher dies."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(order, process.stdin)
        process.stdin.flush()
        while (message := pickle.load(process.stdout))[0] != "finished":
            yield message
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        raise JobError(f"Ray ended ({_last_words(order.folder / _LOG)}); {_RESUME}") from None


def _environment(is_local: bool) -> dict[str, str]:
    """Return the environment of a dispatcher.

    A cluster that it starts is for this user alone, by a token that is made for it and written nowhere. It
    notices within seconds that its head has died, and tells nobody that it was used.
    """
    environment = dict(os.environ)
    if is_local:
        environment.setdefault("RAY_AUTH_MODE", "token")
        if not environment.get("RAY_AUTH_TOKEN") and not environment.get("RAY_AUTH_TOKEN_PATH"):
            environment["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        environment.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "10")
        environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return environment


def _last_words(log: Path) -> str:
    """Return the last line that a dispatcher wrote before it ended, cut short."""
    with suppress(OSError):
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        if lines:
            return quote(lines[-1].split("] ", 1)[-1])
    return "without a word"
