"""Preparing the next items in threads while the current one is used."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux's limit of processor time of a container: microseconds, or ``max``, within so many microseconds."""


def count_cores() -> int:
    """Return the number of cores that this process may use: at least 1.

    Those that it is bound to (affinity), or fewer where the processor time of its container is limited.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # not Linux, or no limit
        return cores


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], *, ahead: int = 2, threads: int = 1
) -> Iterator[Result]:
    """Yield ``function(item)`` for each item in order, computed by threads up to `ahead` items beforehand.

    `items` is read in the consumer's thread. Whatever `function` raises is raised where its result would
    have come. Closing the iterator cancels what has not begun, and waits for what has.

    With ``ahead=2``, when the consumer holds the result of item 0, items 1 and 2 have been submitted::

        consumer   use 0     use 1     use 2
        thread     0  1  2   3         4

    So memory holds at most ``ahead + 1`` results, and the consumer waits only while `function` is the slower
    of the two in the mean over `ahead` items.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lookahead")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
