"""What stores behind a network share: requests side by side, and stamps that are not asked for each time."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from sat2cap.redaction import redact_secrets
from sat2cap.stores.protocol import Stamp

Item = TypeVar("Item")

SIDE_BY_SIDE = 16
"""Requests of one store under way at the same time, whatever the number of threads that read from it."""
STAMP_S = 5.0
"""Seconds for which a stamp is taken to be what it was: a change made elsewhere is seen that much later."""


class SideBySide:
    """Threads of one store for requests side by side; made when first used, and anew in another process."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["SideBySide"], tuple[()]]:
        """Pickle without threads."""
        return SideBySide, ()

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for every item. After an error the items not begun are left out, and it is raised."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="store")
            pool = self._pool
        calls = [pool.submit(work, item) for item in items]
        try:
            for call in calls:
                call.result()
        finally:
            for call in calls:
                call.cancel()


class RecentStamps:
    """The stamps that a store gave within the last `max_age_s` seconds, by key."""

    def __init__(self, max_age_s: float = STAMP_S) -> None:
        self._stamps: dict[str, tuple[float, Stamp | None]] = {}
        self._max_age_s = max_age_s

    def __reduce__(self) -> tuple[type["RecentStamps"], tuple[float]]:
        """Pickle without stamps."""
        return RecentStamps, (self._max_age_s,)

    def get(self, key: str, ask: Callable[[], Stamp | None]) -> Stamp | None:
        """Return the stamp of a key: a recent one, or what `ask` returns."""
        recent = self._stamps.get(key)
        if recent is not None and time.monotonic() - recent[0] < self._max_age_s:
            return recent[1]
        return self.put(key, ask())

    def put(self, key: str, stamp: Stamp | None) -> Stamp | None:
        """Note the stamp that a key has now, and return it."""
        self._stamps[key] = time.monotonic(), stamp
        return stamp

    def forget(self, key: str) -> None:
        """Forget the stamp of a key that was just written or deleted."""
        self._stamps.pop(key, None)

    def clear(self) -> None:
        """Forget all stamps."""
        self._stamps.clear()


@dataclass(frozen=True)
class RemoteStore:
    """What the stores at an address have in common; each adds its own requests."""

    address: str
    """Address of the store; objects and files are below it."""
    timeout_s: float = 30.0
    """Seconds without an answer, or the next part of one, after which a try has failed."""
    _threads: SideBySide = field(default_factory=SideBySide, init=False, repr=False, compare=False)
    _stamps: RecentStamps = field(default_factory=RecentStamps, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The address without secrets."""
        return redact_secrets(self.address)

    @property
    def base_name(self) -> str:
        """The last part of the address's path."""
        return urlsplit(self.address).path.rstrip("/").rpartition("/")[2]

    @property
    def folder(self) -> Path | None:
        """None: the files are in no folder of this machine."""
        return None

    def refresh(self) -> None:
        """Forget the stamps of before."""
        self._stamps.clear()

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for every item in threads, so that requests wait side by side."""
        self._threads.map(work, items)
