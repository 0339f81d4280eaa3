"""An atlas is written into a bucket as into a folder: the same bytes, whatever ends the writer, and when."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_up import fill_cells
from s3_server import BUCKET, KEY_ID, SECRET, ended_at_requests, s3_server
from small_atlas import build, cells, make_spec, tree

from sat2cap.atlas import (
    CellStatus,
    break_lock,
    create_or_resume,
    open_atlas,
    repair_atlas,
    stage_chunk,
    verify_atlas,
    writer_lock,
)
from sat2cap.atlas.lock import LOCK
from sat2cap.errors import AtlasError, InputError, JobError, StoreError
from sat2cap.stores import open_store
from sat2cap.stores.objects import ObjectStore

EVERYWHERE = slice(None), slice(None)


@pytest.fixture(scope="module")
def server():
    with s3_server() as running_server:
        yield running_server


@pytest.fixture(autouse=True)
def _no_faults(server):
    yield
    server.faults = lambda method, path: None


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The files of the atlas in a folder, and of its STAC item."""
    folder = tmp_path_factory.mktemp("folder")
    build(folder / "small.zarr")
    return tree(folder)


@pytest.fixture
def address(tmp_path):
    return f"s3://{BUCKET}/{tmp_path.name}/small.zarr"


def objects(address):
    """Every object beside and in an atlas, with its bytes."""
    store = open_store(address.rpartition("/")[0])
    return {key: store.get(key) for key, _ in store.list()}


def few_chunks():
    wanted = make_spec().wanted.copy()
    wanted[:, 4:] = wanted[8:] = False
    return make_spec(wanted=wanted)


def test_the_objects_are_the_files_of_the_folder(address, files, server):
    made = build(address)
    assert objects(address) == files
    assert made.complete
    assert verify_atlas(open_atlas(address)) == []
    server.forget()
    build(address)  # there is nothing to do
    assert {method for method, _ in server.requests} <= {"GET", "HEAD"}


def test_ended_at_any_request_it_resumes_to_the_same_objects(tmp_path, server):
    calm = build(tmp_path / "small.zarr", few_chunks())
    expected = tree(calm.path.parent)
    place = f"s3://{BUCKET}/{tmp_path.name}-{{}}/small.zarr"
    addresses = ended_at_requests(server, place, 9, lambda address: build(address, few_chunks()))
    for address in addresses:
        assert objects(address) == expected
    assert len(addresses) > 3


SLOW_WRITER = """
import sys, time
from sat2cap.atlas import create_or_resume, writer_lock
from small_atlas import cells, make_spec
with writer_lock(sys.argv[1]) as store:
    writer = create_or_resume(store, make_spec())
    for chunk in writer.pending():
        writer.write(chunk, *cells(chunk))
        print(chunk.index, flush=True)
        time.sleep(0.2)
"""


def test_a_killed_writer_of_this_machine_holds_nobody_up(address, files):
    command = [sys.executable, "-c", SLOW_WRITER, address]
    process = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["(0, 0)\n", "(0, 1)\n"]
    words = f"is being written by process {process.pid} on .* since 20"
    with pytest.raises(JobError, match=words), writer_lock(address):
        pass
    with pytest.raises(JobError, match="stop it first"):
        break_lock(address)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    unfinished = open_atlas(address)
    assert not unfinished.complete
    assert verify_atlas(unfinished) == []
    status = unfinished.status
    assert (status[:4][make_spec().wanted[:4]] > 0).all()
    with writer_lock(address) as store:
        assert len(create_or_resume(store, make_spec()).pending()) <= 3
        build(store)
    assert objects(address) == files


def test_a_lock_of_another_machine_is_released_by_hand(address, files):
    elsewhere = {
        "host": "node\x1b[7",
        "pid": 12,
        "since": "2026-01-01",
        "token": "t",
        "machine": "m",
        "started": "",
    }
    store = open_store(address)
    store.put(LOCK, json.dumps(elsewhere).encode())
    with pytest.raises(JobError) as caught, writer_lock(address):
        pass
    words = f"release its lock with: sat2cap atlas unlock {address}"
    assert words in str(caught.value)
    assert "process 12 on" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert "process 12 on" in (break_lock(address) or "")
    assert break_lock(address) is None
    with writer_lock(address) as store:
        build(store)
    assert objects(address) == files


@pytest.mark.parametrize("heeds_conditions", [True, False])
def test_whoever_is_quicker_gets_the_lock(address, monkeypatch, heeds_conditions):
    """Both find no lock; then the first puts its own, before the second does or, in some stores, over it."""
    real, first = (
        ObjectStore.put_if,
        b'{"host": "h", "pid": 1, "since": "", "token": "", "machine": "", "started": ""}',
    )

    def late(self, key, data, version):
        if heeds_conditions:
            self.put(key, first)
            real(self, key, data, version)
        else:
            self.put(key, data)
            self.put(key, first)

    monkeypatch.setattr(ObjectStore, "put_if", late)
    with pytest.raises(JobError, match="is being written by process 1 on"), writer_lock(address):
        pass
    assert open_store(address).get(LOCK) == first


