"""An open scan beside damage, and beside processes that repair, prepare or replace its atlas."""

import os
import shutil

import numpy as np
import pytest
from made_model import atlas, embeddings, grid, model
from made_up import fill_cells

from sat2cap.atlas import create_or_resume, open_atlas
from sat2cap.atlas.layout import CellStatus
from sat2cap.errors import AtlasError
from sat2cap.query import Scan, score_atlas
from sat2cap.query.engine.preparation import prepare_atlas
from sat2cap.query.engine.prepared_blocks import PREPARED_FOLDER

PROMPTS = ["busy street"]


def make(path, checkpoint, seed=3, box=None):
    values = embeddings(40, 40, 64, seed)
    return atlas(path, values, checkpoint, np.zeros((40, 40), bool), box=box)


def flip_bit(file, offset):
    data = bytearray(file.read_bytes())
    data[offset] ^= 4
    file.write_bytes(data)


def write_again(path, values):
    """Compute the first chunk again as a repair does, from other embeddings."""
    opened = open_atlas(path)
    chunk = next(opened.chunks())
    writer = create_or_resume(path, opened.spec)
    status = np.full(chunk.shape, CellStatus.OK, np.uint8)
    fill_cells(writer, chunk, values[chunk.rows, chunk.cols], status)
    writer.finish()


def scores(scan, checkpoint):
    return score_atlas(scan, checkpoint, PROMPTS).values


def test_a_flipped_bit_of_a_chunk_is_one_line_and_no_map(tmp_path):
    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    flip_bit(opened.path / "embeddings/c/0/0/1/0", 0)
    with pytest.raises(AtlasError, match=r"embeddings/c/0/0/1/0 does not match its checksum; run: .* repair"):
        score_atlas(open_atlas(opened.path), checkpoint, PROMPTS)


@pytest.mark.parametrize("name", ["embeddings", "scale", "inverse", "place"])
def test_a_flipped_bit_of_a_prepared_file_is_a_warning_and_the_same_map(tmp_path, name):
    from sat2cap.geo.when import When

    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    ask = {"when": When(2024, 5, 20, 8.0)}
    before = score_atlas(opened, checkpoint, PROMPTS, **ask).values
    folder = prepare_atlas(opened, "cyclic")
    file = folder / f"{name}.npy"
    flip_bit(file, file.stat().st_size // 2)
    later_ns = (folder / "manifest.json").stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later_ns, later_ns))
    with pytest.warns(
        UserWarning, match=f"{PREPARED_FOLDER}/{name}.npy is damaged and is not used; remove it"
    ):
        after = score_atlas(open_atlas(opened.path), checkpoint, PROMPTS, **ask).values
    np.testing.assert_array_equal(after, before)


def test_a_prepared_folder_of_an_older_version_without_checksums_is_used(tmp_path, recwarn):
    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    before = score_atlas(opened, checkpoint, PROMPTS).values
    (prepare_atlas(opened, "cyclic") / "checksums.npy").unlink()
    np.testing.assert_array_equal(score_atlas(opened, checkpoint, PROMPTS).values, before)
    assert not [warning for warning in recwarn if "damaged" in str(warning.message)]


@pytest.mark.parametrize("is_prepared", [False, True])
def test_an_open_scan_sees_a_repair(tmp_path, is_prepared):
    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    if is_prepared:
        prepare_atlas(opened, "cyclic")
    scan = Scan(opened, "cyclic")
    before = scores(scan, checkpoint)
    write_again(opened.path, embeddings(40, 40, 64, seed=8))
    after = scores(scan, checkpoint)
    assert not np.array_equal(after[0, :32, :32], before[0, :32, :32])
    np.testing.assert_array_equal(after[0, 32:], before[0, 32:])
    np.testing.assert_array_equal(after, score_atlas(open_atlas(opened.path), checkpoint, PROMPTS).values)


def test_an_open_scan_uses_a_copy_that_was_prepared_meanwhile(tmp_path):
    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    scan = Scan(opened, "cyclic")
    before = scores(scan, checkpoint)
    prepare_atlas(open_atlas(opened.path), "cyclic")
    shutil.rmtree(opened.path / "embeddings/c")  # only the copy can give scores now
    np.testing.assert_array_equal(scores(scan, checkpoint), before)


def test_an_atlas_replaced_by_another_is_not_scored_as_the_first(tmp_path):
    checkpoint = model()
    opened = make(tmp_path / "a.zarr", checkpoint)
    scan = Scan(opened, "cyclic")
    scores(scan, checkpoint)
    shutil.rmtree(opened.path)
    moved = grid(40, 40).translate_pix(40, 0)
    make(opened.path, checkpoint, box=moved)
    with pytest.raises(AtlasError, match="was replaced by another since it was opened; open it again"):
        scores(scan, checkpoint)


def test_a_scan_that_is_overtaken_by_a_writer_is_made_again(tmp_path):
    """The atlas changes while it is scanned the first time: the answer is that of the second."""
    opened = make(tmp_path / "a.zarr", model())
    scan, versions = Scan(opened, "cyclic"), []

    def scan_once(snapshot):
        versions.append(snapshot.version)
        if len(versions) == 1:
            write_again(opened.path, embeddings(40, 40, 64, seed=8))
        return len(versions)

    assert scan.scan_consistently(scan_once) == 2
    assert versions[0] != versions[1]


def test_a_scan_that_is_always_overtaken_says_so(tmp_path):
    opened = make(tmp_path / "a.zarr", model())
    scan, calls = Scan(opened, "cyclic"), []

    def scan_once(snapshot):
        calls.append(snapshot)
        write_again(opened.path, embeddings(40, 40, 64, seed=len(calls)))
        return len(calls)

    with pytest.warns(UserWarning, match="is being written: what was read may lack chunks"):
        assert scan.scan_consistently(scan_once) == 3
