"""Commands on an atlas in a bucket do what they do on its folder; what a bucket refuses is one line."""

import pytest
from command import run
from conftest import PLANET, REGION
from s3_server import BUCKET, KEY_ID, SECRET, s3_server

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


@pytest.mark.parametrize(
    "words",
    [
        ("embed", REGION, "--imagery", PLANET, "--model", "miniclip", "-o", ADDRESS),
        ("atlas", "repair", ADDRESS),
        ("atlas", "prepare", ADDRESS, "--model", "MODEL"),
        ("map", ADDRESS, "snow", "-o", f"s3://{BUCKET}/x.tif"),
        ("map", ADDRESS, "snow", f"--out=gs://{BUCKET}?token={SECRET}"),
        ("search", ADDRESS, "snow", f"-os3://{BUCKET}/x.geojson"),
        ("pairs", "build", "--photos", PLANET, "--imagery", PLANET, "-o", f"s3://{BUCKET}/pairs"),
        ("models", "convert", "miniclip", "-o", f"s3://{BUCKET}/model"),
        ("atlas", "publish", ADDRESS, f"s3://{BUCKET}/public"),
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
