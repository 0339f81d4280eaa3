"""Chunk files are compared with checksums when they are first read, and a running writer is waited for."""

import json
import threading

import numpy as np
import pytest
from small_atlas import build, cells, make_spec, tree

from sat2cap.atlas import create_or_resume, journal, open_atlas, read_version, repair_atlas, verify_atlas
from sat2cap.atlas.layout import JOURNAL
from sat2cap.errors import AtlasError

CHUNK = "embeddings/c/0/0/0/0"
SCALE = "scale/c/0/0/0"
ALL = slice(0, 10), slice(0, 7)


def flip_bit(file, bit=0):
    data = bytearray(file.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def without_checksums(path):
    """Rewrite the journal as versions without checksums wrote it."""
    lines = [json.loads(line) for line in (path / JOURNAL).read_text().splitlines()]
    assert all(set(line) == {"chunk", "files", "xxh3"} for line in lines)
    plain = [json.dumps({"chunk": line["chunk"], "files": line["files"]}) + "\n" for line in lines]
    (path / JOURNAL).write_text("".join(plain))


@pytest.mark.parametrize("file", [CHUNK, SCALE, "status/c/0/0/0"])
@pytest.mark.parametrize("bit", [0, 77])
def test_one_flipped_bit_is_an_error_not_another_number(atlas, file, bit):
    flip_bit(atlas.path / file, bit)
    opened = open_atlas(atlas.path)
    read = (lambda: opened.status) if file.startswith("status") else (lambda: opened.read(*ALL))
    with pytest.raises(AtlasError, match=f"{file} does not match its checksum; run: sat2cap atlas repair"):
        read()


def test_what_the_journal_holds_is_the_xxh3_of_the_files_bytes(atlas):
    xxhash = pytest.importorskip("xxhash")
    lines = [json.loads(line) for line in (atlas.path / JOURNAL).read_text().splitlines()]
    assert len(lines) == 5
    for line in lines:
        assert line["xxh3"].keys() == line["files"].keys()
        for file, expected in line["xxh3"].items():
            assert xxhash.xxh3_64((atlas.path / file).read_bytes()).hexdigest() == expected


def test_an_atlas_without_checksums_reads_verifies_and_is_extended(tmp_path, atlas):
    before = atlas.read(*ALL)
    without_checksums(atlas.path)
    old = open_atlas(atlas.path)
    np.testing.assert_array_equal(old.read(*ALL), before)
    assert verify_atlas(old) == []
    flip_bit(atlas.path / CHUNK, 8 * 8)
    assert not np.array_equal(open_atlas(atlas.path).read(*ALL), before, equal_nan=True)  # as ever
    (chunk,) = repair_atlas(old)
    writer = create_or_resume(atlas.path, make_spec())
    writer.write(chunk, *cells(chunk))
    np.testing.assert_array_equal(writer.finish().read(*ALL), before)


def test_a_damaged_checksum_is_found_and_repaired(atlas):
    before = tree(atlas.path)
    lines = (atlas.path / JOURNAL).read_text().splitlines(keepends=True)
    first = json.loads(lines[0])
    first["xxh3"][CHUNK] = "0" * 16
    (atlas.path / JOURNAL).write_text(json.dumps(first) + "\n" + "".join(lines[1:]))
    opened = open_atlas(atlas.path)
    with pytest.raises(AtlasError, match="does not match its checksum"):
        opened.read(*ALL)
    assert [problem.file for problem in verify_atlas(opened)] == [CHUNK]
    (chunk,) = repair_atlas(opened)
    writer = create_or_resume(atlas.path, make_spec())
    writer.write(chunk, *cells(chunk))
    writer.finish()
    assert tree(atlas.path) == before


def test_an_open_atlas_sees_chunks_that_another_writer_adds(tmp_path):
    whole = build(tmp_path / "whole.zarr")
    writer = create_or_resume(tmp_path / "grows.zarr", make_spec())
    chunks = writer.pending()
    writer.write(chunks[0], *cells(chunks[0]))
    opened = open_atlas(tmp_path / "grows.zarr")
    version = read_version(opened.path)
    assert np.isfinite(opened.read(*ALL)).sum() < np.isfinite(whole.read(*ALL)).sum()
    for chunk in chunks[1:]:
        writer.write(chunk, *cells(chunk))
    writer.finish()
    assert read_version(opened.path) != version
    np.testing.assert_array_equal(opened.read(*ALL), whole.read(*ALL))
    np.testing.assert_array_equal(opened.status, whole.status)


def test_reads_beside_a_writer_that_replaces_a_chunk_are_of_one_time(tmp_path):
    """Embeddings and scale of two versions of a chunk never mix, although they are renamed one by one."""
    opened = build(tmp_path / "a.zarr")
    chunk = next(opened.chunks())
    values, status = cells(chunk)
    versions = [np.where(np.isnan(values), np.nan, values * factor).astype(np.float32) for factor in (1, 3)]
    expected = []
    for version in versions:
        create_or_resume(opened.path, make_spec()).write(chunk, version, status)
        expected.append(opened.read(chunk.rows, chunk.cols))
    assert not np.array_equal(*expected, equal_nan=True)
    stop, reads, problems = threading.Event(), [], []

    def look() -> None:
        while not stop.is_set():
            try:
                reads.append(opened.read(chunk.rows, chunk.cols))
            except AtlasError as error:
                problems.append(error)

    (opened.path / "_sat2cap/lock").write_text("{}")  # as a writer has it
    thread = threading.Thread(target=look)
    thread.start()
    for number in range(30):
        create_or_resume(opened.path, make_spec()).write(chunk, versions[number % 2], status)
    stop.set()
    thread.join()
    assert not problems
    assert reads
    for read in reads:
        assert any(np.array_equal(read, version, equal_nan=True) for version in expected)


def test_an_atlas_that_was_removed_or_replaced_says_so(tmp_path, atlas):
    opened = open_atlas(atlas.path)
    opened.read(*ALL)
    atlas.path.rename(tmp_path / "aside.zarr")
    with pytest.raises(AtlasError, match="was removed or replaced since it was opened; open it again"):
        opened.read(*ALL)
    build(atlas.path, make_spec(patch_m=999.0))
    with pytest.raises(AtlasError, match="was removed or replaced since it was opened; open it again"):
        opened.read(*ALL)


def test_a_checksum_is_of_the_bytes(atlas):
    assert journal.checksum(b"") == "2d06800538d394c2"  # XXH3-64 of nothing, by its specification
