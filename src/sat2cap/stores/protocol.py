"""The store protocol: objects by key, each put or replaced as a whole."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

Stamp = tuple[str | int, ...]
"""A value that changes when an object is replaced."""

Item = TypeVar("Item")


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
    def can_list(self) -> bool:
        """Whether `list` works."""
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

    def put(self, key: str, data: bytes) -> None:
        """Put or replace an object: a reader sees the old bytes or all of the new ones."""
        ...

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the key and size in bytes of every object whose key begins with the folders of `prefix`."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; no error if there is none."""
        ...

    def stamp(self, key: str) -> Stamp | None:
        """Return a value that changes when the object is replaced; None if there is no object."""
        ...

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for every item, side by side where that is faster; an error of one is raised."""
        ...
