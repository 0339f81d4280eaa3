"""The prepared folder, windows, and what a scan keeps: the same scores as reading the whole atlas."""

import json
import re
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from affine import Affine
from made_model import atlas, embeddings, model
from odc.geo.geobox import GeoBox

from sat2cap.atlas import create_or_resume, open_atlas
from sat2cap.atlas.layout import JOURNAL, Chunk
from sat2cap.errors import AtlasError, RegionError
from sat2cap.geo.frame import grid_of
from sat2cap.geo.grid import cell_lonlat, cell_mask
from sat2cap.geo.region import parse_region
from sat2cap.geo.when import When
from sat2cap.query import Scan, embed_prompts, score_atlas
from sat2cap.query.engine.blocks import AtlasBlocks, place_features
from sat2cap.query.engine.cosine import Cosines, DateLengths, dynamic_offset_at
from sat2cap.query.engine.preparation import find_prepared_problem, prepare_atlas
from sat2cap.query.engine.prepared import open_prepared, prepared_state
from sat2cap.query.engine.prepared_blocks import PREPARED_FOLDER, PreparedBlocks, block_checksums

PROMPTS = ["busy street", "snow + the sea"]
MAY, NIGHT = When(2024, 5, 20, 8.0), When(2019, 12, 31, 23.5)


def make_atlas(tmp_path, dtype="int8", height=70, width=75, checkpoint=None):
    checkpoint = checkpoint or model()
    holes = np.random.default_rng(2).random((height, width)) < 0.2
    holes[:32, 32:64] = True  # a whole chunk without an embedding has no file
    return atlas(
        tmp_path / f"{dtype}.zarr", embeddings(height, width, 64), checkpoint, holes, dtype
    ), checkpoint


@pytest.mark.parametrize("dtype", ["int8", "float16"])
@pytest.mark.parametrize("when", [None, MAY])
def test_a_prepared_atlas_scores_as_before(tmp_path, dtype, when):
    opened, checkpoint = make_atlas(tmp_path, dtype)
    before = score_atlas(opened, checkpoint, PROMPTS, when=when).values
    assert open_prepared(opened, "cyclic") is None
    prepare_atlas(opened, "cyclic")
    assert isinstance(open_prepared(opened, "cyclic"), PreparedBlocks)
    np.testing.assert_array_equal(score_atlas(opened, checkpoint, PROMPTS, when=when).values, before)


def test_the_prepared_folder_can_be_read_without_this_package(tmp_path):
    opened, _ = make_atlas(tmp_path)
    folder = prepare_atlas(opened, "cyclic")
    assert json.loads((folder / "manifest.json").read_text())["identity"] == opened.identity
    assert sorted(path.name for path in folder.iterdir()) == [
        "checksums.npy",
        "embeddings.npy",
        "inverse.npy",
        "manifest.json",
        "place.npy",
        "scale.npy",
    ]
    stored, scale, inverse, place = (
        np.load(folder / f"{name}.npy") for name in ("embeddings", "scale", "inverse", "place")
    )
    chunks = list(opened.chunks())
    raw, scales = opened.read_raw(chunks[0].rows, chunks[0].cols)
    np.testing.assert_array_equal(stored[0], raw.reshape(64, -1))
    np.testing.assert_array_equal(scale[0], scales.ravel())
    lengths = np.linalg.norm(stored.astype(np.float64), axis=1)
    is_embedded = np.isfinite(scale)
    np.testing.assert_allclose(inverse[is_embedded] * lengths[is_embedded], 1, rtol=1e-6)
    assert np.isnan(inverse[~is_embedded]).all()
    lon, lat = (axis.ravel() for axis in cell_lonlat(opened.grid[chunks[0].rows, chunks[0].cols]))
    np.testing.assert_array_equal(place[0].T, place_features(lon, lat, "cyclic"))


def overwrite_numbers(path, value=0):
    """Set all numbers of a `.npy` file, whose header stays as it is."""
    array = np.lib.format.open_memmap(path, mode="r+")
    array[...] = value
    array.flush()


