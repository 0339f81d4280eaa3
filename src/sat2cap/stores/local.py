"""A folder of this machine as a store: files published by rename."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sat2cap.files import write_bytes
from sat2cap.stores.protocol import Stamp

Item = TypeVar("Item")


@dataclass(frozen=True)
class LocalStore:
    """The files of one folder, which need not exist yet; it follows `sat2cap.stores.Store`.

    Errors of the system, other than for a missing file, are raised as the `OSError` that they are.
    """

    folder: Path
    """The folder that the keys are files of."""

    @property
    def name(self) -> str:
        """The folder as text."""
        return str(self.folder)

    @property
    def can_list(self) -> bool:
        """True: files are listed."""
        return True

    def get(self, key: str) -> bytes:
        """Return the bytes of a file. Raises `FileNotFoundError`."""
        return (self.folder / key).read_bytes()

    def read_into(self, key: str, out: memoryview, sha256: str | None = None) -> int:
        """Read a file into `out`, and return its size, or any other size if it does not fit."""
        with open(f"{self.folder}/{key}", "rb", buffering=0) as source:
            return (source.readinto(out) or 0) + len(source.read(1))

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of a file's bytes. Raises `FileNotFoundError`, and `EOFError` if it is shorter."""
        with open(f"{self.folder}/{key}", "rb", buffering=0) as source:
            source.seek(start)
            data = source.read(stop - start)
        if len(data) != stop - start:
            raise EOFError(f"{key} ends before byte {stop}")
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write a file by rename, on disk when this returns."""
        write_bytes(self.folder / key, data)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the path inside the folder and the size in bytes of every file below `prefix`."""
        for file in sorted((self.folder / prefix).rglob("*")):
            if file.is_file():
                yield file.relative_to(self.folder).as_posix(), file.stat().st_size

    def delete(self, key: str) -> None:
        """Delete a file; no error if there is none."""
        (self.folder / key).unlink(missing_ok=True)

    def stamp(self, key: str) -> Stamp | None:
        """Return inode, modification time in ns and size of a file; None if there is none."""
        try:
            status = os.stat(f"{self.folder}/{key}")
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for one item after another: the disk is read in the order that it is laid out."""
        for item in items:
            work(item)
