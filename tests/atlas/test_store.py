"""What is written is what is read, by us and by Zarr, and nothing foreign is mixed in."""

import json
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
import rioxarray  # noqa: F401 - gives arrays their .rio
import xarray
import zarr
from made_up import fill_cells
from odc.geo.geobox import GeoBox
from small_atlas import DIM, SHAPE, build, cells, make_spec

from sat2cap.atlas import AtlasSpec, CellStatus, create_or_resume, open_atlas, pending_chunks, verify_atlas
from sat2cap.errors import AtlasError, JobError

EVERYTHING = (slice(None), slice(None))


def expected(spec):
    """Embeddings [y, x, D] before quantising, NaN where there is none, and status."""
    values = np.full((*SHAPE, DIM), np.nan, np.float32)
    status = np.zeros(SHAPE, np.uint8)
    for top in range(0, SHAPE[0], 4):
        for left in range(0, SHAPE[1], 4):
            block = slice(top, top + 4), slice(left, left + 4)
            inside = spec.wanted[block]
            chunk = type("Chunk", (), {"index": (top // 4, left // 4), "shape": inside.shape})
            embeddings, codes = cells(chunk)
            values[block] = np.where(inside[..., None], embeddings, np.nan)
            status[block] = np.where(inside, codes, 0)
    return values, status


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_what_is_written_is_read(tmp_path, dtype):
    spec = make_spec(dtype=dtype)
    atlas = build(tmp_path / "a.zarr", spec)
    values, status = expected(spec)
    got = atlas.read(*EVERYTHING)
    assert got.dtype == np.float32
    assert got.shape == (*SHAPE, DIM)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(values))
    largest = np.nanmax(np.abs(values), axis=-1, initial=0, keepdims=True)
    allowed = largest / 254 * 1.0001 if dtype == "int8" else largest * 2**-11
    assert (np.abs(got - values) <= allowed)[~np.isnan(values)].all()
    np.testing.assert_array_equal(atlas.status, status)
    assert set(np.unique(status)) == {0, 1, 2, 3}


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_any_block_reads_as_part_of_the_whole(tmp_path, dtype):
    atlas = build(tmp_path / "a.zarr", make_spec(dtype=dtype))
    whole = atlas.read(*EVERYTHING)
    for rows in (slice(0, 4), slice(1, 3), slice(3, 9), slice(8, 10), slice(5, 5), slice(-2, None)):
        for cols in (slice(0, 4), slice(4, 7), slice(2, 6), slice(6, 100)):
            np.testing.assert_array_equal(atlas.read(rows, cols), whole[rows, cols])
            raw, scale = atlas.read_raw(rows, cols)
            assert raw.dtype == dtype
            decoded = np.moveaxis(raw.astype(np.float32), 0, -1)
            decoded = decoded if scale is None else decoded * scale[..., None]
            np.testing.assert_array_equal(decoded, whole[rows, cols])
    with pytest.raises(AtlasError, match="without a step"):
        atlas.read(slice(0, 4, 2), slice(0, 4))


def test_chunks_cover_the_wanted_cells_once(atlas):
    count = np.zeros(SHAPE, int)
    for chunk in atlas.chunks():
        count[chunk.rows, chunk.cols] += 1
    assert (count[atlas.wanted] == 1).all()
    assert not count[4:8, 4:].any()


def test_zarr_and_xarray_read_the_same_without_a_warning(atlas):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ResourceWarning)  # of what other tests left open
        group = zarr.open_group(atlas.path, mode="r")
        data = xarray.open_zarr(atlas.path, decode_coords="all")
    values = np.moveaxis(group["embeddings"][0].astype(np.float32), 0, -1) * group["scale"][0][..., None]
    np.testing.assert_array_equal(values, atlas.read(*EVERYTHING))
    np.testing.assert_array_equal(data.status[0], atlas.status)
    np.testing.assert_array_equal(data.wanted, atlas.wanted)
    assert data.embeddings.dims == ("time", "embedding", "y", "x")
    assert data.rio.crs == "EPSG:32631"
    assert data.rio.transform() == atlas.grid.affine
    unconsolidated = zarr.open_array(atlas.path / "scale", mode="r")
    np.testing.assert_array_equal(unconsolidated[:], group["scale"][:])


def test_opening_gives_back_the_specification(atlas):
    again = pickle.loads(pickle.dumps(open_atlas(str(atlas.path))))
    spec = make_spec()
    assert again.grid == spec.grid
    assert again.identity == spec.identity == atlas.identity
    assert (again.dim, again.model, again.imagery) == (DIM, spec.model, spec.imagery)
    assert (again.attribution, again.licence) == ("A", "CC0")
    np.testing.assert_array_equal(again.wanted, spec.wanted)
    assert again.complete


def test_an_unfinished_atlas_opens_and_says_so(tmp_path):
    path = tmp_path / "a.zarr"
    writer = create_or_resume(path, make_spec())
    first, *pending = writer.pending()
    writer.write(first, *cells(first))
    atlas = open_atlas(path)
    assert not atlas.complete
    assert (atlas.status[first.rows, first.cols][make_spec().wanted[first.rows, first.cols]] > 0).all()
    assert np.isnan(atlas.read(pending[0].rows, pending[0].cols)).all()
    with pytest.raises(FileNotFoundError):
        zarr.open_group(path, mode="r")
    with pytest.raises(JobError, match=f"{len(pending)} chunks to compute"):
        writer.finish()
    assert build(path).complete


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"model": {"identity": "weights-2", "source": "", "card": {}}}, "model"),
        ({"imagery": {"identity": "pixels-2"}}, "imagery"),
        ({"grid": make_spec().grid.translate_pix(1, 0)}, "grid"),
        ({"wanted": np.ones(SHAPE, bool)}, "cells"),
        ({"dtype": "float16"}, "dtype"),
        ({"dim": 6}, "dim"),
        ({"patch_m": 500.0}, "patch_m"),
        ({"patch_pixels": 64}, "patch_pixels"),
        ({"chunk": 2}, "chunk"),
    ],
)
def test_another_identity_is_refused(atlas, changes, part):
    with pytest.raises(AtlasError, match=rf"it differs in {part}\)") as caught:
        create_or_resume(atlas.path, make_spec(**changes))
    assert "\n" not in str(caught.value)


