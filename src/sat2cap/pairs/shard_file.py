"""A shard where it lies: a file of a folder, or an object of a bucket or web server, read by ranges."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sat2cap.stores import Store, open_object

SHARDS = "shards"
"""Name of the folder of shards in that of a pair set."""

ReadRange = Callable[[int, int], bytes]
"""Returns so many bytes from a position on, fewer at the end of the file."""


@dataclass(frozen=True)
class ShardFile:
    """A webdataset tar of a pair set; it holds no open file, so threads and processes may share it."""

    store: Store
    """Folder of the shards."""
    name: str
    """File name, such as ``train-00000.tar``."""

    def __str__(self) -> str:
        return f"{self.store.name}/{self.name}"

    def open(self, read_ahead_bytes: int | None = None) -> io.BufferedIOBase:
        """Open it for reading; of a bucket at least so many bytes are fetched at a time.

        Raises `FileNotFoundError`.
        """
        arguments = () if read_ahead_bytes is None else (read_ahead_bytes,)
        return open_object(self.store, self.name, *arguments)

    def digest(self) -> str:
        """Return the SHA-256 of its bytes as 64 hex digits, all of which are read.

        Raises `FileNotFoundError`, and `IsADirectoryError` for a folder.
        """
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def reader(self, start: int, stop: int | None) -> Iterator[ReadRange]:
        """Yield what reads bytes from `start` to before `stop`; None for an end that is not known.

        Of a bucket, a range with an end is fetched by one request, and one without an end as it is read.
        """
        if self.store.folder is not None:
            with (self.store.folder / self.name).open("rb", buffering=0) as file:
                descriptor = file.fileno()
                yield lambda at, size: os.pread(descriptor, size, at)
        elif stop is None:
            yield lambda at, size: self.store.get_range(self.name, at, at + size)
        else:
            data = self.store.get_range(self.name, start, stop)
            yield lambda at, size: data[at - start : at - start + size]