def test_a_writer_that_was_unlocked_stops_at_its_next_chunk(address, files):
    with writer_lock(address) as store:
        writer = create_or_resume(store, make_spec())
        first, second, *_ = writer.pending()
        writer.write(first, *cells(first))
        open_store(address).delete(LOCK)
        with writer_lock(address) as other:
            store.refresh()  # or five seconds later
            with pytest.raises(JobError, match="was unlocked, and another process may be writing it"):
                writer.write(second, *cells(second))
            assert len(create_or_resume(other, make_spec()).pending()) == 4
            build(other)
    assert objects(address) == files


def test_a_chunk_that_two_workers_stage_is_what_the_receipt_says(address, files):
    with writer_lock(address) as store:
        writer = create_or_resume(store, make_spec())
        chunk = writer.pending()[0]
        embeddings, status = cells(chunk)
        receipt = stage_chunk(store, make_spec(), chunk, embeddings, status)
        stage_chunk(store, make_spec(), chunk, embeddings * 2, status)  # by one that was taken for dead
        writer.record(receipt)
        stage_chunk(store, make_spec(), chunk, embeddings * 3, status)
        build(store)
    assert objects(address) == files


@pytest.mark.parametrize(
    ("fault", "words"),
    [(403, "refuses access"), (500, "fails inside"), (503, "too busy"), (404, "has no such bucket")],
)
def test_a_put_that_fails_is_one_line_and_is_made_again(tmp_path, server, fault, words, files):
    store = ObjectStore(f"s3://{BUCKET}/{tmp_path.name}/small.zarr", timeout_s=0.4, retry_s=0.5)
    server.faults = lambda method, path: fault if method == "PUT" and "scale/c/0/2/0" in path else None
    with pytest.raises(StoreError, match=words) as caught, writer_lock(store):
        build(store)
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    server.faults = lambda method, path: None
    with writer_lock(store):
        build(store)
    assert objects(store.address) == files
    assert not any(
        secret.encode() in data for data in objects(store.address).values() for secret in (SECRET, KEY_ID)
    )


def test_damage_is_repaired_and_failed_cells_are_filled_in_the_bucket(address, files, server):
    opened = build(address)
    before = opened.read(*EVERYWHERE)
    key = f"/{BUCKET}/{address.partition(f'{BUCKET}/')[2]}"
    server.request("PUT", f"{key}/scale/c/0/0/0", b"short")
    server.request("DELETE", f"{key}/_sat2cap/plan.copy.json")
    with writer_lock(address) as store:
        assert [chunk.index for chunk in repair_atlas(open_atlas(store))] == [(0, 0)]
        writer = create_or_resume(store, make_spec())
        (chunk,) = writer.pending()
        writer.write(chunk, *cells(chunk))
        writer.finish()
    assert objects(address) == files
    status = np.where(opened.status == CellStatus.IMAGERY_FAILED, CellStatus.OK, CellStatus.NONE)
    with writer_lock(address) as store:
        writer = create_or_resume(store, make_spec())
        status = status[chunk.rows, chunk.cols].astype(np.uint8)
        fill_cells(writer, chunk, np.ones((*chunk.shape, 5), np.float32), status)
        writer.finish()
    # one that was open all the time reads the new cells and no others
    opened.store.refresh()
    after = opened.read(*EVERYWHERE)
    changed = np.zeros(before.shape[:2], bool)
    changed[chunk.rows, chunk.cols] = status == CellStatus.OK
    assert changed.any()
    np.testing.assert_allclose(after[changed], 1, rtol=0.01)
    np.testing.assert_array_equal(after[~changed], before[~changed])


def test_an_open_atlas_takes_up_what_another_writer_adds(address):
    writer = create_or_resume(address, make_spec())
    first, *rest = writer.pending()
    writer.write(first, *cells(first))
    opened = open_atlas(address)
    assert not (opened.status[4:] > 0).any()
    for chunk in rest:
        writer.write(chunk, *cells(chunk))
    writer.finish()
    opened.store.refresh()  # or five seconds later
    np.testing.assert_array_equal(opened.status, open_atlas(address).status)
    assert opened.complete


def test_many_chunks_fill_several_segments_of_the_journal(address, files, monkeypatch):
    monkeypatch.setattr("sat2cap.stores.object_writer.SEGMENT_BYTES", 900)
    writer = create_or_resume(address, make_spec())
    for chunk in writer.pending():
        writer.write(chunk, *cells(chunk))
    segments = [key for key, _ in writer.store.list("_sat2cap/journal.jsonl.new")]
    assert 2 <= len(segments) < 5
    again = create_or_resume(address, make_spec())
    assert again.pending() == []
    again.finish()
    assert objects(address) == files


def test_where_no_atlas_can_be_is_refused_before_any_object_is_put(address, server):
    open_store(address).put("own.txt", b"")
    server.forget()
    for place, kind, words in (
        (address, AtlasError, "exists and is not an atlas"),
        (f"s3://{BUCKET}", (AtlasError, InputError), "exists and is not an atlas|is all of a bucket"),
        ("s3://no-such-bucket/x.zarr", StoreError, "no such bucket"),
    ):
        with pytest.raises(kind, match=words), writer_lock(place):
            pass
    assert {method for method, _ in server.requests} <= {"GET", "HEAD"}
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == SECRET
