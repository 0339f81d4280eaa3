"""Verifying an atlas against its journal, and discarding damaged chunks so that they are computed again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sat2cap.atlas import journal
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk
from sat2cap.atlas.plan_files import find_plan_problems
from sat2cap.atlas.reader import Atlas
from sat2cap.atlas.writer import AtlasWriter, create_or_resume, group_bytes, static_files


@dataclass(frozen=True)
class Problem:
    """One damaged or missing file of an atlas."""

    file: str
    """Path inside the atlas."""
    reason: str
    """What is wrong with the file, in words that follow its name."""
    chunk: Chunk | None = None
    """Chunk to compute again; None if the file can be restored without the model."""

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def verify_atlas(atlas: Atlas) -> list[Problem]:
    """Read all of an atlas and return its problems; an empty list if it is sound.

    A chunk that is not computed yet is a problem only if the atlas claims to be complete.
    """
    problems = [*_metadata_problems(atlas)]
    entries = journal.parse_journal(_read_or_none(atlas, JOURNAL) or b"", atlas.arrays.values())
    for chunk in atlas.chunks():
        entry = entries.get(chunk.index)
        if entry is not None:
            problems += _chunk_problems(atlas, chunk, entry)
        elif atlas.complete:
            problems.append(Problem(JOURNAL, f"chunk {chunk.index} is not journalled", chunk))
    return problems


def repair_atlas(atlas: Atlas) -> list[Chunk]:
    """Restore metadata and discard every damaged chunk, which the same `embed` run then computes again.

    Returns the discarded chunks. If there are none, an atlas that was complete is complete again.
    """
    problems = verify_atlas(atlas)
    if not problems:
        return []
    was_complete = atlas.complete
    chunks = list({problem.chunk.index: problem.chunk for problem in problems if problem.chunk}.values())
    (atlas.path / ROOT).unlink(missing_ok=True)  # first: from here on it is unfinished
    entries = journal.read_journal(atlas.path / JOURNAL, atlas.arrays.values())
    for chunk in chunks:
        entries.pop(chunk.index, None)
    journal.rewrite_journal(atlas.path / JOURNAL, entries)
    for chunk in chunks:
        for array in atlas.arrays.values():
            (atlas.path / array.cell_chunk_path(*chunk.index)).unlink(missing_ok=True)
    writer: AtlasWriter = create_or_resume(atlas.path, atlas.spec)
    if was_complete and not writer.pending():
        writer.finish()
    return chunks


def _metadata_problems(atlas: Atlas) -> Iterator[Problem]:
    """Yield the problems of files that do not depend on embeddings."""
    for file, reason in find_plan_problems(atlas.store):
        yield Problem(file, reason)
    expected = static_files(atlas.spec)
    if atlas.complete:
        expected[ROOT] = group_bytes(atlas.spec)
    for file, data in expected.items():
        stored = _read_or_none(atlas, file)
        if stored is None:
            yield Problem(file, "is missing")
        elif stored != data:
            yield Problem(file, "is not what this atlas's plan makes")


def _chunk_problems(atlas: Atlas, chunk: Chunk, entry: journal.Entry) -> Iterator[Problem]:
    """Yield the differences between a chunk's files and its journal entry."""
    for file, sha in entry.files.items():
        stored = _read_or_none(atlas, file)
        if stored is None:
            yield Problem(file, "is missing", chunk)
        elif hashlib.sha256(stored).hexdigest() != sha:
            yield Problem(file, "does not match its hash in the journal", chunk)
        elif journal.checksum(stored) != entry.checksums.get(file, journal.checksum(stored)):
            yield Problem(file, "does not match its checksum in the journal", chunk)
    for array in atlas.arrays.values():
        file = array.cell_chunk_path(*chunk.index)
        if file not in entry.files and atlas.store.stamp(file) is not None:
            yield Problem(file, "is there, but the journal has it empty", chunk)


def _read_or_none(atlas: Atlas, file: str) -> bytes | None:
    """Return the bytes of a file of an atlas; None if it is missing."""
    try:
        return atlas.store.get(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
