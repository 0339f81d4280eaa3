"""Filling gaps: exactly the cells that failed, as if they had never failed."""

import numpy as np
import pytest
from slow_embed import SHAPE, run, wanted
from small_model import Ground, grid, model

from sat2cap.atlas import create_or_resume, open_atlas, repair_atlas, verify_atlas, writer_lock
from sat2cap.atlas.layout import CellStatus
from sat2cap.embedding import embed_region, fill_atlas
from sat2cap.embedding.chunk_task import AtlasInputs, ChunkTask, do_chunk
from sat2cap.errors import AtlasError
from sat2cap.files import digest_file

WEST, NORTH = 480_000, 5_760_000
HOLES = (485_000, 5_730_000, 495_000, 5_740_000)
EVERY = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))


def cells_of(row, col, height, width):
    """Bounds of a block of cells, a metre inside."""
    west, north = WEST + col * 480, NORTH - row * 480
    return west + 1, north - height * 480 + 1, west + width * 480 - 1, north - 1


def embed(out, broken=None):
    imagery = Ground(holes=HOLES, broken=broken)
    return embed_region(grid(*SHAPE), wanted(), imagery, model(), out)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "a.zarr")


def test_failed_cells_and_no_others_are_filled(tmp_path, undisturbed):
    """Rows 30 to 33, columns 40 to 44 lie in two chunks."""
    made = embed(tmp_path / "a.zarr", broken=cells_of(30, 40, 4, 5))
    failed = made.status == CellStatus.IMAGERY_FAILED
    assert failed.sum() == 20
    before = made.read(*EVERY)
    imagery, seen = Ground(holes=HOLES), []
    filled = fill_atlas(made, imagery, model(), progress=lambda *call: seen.append(call[1:]))
    assert (seen[0], seen[-1]) == ((0, 20), (20, 20))
    assert sum(box.shape[0] * box.shape[1] for box in imagery.reads) == 20 * 16 * 16
    after = filled.read(*EVERY)
    np.testing.assert_array_equal(after[~failed], before[~failed])
    np.testing.assert_array_equal(after[failed], undisturbed.read(*EVERY)[failed])
    np.testing.assert_array_equal(filled.status, undisturbed.status)
    assert filled.complete
    assert verify_atlas(filled) == []


def test_cells_that_fail_again_stay_as_they_are(tmp_path):
    made = embed(tmp_path / "a.zarr", broken=cells_of(30, 40, 4, 5))
    before = {path: digest_file(path) for path in made.path.rglob("*") if path.is_file()}
    still = fill_atlas(made, Ground(holes=HOLES, broken=cells_of(30, 40, 4, 5)), model())
    assert {path: digest_file(path) for path in made.path.rglob("*") if path.is_file()} == before
    partly = fill_atlas(still, Ground(holes=HOLES, broken=cells_of(30, 40, 1, 5)), model())
    expected = np.zeros(SHAPE, bool)
    expected[30, 40:45] = True
    assert ((partly.status == CellStatus.IMAGERY_FAILED) == expected).all()
    assert verify_atlas(partly) == []


def test_damaged_and_missing_chunks_are_computed_whole(tmp_path, undisturbed):
    made = embed(tmp_path / "a.zarr")
    (made.path / "scale/c/0/1/1").unlink()
    assert [chunk.index for chunk in repair_atlas(made)] == [(1, 1)]
    fill_atlas(open_atlas(made.path), Ground(holes=HOLES), model())
    for path in undisturbed.path.rglob("*"):
        if path.is_file():
            same = made.path / path.relative_to(undisturbed.path)
            assert same.read_bytes() == path.read_bytes(), same


def test_a_kill_while_filling_is_mended(tmp_path, undisturbed, monkeypatch):
    """Dies between the files of a chunk: its hashes no longer match, so it is computed whole."""
    from sat2cap.stores import local_writer

    made = embed(tmp_path / "a.zarr", broken=cells_of(5, 40, 2, 2))
    real, calls = local_writer.rename_published, []

    def dies(path, target):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(path, target)

    monkeypatch.setattr(local_writer, "rename_published", dies)
    with pytest.raises(KeyboardInterrupt):
        fill_atlas(made, Ground(holes=HOLES), model())
    monkeypatch.undo()
    assert not made.complete
    assert len(repair_atlas(made)) == 1
    filled = fill_atlas(made, Ground(holes=HOLES), model())
    np.testing.assert_allclose(filled.read(*EVERY), undisturbed.read(*EVERY), atol=0.02)
    assert verify_atlas(filled) == []


def test_other_imagery_or_another_model_fills_nothing(tmp_path):
    made = embed(tmp_path / "a.zarr", broken=cells_of(30, 40, 4, 5))
    for imagery, checkpoint, part in [
        (Ground(holes=HOLES), model(seed=1), "model"),
        (Ground(), model(), "imagery"),
    ]:
        with pytest.raises(AtlasError, match=rf"differs in {part}\); name what it was made from"):
            fill_atlas(made, imagery, checkpoint)
    assert made.complete


def test_a_chunk_filled_twice_is_what_its_receipt_says(tmp_path, undisturbed):
    """A worker that was taken for dead writes last, and could read less: the journal's bytes stay."""
    made = embed(tmp_path / "a.zarr", broken=cells_of(5, 40, 2, 2))
    chunk = next(chunk for chunk in made.chunks() if chunk.index == (0, 1))
    failed = (made.status == CellStatus.IMAGERY_FAILED)[chunk.rows, chunk.cols]
    jobs = [
        AtlasInputs(made.spec, Ground(holes=HOLES, broken=broken), model(), made.store)
        for broken in (cells_of(5, 40, 1, 1), None)
    ]
    with writer_lock(made.path):
        atlas_writer = create_or_resume(made.path, made.spec)
        atlas_writer.reopen()
        task = ChunkTask(chunk, failed, atlas_writer.entry(chunk.index))
        lost = do_chunk(jobs[0], task)
        lost.write()  # three cells are filled, but the receipt never arrives
        receipt = do_chunk(jobs[1], task).write()
        atlas_writer.record(receipt.staged)
        with pytest.raises(AtlasError, match="does not match its hash"):
            lost.write()  # what it would fill is no longer what it was to fill
        filled = atlas_writer.finish()
    assert receipt.statuses == {"OK": 4}
    assert verify_atlas(filled) == []
    np.testing.assert_array_equal(filled.read(*EVERY), undisturbed.read(*EVERY))
    assert not list(made.path.rglob(".*"))
