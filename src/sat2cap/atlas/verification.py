"""Whether an atlas is what its journal says, and forgetting what is not so that it is done again."""

from collections.abc import Iterator
from dataclasses import dataclass

from sat2cap.atlas import journal
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk
from sat2cap.atlas.reader import Atlas
from sat2cap.atlas.writer import AtlasWriter, create_or_resume, group_bytes, static_files
from sat2cap.files import digest_file


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an atlas."""

    file: str
    """Path inside the atlas."""
    reason: str
    """What is wrong with it."""
    chunk: Chunk | None = None
    """The chunk to compute again; None when the file can be made without computing."""

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


def verify_atlas(atlas: Atlas) -> list[Problem]:
    """Everything wrong with `atlas`, by reading all of it; empty when it is sound.

    A chunk not yet computed is a problem only of an atlas that says it is complete.
    """
    problems = [*_metadata_problems(atlas)]
    entries = journal.read(atlas.path / JOURNAL)
    for chunk in atlas.chunks():
        entry = entries.get(chunk.index)
        if entry is not None:
            problems += _chunk_problems(atlas, chunk, entry)
        elif atlas.complete:
            problems.append(Problem(JOURNAL, f"chunk {chunk.index} is not journalled", chunk))
    return problems


def repair_atlas(atlas: Atlas) -> list[Chunk]:
    """Mend what needs no computing and forget every damaged chunk; the same `embed` run redoes only those.

    Returns the forgotten chunks; when there is none, the atlas is complete again if it was.
    """
    problems = verify_atlas(atlas)
    if not problems:
        return []
    was_complete = atlas.complete
    chunks = list({problem.chunk.index: problem.chunk for problem in problems if problem.chunk}.values())
    (atlas.path / ROOT).unlink(missing_ok=True)  # first: from here on it is unfinished
    entries = journal.read(atlas.path / JOURNAL)
    for chunk in chunks:
        entries.pop(chunk.index, None)
    journal.rewrite(atlas.path / JOURNAL, entries)
    for chunk in chunks:
        for array in atlas.arrays.values():
            (atlas.path / array.cell_file(*chunk.index)).unlink(missing_ok=True)
    writer: AtlasWriter = create_or_resume(atlas.path, atlas.spec)
    if was_complete and not writer.pending():
        writer.finish()
    return chunks


def _metadata_problems(atlas: Atlas) -> Iterator[Problem]:
    expected = static_files(atlas.spec)
    if atlas.complete:
        expected[ROOT] = group_bytes(atlas.spec)
    for file, data in expected.items():
        if not (atlas.path / file).is_file():
            yield Problem(file, "is missing")
        elif (atlas.path / file).read_bytes() != data:
            yield Problem(file, "is not what this atlas's plan makes")


def _chunk_problems(atlas: Atlas, chunk: Chunk, entry: journal.Entry) -> Iterator[Problem]:
    for file, sha in entry.files.items():
        if not (atlas.path / file).is_file():
            yield Problem(file, "is missing", chunk)
        elif digest_file(atlas.path / file) != sha:
            yield Problem(file, "does not match its hash in the journal", chunk)
    for array in atlas.arrays.values():
        file = array.cell_file(*chunk.index)
        if file not in entry.files and (atlas.path / file).exists():
            yield Problem(file, "is there, but the journal has it empty", chunk)