def test_a_renamed_source_of_the_same_pixels_is_no_other_identity(atlas):
    spec = make_spec(imagery={**make_spec().imagery, "uri": "elsewhere.tif"})
    assert create_or_resume(atlas.path, spec).pending() == []


def replace_plan(atlas, text):
    """Make `text` the plan of an atlas that has neither a copy nor a hash of it."""
    for file in (atlas.path / "_sat2cap").glob("plan.*"):
        file.unlink()
    (atlas.path / "_sat2cap/plan.json").write_text(text)


def test_a_newer_format_is_refused(atlas):
    plan = json.loads((atlas.path / "_sat2cap/plan.json").read_text())
    replace_plan(atlas, json.dumps(plan | {"version": 99}))
    for action in (open_atlas, lambda path: create_or_resume(path, make_spec())):
        with pytest.raises(
            AtlasError, match="format version 99, this sat2cap reads up to 1; install a newer"
        ):
            action(atlas.path)


def test_what_is_no_atlas_is_refused(tmp_path, atlas):
    with pytest.raises(AtlasError, match="does not exist"):
        open_atlas(tmp_path / "none.zarr")
    with pytest.raises(AtlasError, match="is not an atlas"):
        open_atlas(tmp_path)
    for path in (tmp_path, atlas.path / "zarr.json"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(AtlasError, match="exists and is not an atlas"):
            create_or_resume(path, make_spec())
        assert sorted(tmp_path.rglob("*")) == before
    (atlas.path / "wanted/c/0/0").write_bytes(bytes(SHAPE[0] * SHAPE[1]))
    with pytest.raises(AtlasError, match="damaged"):
        open_atlas(atlas.path)
    replace_plan(atlas, "{")
    with pytest.raises(AtlasError, match="cannot be read"):
        open_atlas(atlas.path)


def test_a_file_cut_short_is_an_error_not_data(atlas):
    file = atlas.path / "embeddings/c/0/0/0/0"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AtlasError, match="is not 80 bytes long; run: sat2cap atlas repair"):
        atlas.read(slice(0, 1), slice(0, 1))


def test_impossible_specifications_are_refused():
    spec = make_spec()
    for changes, rule in [
        ({"wanted": np.ones((2, 2), bool)}, "mask of wanted cells"),
        ({"wanted": np.zeros(SHAPE, bool)}, "no cell is wanted"),
        ({"dtype": "float32"}, "int8 or float16"),
        ({"model": {"source": "x"}}, "the model has no identity"),
    ]:
        with pytest.raises(AtlasError, match=rule):
            replace(spec, **changes)


