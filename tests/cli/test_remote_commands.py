"""Commands on an atlas in a bucket do what they do on its folder; what a bucket refuses is one line."""

import json
from pathlib import Path

import pytest
from command import run
from conftest import PLANET, REGION
from s3_server import BUCKET, KEY_ID, SECRET, s3_server

from sat2cap.query import PREPARED_FOLDER
from sat2cap.stores import open_store

ADDRESS = f"s3://{BUCKET}/maps/x.zarr"


@pytest.fixture(scope="module")
def bucket(atlas):
    with s3_server() as server:
        server.upload(atlas, ADDRESS)
        yield server


def test_a_map_is_the_same_file(bucket, atlas, model, tmp_path):
    for place, out in ((atlas, tmp_path / "local.tif"), (ADDRESS, tmp_path / "remote.tif")):
        done = run("map", place, "snow", "--when", "2020-06-01", "--model", model, "-o", out)
        assert done.status == 0, done.err
    assert (tmp_path / "remote.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    assert SECRET.encode() not in (tmp_path / "remote.tif").read_bytes()


def test_places_facts_and_soundness_are_the_same(bucket, atlas, model):
    local, remote = (run("search", place, "snow", "--model", model) for place in (atlas, ADDRESS))
    assert (remote.status, remote.out) == (local.status, local.out) == (0, local.out)
    local, remote = (run("atlas", "info", place) for place in (atlas, ADDRESS))
    assert remote.status == 0, remote.err
    assert remote.out.splitlines()[1:] == local.out.splitlines()[1:]
    assert ADDRESS in remote.out.splitlines()[0]
    assert run("atlas", "verify", ADDRESS).out == f"{ADDRESS}: sound\n"


def test_an_atlas_embedded_into_a_bucket_is_that_of_a_folder(bucket, atlas, model):
    address = f"s3://{BUCKET}/made/x.zarr"
    command = ("embed", REGION, "--imagery", PLANET, "--model", model, "-o", address)
    for number in range(2):  # the second has nothing to do
        done = run(*command)
        assert done.status == 0, done.err
        assert done.out.startswith(f"{address}: ")
        assert number == 0 or "none, all cells are embedded" in done.err
    beside = open_store(f"s3://{BUCKET}/made")
    made = {key: beside.get(key) for key, _ in beside.list()}
    (record,) = map(json.loads, made.pop("x.runs.jsonl").splitlines())
    assert record["outcome"] == "finished"
    # Another test may have prepared the atlas.
    embedded = (file for file in atlas.rglob("*") if PREPARED_FOLDER not in file.as_posix())
    files = [atlas.with_name("x.stac.json"), *filter(Path.is_file, embedded)]
    assert made == {str(file.relative_to(atlas.parent)): file.read_bytes() for file in files}
    assert not any(secret.encode() in data for data in made.values() for secret in (SECRET, KEY_ID))
    assert run("atlas", "verify", address).out == f"{address}: sound\n"


def test_what_is_damaged_in_a_bucket_is_repaired_there(bucket, atlas, model):
    address = f"s3://{BUCKET}/damaged/x.zarr"
    bucket.upload(atlas, address)
    store = open_store(address)
    store.put("status/c/0/0/0", b"short")
    done = run("atlas", "verify", address)
    assert done.status == 1
    assert done.out.endswith(f"repair it with: sat2cap atlas repair {address}\n")
    done = run("atlas", "repair", address, "--model", model)
    assert done.status == 0, done.err
    assert done.out == f"{address}: 1 damaged chunks computed again; 0 failed cells filled\n"
    assert store.get("status/c/0/0/0") == (atlas / "status/c/0/0/0").read_bytes()
    assert run("atlas", "verify", address).out == f"{address}: sound\n"


def test_a_published_copy_in_a_bucket_is_asked_as_its_atlas(bucket, atlas, model, tmp_path):
    address = f"s3://{BUCKET}/public"
    done = run("atlas", "publish", ADDRESS, address)
    assert done.status == 0, done.err
    assert done.out.startswith(f"{address}/x.zarr: ")
    assert f" files in {address}, " in done.out
    for place, out in ((atlas, tmp_path / "local.tif"), (f"{address}/x.zarr", tmp_path / "copy.tif")):
        done = run("map", place, "snow", "--when", "2020-06-01", "--model", model, "-o", out)
        assert done.status == 0, done.err
    assert (tmp_path / "copy.tif").read_bytes() == (tmp_path / "local.tif").read_bytes()
    local, copy = (run("search", place, "snow", "--model", model) for place in (atlas, f"{address}/x.zarr"))
    assert (copy.status, copy.out) == (local.status, local.out) == (0, local.out)
    assert run("atlas", "info", f"{address}/x.zarr").status == 0
    done = run("atlas", "verify", f"{address}/x.zarr")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "check it with: sha256sum -c x.sha256" in done.err


def test_a_lock_that_a_machine_left_behind_is_named_and_released(bucket, atlas, model):
    address = f"s3://{BUCKET}/locked/x.zarr"
    holder = {
        "host": "node-7",
        "pid": 12,
        "since": "2026-01-01 00:00 UTC",
        "token": "",
        "machine": "",
        "started": "",
    }
    open_store(address).put("_sat2cap/lock", json.dumps(holder).encode())
    command = ("embed", REGION, "--imagery", PLANET, "--model", model, "-o", address)
    done = run(*command)
    assert done.status == 1
    who = "process 12 on node-7 since 2026-01-01 00:00 UTC"
    assert done.err.splitlines()[-1] == (
        f"error: atlas '{address}' is being written by {who}; wait until it is done, or stop it; "
        f"if it is gone, release its lock with: sat2cap atlas unlock {address}"
    )
    assert run("atlas", "unlock", address).out == f"{address}: released the lock of {who}\n"
    assert run("atlas", "unlock", address).out == f"{address}: no lock is left on it\n"
    assert run(*command).status == 0
    assert run("atlas", "unlock", atlas).out == f"{atlas}: no lock is left on it\n"


@pytest.mark.parametrize(
    "words",
    [
        (
            "embed",
            REGION,
            "--imagery",
            PLANET,
            "--model",
            "miniclip",
            "-o",
            f"s3://{KEY_ID}:{SECRET}@{BUCKET}/x.zarr",
        ),
        ("embed", REGION, "--imagery", PLANET, "--model", "miniclip", "-o", "s3://no-such-bucket/x.zarr"),
        ("embed", REGION, "--imagery", PLANET, "--model", "miniclip", "-o", f"s3://{BUCKET}"),
        ("atlas", "prepare", ADDRESS, "--model", "MODEL"),
        ("map", ADDRESS, "snow", "-o", f"s3://{BUCKET}/x.tif"),
        ("map", ADDRESS, "snow", f"--out=gs://{BUCKET}?token={SECRET}"),
        ("search", ADDRESS, "snow", f"-os3://{BUCKET}/x.geojson"),
        ("models", "convert", "miniclip", "-o", f"s3://{BUCKET}/model"),
        ("atlas", "publish", ADDRESS, "s3://no-such-bucket/public"),
        ("atlas", "publish", ADDRESS, f"https://127.0.0.1:9/s3://?sig={SECRET}"),
        ("train", "run.toml", "--out", f"s3://{BUCKET}/run"),
        ("evaluate", "retrieval", "pairs", "--model", "miniclip", "--json", f"s3://{BUCKET}/metrics.json"),
        (
            "embed",
            REGION,
            "--imagery",
            PLANET,
            "--model",
            "miniclip",
            "-o",
            "x.zarr",
            f"--cache=s3://{BUCKET}/c",
        ),
        ("pairs", "inspect", "pairs", "--sheet", f"s3://{BUCKET}/sheet.png"),
        ("report", "records", "-o", f"s3://{BUCKET}/report"),
        ("demo", "-o", f"s3://{BUCKET}/demo"),
        ("map", f"s3://{BUCKET}/nothing.zarr", "snow", "-o", "x.tif"),
        ("map", f"s3://{KEY_ID}:{SECRET}@{BUCKET}/x.zarr", "snow", "-o", "x.tif"),
        ("map", "s3://no-such-bucket/x.zarr", "snow", "-o", "x.tif"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(bucket, model, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*[model if word == "MODEL" else word for word in words])
    assert done.status in (1, 2)
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert "s3:/" in done.err or "gs:/" in done.err
    assert SECRET not in done.err
    assert list(tmp_path.iterdir()) == []
