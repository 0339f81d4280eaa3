import signal

import forked
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from slow_embed import SHAPE, run, run_slowly, wanted
from small_model import DIM, PIXELS, Ground, grid, model

from sat2cap.atlas import open_atlas, verify_atlas, writer_lock
from sat2cap.atlas.layout import CellStatus
from sat2cap.embedding import embed_region
from sat2cap.embedding import patches as patches_module
from sat2cap.embedding.patches import split_into_blocks
from sat2cap.errors import AtlasError, ImageryError, JobError, RegionError
from sat2cap.files import digest_file
from sat2cap.geo.grid import PatchGrid, patch_box


def all_cells(shape):
    return np.ones(shape, bool)


def file_digests(folder):
    return {str(p.relative_to(folder)): digest_file(p) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole") / "a.zarr")


def test_each_cell_holds_the_embedding_of_its_own_ground(tmp_path):
    """Against one cell read and embedded at a time."""
    checkpoint, cells = model(), grid(9, 11)
    made = embed_region(cells, all_cells((9, 11)), Ground(), checkpoint, tmp_path / "a.zarr", dtype="float16")
    got = made.read(slice(0, 9), slice(0, 11))
    for row in range(9):
        for col in range(11):
            box = patch_box(cells, slice(row, row + 1), slice(col, col + 1), PIXELS)
            alone = checkpoint.embed_overhead(Ground().read(box).values[None, ..., :3])[0]
            np.testing.assert_allclose(got[row, col], alone, rtol=2e-3, atol=2e-3)
    assert np.abs(got[0, 0] - got[5, 5]).max() > 0.05
    assert (made.status == CellStatus.OK).all()


def test_one_read_serves_a_chunk(tmp_path):
    imagery = Ground()
    made = embed_region(grid(*SHAPE), all_cells(SHAPE), imagery, model(), tmp_path / "a.zarr")
    assert len(imagery.reads) == len(list(made.chunks())) > 1


def test_only_wanted_cells_are_read_and_embedded(undisturbed):
    mask = wanted()
    assert ((undisturbed.status == CellStatus.NONE) == ~mask).all()
    assert np.isnan(undisturbed.read(slice(0, 20), slice(0, 30))[~mask[:20, :30]]).all()
    imagery = Ground()
    patches = patches_module.read_patches(
        imagery,
        PatchGrid(grid(*SHAPE), 480, PIXELS),
        mask,
        (slice(0, 20), slice(0, 30)),
        max_missing=0.5,
    )
    assert [tuple(box.shape) for box in imagery.reads] == [(PIXELS, PIXELS)]
    assert len(patches.rgb) == 1


@pytest.mark.parametrize("share", [0.15, 0.7])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(tmp_path, undisturbed, share):
    """SIGKILL to a real process, resumed in another."""
    out = tmp_path / "a.zarr"
    reports, sender = forked.CONTEXT.Pipe(duplex=False)
    process = forked.start(run_slowly, out, sender)
    sender.close()
    done, total = 0, 1
    while done < share * total:
        done, total = reports.recv()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not open_atlas(out).complete
    seen = []
    made = run(out, progress=lambda stage, done, total: seen.append(done))
    assert seen[0] < total  # there was something left to do
    assert seen[0] > 0 or share < 0.5  # and not everything
    assert made.complete
    assert file_digests(made.path) == file_digests(undisturbed.path)
    assert verify_atlas(made) == []


def test_progress_counts_the_wanted_cells(tmp_path):
    seen = []
    run(tmp_path / "a.zarr", progress=lambda *call: seen.append(call))
    counts = [done for _, done, _ in seen]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, wanted().sum())
    assert {(stage, total) for stage, _, total in seen} == {("embedding cells", wanted().sum())}
    seen.clear()
    run(tmp_path / "a.zarr", progress=lambda *call: seen.append(call))
    assert [done for _, done, _ in seen] == [wanted().sum()]


def test_a_broken_tile_costs_exactly_the_cells_that_need_it(tmp_path, undisturbed):
    """Cells of rows 10-12, columns 40-44; the rest is what it would be without the break."""
    west, north = 480_000 + 40 * 480, 5_760_000 - 10 * 480
    imagery = Ground(
        broken=(west + 1, north - 3 * 480 + 1, west + 5 * 480 - 1, north - 1),
        holes=(485_000, 5_730_000, 495_000, 5_740_000),
    )
    made = embed_region(grid(*SHAPE), wanted(), imagery, model(), tmp_path / "a.zarr")
    expected = np.zeros(SHAPE, bool)
    expected[10:13, 40:45] = True
    assert ((made.status == CellStatus.IMAGERY_FAILED) == expected).all()
    every = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    got, whole = made.read(*every), undisturbed.read(*every)
    assert np.isnan(got[expected]).all()
    np.testing.assert_allclose(got[~expected], whole[~expected], atol=0.02)
    assert (made.status[~expected] == undisturbed.status[~expected]).all()


