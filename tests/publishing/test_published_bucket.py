"""Publishing into a bucket and from one gives the files of a folder; Zarr opens them where they are."""

import json

import numpy as np
import pytest
import zarr
from affine import Affine
from obstore.store import from_url
from odc.geo.geobox import GeoBox
from s3_server import BUCKET, KEY_ID, SECRET, s3_server
from test_publish import SIDE, build_atlas
from zarr.storage import ObjectStore

from sat2cap import publish
from sat2cap.atlas import open_atlas, write_wide_manifest
from sat2cap.errors import AtlasError, JobError, StoreError
from sat2cap.geo import parse_utm_zone
from sat2cap.publishing import publish_atlas
from sat2cap.stores import open_store

DEPTHS = [6, 12]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    return build_atlas(tmp_path_factory.mktemp("atlas") / "town.zarr")


@pytest.fixture(scope="module")
def files(town, tmp_path_factory):
    """The files that publishing into a folder makes."""
    folder = tmp_path_factory.mktemp("public") / "dest"
    publish(town.path, folder, depths=DEPTHS)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def server(town):
    with s3_server() as running_server:
        running_server.upload(town.path, f"s3://{BUCKET}/atlases/town.zarr")
        yield running_server


@pytest.fixture(autouse=True)
def _no_faults(server):
    yield
    server.faults = lambda method, path: None


def objects(address):
    store = open_store(address)
    return {key: store.get(key) for key, _ in store.list()}


def test_from_a_bucket_into_a_bucket_the_objects_are_the_files(server, files, town):
    address = f"s3://{BUCKET}/public/a"
    made = publish(f"s3://{BUCKET}/atlases/town.zarr", address, depths=DEPTHS)
    assert objects(address) == files
    assert (made.folder, made.store) == (address, f"{address}/town.zarr")
    assert (made.files, made.size_bytes) == (
        len(files),
        sum(map(len, files.values())) - len(files["town.sha256"]),
    )
    server.forget()
    publish(town.path, address, depths=DEPTHS)  # nothing but catalogue and checksums is written again
    assert {
        path
        for method, path in server.requests
        if method != "GET" and "town.zarr/" in path and method != "HEAD"
    } == set()
    store = from_url(f"{address}/town.zarr", client_options={"allow_http": True})
    group = zarr.open_group(ObjectStore(store, read_only=True), mode="r")
    stored, scale = town.read_raw(slice(None), slice(None))
    np.testing.assert_array_equal(group["embeddings"][0], stored)
    np.testing.assert_array_equal(group["scale"][0], scale)
    server.forget()
    np.testing.assert_array_equal(group["status"][0, 30:, 60:], town.status[30:, 60:])
    assert np.isfinite(group["scale_rotated"][0]).any()
    assert not any(secret.encode() in data for data in files.values() for secret in (SECRET, KEY_ID))


def test_ended_while_it_is_put_in_place_it_is_continued(server, files, town):
    """Of the copies that the server makes, the third is refused: a reader finds no group yet."""
    address, copies = f"s3://{BUCKET}/public/b", []

    def refuse(method, path):
        if method == "PUT" and "/public/b/town.zarr/" in path:
            copies.append(path)
        return 403 if len(copies) > 2 else None

    server.faults = refuse
    with pytest.raises(StoreError, match="refuses access") as caught:
        publish_atlas(town, address, depths=DEPTHS)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    server.faults = lambda method, path: None
    assert open_store(f"{address}/town.zarr").stamp("zarr.json") is None
    publish_atlas(town, address, depths=DEPTHS)
    assert objects(address) == files


def test_what_is_there_is_neither_overwritten_nor_written_by_two(server, town, tmp_path):
    address = f"s3://{BUCKET}/public/c"
    open_store(f"{address}/town.zarr").put("zarr.json", b"{}")
    with pytest.raises(AtlasError, match="exists and is not a copy of this atlas"):
        publish_atlas(town, address)
    open_store(address).put(".publish.lock", json.dumps({"host": "h"}).encode())
    with pytest.raises(JobError, match=f"release its lock with: sat2cap atlas unlock {address}"):
        publish_atlas(town, address)
    with pytest.raises(StoreError, match="no such bucket"):
        publish(town.path, "s3://no-such-bucket/x")
    with pytest.raises(StoreError, match="is a web server, which is only read"):
        publish(town.path, "https://127.0.0.1:9/x")
    assert open_atlas(town.path).complete


def test_several_zones_go_into_a_bucket_and_are_opened_there_as_one(server, tmp_path):
    second = GeoBox(SIDE, Affine(100, 0, 270_000, 0, -100, 5_808_000), "EPSG:32632")
    folder = tmp_path / "w.zarr"
    made = [build_atlas(folder / "utm31n"), build_atlas(folder / "utm32n", grid=second)]
    zones = [parse_utm_zone("utm31n"), parse_utm_zone("utm32n")]
    write_wide_manifest(folder, {zone: one.spec for zone, one in zip(zones, made, strict=True)})
    address, local = f"s3://{BUCKET}/public/wide", tmp_path / "public"
    published = publish(folder, address)
    publish(folder, local)
    before = objects(address)
    assert before == {
        path.relative_to(local).as_posix(): path.read_bytes() for path in local.rglob("*") if path.is_file()
    }
    opened = open_atlas(published.store)
    assert opened.identity == open_atlas(folder).identity
    for part, atlas in zip(opened.parts, made, strict=True):
        window = slice(8, 24), slice(40, 60)
        np.testing.assert_array_equal(part.atlas.read(*window), atlas.read(*window))
    publish(folder, address)
    assert objects(address) == before
    with pytest.raises(AtlasError, match="exists and is not a copy of this atlas"):
        publish(build_atlas(tmp_path / "one" / "w.zarr").path, address)
    root = json.loads(before["w.zarr/zarr.json"])
    root["attributes"]["sat2cap:utm_zones"]["utm32n"] = "other"
    open_store(published.store).put("zarr.json", json.dumps(root).encode())
    with pytest.raises(AtlasError, match=r"published copy .* is damaged; publish the atlas there again"):
        open_atlas(published.store)