def test_numbers_that_are_not_finite_become_a_reason(tmp_path):
    for dtype, bad in [("int8", np.nan), ("int8", np.inf), ("float16", np.nan), ("float16", 1e6)]:
        path = tmp_path / f"{dtype}-{bad}.zarr"
        spec = AtlasSpec(
            GeoBox((1, 2), make_spec().grid.affine, "EPSG:32631"), np.ones((1, 2), bool), 3, dtype,
            {"identity": "m"}, {"identity": "i"}, 480.0, 224,
        )  # fmt: skip
        writer = create_or_resume(path, spec)
        (chunk,) = writer.pending()
        values = np.array([[[1, bad, 2], [1, -2, 0]]], np.float32)
        writer.write(chunk, values, np.ones((1, 2), np.uint8))
        atlas = writer.finish()
        assert list(atlas.status[0]) == [CellStatus.NOT_FINITE, CellStatus.OK]
        got = atlas.read(*EVERYTHING)[0]
        assert np.isnan(got[0]).all()
        np.testing.assert_allclose(got[1], [1, -2, 0], atol=2 / 254)


def test_a_cell_of_zeros_is_an_embedding_and_extremes_fit(tmp_path):
    spec = make_spec()
    writer = create_or_resume(tmp_path / "a.zarr", spec)
    chunk = writer.pending()[0]
    values = np.zeros((*chunk.shape, DIM), np.float32)
    values[1, 1] = [3e38, -3e38, 1, 0, 1.5e38]
    values[2, 2] = [1e-40, -1e-40, 0, 0, 0]  # so small that its scale would be no normal number
    writer.write(chunk, values, np.ones(chunk.shape, np.uint8))
    got = open_atlas(tmp_path / "a.zarr").read(chunk.rows, chunk.cols)
    assert (got[3, 3] == 0).all()
    np.testing.assert_allclose(got[1, 1], values[1, 1], atol=3e38 / 254)
    np.testing.assert_allclose(got[2, 2], values[2, 2], atol=1e-40)


def test_a_chunk_given_wrongly_is_refused_and_leaves_no_trace(tmp_path):
    writer = create_or_resume(tmp_path / "a.zarr", make_spec())
    chunk = writer.pending()[0]
    embeddings, status = cells(chunk)
    for wrong in [(embeddings[:-1], status), (embeddings, status[:-1]), (embeddings[..., :-1], status)]:
        with pytest.raises(JobError, match="it needs"):
            writer.write(chunk, *wrong)
    with pytest.raises(JobError, match="without a status"):
        writer.write(chunk, embeddings, np.zeros_like(status))
    assert chunk in writer.pending()


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_filling_replaces_the_cells_that_have_a_status_and_no_others(tmp_path, dtype):
    spec = make_spec(dtype=dtype)
    atlas = build(tmp_path / "a.zarr", spec)
    before, status = atlas.read(*EVERYTHING), atlas.status
    chunk = next(atlas.chunks())
    writer = create_or_resume(atlas.path, spec)
    filled = np.full(chunk.shape, CellStatus.NONE, np.uint8)
    filled[3, 0], filled[1, 1] = CellStatus.OK, CellStatus.IMAGERY_MISSING  # the first one had failed
    values = np.full((*chunk.shape, DIM), 2.5, np.float32)
    fill_cells(writer, chunk, values, filled)
    assert not open_atlas(atlas.path).complete
    after = writer.finish()
    assert verify_atlas(after) == []
    got, unchanged = after.read(*EVERYTHING), np.ones(SHAPE, bool)
    unchanged[3, 0] = unchanged[1, 1] = False
    np.testing.assert_array_equal(got[unchanged], before[unchanged])
    np.testing.assert_array_equal(after.status[unchanged], status[unchanged])
    assert status[3, 0] == CellStatus.IMAGERY_FAILED
    assert after.status[3, 0] == CellStatus.OK
    np.testing.assert_allclose(got[3, 0], 2.5, rtol=1e-6)
    assert np.isnan(got[1, 1]).all()
    assert after.status[1, 1] == CellStatus.IMAGERY_MISSING


def test_what_is_pending_can_be_asked_without_writing(tmp_path):
    path = tmp_path / "a.zarr"
    assert len(pending_chunks(path, make_spec())) == 5
    assert not path.exists()
    writer = create_or_resume(path, make_spec())
    writer.write(chunk := writer.pending()[0], *cells(chunk))
    assert chunk not in pending_chunks(path, make_spec())
    assert len(pending_chunks(path, make_spec())) == 4
    with pytest.raises(AtlasError, match="it differs in dtype"):
        pending_chunks(path, make_spec(dtype="float16"))
