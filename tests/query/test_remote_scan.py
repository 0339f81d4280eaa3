"""Scoring an atlas in a bucket: the same bytes as from its folder, and no more fetched than is needed."""

import made_model
import numpy as np
import pytest
from s3_server import BUCKET, s3_server

from sat2cap.atlas import open_atlas
from sat2cap.geo import When, parse_region
from sat2cap.query import score_atlas

ADDRESS = f"s3://{BUCKET}/made.zarr"
MODEL = made_model.model()


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    values = made_model.embeddings(100, 70, 64)
    holes = np.zeros(values.shape[:2], bool)
    holes[3:9, 40:50] = True
    return made_model.atlas(tmp_path_factory.mktemp("scan") / "made.zarr", values, MODEL, holes)


@pytest.fixture(scope="module")
def bucket(local):
    with s3_server() as server:
        server.upload(local.path, ADDRESS)
        yield server


@pytest.mark.parametrize("when", [None, When(2019, 5, 20, 8.0)])
def test_scores_are_those_of_the_folder(bucket, local, when):
    remote = open_atlas(ADDRESS)
    bucket.forget()
    scores = score_atlas(remote, MODEL, ["snow", "boats"], when=when)
    expected = score_atlas(local, MODEL, ["snow", "boats"], when=when)
    np.testing.assert_array_equal(scores, expected)
    assert scores.attrs == expected.attrs
    assert bucket.side_by_side > 1


def test_a_region_fetches_the_chunks_that_it_touches(bucket, local):
    lon, lat = 2.78, 51.96  # in the first chunk
    region = parse_region(f"{lon},{lat},{lon + 0.05},{lat + 0.02}")
    remote = open_atlas(ADDRESS)
    bucket.forget()
    scores = score_atlas(remote, MODEL, ["snow"], region=region)
    np.testing.assert_array_equal(scores, score_atlas(local, MODEL, ["snow"], region=region))
    chunks = {path.partition("made.zarr/")[2] for _, path in bucket.requests if "/c/" in path}
    assert chunks == {"embeddings/c/0/0/0/0", "scale/c/0/0/0"}
    assert bucket.sent_bytes < 2 * 65 * 32 * 32


def test_with_a_cache_the_second_prompt_fetches_no_chunk(bucket, local, tmp_path, monkeypatch):
    monkeypatch.setenv("SAT2CAP_CACHE", str(tmp_path))
    first = score_atlas(open_atlas(ADDRESS), MODEL, ["snow"])
    bucket.forget()
    again = score_atlas(open_atlas(ADDRESS), MODEL, ["snow"])
    np.testing.assert_array_equal(again, first)
    np.testing.assert_array_equal(again, score_atlas(local, MODEL, ["snow"]))
    fetched = {path.partition("made.zarr/")[2] for _, path in bucket.requests}
    assert fetched == {
        "_sat2cap/plan.json",
        "_sat2cap/plan.sha256",
        "wanted/c/0/0",
        "_sat2cap/journal.jsonl",
        "zarr.json",
    }
