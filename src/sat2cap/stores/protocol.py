"""The store protocol: objects by key, each put or replaced as a whole, and how a job writes them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

Stamp = tuple[str | int, ...]
"""A value that changes when an object is replaced."""

Item = TypeVar("Item")


class StoreWriter(Protocol):
    """What only a long job needs that writes a store: a lock, staged objects, and lines that are appended.

    An object is staged by whoever computed it, and put in its place by the one process that holds the lock.
    So it may be computed twice, and what is in place is what that process says.
    """

    def lock(self, key: str, subject: str, unlock: str) -> AbstractContextManager[None]:
        """Hold the lock of the store for the body of a `with` statement.

        `subject` names the content in the error, such as ``atlas``, and `unlock` the command that releases a
        lock whose process is gone. Raises `JobError` if another process holds it, who is named, and
        `StoreError` if nothing can be written there.
        """
        ...

    def break_lock(self, key: str) -> str | None:
        """Release the lock that a process left behind, and return who that was; None if there is none.

        Raises `JobError` if its process is known to be running.
        """
        ...

    def stage(self, key: str, data: bytes) -> str:
        """Write what will be the object `key` under a name of its own, and return that name."""
        ...

    def stage_file(self, key: str) -> AbstractContextManager[tuple[BinaryIO, str]]:
        """Stage what is too large for memory, for the body of a `with` statement.

        Yields a file to write what will be the object `key`, and the name under which it is staged when the
        body ends without an error.
        """
        ...

    def place(self, staged: str, key: str) -> None:
        """Put a staged object in its place. Raises `FileNotFoundError` if it is not there."""
        ...

    def replace_folder(self, source: str, target: str, last: str) -> None:
        """Put the objects below `source` in the place of those below `target`, the object `last` at the end.

        Until then a reader finds no object `last` in `target`, or the earlier one.
        """
        ...

    def remove_folder(self, name: str) -> None:
        """Delete all objects below a name."""
        ...

    def remove_leftovers(self, *beside: str, patterns: Sequence[str] = ("**/.*",)) -> None:
        """Remove what killed processes staged or left half written, also of files of these names beside it.

        `patterns` say which hidden files of a folder those are, where there may be others. Call it while
        holding the lock.
        """
        ...

    def append_line(self, key: str, line: bytes) -> None:
        """Append a line, which ends in a newline; it is stored when this returns.

        Raises `JobError` if the lock that this process took is no longer its own.
        """
        ...

    def put_lines(self, key: str, data: bytes) -> None:
        """Replace all lines. Raises as `append_line` does."""
        ...


class Store(Protocol):
    """Objects by key: the path of a file inside an atlas, such as ``zarr.json``.

    Every method raises `StoreError` if the store does not answer, refuses, or answers in part. A store holds
    no open file, so it can be sent to other processes, and threads may share it.
    """

    @property
    def name(self) -> str:
        """The folder or address in messages, without secrets."""
        ...

    @property
    def folder(self) -> Path | None:
        """The folder on this machine that the keys are files of; None if there is none."""
        ...

    @property
    def base_name(self) -> str:
        """The last part of the folder or address: ``region.zarr`` of ``s3://bucket/maps/region.zarr``."""
        ...

    @property
    def parent(self) -> "Store":
        """The store of the folder that this one lies in, for what is written beside it."""
        ...

    def child(self, name: str) -> "Store":
        """Return the store of a folder in this one."""
        ...

    @property
    def can_list(self) -> bool:
        """Whether `list` works."""
        ...

    @property
    def can_write(self) -> bool:
        """Whether anything can be written at all; permissions may still forbid it."""
        ...

    @property
    def writer(self) -> StoreWriter:
        """What a job writes by, always the same. Raises `StoreError` where nothing is written."""
        ...

    def get(self, key: str) -> bytes:
        """Return an object. Raises `FileNotFoundError` if there is none."""
        ...

    def read_into(self, key: str, out: memoryview, sha256: str | None = None) -> int:
        """Read an object of a known size into `out`, and return the size that it has.

        If that is not the length of `out`, what `out` then holds is undefined. `sha256` is the hash of the
        object, if the caller knows it: a cache finds and checks objects by it. Raises `FileNotFoundError`.
        """
        ...

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` to before `stop`, all of them. Raises `FileNotFoundError`."""
        ...

    def get_end(self, key: str, count: int) -> bytes:
        """Return the last `count` bytes of an object, all if it is shorter. Raises `FileNotFoundError`."""
        ...

    def get_lines(self, key: str) -> bytes:
        """Return the lines that were appended to `key`, in the order of appending; empty if there are none.

        Stores without appending keep them as numbered segments.
        """
        ...

    def put(self, key: str, data: bytes) -> None:
        """Put or replace an object: a reader sees the old bytes or all of the new ones."""
        ...

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the key and size in bytes of every object whose key begins with the folders of `prefix`."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the first folder or file of each key, perhaps repeatedly; nothing for an empty store."""
        ...

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the sizes in bytes of those of the objects that there are."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; no error if there is none."""
        ...

    def stamp(self, key: str) -> Stamp | None:
        """Return a value that changes when the object is replaced; None if there is no object."""
        ...

    def stamp_lines(self, key: str) -> Stamp | None:
        """Return a value that changes when lines are appended to `key`; None if there are none."""
        ...

    def refresh(self) -> None:
        """Forget the stamps of before, so that the next ones are of now."""
        ...

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for every item, side by side where that is faster, as over a network.

        Returns when all calls have ended; the error of one is raised.
        """
        ...