def test_missing_imagery_is_no_data_with_its_reason_and_never_zeros(undisturbed, tmp_path):
    """The hole spans x 485000-495000, y 5730000-5740000: a cell counts as missing if over half of it is."""
    row, col = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
    left, top = 480_000 + col * 480, 5_760_000 - row * 480
    wide = (np.minimum(left + 480, 495_000) - np.maximum(left, 485_000)).clip(0) / 480
    high = (np.minimum(top, 5_740_000) - np.maximum(top - 480, 5_730_000)).clip(0) / 480
    share = wide * high
    clear = np.abs(share - 0.5) > 0.07  # pixels are 1/16 of a cell
    missing = undisturbed.status == CellStatus.IMAGERY_MISSING
    assert (missing == (share > 0.5))[clear & wanted()].all()
    assert missing.sum() > 300
    values = undisturbed.read(slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    assert np.isnan(values[missing]).all()
    assert np.isfinite(values[undisturbed.status == CellStatus.OK]).all()
    imagery = Ground(holes=(485_000, 5_730_000, 495_000, 5_740_000))
    strict = embed_region(grid(*SHAPE), wanted(), imagery, model(), tmp_path / "a.zarr", max_missing=0.0)
    assert (((share > 0.01) & wanted()) <= (strict.status == CellStatus.IMAGERY_MISSING)).all()


def test_outside_its_footprint_imagery_is_not_even_read(tmp_path):
    imagery = Ground(outline=(480_000, 5_740_000, 490_000, 5_760_000))
    made = embed_region(grid(*SHAPE), all_cells(SHAPE), imagery, model(), tmp_path / "a.zarr")
    far = made.status[45:, 32:]
    assert (far == CellStatus.IMAGERY_MISSING).all()
    assert len(imagery.reads) == 2
    elsewhere = Ground(outline=(0, 0, 1000, 1000))
    with pytest.raises(ImageryError, match=r"outside the region; choose one within -1\.48"):
        embed_region(grid(*SHAPE), all_cells(SHAPE), elsewhere, model(), tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()


def test_pixels_in_memory_are_bounded_and_do_not_change_the_result(tmp_path, monkeypatch, undisturbed):
    monkeypatch.setattr(patches_module, "BLOCK_BYTES", 10 * PIXELS * PIXELS * 4)
    imagery = Ground(holes=(485_000, 5_730_000, 495_000, 5_740_000))
    made = embed_region(grid(*SHAPE), wanted(), imagery, model(), tmp_path / "a.zarr")
    assert max(box.shape[0] * box.shape[1] for box in imagery.reads) <= 10 * PIXELS * PIXELS
    every = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    np.testing.assert_allclose(made.read(*every), undisturbed.read(*every), atol=0.02)


@pytest.mark.parametrize("cells", [1, 3, 8, 30, 10**6])
def test_blocks_cover_each_cell_once(monkeypatch, cells):
    monkeypatch.setattr(patches_module, "BLOCK_BYTES", cells * 4 * 4 * 4)
    seen = np.zeros((20, 30), int)
    for rows, cols in split_into_blocks(slice(3, 16), slice(5, 13), 4):
        assert (rows.stop - rows.start) * (cols.stop - cols.start) <= cells
        seen[rows, cols] += 1
    assert (seen[3:16, 5:13] == 1).all()
    assert seen.sum() == 13 * 8


def test_another_model_imagery_or_setting_does_not_go_on_with_an_atlas(tmp_path):
    out, shape = tmp_path / "a.zarr", (4, 5)
    embed_region(grid(*shape), all_cells(shape), Ground(), model(), out)
    for imagery, checkpoint, setting, part in [
        (Ground(), model(seed=1), {}, "model"),
        (Ground(holes=(0.0, 0.0, 1.0, 1.0)), model(), {}, "imagery"),
        (Ground(), model(), {"max_missing": 0.4}, "max_missing 0.5, now 0.4"),
        (Ground(), model(), {"precision": "bfloat16"}, "precision float32, now bfloat16"),
        (Ground(), model(), {"dtype": "float16"}, "dtype"),
    ]:
        with pytest.raises(AtlasError, match=rf"differs in {part}\)"):
            embed_region(grid(*shape), all_cells(shape), imagery, checkpoint, out, **setting)
    embed_region(grid(*shape), all_cells(shape), Ground(), model(), out)


def test_the_atlas_says_what_it_was_made_from(undisturbed):
    checkpoint = model()
    assert undisturbed.model["card"] == {"name": "small 0"}
    assert undisturbed.model["place_identity"] == checkpoint.place_identity
    assert undisturbed.imagery["attribution"] == "Nobody"
    assert undisturbed.dim == DIM
    assert undisturbed.spec.patch_m == 480
    assert undisturbed.spec.patch_pixels == PIXELS


def test_a_model_that_gives_no_numbers_stops_the_job(tmp_path):
    with pytest.raises(JobError, match="weights are broken"):
        embed_region(grid(4, 5), all_cells((4, 5)), Ground(), model(poison=True), tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("mask", "settings", "error"),
    [
        (np.zeros((4, 5), bool), {}, RegionError),
        (np.ones((5, 4), bool), {}, RegionError),
        (np.ones((4, 5), bool), {"max_missing": 1.0}, ImageryError),
        (np.ones((4, 5), bool), {"dtype": "float64"}, AtlasError),
    ],
)
def test_wrong_input_is_refused_before_any_work(tmp_path, mask, settings, error):
    imagery = Ground()
    with pytest.raises(error) as caught:
        embed_region(grid(4, 5), mask, imagery, model(), tmp_path / "a.zarr", **settings)
    assert "\n" not in str(caught.value)
    assert imagery.reads == []


@pytest.mark.parametrize("cell_m", [120.0, 100.0, 1000.0])
def test_patches_that_overlap_or_leave_gaps_are_each_of_their_own_ground(tmp_path, cell_m):
    """Against one patch of 480 m read around each cell's centre; pixels of 30 m shift the edges a little."""
    checkpoint, shape = model(), (9, 11)
    cells = GeoBox(shape, Affine(cell_m, 0, 480_000, 0, -cell_m, 5_760_000), "EPSG:32631")
    imagery = Ground()
    made = embed_region(
        cells, all_cells(shape), imagery, checkpoint, tmp_path / "a.zarr", patch_m=480, dtype="float16"
    )
    assert made.spec.patch_m == 480
    pixels = sum(box.shape[0] * box.shape[1] for box in imagery.reads)
    assert pixels <= 2 * shape[0] * shape[1] * PIXELS**2
    assert (len(imagery.reads) == 1) == (cell_m < 480)
    got = made.read(slice(0, 9), slice(0, 11))
    pixel_m = 480 / PIXELS
    for row, col in np.ndindex(*shape):
        x, y = cells.affine @ (col + 0.5, row + 0.5)
        west, north = (480_000 - (480 - cell_m) / 2, 5_760_000 + (480 - cell_m) / 2)
        # to the nearest pixel of the lattice that begins with the first patch
        left = west + np.floor((x - 240 - west) / pixel_m + 0.5) * pixel_m
        top = north - np.floor((north - y - 240) / pixel_m + 0.5) * pixel_m
        box = GeoBox((PIXELS, PIXELS), Affine(pixel_m, 0, left, 0, -pixel_m, top), cells.crs)
        alone = checkpoint.embed_overhead(Ground().read(box).values[None, ..., :3])[0]
        np.testing.assert_allclose(got[row, col], alone, rtol=2e-3, atol=4e-3)


def test_a_patch_larger_than_its_cell_is_missing_by_what_the_patch_lacks(tmp_path):
    """No pixels east of x = 480960: a patch of 480 m lacks half of it when its centre is there."""
    shape = (1, 16)
    cells = GeoBox(shape, Affine(120, 0, 480_000, 0, -120, 5_760_000), "EPSG:32631")
    imagery = Ground(holes=(480_960, 5_700_000, 490_000, 5_770_000))
    made = embed_region(cells, all_cells(shape), imagery, model(), tmp_path / "a.zarr", max_missing=0.4)
    centres = 480_000 + 120 * (np.arange(16) + 0.5)
    share = ((centres + 240 - 480_960) / 480).clip(0, 1)
    assert ((made.status[0] == CellStatus.IMAGERY_MISSING) == (share > 0.4)).all()
    assert (made.status[0] == CellStatus.OK).sum() == 8


def test_few_cells_far_apart_are_read_one_by_one():
    mask = np.zeros(SHAPE, bool)
    mask[[2, 3, 60], [5, 5, 80]] = True
    imagery = Ground()
    lattice = PatchGrid(grid(*SHAPE), 480, PIXELS)
    got = patches_module.read_patches(imagery, lattice, mask, (slice(0, 70), slice(0, 90)), max_missing=0.5)
    assert sorted(tuple(box.shape) for box in imagery.reads) == [(PIXELS, PIXELS), (2 * PIXELS, PIXELS)]
    for rgb, row, col in zip(got.rgb, [2, 3, 60], [5, 5, 80], strict=True):
        alone = Ground().read(lattice.pixel_box(slice(row, row + 1), slice(col, col + 1))).values
        np.testing.assert_array_equal(rgb, alone[..., :3])


def test_another_writer_is_refused(tmp_path):
    out = tmp_path / "a.zarr"
    with writer_lock(out), pytest.raises(JobError, match="is being written by process"):
        run(out)
