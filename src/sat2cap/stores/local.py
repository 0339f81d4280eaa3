"""A folder of this machine as a store: files published by rename."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sat2cap.files import write_bytes
from sat2cap.stores.local_writer import LocalWriter
from sat2cap.stores.protocol import Stamp

Item = TypeVar("Item")


@dataclass(frozen=True)
class LocalStore:
    """The files of one folder, which need not exist yet; it follows `sat2cap.stores.Store`.

    Errors of the system, other than for a missing file, are raised as the `OSError` that they are.
    """

    folder: Path
    """The folder that the keys are files of."""

    def __reduce__(self) -> tuple[type["LocalStore"], tuple[Path]]:
        """Pickle the absolute path: another process may work in another folder."""
        return LocalStore, (self.folder.absolute(),)

    @property
    def name(self) -> str:
        """The folder as text."""
        return str(self.folder)

    @property
    def base_name(self) -> str:
        """The folder's own name, also of ``.``."""
        return self.folder.name or self.folder.absolute().name

    @property
    def parent(self) -> "LocalStore":
        """The folder that it lies in."""
        return LocalStore((self.folder if self.folder.name else self.folder.absolute()).parent)

    def child(self, name: str) -> "LocalStore":
        """Return the store of a folder in this one."""
        return LocalStore(self.folder / name)

    @property
    def can_list(self) -> bool:
        """True: files are listed."""
        return True

    @property
    def can_write(self) -> bool:
        """True: files are written."""
        return True

    @property
    def writer(self) -> LocalWriter:
        """What a job writes files by."""
        return LocalWriter(self.folder)

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

    def get_end(self, key: str, count: int) -> bytes:
        """Return the end of a file. Raises `FileNotFoundError`."""
        with open(f"{self.folder}/{key}", "rb", buffering=0) as source:
            source.seek(max(0, source.seek(0, os.SEEK_END) - count))
            return source.read()

    def get_lines(self, key: str) -> bytes:
        """Return the bytes of a file of lines; empty if there is none."""
        path = self.folder / key
        return path.read_bytes() if path.exists() else b""

    def put(self, key: str, data: bytes) -> None:
        """Write a file by rename, on disk when this returns."""
        write_bytes(self.folder / key, data)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield the path inside the folder and the size in bytes of every file below `prefix`."""
        for file in sorted((self.folder / prefix).rglob("*")):
            if file.is_file():
                yield file.relative_to(self.folder).as_posix(), file.stat().st_size

    def names(self) -> Iterator[str]:
        """Yield the names of the files and folders in the folder. Raises `NotADirectoryError`."""
        if self.folder.exists():
            yield from (entry.name for entry in self.folder.iterdir())

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of the files that there are."""
        sizes = {}
        for key in keys:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = os.stat(f"{self.folder}/{key}")
                if stat.S_ISREG(status.st_mode):
                    sizes[key] = status.st_size
        return sizes

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

    def stamp_lines(self, key: str) -> Stamp | None:
        """Return the stamp of the file that has the lines."""
        return self.stamp(key)

    def refresh(self) -> None:
        """Do nothing: a stamp is always of now."""

    def map(self, work: Callable[[Item], None], items: Iterable[Item]) -> None:
        """Call `work` for one item after another: the disk is read in the order that it is laid out."""
        for item in items:
            work(item)
