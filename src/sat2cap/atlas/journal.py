"""The list of finished chunks: one JSON line each, appended and synced once the files are in place."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sat2cap.files import canonical_json, write_bytes


@dataclass(frozen=True)
class Entry:
    """One finished chunk."""

    index: tuple[int, int]
    """Row and column among the chunks."""
    files: Mapping[str, str]
    """SHA-256 of each file's bytes, by path inside the atlas; one of nothing but fill values is left out."""

    def line(self) -> bytes:
        """As written."""
        return (canonical_json({"chunk": list(self.index), "files": dict(self.files)}) + "\n").encode()


def read(path: Path) -> dict[tuple[int, int], Entry]:
    """The entries by chunk index. A damaged line, or one cut short by a kill, counts as not written."""
    data = path.read_bytes() if path.exists() else b""
    entries = {}
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            value = json.loads(line)
            row, col = value["chunk"]
            entry = Entry((int(row), int(col)), {str(name): str(sha) for name, sha in value["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # its chunk is done again, which gives the same bytes
        entries[entry.index] = entry
    return entries


def append(path: Path, entry: Entry) -> None:
    """Add an entry and sync it to disk, after cutting off what a kill left of an earlier line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        _cut_torn_line(file.fileno())
        file.write(entry.line())
        file.flush()
        os.fsync(file.fileno())


def rewrite(path: Path, entries: Mapping[tuple[int, int], Entry]) -> None:
    """Publish the whole journal in the order of the chunks, whatever the order of the work was."""
    write_bytes(path, b"".join(entries[index].line() for index in sorted(entries)))


def _cut_torn_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.truncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
