"""Stores against a folder, an S3 server and a web server: what they give, and how they fail."""

import hashlib
import os
import pickle
import time
from functools import partial

import obstore
import pytest
from file_server import RangeHandler, running
from s3_server import BUCKET, CUT, KEY_ID, SECRET, STALL, s3_server

from sat2cap.errors import InputError, StoreError
from sat2cap.stores import is_remote, open_store
from sat2cap.stores.cache import CachedStore
from sat2cap.stores.local import LocalStore
from sat2cap.stores.objects import ObjectStore
from sat2cap.stores.requests import RecentStamps


@pytest.fixture(scope="module")
def server():
    with s3_server() as running_server:
        yield running_server


@pytest.fixture(autouse=True)
def _no_faults(request):
    yield
    if "server" in request.fixturenames:
        request.getfixturevalue("server").faults = lambda method, path: None


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path, server):
    if request.param == "folder":
        return LocalStore(tmp_path / "x.zarr")
    return open_store(f"s3://{BUCKET}/{tmp_path.name}/x.zarr")


def test_what_is_put_is_got_listed_and_deleted(store):
    assert store.stamp("a/b.bin") is None
    with pytest.raises(FileNotFoundError):
        store.get("a/b.bin")
    data = bytes(range(200))
    store.put("a/b.bin", data)
    store.put("zarr.json", b"{}")
    assert store.get("a/b.bin") == data
    assert store.get_range("a/b.bin", 10, 20) == data[10:20]
    assert sorted(store.list()) == [("a/b.bin", 200), ("zarr.json", 2)]
    assert list(store.list("a")) == [("a/b.bin", 200)]
    out = bytearray(200)
    assert store.read_into("a/b.bin", memoryview(out)) == 200
    assert out == data
    assert store.read_into("a/b.bin", memoryview(bytearray(100))) != 100
    assert store.read_into("a/b.bin", memoryview(bytearray(300))) == 200
    store.delete("a/b.bin")
    store.delete("a/b.bin")
    with pytest.raises(FileNotFoundError):
        store.get("a/b.bin")
    assert store.stamp("a/b.bin") is None


def test_a_stamp_changes_with_the_object(store):
    store.put("x", b"1")
    before = store.stamp("x")
    assert before == store.stamp("x")
    store.put("x", b"22")
    assert store.stamp("x") != before


def test_a_range_beyond_the_end_is_an_error(store):
    store.put("x", bytes(10))
    with pytest.raises((EOFError, StoreError)):
        store.get_range("x", 5, 15)


def test_a_store_is_pickled_without_connections(store):
    store.put("x", b"1")
    assert pickle.loads(pickle.dumps(store)).get("x") == b"1"


def quick(server, name, timeout_s=30):
    return ObjectStore(f"s3://{BUCKET}/{name}", timeout_s=timeout_s, retry_s=0.5)


def test_an_answer_that_is_cut_short_once_is_asked_for_again(server):
    store = quick(server, "cut-once")
    store.put("x", bytes(range(256)))
    faults = iter([CUT])
    server.faults = lambda method, path: next(faults, None) if path.endswith("/x") else None
    assert store.get("x") == bytes(range(256))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (CUT, "in part"),
        (STALL, "did not answer in time"),
        (500, "fails inside"),
        (503, "too busy"),
        (403, "refuses access"),
        (401, "refuses access"),
    ],
)
def test_a_failure_is_one_line_of_its_kind_without_credentials(server, fault, words):
    store = quick(server, "failing", timeout_s=0.4 if fault is STALL else 30)
    store.put("x", bytes(300_000))
    server.faults = lambda method, path: fault if path.endswith("/x") else None
    with pytest.raises(StoreError) as caught:
        store.get("x")
    message = str(caught.value)
    assert words in message
    assert f"s3://{BUCKET}/failing" in message
    assert "\n" not in message
    assert SECRET not in message
    assert KEY_ID not in message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("status", "words"), [(403, "refuses access"), (500, "fails inside")])
def test_digits_of_an_address_are_no_status(server, status, words):
    """A key, a bucket or a port may hold the digits of another status."""
    store = quick(server, "tiles-503-429")
    store.put("x", b"x")
    server.faults = lambda method, path: status if path.endswith("/x") else None
    with pytest.raises(StoreError, match=words):
        store.get("x")


@pytest.mark.parametrize("size", [0, 3, 100])
def test_the_end_is_read_where_a_store_has_no_ranges_from_the_end(server, monkeypatch, size):
    """Azure has none: what obstore raises there is raised here."""
    get = obstore.get

    def refuse(client, key, *, options=None):
        if options is not None and "suffix" in str(options.get("range")):
            raise obstore.exceptions.NotSupportedError("Azure does not support suffix range requests")
        return get(client, key, options=options)

    monkeypatch.setattr(obstore, "get", refuse)
    store, data = quick(server, "ends"), bytes(range(size))
    store.put("x", data)
    assert store.get_end("x", 5) == data[-5:]
    with pytest.raises(FileNotFoundError):
        store.get_end("y", 5)


@pytest.mark.parametrize(
    ("address", "environment", "words"),
    [
        ("az://c/x", {}, r"'az://c/x' needs credentials; .* AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE"),
        ("gs://b/x", {"GOOGLE_SERVICE_ACCOUNT": "/no.json"}, "needs credentials; .* GOOGLE_SERVICE_ACCOUNT"),
        (
            "abfss://c@account.dfs.core.windows.net/x",
            {"AZURE_STORAGE_ACCOUNT_KEY": "no base 64!"},
            "'abfss://c@account.dfs.core.windows.net/x' ",
        ),
    ],
)
def test_stores_of_others_are_made_from_the_environment_and_say_what_is_missing(
    monkeypatch, address, environment, words
):
    for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StoreError, match=words) as caught:
        ObjectStore(address, timeout_s=0.5, retry_s=0.1).get("x")
    assert "\n" not in str(caught.value)
    assert not any(value in str(caught.value) for value in environment.values())


