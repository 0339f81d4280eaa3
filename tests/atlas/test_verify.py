"""What is damaged is found, named, and redone: that and nothing else."""

import json

import pytest
from small_atlas import build, cells, flip, make_spec, remove, tree

from sat2cap.atlas import create_or_resume, open_atlas, repair_atlas, verify_atlas
from sat2cap.errors import AtlasError, JobError


def test_a_sound_atlas_has_no_problems(atlas):
    assert verify_atlas(atlas) == []
    before = tree(atlas.path)
    assert repair_atlas(atlas) == []
    assert tree(atlas.path) == before


CHUNK_DAMAGE = {
    "embeddings/c/0/0/0/1": (flip, "does not match its hash", (0, 1)),
    "scale/c/0/2/0": (flip, "does not match its hash", (2, 0)),
    "status/c/0/1/0": (flip, "does not match its hash", (1, 0)),
    "embeddings/c/0/0/0/0": (remove, "is missing", (0, 0)),
    "embeddings/c/0/0/2/1": (lambda file: file.write_bytes(file.read_bytes()[:7]), "does not match", (2, 1)),
    "embeddings/c/0/0/1/0": (
        lambda file: (file.parent.mkdir(exist_ok=True), file.write_bytes(b"0")),
        "empty",
        (1, 0),
    ),
}


@pytest.mark.parametrize("name", CHUNK_DAMAGE)
def test_a_damaged_chunk_is_reported_and_only_it_is_redone(atlas, name):
    damage, reason, index = CHUNK_DAMAGE[name]
    before = tree(atlas.path.parent)
    damage(atlas.path / name)
    (problem,) = verify_atlas(atlas)
    assert problem.file == name
    assert reason in str(problem)
    assert problem.chunk.index == index
    assert [chunk.index for chunk in repair_atlas(atlas)] == [index]
    assert not open_atlas(atlas.path).complete
    writer = create_or_resume(atlas.path, make_spec())
    (pending,) = writer.pending()
    assert pending.index == index
    writer.write(pending, *cells(pending))
    assert verify_atlas(writer.finish()) == []
    assert tree(atlas.path.parent) == before


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (flip, "zarr.json"),  # without it the atlas would be unfinished, not damaged
        (flip, "scale/zarr.json"),
        (flip, "x/c/0"),
        (remove, "scale/zarr.json"),
        (remove, "x/c/0"),
        (remove, "spatial_ref/zarr.json"),
    ],
)
def test_metadata_is_mended_without_computing(atlas, damage, name):
    before = tree(atlas.path.parent)
    damage(atlas.path / name)
    (problem,) = verify_atlas(atlas)
    assert (problem.file, problem.chunk) == (name, None)
    assert repair_atlas(atlas) == []
    assert open_atlas(atlas.path).complete
    assert tree(atlas.path.parent) == before


def test_a_chunk_lost_from_the_journal_is_a_problem_of_a_complete_atlas_only(atlas):
    journal = atlas.path / "_sat2cap/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"rubbish\n", *lines[2:]]))
    (problem,) = verify_atlas(atlas)
    assert problem.chunk.index == tuple(json.loads(lines[1])["chunk"])
    assert "not journalled" in problem.reason
    (atlas.path / "zarr.json").unlink()
    assert verify_atlas(atlas) == []


def cut(data):
    return data[: len(data) // 2]


def turn_a_bit(data):
    changed = bytearray(data)
    changed[len(data) // 2] ^= 8
    return bytes(changed)


def said(read):
    """What is read, or the line that is said instead."""
    try:
        return read()
    except AtlasError as error:
        return str(error)


@pytest.mark.parametrize("damage", [cut, turn_a_bit, lambda data: b"", lambda data: b"[1,2]\n", None])
def test_every_file_damaged_in_turn_is_noticed_and_gives_no_other_cells(atlas, damage):
    """What is read is right, or one line; what is read right all the same, `verify` notices."""
    path, sound = atlas.path, tree(atlas.path)
    cells_before = atlas.read(slice(0, 10), slice(0, 7)).tobytes(), atlas.status.tobytes()
    lines = 0
    for name, data in sound.items():
        if damage is None and name == "zarr.json":
            continue  # an atlas that is not finished, and nothing else
        if damage is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(damage(data))
        answers = [
            said(lambda: open_atlas(path).read(slice(0, 10), slice(0, 7)).tobytes()),
            said(lambda: open_atlas(path).status.tobytes()),
        ]
        for answer, before in zip(answers, cells_before, strict=True):
            assert answer == before or (isinstance(answer, str) and "\n" not in answer), name
        lines += sum(isinstance(answer, str) for answer in answers)
        problems = said(lambda: verify_atlas(open_atlas(path)))
        assert problems if isinstance(problems, list) else "plan and mask are damaged" in problems, name
        (path / name).write_bytes(data)
    assert lines >= 6
    assert verify_atlas(open_atlas(path)) == []


def test_damage_by_an_earlier_run_stops_finishing(tmp_path):
    path = tmp_path / "a.zarr"
    writer = create_or_resume(path, make_spec())
    chunks = writer.pending()
    writer.write(chunks[0], *cells(chunks[0]))
    flip(path / "embeddings/c/0/0/0/0")
    with pytest.raises(JobError, match=r"chunk \(0, 0\) is damaged, 1 in all; run: sat2cap atlas repair"):
        build(path)
    assert not open_atlas(path).complete
    assert [chunk.index for chunk in repair_atlas(open_atlas(path))] == [(0, 0)]
    assert verify_atlas(build(path)) == []


def test_a_file_cut_short_or_gone_is_simply_done_again_on_resuming(tmp_path):
    path = tmp_path / "a.zarr"
    writer = create_or_resume(path, make_spec())
    for chunk in writer.pending():
        writer.write(chunk, *cells(chunk))
    (path / "status/c/0/0/1").unlink()
    (path / "scale/c/0/2/0").write_bytes(b"")
    assert [chunk.index for chunk in create_or_resume(path, make_spec()).pending()] == [(0, 1), (2, 0)]
    assert verify_atlas(build(path)) == []
