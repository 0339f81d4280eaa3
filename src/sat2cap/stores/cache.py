"""A folder that keeps objects of other stores, so that they are fetched once."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from sat2cap.files import write_bytes
from sat2cap.stores.protocol import Stamp, Store, StoreWriter

Item = TypeVar("Item")

_ENTRIES = "objects"
_CHECKED_SHARE = 0.05
"""Share of its limit that a process adds to the cache before it looks again at what all of it takes."""


class _Growth:
    """Bytes that this process put into a cache since it last made room."""

    def __init__(self) -> None:
        self.bytes: float = float("inf")  # the folder is looked at with the first object put
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[type["_Growth"], tuple[()]]:
        return _Growth, ()


@dataclass(frozen=True)
class CachedStore:
    """Another store whose objects of known hash are kept in a folder; it follows `sat2cap.stores.Store`.

    An entry is a file named by the SHA-256 of its bytes, checked whenever it is read, and published by
    rename, so that stores and processes may share the folder. Those not read for longest are removed first.
    """

    store: Store
    """Where objects come from."""
    cache: Path
    """Folder of the entries."""
    max_bytes: int
    """Size that the entries are kept within, up to what was added since they were last counted."""
    _growth: _Growth = field(default_factory=_Growth, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The address of the other store."""
        return self.store.name

    @property
    def folder(self) -> Path | None:
        """None: the folder of the cache is not the store's."""
        return None

    @property
    def base_name(self) -> str:
        """The last part of the other store's address."""
        return self.store.base_name

    @property
    def parent(self) -> Store:
        """The store above the other one, without a cache."""
        return self.store.parent

    def child(self, name: str) -> "CachedStore":
        """Return the store of a folder in the other one, with the same cache."""
        return replace(self, store=self.store.child(name))

    @property
    def can_list(self) -> bool:
        """Whether the other store lists."""
        return self.store.can_list

    @property
    def can_write(self) -> bool:
        """Whether the other store is written."""
        return self.store.can_write

    @property
    def writer(self) -> StoreWriter:
        """What a job writes the other store by."""
        return self.store.writer

    def get(self, key: str) -> bytes:
        """Return an object of the other store, which is asked."""
        return self.store.get(key)

    def read_into(self, key: str, out: memoryview, sha256: str | None = None) -> int:
        """Read an object into `out` from the cache, else from the other store and put it into the cache."""
        if sha256 is None or not _is_hash(sha256):
            return self.store.read_into(key, out)
        entry = self.cache / _ENTRIES / sha256[:2] / sha256
        if self._read_entry(entry, out, sha256):
            return len(out)
        size = self.store.read_into(key, out, sha256)
        if size == len(out) and hashlib.sha256(out).hexdigest() == sha256:
            self._put_entry(entry, bytes(out))
        return size

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of an object of the other store."""
        return self.store.get_range(key, start, stop)

    def get_end(self, key: str, count: int) -> bytes:
        """Return the end of an object of the other store."""
        return self.store.get_end(key, count)

    def get_lines(self, key: str) -> bytes:
        """Return lines of the other store, which is asked."""
        return self.store.get_lines(key)

    def put(self, key: str, data: bytes) -> None:
        """Put an object into the other store."""
        self.store.put(key, data)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the keys and sizes of the other store."""
        return self.store.list(prefix)

    def names(self) -> Iterator[str]:
        """Yield the first names of the other store's keys."""
        return self.store.names()

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return sizes of objects of the other store."""
        return self.store.sizes(keys)

    def delete(self, key: str) -> None:
        """Delete an object of the other store."""
        self.store.delete(key)

    def stamp(self, key: str) -> Stamp | None:
        """Return the stamp of the other store."""
        return self.store.stamp(key)

    def stamp_lines(self, key: str) -> Stamp | None:
        """Return the stamp of lines of the other store."""
        return self.store.stamp_lines(key)

    def refresh(self) -> None:
        """Have the other store forget its stamps."""
        self.store.refresh()

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` as the other store does."""
        self.store.map(work, items)

    def _read_entry(self, entry: Path, out: memoryview, sha256: str) -> bool:
        """Read an entry into `out` and return whether it is there and sound; a damaged one is removed."""
        try:
            with entry.open("rb", buffering=0) as file:
                is_whole = file.readinto(out) == len(out) and not file.read(1)
            if is_whole and hashlib.sha256(out).hexdigest() == sha256:
                os.utime(entry)  # read now; mount options may keep the system from noting it
                return True
            entry.unlink(missing_ok=True)
        except OSError:
            pass
        return False

    def _put_entry(self, entry: Path, data: bytes) -> None:
        """Write an entry, and make room; a full disk is no reason to fail, as the object is at hand."""
        with suppress(OSError):
            write_bytes(entry, data)
            with self._growth.lock:
                self._growth.bytes += len(data)
                if self._growth.bytes > _CHECKED_SHARE * self.max_bytes:
                    self._growth.bytes = 0.0
                    _make_room(self.cache / _ENTRIES, self.max_bytes)


def _make_room(folder: Path, max_bytes: int) -> None:
    """Remove the files not read for longest until the others take `max_bytes` or less."""
    files: list[tuple[float, int, Path]] = []
    for path in folder.glob("??/*"):
        with suppress(OSError):  # another process may have removed it
            status: Any = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    excess = sum(size for _, size, _ in files) - max_bytes
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def _is_hash(text: str) -> bool:
    """Return whether a text is 64 hex digits: it comes from the store, and is about to be a file's name."""
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
