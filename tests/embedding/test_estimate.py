"""Estimates made before a run are what the run then does."""

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from small_model import PIXELS, Ground, grid, model

from sat2cap.atlas import create_or_resume, pending_chunks
from sat2cap.embedding import embed_atlas, plan_atlas
from sat2cap.embedding.estimate import count_remaining_work, measure_throughput
from sat2cap.model import image_embedder

SHAPE = (40, 50)


def ragged():
    mask = np.zeros(SHAPE, bool)
    mask[3:30, 10:45] = True
    mask[35, 2] = mask[38, 48] = True
    return mask


@pytest.mark.parametrize("cell_m", [480.0, 100.0])
@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_cells_pixels_and_bytes_are_those_of_the_run(tmp_path, cell_m, dtype):
    imagery = Ground()
    cells = GeoBox(SHAPE, Affine(cell_m, 0, 480_000, 0, -cell_m, 5_760_000), "EPSG:32631")
    spec = plan_atlas(cells, ragged(), imagery, model(), dtype=dtype)
    work = count_remaining_work(spec, pending_chunks(tmp_path / "a.zarr", spec))
    atlas = embed_atlas(spec, imagery, model(), tmp_path / "a.zarr")
    assert work.cells == ragged().sum() == (atlas.status == 1).sum()
    assert work.pixels == sum(box.shape[0] * box.shape[1] for box in imagery.reads)
    arrays = sum(path.stat().st_size for path in atlas.path.glob("*/c/**/*") if path.is_file())
    assert work.disk_bytes == pytest.approx(arrays, rel=0.001)


def test_only_pending_chunks_of_a_begun_run_are_counted(tmp_path):
    imagery = Ground()
    spec = plan_atlas(grid(*SHAPE), ragged(), imagery, model())
    writer = create_or_resume(tmp_path / "a.zarr", spec)
    chunk = writer.pending()[0]
    writer.write(chunk, np.ones((*chunk.shape, spec.dim), np.float32), np.ones(chunk.shape, np.uint8))
    pending = pending_chunks(tmp_path / "a.zarr", spec)
    assert (
        count_remaining_work(spec, pending).cells == ragged().sum() - ragged()[chunk.rows, chunk.cols].sum()
    )


@pytest.mark.parametrize("numbers_version", [1, 2])
def test_patches_are_counted_that_fill_up_the_last_batch(tmp_path, monkeypatch, numbers_version):
    computed = []
    checkpoint = model()
    embed = type(checkpoint).embed_overhead

    def count(self, rgb, **options):
        computed.append(len(rgb))
        return embed(self, rgb, **options)

    monkeypatch.setattr(type(checkpoint), "embed_overhead", count)
    spec = plan_atlas(grid(*SHAPE), ragged(), Ground(), checkpoint, numbers_version=numbers_version)
    work = count_remaining_work(spec, pending_chunks(tmp_path / "a.zarr", spec))
    embed_atlas(spec, Ground(), checkpoint, tmp_path / "a.zarr")
    assert work.patches == sum(computed)
    if numbers_version == 1:
        assert work.patches == work.cells
    else:
        assert work.patches > work.cells
        assert work.patches % 64 == 0


def test_a_faster_precision_is_compared_with_float32_on_real_patches(monkeypatch):
    """Measuring is the first to use it, and what it is shown decides whether the precision is refused."""
    seen_pixels = []

    def convert_tower(tower, precision, pixels, *, compiled):
        seen_pixels.append(pixels)
        return tower

    monkeypatch.setattr(image_embedder, "convert_tower", convert_tower)
    imagery, checkpoint = Ground(), model()
    spec = plan_atlas(grid(*SHAPE), ragged(), imagery, checkpoint, precision="bfloat16")
    measure_throughput(spec, pending_chunks("nowhere.zarr", spec), imagery, checkpoint)
    assert len(seen_pixels) == 1
    assert len(seen_pixels[0]) >= 8
    patches = seen_pixels[0].numpy()
    assert np.ptp(patches[:8], axis=0).max() > 0.1, "different places"
    assert all(np.ptp(patch) > 0 for patch in patches), "not blank"


def test_measuring_uses_cells_of_the_region_and_few_where_that_is_slow():
    spec = plan_atlas(grid(*SHAPE), ragged(), Ground(), model())
    chunks = pending_chunks("nowhere.zarr", spec)
    quick, slow = Ground(), Ground(pause_s=0.6)
    for imagery in (quick, slow):
        speed = measure_throughput(spec, chunks, imagery, model())
        assert speed.read_cells_per_s > 0
        assert speed.embed_cells_per_s > 0
        work = count_remaining_work(spec, chunks)
        network_s = work.patches / speed.embed_cells_per_s
        assert speed.seconds(work) == pytest.approx(max(work.cells / speed.read_cells_per_s, network_s))
        for box in imagery.reads:
            west, south, east, north = box.boundingbox.bbox
            assert 480_000 <= west < east <= 480_000 + 50 * 480
            assert 5_760_000 - 40 * 480 <= south < north <= 5_760_000
    pixels = [box.shape[0] * box.shape[1] for box in slow.reads]
    assert pixels[0] == PIXELS**2
    assert sum(pixels) <= 17 * PIXELS**2
    assert len(quick.reads) > len(slow.reads)
