"""Preparing the next items in threads while the current one is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
