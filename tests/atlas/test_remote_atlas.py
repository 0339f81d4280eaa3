"""An atlas in a bucket and on a web server reads as it does from its folder, or says why it cannot."""

import json
import pickle
from functools import partial

import numpy as np
import pytest
from file_server import RangeHandler, running
from s3_server import BUCKET, KEY_ID, SECRET, s3_server
from small_atlas import build

from sat2cap.atlas import open_atlas, repair_atlas, verify_atlas, writer_lock
from sat2cap.errors import AtlasError, StoreError

ADDRESS = f"s3://{BUCKET}/maps/small.zarr"
EVERYWHERE = slice(None), slice(None)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    return build(tmp_path_factory.mktemp("local") / "small.zarr")


@pytest.fixture(scope="module")
def bucket(local):
    with s3_server() as server:
        server.upload(local.path, ADDRESS)
        yield server


@pytest.fixture(scope="module")
def web(local):
    with running(partial(RangeHandler, directory=local.path.parent)) as server:
        server.sent = 0
        yield f"http://127.0.0.1:{server.server_port}/small.zarr"


@pytest.fixture(params=["bucket", "web"])
def address(request):
    value = request.getfixturevalue(request.param)
    return ADDRESS if request.param == "bucket" else value


def test_it_reads_as_from_its_folder(address, local):
    remote = open_atlas(address)
    np.testing.assert_array_equal(remote.read(*EVERYWHERE), local.read(*EVERYWHERE))
    np.testing.assert_array_equal(remote.status, local.status)
    np.testing.assert_array_equal(remote.wanted, local.wanted)
    assert remote.complete
    assert (remote.fingerprint, remote.identity) == (local.fingerprint, local.identity)
    assert verify_atlas(remote) == []
    again = pickle.loads(pickle.dumps(remote))
    np.testing.assert_array_equal(again.read(*EVERYWHERE), local.read(*EVERYWHERE))


def test_a_chunk_that_arrives_with_other_bytes_is_one_clean_line(bucket, tmp_path):
    """The copy in the bucket has one flipped bit, which neither its size nor the transfer tells."""
    copy = build(tmp_path / "flipped.zarr")
    chunks = sorted(file for file in (copy.path / "embeddings" / "c").rglob("*") if file.is_file())
    data = bytearray(chunks[0].read_bytes())
    data[5] ^= 1
    chunks[0].write_bytes(bytes(data))
    bucket.upload(copy.path, f"s3://{BUCKET}/maps/flipped.zarr")
    with pytest.raises(
        AtlasError,
        match=f"does not match its checksum; run: sat2cap atlas repair s3://{BUCKET}/maps/flipped.zarr",
    ):
        open_atlas(f"s3://{BUCKET}/maps/flipped.zarr").read(*EVERYWHERE)


def test_what_needs_a_folder_says_so(address):
    remote = open_atlas(address)
    with pytest.raises(AtlasError, match="not in a folder of this machine; copy it here first"):
        remote.path  # noqa: B018


def test_nothing_is_written_to_a_web_server(web, local):
    for place in (web, web.replace("small", "new")):
        with pytest.raises(StoreError, match="is a web server, which is only read"), writer_lock(place):
            pass


def test_only_the_chunks_of_a_block_are_fetched(bucket):
    remote = open_atlas(ADDRESS)
    bucket.forget()
    remote.read(slice(0, 4), slice(0, 4))
    assert {path.partition("small.zarr/")[2] for _, path in bucket.requests} == {
        "_sat2cap/journal.jsonl",
        "zarr.json",
        "embeddings/c/0/0/0/0",
        "scale/c/0/0/0",
    }


def test_a_chunk_that_is_no_file_costs_no_request(bucket):
    remote = open_atlas(ADDRESS)
    bucket.forget()
    assert np.isnan(remote.read(slice(4, 8), slice(4, 7))).all()
    assert [path for _, path in bucket.requests if "/c/" in path] == []


def test_damage_is_noticed(bucket, local, tmp_path):
    address = f"s3://{BUCKET}/damaged.zarr"
    bucket.upload(local.path, address)
    chunk = f"/{BUCKET}/damaged.zarr/embeddings/c/0/0/0/0"
    bucket.request("PUT", chunk, b"short")
    with pytest.raises(AtlasError, match="is not 80 bytes long; run: sat2cap atlas repair s3://"):
        open_atlas(address).read(slice(0, 1), slice(0, 1))
    bucket.request("DELETE", chunk)
    remote = open_atlas(address)
    with pytest.raises(AtlasError, match="embeddings/c/0/0/0/0 is missing"):
        remote.read(slice(0, 1), slice(0, 1))
    assert [problem.file for problem in verify_atlas(remote)] == ["embeddings/c/0/0/0/0"]
    assert [chunk.index for chunk in repair_atlas(remote)] == [(0, 0)]
    assert not open_atlas(address).complete
    assert np.isnan(open_atlas(address).read(slice(0, 1), slice(0, 1))).all()


def test_what_is_no_atlas_is_refused(bucket, web):
    for address in (f"s3://{BUCKET}/nothing.zarr", f"{web}/nothing"):
        with pytest.raises(AtlasError, match="is not an atlas; check the address"):
            open_atlas(address)
    bucket.request("PUT", f"/{BUCKET}/html.zarr/_sat2cap/plan.json", b"<html>not here</html>")
    with pytest.raises(AtlasError, match="its plan cannot be read"):
        open_atlas(f"s3://{BUCKET}/html.zarr")


def test_a_bucket_that_refuses_is_named_without_credentials(bucket):
    bucket.faults = lambda method, path: 403
    try:
        with pytest.raises(StoreError, match="refuses access") as caught:
            open_atlas(ADDRESS)
    finally:
        bucket.faults = lambda method, path: None
    assert SECRET not in str(caught.value)
    assert KEY_ID not in str(caught.value)


def test_a_signed_address_keeps_its_signature_to_itself(web, local):
    remote = open_atlas(f"{web}?sig=0123456789abcdef")
    np.testing.assert_array_equal(remote.read(*EVERYWHERE), local.read(*EVERYWHERE))
    assert "0123456789abcdef" not in remote.name
    with pytest.raises(AtlasError) as caught:
        open_atlas(f"{web}/nothing?sig=0123456789abcdef")
    assert "0123456789abcdef" not in str(caught.value)


def test_an_unfinished_atlas_is_read_as_far_as_it_is(bucket, local):
    address = f"s3://{BUCKET}/unfinished.zarr"
    bucket.upload(local.path, address)
    journal = (local.path / "_sat2cap/journal.jsonl").read_bytes().splitlines(keepends=True)
    bucket.request("DELETE", f"/{BUCKET}/unfinished.zarr/zarr.json")
    bucket.request("PUT", f"/{BUCKET}/unfinished.zarr/_sat2cap/journal.jsonl", journal[0])
    remote, (row, col) = open_atlas(address), json.loads(journal[0])["chunk"]
    assert not remote.complete
    status = remote.status
    side = local.spec.chunk
    block = slice(row * side, (row + 1) * side), slice(col * side, (col + 1) * side)
    np.testing.assert_array_equal(status[block], local.status[block])
    status[block] = 0
    assert not status.any()
