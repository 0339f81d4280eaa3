"""Reading chunk files while another process may write, with damage noticed at the first read."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import journal
from sat2cap.atlas.layout import JOURNAL, ROOT, ChunkedArray
from sat2cap.atlas.lock import LOCK
from sat2cap.atlas.plan_files import read_plan_bytes
from sat2cap.atlas.presence import PLAN
from sat2cap.errors import AtlasError
from sat2cap.files import parse_json
from sat2cap.stores import LocalStore

Version = tuple[tuple[int, int, int], ...]
"""Inode, modification time in ns and size of files; zeros for a missing one."""

_WRITER_WAIT_S = 2.0
"""How long a running writer may take from renaming a chunk's first file to journalling the chunk."""
_RETRY_S = 0.02


def read_version(path: Path, *more_files: str) -> Version:
    """Return a value that changes when an atlas is extended, repaired, finished or replaced.

    `more_files` are paths inside the atlas that count as well. It costs a few calls of the system and reads
    no file.
    """
    return _stamps(path, (ROOT, JOURNAL, PLAN, *more_files))


@dataclass(frozen=True)
class _Journal:
    """The journal as it was read last."""

    stamp: Version
    checksums: Mapping[str, str | None]
    """Checksum of every file of the finished chunks, by its path; None where the journal has none."""


class ChunkFiles:
    """The chunk files of one atlas, for reading.

    The journal is read again when it has changed. A file is compared with its checksum when it is first read
    in this process, and again after it was journalled anew. Threads may share it.
    """

    def __init__(self, path: Path, identity: str, arrays: tuple[ChunkedArray, ...]) -> None:
        """`path` is the folder of the atlas, `arrays` are those of its cells; nothing is read yet."""
        self._path, self._identity, self._arrays = path, identity, arrays
        self._journal: _Journal | None = None
        self._checked: dict[str, str] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without what was read; another process checks for itself."""
        return ChunkFiles, (self._path, self._identity, self._arrays)

    def journal_stamp(self) -> Version:
        """Return a value that changes when chunks are journalled or discarded."""
        return _stamps(self._path, (JOURNAL,))

    def read_together(
        self, arrays: Sequence[ChunkedArray], index: tuple[int, int], outs: Sequence[NDArray[Any]]
    ) -> None:
        """Read the chunk ``(row, column)`` of several arrays into `outs`, all in the state of one moment.

        Each is read as `read` does, and again until no writer has changed the journal meanwhile.
        """
        while True:
            stamp = self.journal_stamp()
            for array, out in zip(arrays, outs, strict=True):
                self.read(array, index, out)
            if self.journal_stamp() == stamp:  # else a writer may have replaced the chunk between two files
                return

    def read(self, array: ChunkedArray, index: tuple[int, int], out: NDArray[Any]) -> None:
        """Read the chunk ``(row, column)`` of an array into `out`; fill values if the chunk has no file.

        `out` has the shape and type of `new_chunk`, and is C-contiguous.

        Raises `AtlasError` if the file cannot be read, has the wrong size or checksum, or is missing although
        it is journalled. Between a writer's first file of a chunk and its line in the journal the two differ,
        so while a writer works, the file is read again for a while.
        """
        file = array.cell_chunk_path(*index)
        deadline_s = time.monotonic() + _WRITER_WAIT_S
        while (problem := self._try_read(array, file, out)) is not None:
            is_written = (self._path / LOCK).exists()  # before the journal is looked at: it may be done then
            if self._journal is not None and self._journal.stamp == self.journal_stamp():
                if not is_written or time.monotonic() > deadline_s:
                    raise AtlasError(f"atlas {str(self._path)!r}: {file} {problem}")
                time.sleep(_RETRY_S)

    def _try_read(self, array: ChunkedArray, file: str, out: NDArray[Any]) -> str | None:
        """Read a file into `out`, and return what is wrong with it; None if it is sound."""
        repair = f"run: sat2cap atlas repair {self._path}"
        checksums = self._checksums()
        try:
            with open(f"{self._path}/{file}", "rb", buffering=0) as source:
                bytes_read = source.readinto(out.data.cast("B"))
                size = bytes_read + len(source.read(1))
        except FileNotFoundError:
            if file in checksums:
                return f"is missing; {repair}"
            out.fill(array.fill)
            return None
        except OSError as error:
            raise AtlasError(
                f"atlas {str(self._path)!r}: {file} cannot be read ({error.strerror}); check the disk"
            ) from None
        if size != array.chunk_bytes():
            return f"is not {array.chunk_bytes()} bytes long; {repair}"
        expected = checksums.get(file)
        if expected is None or self._checked.get(file) == expected:
            return None
        if journal.checksum(out.data.cast("B")) != expected:
            return f"does not match its checksum; {repair}"
        self._checked[file] = expected
        return None

    def _checksums(self) -> Mapping[str, str | None]:
        """Return the checksums of the finished chunks' files, from a journal that is up to date."""
        stamp = self.journal_stamp()
        current = self._journal
        if current is None or current.stamp != stamp:
            with self._lock:
                current = self._journal
                if current is None or current.stamp != stamp:
                    self._require_same_atlas()
                    entries = journal.read_journal(self._path / JOURNAL, self._arrays).values()
                    checksums = {file: entry.checksums.get(file) for entry in entries for file in entry.files}
                    current = self._journal = _Journal(stamp, checksums)
        return current.checksums

    def _require_same_atlas(self) -> None:
        """Raise `AtlasError` if the atlas was removed, or replaced by another, since it was opened."""
        try:
            identity = parse_json(read_plan_bytes(LocalStore(self._path)) or b"")["identity"]
        except (AtlasError, OSError, ValueError, KeyError, TypeError):
            identity = None
        if identity != self._identity:
            raise AtlasError(
                f"atlas {str(self._path)!r} was removed or replaced since it was opened; open it again"
            )


def _stamps(path: Path, files: tuple[str, ...]) -> Version:
    stamps = []
    for name in files:
        try:
            status = os.stat(f"{path}/{name}")
            stamps.append((status.st_ino, status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append((0, 0, 0))
    return tuple(stamps)


def new_chunk(array: ChunkedArray) -> NDArray[Any]:
    """Return an uninitialised array ``(rows, columns, …)`` for one whole chunk, without its time axis.

    Its type is that of the stored array, little-endian.
    """
    return np.empty(array.chunk[1:], array.dtype.newbyteorder("<"))
