"""The plan is read and restored by two of three: its file, the copy of it, and their hash."""

import hashlib
import json
from itertools import permutations

import pytest
from made_up import fill_cells
from small_atlas import build, cells, flip, make_spec, remove, tree

from sat2cap.atlas import create_or_resume, open_atlas, repair_atlas, verify_atlas
from sat2cap.errors import AtlasError

PLAN, COPY, HASH = "_sat2cap/plan.json", "_sat2cap/plan.copy.json", "_sat2cap/plan.sha256"


def credit_another(file):
    """Change whom to credit, which no identity covers."""
    data = file.read_bytes()
    assert data.count(b'"attribution": "A"') == 1
    file.write_bytes(data.replace(b'"attribution": "A"', b'"attribution": "B"'))


def empty(file):
    file.write_bytes(b"")


def test_the_copy_is_the_plan_and_the_hash_is_its_sha256(atlas):
    plan = (atlas.path / PLAN).read_bytes()
    assert (atlas.path / COPY).read_bytes() == plan
    assert (atlas.path / HASH).read_text() == f"{hashlib.sha256(plan).hexdigest()}  plan.json\n"


@pytest.mark.parametrize(
    ("file", "damage"),
    [(PLAN, credit_another), (COPY, credit_another)]
    + [(file, damage) for file in (PLAN, COPY, HASH) for damage in (flip, remove, empty)],
)
def test_a_damaged_plan_is_noticed_and_never_spread(atlas, file, damage):
    before = tree(atlas.path.parent)
    damage(atlas.path / file)
    opened = open_atlas(atlas.path)
    assert (opened.attribution, opened.complete) == ("A", True)
    assert [problem.file for problem in verify_atlas(opened)] == [file]
    assert repair_atlas(opened) == []
    assert tree(atlas.path.parent) == before


@pytest.mark.parametrize(("first", "second"), list(permutations((PLAN, COPY, HASH), 2)))
def test_two_that_are_damaged_are_refused_and_nothing_is_written(atlas, first, second):
    credit_another(atlas.path / first) if first != HASH else flip(atlas.path / first)
    flip(atlas.path / second)
    damaged = tree(atlas.path.parent)
    with pytest.raises(AtlasError, match="its plan is damaged, and so is its copy or its hash"):
        open_atlas(atlas.path)
    with pytest.raises(AtlasError, match="its plan is damaged"):
        create_or_resume(atlas.path, make_spec())
    assert tree(atlas.path.parent) == damaged


def test_a_lost_plan_and_a_lost_copy_are_no_atlas(atlas):
    (atlas.path / PLAN).unlink()
    (atlas.path / COPY).unlink()
    with pytest.raises(AtlasError, match="is not an atlas"):
        open_atlas(atlas.path)
    with pytest.raises(AtlasError, match="exists and is not an atlas"):
        create_or_resume(atlas.path, make_spec())


def test_an_atlas_of_before_the_copy_opens_and_gets_it_when_it_is_written_to(atlas):
    whole = tree(atlas.path.parent)
    (atlas.path / COPY).unlink()
    (atlas.path / HASH).unlink()
    assert verify_atlas(open_atlas(atlas.path)) == []
    assert open_atlas(atlas.path).attribution == "A"
    (atlas.path / "zarr.json").unlink()
    build(atlas.path)
    assert tree(atlas.path.parent) == whole


FOREIGN_FILES = ["unheard/c/0/0/1", "embeddings/c/0/0/2/1", "embeddings/../../secret", "/etc/passwd", ""]


@pytest.mark.parametrize("file", FOREIGN_FILES)
def test_a_journal_line_that_names_a_file_of_no_array_or_another_chunk_counts_as_not_written(atlas, file):
    journal = atlas.path / "_sat2cap/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    entry = json.loads(lines[1])
    assert entry["chunk"] == [0, 1]
    entry["files"] = dict(entry["files"]) | {file: "0" * 64}
    journal.write_bytes(b"".join([lines[0], json.dumps(entry).encode() + b"\n", *lines[2:]]))
    (problem,) = verify_atlas(open_atlas(atlas.path))
    assert (problem.chunk.index, problem.reason) == ((0, 1), "chunk (0, 1) is not journalled")
    assert [chunk.index for chunk in create_or_resume(atlas.path, make_spec()).pending()] == [(0, 1)]


def test_filling_cells_does_not_read_the_journal_for_each_chunk(atlas, monkeypatch):
    writer = create_or_resume(atlas.path, make_spec())
    monkeypatch.setattr("sat2cap.atlas.journal.read_journal", None)
    for chunk in atlas.chunks():
        fill_cells(writer, chunk, *cells(chunk))
    monkeypatch.undo()
    assert verify_atlas(writer.finish()) == []


def test_filling_a_damaged_chunk_is_refused(atlas):
    writer = create_or_resume(atlas.path, make_spec())
    chunk = next(iter(atlas.chunks()))
    flip(atlas.path / "embeddings/c/0/0/0/0")
    with pytest.raises(AtlasError, match=r"embeddings/c/0/0/0/0 does not match its hash; run: sat2cap atlas"):
        fill_cells(writer, chunk, *cells(chunk))
