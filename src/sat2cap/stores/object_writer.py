"""How a job writes into a bucket.

A lock is an object made by a put that only creates. Objects are staged, and the server copies them into
place. Lines are put in segments, as no object can be appended to.

Lines of ``KEY`` are the object ``KEY`` followed by the objects below ``KEY.new/``. A segment is put again
with each line until it is full, so that a resumed job reads hundreds of lines with a request. Processes give
their segments names of their own, so that one that has lost the lock without knowing replaces no lines of the
next one.
"""

import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

from sat2cap.errors import JobError, StoreError
from sat2cap.stores.object_lock import HELD_HERE, Holder, describe_process, read_holder
from sat2cap.stores.protocol import Stamp

if TYPE_CHECKING:
    from obstore import UpdateVersion

    from sat2cap.stores.objects import ObjectStore

SEGMENT_BYTES = 64 * 2**10
"""Size that a segment of lines is full at: of a journal, some hundred lines."""
_STAGED = ".staged/"
"""Prefix of staged objects."""
_DELETED_TOGETHER = 300
"""Staged objects that are in place, deleted by one request."""


class ObjectWriter:
    """The objects of one store as a job writes them; it follows `sat2cap.stores.StoreWriter`."""

    def __init__(self, store: "ObjectStore") -> None:
        self._store = store
        self._held: tuple[str, Stamp | None] | None = None
        self._segment, self._lines = "", b""
        self._placed: list[str] = []
        self._mutex = threading.Lock()

    @contextmanager
    def lock(self, key: str, subject: str, unlock: str) -> Iterator[None]:
        """Hold a lock that names this process; one whose process is known to have ended is taken over."""
        holder = describe_process()
        self._acquire(key, subject, unlock, holder)
        HELD_HERE.add(holder.token)
        try:
            self._store.refresh()
            self._held = key, self._store.stamp(key)
            self._segment, self._lines = "", b""
            yield
        finally:
            self._held = None
            HELD_HERE.discard(holder.token)
            with suppress(StoreError):  # what went wrong before is the error to show
                self._delete_placed()
                if self._read_lock(key)[0].token == holder.token:
                    self._store.delete(key)

    def break_lock(self, key: str) -> str | None:
        """Delete the lock, and return whom it named. Raises `JobError` if that process runs here."""
        holder, version = self._read_lock(key)
        if version is None:
            return None
        if holder.machine == describe_process().machine != "" and not holder.is_gone():
            raise JobError(f"{self._store.name!r} is being written by {holder}; stop it first")
        self._store.delete(key)
        return str(holder)

    def stage(self, key: str, data: bytes) -> str:
        """Put an object under a name that nobody else uses."""
        staged = f"{_STAGED}{uuid.uuid4().hex}/{key}"
        self._store.put(staged, data)
        return staged

    @contextmanager
    def stage_file(self, key: str) -> Iterator[tuple[BinaryIO, str]]:
        """Yield a file without a name in the system's temporary folder, and put it when the body ends."""
        staged = f"{_STAGED}{uuid.uuid4().hex}/{key}"
        with tempfile.TemporaryFile() as temporary:
            file = cast(BinaryIO, temporary)
            yield file, staged
            self._store.put_file(staged, file)

    def place(self, staged: str, key: str) -> None:
        """Have the server copy a staged object to its place; it is deleted with others later."""
        self._store.copy(staged, key)
        with self._mutex:
            self._placed.append(staged)
            is_full = len(self._placed) >= _DELETED_TOGETHER
        if is_full:
            self._delete_placed()

    def replace_folder(self, source: str, target: str, last: str) -> None:
        """Delete the objects of one folder, and have the server copy those of another to their places.

        A kill leaves `source` whole, so that the same call begins anew.
        """
        store = self._store
        self.remove_folder(target)
        keys = {key.removeprefix(f"{source}/") for key, _ in store.list(source)} - {last}
        store.map(lambda key: store.copy(f"{source}/{key}", f"{target}/{key}"), sorted(keys))
        store.copy(f"{source}/{last}", f"{target}/{last}")
        self.remove_folder(source)

    def remove_folder(self, name: str) -> None:
        """Delete all objects below a name, the metadata of a Zarr group at its root first."""
        store = self._store
        store.delete(f"{name}/zarr.json")
        store.delete_all(key for key, _ in store.list(name))

    def remove_leftovers(self, *beside: str, patterns: Sequence[str] = ()) -> None:
        """Delete what killed processes staged. Nothing is ever half written beside the store."""
        self._delete_placed()
        self._store.delete_all(key for key, _ in self._store.list(_STAGED.rstrip("/")))

    def append_line(self, key: str, line: bytes) -> None:
        """Put the segment of this process again with one more line, or begin the next."""
        self._require_lock()
        if not self._segment or len(self._lines) + len(line) > SEGMENT_BYTES:
            names = [name.rpartition("/")[2] for name in self._store.list_segments(key)]
            number = max((int(name[:8]) for name in names if name[:8].isdecimal()), default=0) + 1
            self._segment, self._lines = f"{segment_folder(key)}/{number:08}-{uuid.uuid4().hex[:8]}", b""
        self._store.put(self._segment, self._lines + line)
        self._lines += line
        self._store.forget_lines(key)

    def put_lines(self, key: str, data: bytes) -> None:
        """Put all lines as one object, then delete the segments, which it contains."""
        self._require_lock()
        self._store.put(key, data)
        self._store.delete_all(self._store.list_segments(key))
        self._segment, self._lines = "", b""
        self._store.forget_lines(key)

    def _acquire(self, key: str, subject: str, unlock: str, holder: Holder) -> None:
        """Put the lock, and read it again. Raises `JobError` if it is held."""
        while True:
            other, version = self._read_lock(key)
            if version is not None and other.token == holder.token:
                return
            if version is not None and not other.is_gone():
                name = self._store.name
                raise JobError(
                    f"{subject} {name!r} is being written by {other}; wait until it is done, or stop it; "
                    f"if it is gone, release its lock with: {unlock} {name}"
                )
            with suppress(FileExistsError):  # another process was quicker, and is read next
                self._store.put_if(key, holder.as_bytes(), version)

    def _read_lock(self, key: str) -> tuple[Holder, "UpdateVersion | None"]:
        """Return whom a lock names, and its version, which is None if there is no lock."""
        try:
            data, version = self._store.get_tagged(key)
        except FileNotFoundError:
            return read_holder(b""), None
        return read_holder(data), version

    def _require_lock(self) -> None:
        """Raise `JobError` if the lock that this process took is gone or another's; asked now and then."""
        if self._held is not None and self._store.stamp(self._held[0]) != self._held[1]:
            raise JobError(
                f"{self._store.name!r} was unlocked, and another process may be writing it; what is finished "
                "is kept, and the same command continues it"
            )

    def _delete_placed(self) -> None:
        """Delete the staged objects that are in place."""
        with self._mutex:
            placed, self._placed = self._placed, []
        self._store.delete_all(placed)


def segment_folder(key: str) -> str:
    """Return the prefix of the segments of lines, without a slash at its end."""
    return f"{key}.new"
