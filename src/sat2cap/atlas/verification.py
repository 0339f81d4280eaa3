"""Verifying an atlas against its journal, and discarding damaged chunks so that they are computed again."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sat2cap.atlas import journal
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk
from sat2cap.atlas.plan_files import find_plan_problems, read_or_none
from sat2cap.atlas.reader import Atlas
from sat2cap.atlas.writer import AtlasWriter, create_or_resume, group_bytes, static_files
from sat2cap.errors import AtlasError


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

    A chunk that is not computed yet is a problem only if the atlas claims to be complete. Raises `AtlasError`
    for a published copy, which has checksums beside it.
    """
    if atlas.published_from is not None:
        is_part = not atlas.store.base_name.endswith(".zarr")  # a UTM zone of a wide copy
        whole = atlas.store.parent if is_part else atlas.store
        name = whole.base_name.removesuffix(".zarr")
        raise AtlasError(f"{atlas.name!r} is a published copy; check it with: sha256sum -c {name}.sha256")
    problems = [*_metadata_problems(atlas)]
    entries = journal.read_journal(atlas.store, atlas.arrays.values())
    chunks = [chunk for chunk in atlas.chunks() if chunk.index in entries]
    by_index: dict[tuple[int, int], list[Problem]] = {}

    def check(chunk: Chunk) -> None:
        by_index[chunk.index] = [*_chunk_problems(atlas, chunk, entries[chunk.index])]

    atlas.store.map(check, chunks)
    for chunk in atlas.chunks():
        if chunk.index in entries:
            problems += by_index[chunk.index]
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
    store = atlas.store
    entries = journal.read_journal(store, atlas.arrays.values())
    store.delete(ROOT)  # before anything else is changed: from here on it is unfinished
    for chunk in chunks:
        entries.pop(chunk.index, None)
    journal.rewrite_journal(store, entries)
    for chunk in chunks:
        store.map(store.delete, [array.cell_chunk_path(*chunk.index) for array in atlas.arrays.values()])
    writer: AtlasWriter = create_or_resume(store, atlas.spec)
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
        stored = read_or_none(atlas.store, file)
        if stored is None:
            yield Problem(file, "is missing")
        elif stored != data:
            yield Problem(file, "is not what this atlas's plan makes")


def _chunk_problems(atlas: Atlas, chunk: Chunk, entry: journal.Entry) -> Iterator[Problem]:
    """Yield the differences between a chunk's files and its journal entry."""
    for file, sha in entry.files.items():
        stored = read_or_none(atlas.store, file)
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
