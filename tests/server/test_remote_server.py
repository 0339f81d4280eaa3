"""Atlases in a bucket are served as those of a folder, and taken up again when they have changed there."""

import numpy as np
import pytest
from made_up import fill_cells
from s3_server import BUCKET, KEY_ID, SECRET, s3_server
from served import make_client

import sat2cap
from sat2cap.atlas import create_or_resume, writer_lock
from sat2cap.server.collection import AtlasCollection

ADDRESS = f"s3://{BUCKET}/maps/The North.zarr"


@pytest.fixture(scope="module")
def bucket(folder):
    with s3_server() as server:
        server.upload(folder / "The North.zarr", ADDRESS.replace(" ", "%20"))
        yield server


def test_it_answers_as_from_its_folder(bucket, client, checkpoint):
    with make_client(ADDRESS, checkpoint) as remote:
        (entry,) = remote.get("/api/atlases").json()
        assert (entry["id"], entry["title"]) == ("the-north", "The North")
        local = next(one for one in client.get("/api/atlases").json() if one["id"] == "the-north")
        assert {**entry, "version": ""} == {**local, "version": ""}
        for path in ("scores", "search"):
            answers = [one.get(f"/api/atlases/the-north/{path}?prompt=snow") for one in (remote, client)]
            assert answers[0].status_code == answers[1].status_code == 200
            assert answers[0].content == answers[1].content


def test_what_changes_in_the_bucket_is_taken_up(bucket, checkpoint):
    collection = AtlasCollection([ADDRESS], checkpoint)
    before = collection.get("the-north")
    bucket.forget()
    assert collection.get("the-north") is before
    assert bucket.requests == [], "stamps are asked for every few seconds, not with every request"
    atlas = before.opened.atlas
    chunk = next(iter(atlas.chunks()))
    with writer_lock(ADDRESS) as store:
        writer = create_or_resume(store, atlas.spec)
        values = np.ones((*chunk.shape, atlas.dim), np.float32)
        fill_cells(writer, chunk, values, np.ones(chunk.shape, np.uint8))
        writer.finish()
    atlas.store.refresh()  # or five seconds later
    collection._stores["the-north"].refresh()
    after = collection.get("the-north")
    assert after.version != before.version
    changed = after.opened.map("snow").values[chunk.rows, chunk.cols]
    assert np.ptp(changed[np.isfinite(changed)]) < 1e-5


def test_a_bucket_that_does_not_answer_is_a_problem_of_its_atlas_alone(bucket, folder, checkpoint):
    places = ["s3://no-such-bucket/x.zarr", folder / "The North.zarr", f"s3://{BUCKET}/none.zarr"]
    collection = AtlasCollection(places, checkpoint)
    problems = {slug: collection.describe(slug).problem for slug in collection.slugs}
    assert list(problems) == ["x", "the-north", "none"]
    assert "no such bucket" in problems["x"]
    assert problems["the-north"] == ""
    assert "is not an atlas" in problems["none"]
    assert not any(secret in problem for problem in problems.values() for secret in (SECRET, KEY_ID))


def test_an_opened_atlas_of_a_bucket_is_served(bucket, checkpoint):
    with sat2cap.serve(sat2cap.open(ADDRESS, checkpoint)) as server:
        assert server.tile_url("snow")