@pytest.mark.parametrize(
    "what",
    ["journal", "version", "identity", "encoding", "cut", "longer", "rubbish", "zip", "missing", "shape"],
)
def test_a_prepared_folder_of_something_else_is_never_used(tmp_path, what):
    opened, checkpoint = make_atlas(tmp_path)
    before = score_atlas(opened, checkpoint, PROMPTS, when=MAY).values
    folder = prepare_atlas(opened, "cyclic")
    embeddings_file, manifest = folder / "embeddings.npy", folder / "manifest.json"
    overwrite_numbers(embeddings_file)  # gives other scores if it is used
    np.save(folder / "checksums.npy", block_checksums(open_prepared(opened, "cyclic").arrays))
    assert not np.array_equal(
        score_atlas(opened, checkpoint, PROMPTS, when=MAY).values, before, equal_nan=True
    )
    zeros = embeddings_file.read_bytes()
    if what == "journal":  # a chunk was computed again
        with (opened.path / JOURNAL).open("a") as file:
            file.write(json.dumps({"chunk": [9, 9], "files": {}}) + "\n")
    elif what == "missing":
        embeddings_file.unlink()
    elif what == "shape":
        np.save(embeddings_file, np.load(embeddings_file).swapaxes(0, 1))
    elif what in ("cut", "longer", "rubbish", "zip"):
        damaged = {
            "cut": zeros[:-1],
            "longer": zeros + b"x",
            "rubbish": b"no header" * 1000,
            "zip": b"PK\x03\x04",
        }
        embeddings_file.write_bytes(damaged[what])
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {what: "99"}))
    assert prepared_state(opened, "cyclic") == "stale"
    np.testing.assert_array_equal(score_atlas(opened, checkpoint, PROMPTS, when=MAY).values, before)
    prepare_atlas(opened, "cyclic")
    assert prepared_state(opened, "cyclic") == "yes"
    np.testing.assert_array_equal(score_atlas(opened, checkpoint, PROMPTS, when=MAY).values, before)


