"""The workers of one run on a Ray cluster, and who has which task; used by the dispatcher's process alone."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayTaskError,
    WorkerCrashedError,
)

from sat2cap.engines.ray_dispatcher import DispatchError, Needs, Order
from sat2cap.engines.ray_worker import Worker
from sat2cap.errors import quote

_MAX_DEATHS = 5
"""Workers that may die with the same task, or in a row before any is done, before that is an error."""
_POLL_S = 1.0
"""Longest wait for a receipt before it is asked whether this machine is still part of the cluster."""
_LOSSES = (RayActorError, WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError)


class Crew:
    """Actors that do tasks; one that dies is replaced, and what it had in hand is done again."""

    def __init__(self, order: Order, send: Callable[..., None]) -> None:
        """Start the workers of an order; `send` takes the messages of the dispatcher."""
        self._job, self._send = ray.put(order.job), send
        self._directory, self._tasks_at_once = order.directory, order.needs.tasks_at_once
        count, self._cpus, self._gpus = choose_resources(len(order.tasks), order.workers, order.needs)
        self._hired = 0
        self._node = ray.get_runtime_context().get_node_id()
        self._workers: dict[str, Any] = {}
        self._greetings: dict[Any, str] = {}
        self._in_hand: dict[Any, tuple[str, int]] = {}
        self._deaths: Counter[int] = Counter()
        self._deaths_in_a_row = 0
        self._allowed_in_a_row = _MAX_DEATHS * count
        for _ in range(count):
            self._hire()

    def run(self, tasks: Sequence[bytes]) -> None:
        """Have all tasks done. Raises `DispatchError` if one cannot be done."""
        waiting = deque(range(len(tasks)))
        while waiting or self._in_hand:
            self._hand_out(tasks, waiting)
            done = ray.wait([*self._in_hand, *self._greetings], num_returns=1, timeout=_POLL_S)[0]
            for ref in done:
                if ref in self._greetings:
                    self._greet(ref, waiting)
                elif ref in self._in_hand:
                    self._take(ref, waiting)
            if not done:
                self._require_own_node()

    def dismiss(self) -> None:
        """End all workers."""
        for worker in self._workers.values():
            with suppress(Exception):  # the cluster may be gone, and with it the workers
                ray.kill(worker, no_restart=True)
        self._workers.clear()

    def _hire(self) -> None:
        """Start a worker; it waits until a machine has room for it."""
        self._hired += 1
        name = f"worker {self._hired}"
        actor = ray.remote(Worker).options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_concurrency=self._tasks_at_once
        )
        self._workers[name] = actor.remote(self._job, name, self._directory)
        self._workers[name].end_with_parent.remote()
        self._greetings[self._workers[name].prepare.remote()] = name

    def _hand_out(self, tasks: Sequence[bytes], waiting: deque[int]) -> None:
        """Give every worker that is there as many tasks as it does at once; this bounds memory."""
        absent = set(self._greetings.values())
        loads = Counter(name for name, _ in self._in_hand.values())
        for _ in range(self._tasks_at_once):  # in turns, so that few tasks are spread over all workers
            for name, worker in self._workers.items():
                if waiting and name not in absent and loads[name] < self._tasks_at_once:
                    number = waiting.popleft()
                    self._in_hand[worker.do.remote(tasks[number])] = name, number
                    loads[name] += 1

    def _greet(self, ref: Any, waiting: deque[int]) -> None:
        """Note the machine of a worker that has started, or replace one that could not."""
        name = self._greetings.pop(ref)
        machine = self._get(ref, name, waiting)
        if machine is not None:
            self._send("worker", name, machine)

    def _take(self, ref: Any, waiting: deque[int]) -> None:
        """Send on the receipt of a task, or have the tasks of a dead worker done again."""
        name, number = self._in_hand[ref]
        receipt = self._get(ref, name, waiting)
        if receipt is not None:
            del self._in_hand[ref]
            self._deaths_in_a_row = 0
            self._send("receipt", number, receipt)

    def _get(self, ref: Any, name: str, waiting: deque[int]) -> Any:
        """Return what a worker gave back; None if it died, and then it is replaced."""
        try:
            value, refusal = ray.get(ref)
        except RayTaskError as error:
            cause = error.cause
            raise DispatchError(f"a worker failed: {quote(f'{type(cause).__name__}: {cause}')}") from None
        except ActorUnschedulableError as error:
            raise DispatchError(f"the cluster has no room for a worker: {quote(str(error))}") from None
        except _LOSSES as error:
            self._replace(name, type(error).__name__, waiting)
            return None
        if refusal is not None:
            raise DispatchError(refusal)
        return value

    def _replace(self, name: str, reason: str, waiting: deque[int]) -> None:
        """Start a worker in the place of a dead one, and put what that had in hand first in line."""
        lost = {ref: number for ref, (holder, number) in self._in_hand.items() if holder == name}
        self._deaths_in_a_row += 1
        for ref, number in lost.items():
            del self._in_hand[ref]
            waiting.appendleft(number)
            self._deaths[number] += 1
        worst = max((self._deaths[number] for number in lost.values()), default=0)
        if worst >= _MAX_DEATHS or self._deaths_in_a_row >= self._allowed_in_a_row:
            count = max(worst, self._deaths_in_a_row)
            raise DispatchError(
                f"{count} workers died one after the other, the last of {reason}; look at their memory and "
                "logs, then run the same command again"
            )
        self._send("retry", reason, len(lost))
        with suppress(Exception):  # dead already, or on a machine that is gone
            ray.kill(self._workers[name], no_restart=True)
        del self._workers[name]
        self._require_own_node()
        self._hire()

    def _require_own_node(self) -> None:
        """Raise `DispatchError` if this machine has left the cluster: nothing would ever come back."""
        nodes = ray.nodes()  # type: ignore[no-untyped-call]
        if not any(node["Alive"] and node["NodeID"] == self._node for node in nodes):
            raise DispatchError(
                "the Ray node of this machine died; what is finished is kept, run the same command again"
            )


def choose_resources(tasks: int, workers: int | None, needs: Needs) -> tuple[int, float, float]:
    """Return how many workers so many tasks get, and the processors and GPUs of each."""
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus, gpus = max(int(total.get("CPU", 1)), 1), 1.0 if needs.has_network and total.get("GPU", 0) else 0.0
    count = workers or (int(total["GPU"]) if gpus else cpus // 4 if needs.has_network else cpus)
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    per_node = [int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]]
    count = max(count, 1)
    share = min([cpus // count, *filter(None, per_node)])
    return min(count, max(tasks, 1)), float(max(share, 1)), gpus