def test_a_missing_bucket_is_no_missing_object(server):
    store = open_store("s3://no-such-bucket/x.zarr")
    with pytest.raises(StoreError, match="no such bucket"):
        store.get("zarr.json")
    with pytest.raises(StoreError, match="no such bucket"):
        store.put("zarr.json", b"")


def test_a_server_that_is_not_there_is_named_as_such(server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreError, match="cannot be reached"):
        quick(server, "x").get("y")


def test_requests_wait_side_by_side_and_an_error_ends_them(server):
    store = open_store(f"s3://{BUCKET}/many")
    for number in range(24):
        store.put(str(number), bytes([number]))
    server.forget()
    server.faults = lambda method, path: time.sleep(0.1)
    got = {}
    store.map(lambda number: got.update({number: store.get(str(number))}), range(24))
    assert got == {number: bytes([number]) for number in range(24)}
    assert 4 <= server.side_by_side <= 16
    server.faults = lambda method, path: None
    with pytest.raises(FileNotFoundError):
        store.map(lambda number: store.get(f"no-{number}"), range(100))


def test_addresses():
    for address in ("s3://b/x", "GS://b/x", "az://c/x", "abfss://c@a.dfs.core.windows.net/x", "https://h/x"):
        assert is_remote(address), address
    for place in ("x.zarr", "/a/s3/x", "s3:x", "C://x", "file://x"):
        assert not is_remote(place), place
    for address, words in {
        f"s3://{KEY_ID}:{SECRET}@bucket/x": "credentials are read from the environment",
        f"s3://bucket/x?secret_access_key={SECRET}": "credentials are read from the environment",
        "s3:///x": "names no bucket",
    }.items():
        with pytest.raises(InputError, match=words) as caught:
            open_store(address)
        assert SECRET not in str(caught.value)


def test_an_object_of_known_hash_is_fetched_once(server, tmp_path, monkeypatch):
    monkeypatch.setenv("SAT2CAP_CACHE", str(tmp_path))
    store = open_store(f"s3://{BUCKET}/cached")
    assert isinstance(store, CachedStore)
    data = bytes(range(100))
    sha = hashlib.sha256(data).hexdigest()
    store.put("x", data)
    out = bytearray(100)
    for _ in range(2):
        assert store.read_into("x", memoryview(out), sha) == 100
        assert out == data
    server.forget()
    out[:] = bytes(100)
    assert pickle.loads(pickle.dumps(store)).read_into("x", memoryview(out), sha) == 100
    assert (out, server.requests) == (data, [])
    (entry,) = (path for path in tmp_path.rglob("*") if path.is_file())
    entry.write_bytes(bytes(100))  # damaged: found out, and fetched again
    assert store.read_into("x", memoryview(out), sha) == 100
    assert out == data
    assert entry.read_bytes() == data


def test_what_is_not_of_its_hash_or_of_no_hash_is_not_kept(server, tmp_path):
    store = CachedStore(ObjectStore(f"s3://{BUCKET}/not-kept"), tmp_path, 1000)
    store.put("x", bytes(10))
    out = memoryview(bytearray(10))
    for sha in (None, "0" * 64, "../../../../etc/passwd"):
        assert store.read_into("x", out, sha) == 10
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_cache_stays_within_its_size(tmp_path):
    source = LocalStore(tmp_path / "source")
    store = CachedStore(source, tmp_path / "cache", 1000)
    for number in range(40):
        data = bytes([number]) * 100
        source.put(str(number), data)
        store.read_into(str(number), memoryview(bytearray(100)), hashlib.sha256(data).hexdigest())
    sizes = [path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert 500 <= sum(sizes) <= 1050


def test_the_size_of_the_cache_is_checked(monkeypatch, tmp_path):
    monkeypatch.setenv("SAT2CAP_CACHE", str(tmp_path))
    for wrong in ("lots", "-1", "0", "nan", "inf"):
        monkeypatch.setenv("SAT2CAP_CACHE_GB", wrong)
        with pytest.raises(InputError, match="SAT2CAP_CACHE_GB"):
            open_store("https://127.0.0.1/x")


def test_stamps_are_asked_for_again_after_a_while(monkeypatch):
    now, asked = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stamps = RecentStamps()

    def ask():
        asked.append(now[0])
        return (len(asked),)

    for now[0] in (0.0, 1.0, 6.0):
        stamps.get("x", ask)
    assert asked == [0.0, 6.0]


def test_a_folder_on_a_web_server_is_read(tmp_path):
    (tmp_path / "x.zarr/a b").mkdir(parents=True)
    (tmp_path / "x.zarr/a b/c").write_bytes(bytes(range(100)))
    with running(partial(RangeHandler, directory=tmp_path)) as web:
        web.sent = 0
        store = open_store(f"http://127.0.0.1:{web.server_port}/x.zarr/")
        assert store.get("a b/c") == bytes(range(100))
        assert store.get_range("a b/c", 5, 15) == bytes(range(5, 15))
        out = bytearray(100)
        assert store.read_into("a b/c", memoryview(out)) == 100
        assert out == bytes(range(100))
        assert store.stamp("none") is None
        before = store.stamp("a b/c")
        assert before is not None
        with pytest.raises(FileNotFoundError):
            store.get("none")
        with pytest.raises(StoreError, match="ends before"):
            store.get_range("a b/c", 90, 110)
        for write in (lambda: store.put("x", b""), lambda: store.delete("x"), lambda: list(store.list())):
            with pytest.raises(StoreError, match="only read"):
                write()
