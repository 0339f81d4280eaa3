"""The process between `RayEngine` and Ray: it hands tasks to actors, and relays what they give back.

It knows nothing of what is computed: job, tasks and receipts are bytes to it. It is sent one `Order` on its
standard input and writes messages, pickled tuples, to its standard output: ``("worker", name, machine)``,
``("retry", reason, tasks)``, ``("receipt", number, bytes)``, then ``("failed", text)`` or ``("finished",)``.
When its standard input is closed, it ends at once, and everything that it started on this machine with it.
"""

import logging
import os
import pickle
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat2cap.errors import quote
from sat2cap.lookahead import count_cores

_MAX_WAIT_S = 5.0
"""Longest wait for the head of a cluster to accept a connection."""
_START = "start one with: ray start --head, or leave --address out"
_STORE_BYTES = 80 << 20
"""Least memory of Ray's object store, in which the job is kept."""


class DispatchError(Exception):
    """Why the work cannot go on, in one line that goes to the other process."""


@dataclass(frozen=True)
class Needs:
    """What a job asks of a worker; see `sat2cap.engines.WorkerJob`."""

    tasks_at_once: int
    has_network: bool


@dataclass(frozen=True)
class Order:
    """What a dispatcher is asked to do."""

    address: str | None
    """Address of the cluster; None to start one on this machine."""
    workers: int | None
    """Number of workers; None to choose."""
    job: bytes
    """What every worker gets, as `sat2cap.engines.ray_worker.Worker.prepare` reads it."""
    needs: Needs
    """What a worker needs."""
    tasks: list[bytes]
    """What is to be done, once each."""
    folder: Path
    """Folder for the files of a cluster that is started."""
    directory: str
    """Working directory of the command, by which relative paths are meant."""


def main() -> None:
    """Read an order from standard input, have its tasks done, and write the receipts."""
    send = _claim_output()
    order: Order = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from sat2cap.engines.ray_crew import Crew

    try:
        _connect(order)
        crew = Crew(order, send)
        try:
            crew.run(order.tasks)
        finally:
            crew.dismiss()
    except DispatchError as error:
        send("failed", str(error))
    except Exception as error:
        send("failed", f"Ray failed: {quote(f'{type(error).__name__}: {error}')}")
    else:
        _disconnect()
        send("finished")


def _claim_output() -> Callable[..., None]:
    """Return the function that sends a message; what libraries print goes to standard error from now on."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(*message: Any) -> None:
        pickle.dump(message, output)
        output.flush()

    return send


def _end_with_parent() -> None:
    """End this process, and all that it started on this machine, when the other one has died."""
    sys.stdin.buffer.read(1)
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _connect(order: Order) -> None:
    """Connect to the cluster of an order, or start one. Raises `DispatchError` if there is none."""
    import ray

    if order.address is None:
        ray.init(
            address="local",
            num_cpus=max(count_cores(), order.workers or 1),
            include_dashboard=False,
            object_store_memory=max(_STORE_BYTES, 2 * len(order.job)),
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(order.folder),
        )
        return
    _require_answer(order.address)
    try:
        ray.init(address=order.address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise DispatchError(f"no Ray cluster at {order.address!r}: {quote(str(error))}; {_START}") from None


def _require_answer(address: str) -> None:
    """Raise `DispatchError` if nothing listens at ``host:port``; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if "//" in address or not host or not port.isdecimal():
        raise DispatchError(f"Ray address {address!r} is neither HOST:PORT of a head nor auto; {_START}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _MAX_WAIT_S).close()
    except (OSError, OverflowError) as error:
        raise DispatchError(f"no Ray cluster at {address!r} ({quote(str(error))}); {_START}") from None


def _disconnect() -> None:
    import ray

    ray.shutdown()
