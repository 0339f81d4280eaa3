"""The journal of finished chunks: one JSON line each, appended and synced once the files are in place."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sat2cap.files import canonical_json, parse_json, write_bytes


@dataclass(frozen=True)
class Entry:
    """One finished chunk with the hashes of its files."""

    index: tuple[int, int]
    """Row and column of the chunk, counted in chunks."""
    files: Mapping[str, str]
    """SHA-256 of each file's bytes, by path inside the atlas; a file of only fill values is left out."""

    def as_line(self) -> bytes:
        """Return the entry as its line in the journal, newline included."""
        return (canonical_json({"chunk": list(self.index), "files": dict(self.files)}) + "\n").encode()


def read_journal(path: Path) -> dict[tuple[int, int], Entry]:
    """Return the entries by chunk index; empty if there is no journal.

    A damaged line, or one that a kill cut short, is skipped: its chunk counts as not written.
    """
    return parse_journal(path.read_bytes() if path.exists() else b"")


def parse_journal(data: bytes) -> dict[tuple[int, int], Entry]:
    """Return the entries in a journal's bytes, as `read_journal` does."""
    entries = {}
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = parse_json(line)
            row, col = value["chunk"]
            entry = Entry((int(row), int(col)), {str(name): str(sha) for name, sha in value["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
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


def _cut_torn_line(descriptor: int) -> None:
    """Truncate a file after its last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.truncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
