"""Reading chunk files while another process may write, with damage noticed at the first read."""

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
from sat2cap.atlas.presence import PLAN, how_to_repair
from sat2cap.errors import AtlasError
from sat2cap.files import parse_json
from sat2cap.stores import Stamp, Store, open_store

Version = tuple[Stamp | None, ...]
"""Stamps of files; None for a missing one."""

_WRITER_WAIT_S = {"folder": 2.0, "network": 10.0}
"""How long a running writer may take from placing a chunk's first file to journalling the chunk."""
_RETRY_S = 0.02


def read_version(place: Path | str | Store, *more_files: str) -> Version:
    """Return a value that changes when an atlas is extended, repaired, finished or replaced.

    `more_files` are paths inside the atlas that count as well. For a folder it costs a few calls of the
    system and reads no file; for a bucket two requests, once in a while.
    """
    store = open_store(place)
    stamps = (store.stamp(ROOT), journal.journal_stamp(store))
    return stamps if store.folder is None else (*stamps, *map(store.stamp, (PLAN, *more_files)))


@dataclass(frozen=True)
class _Journal:
    """The journal as it was read last."""

    stamp: Stamp | None
    hashes: Mapping[str, tuple[str, str | None]]
    """SHA-256 and checksum of every file of the finished chunks, by its path; older journals have no
    checksum."""
    missing: frozenset[tuple[int, int]]
    """Chunks with wanted cells that a finished atlas should have, and that no sound line of it names."""


class ChunkFiles:
    """The chunk files of one atlas, for reading.

    The journal is read again when it has changed. A file is compared with its checksum when it is first read
    in this process, and again after it was journalled anew. Threads may share it.
    """

    def __init__(
        self,
        store: Store,
        identity: str,
        arrays: tuple[ChunkedArray, ...],
        wanted: frozenset[tuple[int, int]],
    ) -> None:
        """`store` is where the atlas is, `arrays` are those of its cells; nothing is read yet.

        `wanted` are the chunks ``(row, column)`` that hold a wanted cell.
        """
        self._store, self._identity, self._arrays, self._wanted = store, identity, arrays, wanted
        self._is_near = store.folder is not None
        self._journal: _Journal | None = None
        self._checked: dict[str, str] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without what was read; another process checks for itself."""
        return ChunkFiles, (self._store, self._identity, self._arrays, self._wanted)

    def journal_stamp(self) -> Stamp | None:
        """Return a value that changes when chunks are journalled or discarded."""
        return self._store.stamp(JOURNAL) if self._is_near else journal.journal_stamp(self._store)

    def read_together(
        self, arrays: Sequence[ChunkedArray], index: tuple[int, int], outs: Sequence[NDArray[Any]]
    ) -> None:
        """Read the chunk ``(row, column)`` of several arrays into `outs`, all in the state of one moment.

        `outs` have the shapes of the chunks. Each is read as `read` does, and again until no writer has
        changed the journal meanwhile.
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
        deadline_s = time.monotonic() + _WRITER_WAIT_S["folder" if self._is_near else "network"]
        while (problem := self._try_read(array, file, index, out)) is not None:
            self._store.refresh()
            # before the journal is looked at: it may be done then
            is_written = self._store.stamp(LOCK) is not None
            if self._journal is not None and self._journal.stamp == self.journal_stamp():
                if not is_written or time.monotonic() > deadline_s:
                    raise AtlasError(f"atlas {self._store.name!r}: {file} {problem}")
                time.sleep(_RETRY_S)

    def _try_read(
        self, array: ChunkedArray, file: str, index: tuple[int, int], out: NDArray[Any]
    ) -> str | None:
        """Read a file into `out`, and return what is wrong with it; None if it is sound."""
        repair = how_to_repair(self._store)
        current = self._read_journal()
        if index in current.missing:
            return f"is in no sound line of the journal, which is damaged; {repair}"
        if file not in current.hashes:  # which costs no request
            out.fill(array.fill)
            return None
        sha256, expected = current.hashes[file]
        try:
            size = self._store.read_into(file, out.data.cast("B"), sha256)
        except FileNotFoundError:
            return f"is missing; {repair}"
        except OSError as error:
            raise AtlasError(
                f"atlas {self._store.name!r}: {file} cannot be read ({error.strerror}); check the disk"
            ) from None
        if size != array.chunk_bytes():
            return f"is not {array.chunk_bytes()} bytes long; {repair}"
        # what comes over a network is compared each time
        if expected is None or (self._is_near and self._checked.get(file) == expected):
            return None
        if journal.checksum(out.data.cast("B")) != expected:
            return f"does not match its checksum; {repair}"
        self._checked[file] = expected
        return None

    def _read_journal(self) -> _Journal:
        """Return the journal as it is now, read again if it has changed."""
        stamp = self.journal_stamp()
        current = self._journal
        if current is None or current.stamp != stamp:
            with self._lock:
                current = self._journal
                if current is None or current.stamp != stamp:
                    if self._is_near or current is not None:  # asking a bucket costs two requests
                        self._require_same_atlas()
                    current = self._journal = self._parse_journal(stamp)
        return current

    def _parse_journal(self, stamp: Stamp | None) -> _Journal:
        """Return what the journal says: the hashes of files, and the chunks that a finished atlas lacks."""
        # before the lines are read: an atlas is finished after its last, and reopened before one is taken out
        is_finished = self._store.stamp(ROOT) is not None
        entries = journal.read_journal(self._store, self._arrays)
        hashes = {
            file: (sha, entry.checksums.get(file))
            for entry in entries.values()
            for file, sha in entry.files.items()
        }
        return _Journal(stamp, hashes, self._wanted - entries.keys() if is_finished else frozenset())

    def _require_same_atlas(self) -> None:
        """Raise `AtlasError` if the atlas was removed, or replaced by another, since it was opened."""
        try:
            identity = parse_json(read_plan_bytes(self._store) or b"")["identity"]
        except (AtlasError, OSError, ValueError, KeyError, TypeError):
            identity = None
        if identity != self._identity:
            raise AtlasError(
                f"atlas {self._store.name!r} was removed or replaced since it was opened; open it again"
            )


def new_chunk(array: ChunkedArray) -> NDArray[Any]:
    """Return an uninitialised array ``(rows, columns, …)`` for one whole chunk, without its time axis.

    Its type is that of the stored array, little-endian.
    """
    return np.empty(array.chunk[1:], array.dtype.newbyteorder("<"))
