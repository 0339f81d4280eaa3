"""The journal of finished chunks: one JSON line each, appended and synced once the files are in place."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from sat2cap.atlas.layout import ChunkedArray
from sat2cap.files import canonical_json, parse_json, write_bytes


@dataclass(frozen=True)
class Entry:
    """One finished chunk with the hashes of its files."""

    index: tuple[int, int]
    """Row and column of the chunk, counted in chunks."""
    files: Mapping[str, str]
    """SHA-256 of each file's bytes, by path inside the atlas; a file of only fill values is left out."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """`checksum` of each file's bytes; empty in a journal of an older version."""

    def as_line(self) -> bytes:
        """Return the entry as its line in the journal, newline included."""
        value = {"chunk": list(self.index), "files": dict(self.files)}
        if self.checksums:
            value["xxh3"] = dict(self.checksums)
        return (canonical_json(value) + "\n").encode()


def checksum(data: bytes | memoryview) -> str:
    """Return XXH3-64 of bytes as 16 hex digits: as fast as memory, so that every read can afford it.

    It tells damage, but not intent: anyone can make other bytes of the same checksum. `verify` uses SHA-256.
    """
    return xxhash.xxh3_64_hexdigest(data)


def read_journal(path: Path, arrays: Iterable[ChunkedArray]) -> dict[tuple[int, int], Entry]:
    """Return the entries by chunk index; empty if there is no journal.

    `arrays` are those that are written chunk by chunk. A line that is damaged, that a kill cut short, or that
    names other files than its chunk's is skipped: its chunk counts as not written.
    """
    return parse_journal(path.read_bytes() if path.exists() else b"", arrays)


def parse_journal(data: bytes, arrays: Iterable[ChunkedArray]) -> dict[tuple[int, int], Entry]:
    """Return the entries in a journal's bytes, as `read_journal` does."""
    arrays = tuple(arrays)
    entries = {}
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = parse_json(line)
            row, col = value["chunk"]
            entry = Entry((int(row), int(col)), _as_texts(value["files"]), _as_texts(value.get("xxh3", {})))
            if not entry.files.keys() <= {array.cell_chunk_path(*entry.index) for array in arrays}:
                continue
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            continue  # its chunk is computed again, which gives the same bytes
        entries[entry.index] = entry
    return entries


def append_entry(path: Path, entry: Entry) -> None:
    """Append an entry and sync it to disk; a line that a kill cut short is removed first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        _cut_torn_line(file.fileno())
        file.write(entry.as_line())
        file.flush()
        os.fsync(file.fileno())


def rewrite_journal(path: Path, entries: Mapping[tuple[int, int], Entry]) -> None:
    """Replace the journal by one whose entries are in the order of the chunks, whatever the order of work."""
    write_bytes(path, b"".join(entries[index].as_line() for index in sorted(entries)))


def _as_texts(table: Mapping[str, str]) -> dict[str, str]:
    """Return a table of texts as it is. Raises `TypeError` or `AttributeError` if it is none."""
    if not all(isinstance(text, str) for text in table.values()):
        raise TypeError
    return dict(table)


def _cut_torn_line(descriptor: int) -> None:
    """Truncate a file after its last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.truncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
