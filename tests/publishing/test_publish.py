"""A published copy holds the atlas's numbers, is valid by the schemas, and other programs open it."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import rioxarray  # noqa: F401  (the .rio accessor)
import xarray
import zarr
import zarr_cm
from affine import Affine
from odc.geo.geobox import GeoBox
from stac_schemas import EMBEDDINGS, stac_problems

from sat2cap import publish
from sat2cap.atlas import AtlasSpec, CellStatus, create_or_resume, open_atlas
from sat2cap.errors import AtlasError
from sat2cap.publishing import publish_atlas, sharding

PAGE = Path(__file__).parents[2] / "docs" / "atlas.md"
SCHEMAS = Path(__file__).parent / "schemas"
ATLAS_SCHEMAS = Path(__file__).parents[1] / "atlas" / "schemas"
SIDE, CHUNK, DIM = (37, 70), 8, 24
DIRECTIONS = 6


def made_embeddings(rng, shape):
    """Embeddings that lie mostly in few directions, as those of real models do."""
    basis = np.random.default_rng(1).normal(size=(DIRECTIONS, DIM))
    strong = rng.normal(size=(*shape, DIRECTIONS)) @ basis
    return (3 + strong + 0.05 * rng.normal(size=(*shape, DIM))).astype(np.float32)


def build_atlas(path, dtype="int8", seed=0, **changes):
    wanted = np.ones(SIDE, bool)
    wanted[:10, :20] = False
    imagery = {"identity": f"pixels-{seed}", "uri": "town.tif", "attribution": "A", "licence": "CC0"}
    fields = {
        "grid": GeoBox(SIDE, Affine(100, 0, 624_000, 0, -100, 5_808_000), "EPSG:32631"),
        "wanted": wanted,
        "dim": DIM,
        "dtype": dtype,
        "model": {"identity": "w", "source": "https://example.org/model", "card": {"name": "small"}},
        "imagery": imagery,
        "patch_m": 200.0,
        "patch_pixels": 224,
        "chunk": CHUNK,
    }
    writer = create_or_resume(path, AtlasSpec(**fields | changes))
    rng = np.random.default_rng(seed)
    for chunk in writer.pending():
        embeddings = made_embeddings(rng, chunk.shape)
        status = np.full(chunk.shape, CellStatus.OK, np.uint8)
        status[0, 0] = CellStatus.IMAGERY_MISSING
        embeddings[status != CellStatus.OK] = np.nan
        writer.write(chunk, embeddings, status)
    return writer.finish()


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return build_atlas(tmp_path_factory.mktemp("atlas") / "town.zarr")


@pytest.fixture(scope="module")
def public(town, tmp_path_factory):
    return publish_atlas(
        town, tmp_path_factory.mktemp("public") / "dest", url="https://example.org/town/", depths=[6, 12]
    )


@pytest.mark.parametrize("dtype", ["int8", "float16"])
def test_every_number_of_the_copy_is_the_atlas_own(tmp_path, dtype):
    atlas = build_atlas(tmp_path / "a.zarr", dtype)
    group = zarr.open_group(publish_atlas(atlas, tmp_path / "out").store, mode="r")
    stored, scale = atlas.read_raw(slice(None), slice(None))
    np.testing.assert_array_equal(group["embeddings"][0], stored)
    if scale is not None:
        np.testing.assert_array_equal(group["scale"][0], scale)
    np.testing.assert_array_equal(group["status"][0], atlas.status)
    np.testing.assert_array_equal(group["wanted"][...], atlas.wanted)


def test_xarray_opens_it_with_coordinates_and_reference_system(public, town):
    opened = xarray.open_zarr(public.store, decode_coords="all", mask_and_scale=False)
    np.testing.assert_allclose(opened.x.values[[0, -1]], [624_050, 624_000 + 69.5 * 100])
    assert opened.rio.crs.to_epsg() == 32631
    values = opened.embeddings[0].astype("float32") * opened.scale[0]
    np.testing.assert_allclose(
        np.moveaxis(values.values, 0, -1), town.read(slice(None), slice(None)), rtol=1e-6
    )


def test_a_shard_holds_many_chunks_and_the_group_nothing_but_zarr(public):
    group = zarr.open_group(public.store, mode="r")
    assert group["embeddings"].chunks == (1, DIM, CHUNK, CHUNK)
    assert group["embeddings"].shards == (1, DIM, 16 * CHUNK, 16 * CHUNK)
    names = {file.name for file in public.store.rglob("*") if file.is_file() and "/c" not in str(file)}
    assert names == {"zarr.json"}
    assert "consolidated_metadata" in json.loads((public.store / "zarr.json").read_text())


def test_the_attributes_follow_the_conventions(public):
    node = json.loads((public.store / "zarr.json").read_text())
    attributes = node["attributes"]
    registered = {entry["name"]: entry for entry in attributes["zarr_conventions"]}
    assert registered["geoemb:"] == {"uuid": "61c12cc5-0e28-4056-999a-480cf3fb7e4c", "name": "geoemb:"}
    for convention in (zarr_cm.proj, zarr_cm.spatial, zarr_cm.stac):
        assert dict(convention.CMO) in attributes["zarr_conventions"]
    zarr_cm.validate_many(attributes, ["proj", "spatial"])
    schema = json.loads((ATLAS_SCHEMAS / "geoemb.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(node)
    transform, box = attributes["spatial:transform"], attributes["spatial:bbox"]
    assert (transform[2], transform[5]) == (box[0], box[3])  # the outer corner of the first cell
    assert attributes["stac:item"]["href"] == "https://example.org/town/town.json"
    members = node["consolidated_metadata"]["metadata"]
    for name in ("embeddings", "scale", "status", "embeddings_d6", "length", "wanted"):
        assert members[name]["attributes"]["spatial:dimensions"] == ["y", "x"]
    assert [entry["dimensions"] for entry in attributes["geoemb:depths"]] == [6, 12, DIM]


def test_the_item_and_the_collection_are_valid(public):
    item = json.loads((public.folder / "town.json").read_text())
    collection = json.loads((public.folder / "collection.json").read_text())
    assert stac_problems(item, EMBEDDINGS) == []
    assert stac_problems(collection, EMBEDDINGS) == []
    assert stac_problems(item, SCHEMAS / "stac-datacube.schema.json") == []
    assert stac_problems(item | {"stac_version": "9"}, EMBEDDINGS)
    asset = item["assets"]["embeddings"]
    assert asset["type"] == "application/vnd.zarr; version=3"
    assert (public.folder / asset["href"]).resolve() == public.store.resolve()
    store = next(link for link in item["links"] if link["rel"] == "store")
    assert (public.folder / store["href"]).is_dir()
    assert item["collection"] == collection["id"]


def test_every_file_has_its_checksum(public):
    lines = (public.folder / "town.sha256").read_text().splitlines()
    sums = {line.split("  ", 1)[1]: line.split("  ", 1)[0] for line in lines}
    files = {file for file in public.folder.rglob("*") if file.is_file()} - {public.folder / "town.sha256"}
    assert set(sums) == {file.relative_to(public.folder).as_posix() for file in files}
    for file, sha in sums.items():
        assert hashlib.sha256((public.folder / file).read_bytes()).hexdigest() == sha


def printed_best_cells():
    """The function that docs/atlas.md prints for short copies."""
    _, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    return names["best_cells"]


def test_a_short_copy_ranks_as_the_embeddings_do(public, town):
    group = zarr.open_group(public.store, mode="r")
    text = np.random.default_rng(5).normal(size=DIM).astype(np.float32)
    text /= np.linalg.norm(text)
    values = town.read(slice(None), slice(None))
    exact = values @ text / np.linalg.norm(values, axis=-1)
    rows, cols, cosines = printed_best_cells()(group, text, count=20, depth=12)
    best = np.argsort(-np.nan_to_num(exact, nan=-9).ravel())[:20]
    np.testing.assert_array_equal(np.ravel_multi_index((rows, cols), exact.shape), best)
    np.testing.assert_allclose(cosines, exact.ravel()[best], rtol=1e-5)
    short, long = group["embeddings_d6"][...], group["embeddings_d12"][...]
    np.testing.assert_array_equal(short, long[:, :6])


def test_publishing_again_changes_nothing_and_another_atlas_is_refused(public, town, tmp_path):
    before = {file: file.stat().st_mtime_ns for file in public.store.rglob("*") if file.is_file()}
    again = publish_atlas(town, public.folder, url="https://example.org/town", depths=[12, 6])
    assert before == {file: file.stat().st_mtime_ns for file in again.store.rglob("*") if file.is_file()}
    other = build_atlas(tmp_path / "town.zarr", seed=3)
    with pytest.raises(AtlasError, match="is not a copy of this atlas"):
        publish_atlas(other, public.folder)


def test_a_killed_run_is_continued_to_the_same_bytes(town, tmp_path, monkeypatch):
    """The second copy of cells is stopped by SIGKILL after the first shard; the same call finishes it."""
    code = (
        "import os, signal, sys\n"
        "from sat2cap import publish\n"
        "from sat2cap.publishing import sharding\n"
        "sharding.LARGEST_SIDE = 2\n"
        "def stop(stage, done, total):\n"
        "    if stage == 'publishing shards' and done == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "publish(sys.argv[1], sys.argv[2], depths=[6], progress=stop)\n"
    )
    run = [sys.executable, "-c", code, str(town.path), str(tmp_path / "out")]
    stopped = subprocess.run(run, timeout=120)
    assert stopped.returncode == -signal.SIGKILL
    assert not (tmp_path / "out" / "town.zarr").exists()
    monkeypatch.setattr(sharding, "LARGEST_SIDE", 2)
    for folder in ("out", "whole"):
        publish(town.path, tmp_path / folder, depths=[6])

    def contents(folder):
        return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_damaged_or_unfinished_atlas_is_not_copied(town, tmp_path):
    copy = tmp_path / "town.zarr"
    shutil.copytree(town.path, copy)
    chunk = next(iter((copy / "embeddings").rglob("c/0/0/2/*")))
    chunk.write_bytes(bytes([chunk.read_bytes()[0] ^ 1]) + chunk.read_bytes()[1:])
    with pytest.raises(AtlasError, match="is damaged"):
        publish(copy, tmp_path / "out")
    (copy / "zarr.json").unlink()
    with pytest.raises(AtlasError, match="is not finished"):
        publish(copy, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.zarr"))


@pytest.mark.parametrize("depth", [0, DIM, -1])
def test_a_depth_that_does_not_shorten_is_refused(town, tmp_path, depth):
    with pytest.raises(AtlasError, match=f"a depth of {depth} is not from 1 to {DIM - 1}"):
        publish_atlas(open_atlas(town.path), tmp_path / "out", depths=[depth])