def test_the_file_of_format_version_1_is_warned_of_and_replaced(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    before = score_atlas(opened, checkpoint, PROMPTS).values
    assert prepared_state(opened) == "no"
    old = opened.path / "_sat2cap/scan.safetensors"
    old.write_bytes(bytes(5000))
    assert prepared_state(opened) == "stale"
    assert find_prepared_problem(opened) is None
    with pytest.warns(
        UserWarning, match=r"scan.safetensors is of an older version .*: sat2cap atlas prepare"
    ):
        np.testing.assert_array_equal(score_atlas(opened, checkpoint, PROMPTS).values, before)
    prepare_atlas(opened, "cyclic")
    assert not old.exists()
    assert prepared_state(opened) == "yes"
    old.write_bytes(bytes(5000))  # an older version of the package prepared it again
    assert isinstance(open_prepared(opened, "cyclic"), PreparedBlocks)
    prepare_atlas(opened, "cyclic")
    assert not old.exists()


def test_only_a_finished_atlas_is_prepared(tmp_path):
    opened, _ = make_atlas(tmp_path)
    (opened.path / "zarr.json").unlink()
    with pytest.raises(AtlasError, match="is not finished; the same embed command continues it"):
        prepare_atlas(opened, "cyclic")
    assert not (opened.path / PREPARED_FOLDER).exists()


def test_a_damaged_atlas_is_not_prepared(tmp_path):
    """Else its damage would stay in the copy when the chunks are mended, which gives the same journal."""
    opened, _ = make_atlas(tmp_path)
    chunk = sorted(path for path in opened.path.glob("embeddings/c/**/*") if path.is_file())[0]
    data = bytearray(chunk.read_bytes())
    data[7] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(AtlasError, match=r"damaged \(embeddings/c.*does not match.*atlas repair"):
        prepare_atlas(opened, "cyclic")
    assert not (opened.path / PREPARED_FOLDER).exists()


@pytest.mark.parametrize("array", ["embeddings", "scale", "inverse", "place"])
def test_damage_in_the_prepared_folder_is_found(tmp_path, array):
    opened, _ = make_atlas(tmp_path)
    assert find_prepared_problem(opened) is None
    path = prepare_atlas(opened, "cyclic") / f"{array}.npy"
    assert find_prepared_problem(opened) is None
    data = bytearray(path.read_bytes())
    data[np.load(path, mmap_mode="r").offset + 3] ^= 64
    path.write_bytes(data)
    assert prepared_state(opened, "cyclic") == "yes"
    assert "is not what the chunks make" in find_prepared_problem(opened)


def test_a_chunk_that_is_gone_is_not_taken_for_an_empty_one(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    assert np.isnan(score_atlas(opened, checkpoint, PROMPTS).values[0, :32, 32:64]).all(), (
        "an empty one has no file"
    )
    sorted(path for path in opened.path.glob("embeddings/c/**/*") if path.is_file())[-1].unlink()
    with pytest.raises(AtlasError, match=r"embeddings/c/.* is missing; run: sat2cap atlas repair"):
        score_atlas(open_atlas(opened.path), checkpoint, PROMPTS)


def test_a_full_disk_leaves_no_prepared_folder(tmp_path):
    """A limit on the size of files stands in for the disk's end: the same call fails."""
    opened, _ = make_atlas(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            prepare_atlas(opened, "cyclic")
        assert error.value.filename == str(opened.path / PREPARED_FOLDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [
        file.name for file in (opened.path / PREPARED_FOLDER).parent.iterdir() if "scan" in file.name
    ] == []


def test_finishing_an_atlas_removes_what_a_killed_preparation_left(tmp_path):
    opened, _ = make_atlas(tmp_path)
    leftover = opened.path / "_sat2cap/.scan.killed"
    leftover.mkdir()
    (leftover / "embeddings.npy").write_bytes(b"half")
    (opened.path / "zarr.json").unlink()  # a complete atlas has nothing to finish
    create_or_resume(opened.path, opened.spec).finish()
    assert not leftover.exists()


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("when", [None, MAY])
def test_a_window_is_the_part_of_the_whole(tmp_path, monkeypatch, prepared, when):
    opened, checkpoint = make_atlas(tmp_path)
    if prepared:
        prepare_atlas(opened, "cyclic")
    lon, lat = cell_lonlat(opened.grid)
    region = parse_region(f"{lon[40, 36]:.6f},{lat[40, 36]:.6f},4km")
    mask = cell_mask(opened.grid, region) & opened.wanted
    everything = score_atlas(opened, checkpoint, PROMPTS, when=when)
    read = []
    for source in (AtlasBlocks, PreparedBlocks):
        real = source.read
        monkeypatch.setattr(
            source,
            "read",
            lambda self, a, b, *loops, real=real: read.append((a, b)) or real(self, a, b, *loops),
        )
    part = score_atlas(opened, checkpoint, PROMPTS, when=when, region=region)
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    block = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
    expected = np.where(mask[block], everything.values[:, block[0], block[1]], np.nan)
    np.testing.assert_array_equal(part.values, expected)
    assert np.isfinite(part.values).sum() > 100
    assert grid_of(part) == opened.grid[block]
    touched = sum(mask[chunk.rows, chunk.cols].any() for chunk in opened.chunks())
    assert sum(b - a for a, b in read) == touched < len(list(opened.chunks()))


def test_percentiles_are_those_within_the_region(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    lon, lat = cell_lonlat(opened.grid)
    region = parse_region(f"{lon[40, 10]:.6f},{lat[40, 10]:.6f},3km")
    scores = score_atlas(opened, checkpoint, ["p"], scale="percentile", region=region).values
    assert (np.nanmin(scores), np.nanmax(scores)) == (0, 100)


def test_a_region_that_misses_is_refused(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    with pytest.raises(RegionError, match=r"covers no cell of atlas .*; give one within \d") as error:
        score_atlas(opened, checkpoint, ["p"], region=parse_region("100,10,5km"))
    assert "\n" not in str(error.value)


def test_a_scan_remembers_a_date_and_is_not_mistaken_by_it(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    scan = Scan(opened, "cyclic")
    lon, lat = cell_lonlat(opened.grid)
    corner = parse_region(f"{lon[5, 5]:.6f},{lat[5, 5]:.6f},1km")
    score_atlas(scan, checkpoint, ["q"], when=MAY, region=corner)  # knows of part of the atlas only
    assert 0 < scan.date_lengths(MAY).is_computed.sum() < len(list(opened.chunks()))
    for when in (MAY, NIGHT, MAY):
        for prompts in (["p"], PROMPTS):
            expected = score_atlas(opened, checkpoint, prompts, when=when).values
            np.testing.assert_array_equal(score_atlas(scan, checkpoint, prompts, when=when).values, expected)
    assert scan.date_lengths(MAY).is_computed.all()


def test_threads_that_ask_for_one_new_date_at_once_do_not_spoil_its_lengths(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    offset = dynamic_offset_at(checkpoint, MAY)
    cosines = Cosines(embed_prompts(checkpoint, ["p"]), offset)
    blocks = AtlasBlocks(opened, "cyclic")
    cells = blocks.read(0, len(blocks.chunks))
    expected = cosines(cells)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(400):
            lengths, start = DateLengths.empty(cells.scale.shape), Barrier(4)

            def ask(lengths=lengths, start=start):
                start.wait()
                return cosines(cells, lengths)

            for answer in [pool.submit(ask) for _ in range(4)]:
                np.testing.assert_array_equal(answer.result(), expected)


def test_a_scan_forgets_the_oldest_date_when_memory_is_short(tmp_path, monkeypatch):
    opened, checkpoint = make_atlas(tmp_path)
    blocks = len(list(opened.chunks()))
    monkeypatch.setattr("sat2cap.query.engine.scan.DATE_LENGTHS_BYTES", 2 * 4 * blocks * 1024)
    scan = Scan(opened, "cyclic")
    for when in (MAY, NIGHT, MAY, When(2020, 1, 1, 0.0)):
        score_atlas(scan, checkpoint, ["p"], when=when)
    assert scan.date_lengths(MAY).is_computed.all()
    assert not scan.date_lengths(NIGHT).is_computed.any()
    monkeypatch.setattr("sat2cap.query.engine.scan.DATE_LENGTHS_BYTES", 100)
    assert Scan(opened, "cyclic").date_lengths(MAY) is None


def test_where_places_lie_is_found_for_the_blocks_that_are_asked_for(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    prepare_atlas(opened, "cyclic")
    cells, scan = open_prepared(opened, "cyclic"), Scan(opened, "cyclic")
    for start, stop in ((2, 4), (0, 3), (0, len(cells.chunks))):
        part = cells.read(start, stop)
        for ranges, place in zip(part.place_ranges(), (part.place.min(2), part.place.max(2)), strict=True):
            np.testing.assert_array_equal(ranges, place)
    lon, lat = (axis[:20, :20] for axis in cell_lonlat(opened.grid))
    corner = parse_region(f"{lon.min()},{lat.min()},{lon.max()},{lat.max()}")
    score_atlas(scan, checkpoint, PROMPTS, when=NIGHT, region=corner)
    fresh = score_atlas(opened, checkpoint, PROMPTS, when=MAY)
    np.testing.assert_array_equal(score_atlas(scan, checkpoint, PROMPTS, when=MAY), fresh)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
@pytest.mark.parametrize("encoding", ["cyclic", "reference", "sphere"])
def test_hidden_numbers_that_change_sign_within_a_block_are_exact_too(tmp_path, dtype, encoding):
    """Cells so large that the atlas spans a continent: many hidden numbers are mixed in every block."""
    checkpoint = model(encoding=encoding)
    large = GeoBox((64, 64), Affine(60_000, 0, -1_500_000, 0, -60_000, 7_000_000), "EPSG:32631")
    holes = np.random.default_rng(2).random((64, 64)) < 0.2
    opened = atlas(tmp_path / "a.zarr", embeddings(64, 64, 64), checkpoint, holes, dtype, large)
    offset = dynamic_offset_at(checkpoint, MAY)
    cells = AtlasBlocks(opened, encoding).read(0, 3)
    mixed = (offset.hidden_states(*cells.place_ranges()) == 2).sum(axis=1)
    assert mixed.min() >= 1
    texts = checkpoint.embed_text(["p", "q", "r"])
    cosines = Cosines(texts, offset)(cells)
    for number, chunk in enumerate(cells.chunks):
        values = opened.read(chunk.rows, chunk.cols).reshape(-1, 64).astype(np.float64)
        moved = values + offset.vectors(cells.place[number].T)
        expected = texts @ (moved / np.linalg.norm(moved, axis=1, keepdims=True)).T
        np.testing.assert_allclose(cosines[:, number], expected, atol=3e-6)
        assert (np.isnan(cosines[:, number]) == np.isnan(expected)).all()


@pytest.mark.parametrize("when", [None, MAY])
@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_ranks_are_those_of_float64_brute_force(tmp_path, dtype, when):
    """On embeddings that are alike, as real ones are: a common part as long as what differs."""
    stats = pytest.importorskip("scipy.stats")
    checkpoint = model(512)
    values = embeddings(40, 45, 512) + 4 * embeddings(1, 1, 512, seed=9)
    opened = atlas(tmp_path / "a.zarr", values, checkpoint, np.zeros((40, 45), bool), dtype)
    scores = score_atlas(opened, checkpoint, ["p"], when=when).values[0][opened.wanted]
    lon, lat = cell_lonlat(opened.grid)

    def brute(stored):
        exact = stored.astype(np.float64)
        if when is not None:
            moment = (when.year, when.month, when.day, when.hour)
            exact += checkpoint.dynamic_offset(lat.ravel(), lon.ravel(), *moment).reshape(values.shape)
        exact /= np.linalg.norm(exact, axis=-1, keepdims=True)
        return (exact @ checkpoint.embed_text(["p"])[0].astype(np.float64))[opened.wanted]

    expected = brute(opened.read(slice(0, 40), slice(0, 45)))
    assert stats.spearmanr(scores, expected).statistic >= 0.999999
    assert np.abs(scores - expected).max() < 1e-6
    before = brute(values)  # what storing costs: nothing to speak of in float16, a little in int8
    assert stats.spearmanr(scores, before).statistic >= (0.998 if dtype == "int8" else 0.9999)


def test_a_cut_chunk_is_named(tmp_path):
    opened, checkpoint = make_atlas(tmp_path)
    file = opened.path / "embeddings/c/0/0/1/0"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AtlasError, match=r"embeddings/c/0/0/1/0 is not 65536 bytes long; run: .*repair"):
        score_atlas(open_atlas(opened.path), checkpoint, ["p"])
    assert isinstance(next(opened.chunks()), Chunk)


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_the_reader_on_the_page_reads_the_prepared_folder(tmp_path, monkeypatch, dtype):
    page = (Path(__file__).parents[2] / "docs/query.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    opened, checkpoint = make_atlas(tmp_path, dtype)
    prepare_atlas(opened, "cyclic")
    opened.path.rename(tmp_path / "town.zarr")
    monkeypatch.chdir(tmp_path)
    namespace = {"text": checkpoint.embed_text(["p"])[0]}
    exec(code, namespace)
    chunk = next(open_atlas("town.zarr").chunks())
    expected = score_atlas(open_atlas("town.zarr"), checkpoint, ["p"]).values[0][chunk.rows, chunk.cols]
    np.testing.assert_allclose(namespace["cosines"][0], expected.ravel(), atol=1e-6)
    assert np.isfinite(expected).sum() > 500
