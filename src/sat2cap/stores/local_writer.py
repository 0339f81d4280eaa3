"""How a job writes a folder of this machine: the kernel's lock, files renamed into place, lines appended."""

import glob
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sat2cap.files import publish, rename_published, write_bytes
from sat2cap.locks import folder_lock


@dataclass(frozen=True)
class LocalWriter:
    """The files of one folder as a job writes them; it follows `sat2cap.stores.StoreWriter`."""

    folder: Path
    """The folder, which need not exist yet."""

    @contextmanager
    def lock(self, key: str, subject: str, unlock: str) -> Iterator[None]:
        """Hold the kernel's lock on the file `key`, which ends with this process."""
        with folder_lock(self.folder, subject, key):
            yield

    def break_lock(self, key: str) -> str | None:
        """Return None: what a killed process leaves of its lock blocks nobody. Raises `JobError` if held."""
        if (self.folder / key).exists():
            with folder_lock(self.folder, "folder", key):
                pass
        return None

    def stage(self, key: str, data: bytes) -> str:
        """Write a file beside its place, hidden, as files are that a kill may leave behind."""
        folder, _, last = key.rpartition("/")
        staged = f"{folder}/.{last}.{uuid.uuid4().hex[:12]}".lstrip("/")
        write_bytes(self.folder / staged, data)
        return staged

    @contextmanager
    def stage_file(self, key: str) -> Iterator[tuple[BinaryIO, str]]:
        """Yield a hidden file beside its place, which has the suffix of `key`, and its name."""
        folder, _, last = key.rpartition("/")
        name = Path(last)
        staged = f"{folder}/.{name.stem}.{uuid.uuid4().hex[:12]}{name.suffix}".lstrip("/")
        with publish(self.folder / staged) as temporary, temporary.open("wb+") as file:
            yield file, staged

    def place(self, staged: str, key: str) -> None:
        """Rename a staged file."""
        rename_published(self.folder / staged, self.folder / key)

    def replace_folder(self, source: str, target: str, last: str) -> None:
        """Rename a folder, after the one in its place is removed."""
        self.remove_folder(target)
        (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / source).rename(self.folder / target)

    def remove_folder(self, name: str) -> None:
        """Remove a folder."""
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def remove_leftovers(self, *beside: str, patterns: Sequence[str] = ("**/.*",)) -> None:
        """Remove hidden files and folders of the folder, and those of the files `beside` it."""
        paths = [path for pattern in patterns for path in self.folder.glob(pattern)]
        for name in map(Path, beside):
            paths += self.folder.parent.glob(f".{glob.escape(name.stem)}.*{name.suffix}")
        for leftover in paths:
            if leftover.is_dir() and not leftover.is_symlink():  # of a prepared copy that was not finished
                shutil.rmtree(leftover)
            else:
                leftover.unlink(missing_ok=True)

    def append_line(self, key: str, line: bytes) -> None:
        """Append a line to a file and sync it to disk; a line that a kill cut short is removed first."""
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _cut_torn_line(file.fileno())
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def put_lines(self, key: str, data: bytes) -> None:
        """Replace the file of lines."""
        write_bytes(self.folder / key, data)


def _cut_torn_line(descriptor: int) -> None:
    """Truncate a file after its last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.truncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
