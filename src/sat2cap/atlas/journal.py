"""The journal of finished chunks: one JSON line each, appended once the files are in place.

A finished atlas has one file of lines. In a bucket, lines that were appended since are in objects of their
own (`sat2cap.stores.protocol.StoreWriter`), which a reader looks for only if the atlas is not finished.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import xxhash

from sat2cap.atlas.layout import JOURNAL, ROOT, ChunkedArray
from sat2cap.files import canonical_json, parse_json
from sat2cap.stores import Stamp, Store


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
        """Return the entry as its line in the journal: canonical JSON in UTF-8, newline included.

        Equal entries are equal bytes, so that a finished journal depends on the chunks alone.
        """
        value = {"chunk": list(self.index), "files": dict(self.files)}
        if self.checksums:
            value["xxh3"] = dict(self.checksums)
        return (canonical_json(value) + "\n").encode()


def checksum(data: bytes | memoryview) -> str:
    """Return XXH3-64 of bytes as 16 hex digits: as fast as memory, so that every read can afford it.

    It tells damage, but not intent: anyone can make other bytes of the same checksum. `verify` uses SHA-256.
    """
    return xxhash.xxh3_64_hexdigest(data)


def read_journal(store: Store, arrays: Iterable[ChunkedArray]) -> dict[tuple[int, int], Entry]:
    """Return the entries by chunk index; empty if there is no journal.

    `arrays` are those that are written chunk by chunk. A line that is damaged, that a kill cut short, or that
    names other files than its chunk's is skipped: its chunk counts as not written.
    """
    try:
        data = store.get(JOURNAL) if _is_finished(store) else store.get_lines(JOURNAL)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        data = b""
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


def journal_stamp(store: Store) -> Stamp | None:
    """Return a value that changes when the journal does, or when the atlas is finished or reopened."""
    return store.stamp(JOURNAL) if _is_finished(store) else store.stamp_lines(JOURNAL)


def append_entry(store: Store, entry: Entry) -> None:
    """Append an entry, which is stored when this returns; a line that a kill cut short is removed first."""
    store.writer.append_line(JOURNAL, entry.as_line())


def rewrite_journal(store: Store, entries: Mapping[tuple[int, int], Entry]) -> None:
    """Replace the journal by one whose entries are in the order of the chunks, whatever the order of work."""
    store.writer.put_lines(JOURNAL, b"".join(entries[index].as_line() for index in sorted(entries)))


def _is_finished(store: Store) -> bool:
    """Return whether the group's metadata is there, and so all lines are in one file."""
    return store.stamp(ROOT) is not None


def _as_texts(table: Mapping[str, str]) -> dict[str, str]:
    """Return a table of texts as it is. Raises `TypeError` or `AttributeError` if it is none."""
    if not all(isinstance(text, str) for text in table.values()):
        raise TypeError
    return dict(table)
