"""A published copy is scored as its atlas is, from a folder, a bucket and a web server."""

import pickle
import shutil
from functools import partial

import made_model
import numpy as np
import pytest
import zarr
from file_server import RangeHandler, running
from s3_server import BUCKET, s3_server
from zarr.codecs import Crc32cCodec

from sat2cap.atlas import check_atlas_exists, open_atlas, verify_atlas
from sat2cap.atlas.published import crc32c
from sat2cap.errors import AtlasError
from sat2cap.geo import When, parse_region
from sat2cap.publishing import publish_atlas
from sat2cap.query import score_atlas

MODEL = made_model.model()
ADDRESS = f"s3://{BUCKET}/public/made.zarr"


@pytest.fixture(scope="module", params=["int8", "float16"])
def original(tmp_path_factory, request):
    values = made_model.embeddings(100, 70, 64)
    holes = np.zeros(values.shape[:2], bool)
    holes[3:9, 40:50] = True
    holes[32:64, 32:64] = True  # a whole chunk, which then has no bytes
    path = tmp_path_factory.mktemp("scan") / "made.zarr"
    return made_model.atlas(path, values, MODEL, holes, request.param)


@pytest.fixture(scope="module")
def folder(original, tmp_path_factory):
    return publish_atlas(original, tmp_path_factory.mktemp("public")).store


@pytest.fixture(scope="module")
def bucket(folder):
    with s3_server() as server:
        server.upload(folder, ADDRESS)
        yield server


def test_it_is_scored_from_anywhere_as_its_atlas(original, folder, bucket):
    check_atlas_exists(folder)
    expected = score_atlas(original, MODEL, ["snow", "boats"], when=When(2019, 5, 20, 8.0))
    with running(partial(RangeHandler, directory=folder.parent)) as web:
        web.sent = 0
        for place in (folder, ADDRESS, f"http://127.0.0.1:{web.server_port}/made.zarr"):
            copy = pickle.loads(pickle.dumps(open_atlas(place)))
            scores = score_atlas(copy, MODEL, ["snow", "boats"], when=When(2019, 5, 20, 8.0))
            np.testing.assert_array_equal(scores, expected)
            assert {**scores.attrs, "atlas": ""} == {**expected.attrs, "atlas": ""}
            np.testing.assert_array_equal(copy.status, original.status)
            np.testing.assert_array_equal(copy.wanted, original.wanted)
            assert (copy.identity, copy.grid, copy.complete) == (original.identity, original.grid, True)


def test_a_region_fetches_the_index_and_the_chunks_that_it_touches(original, folder, bucket):
    lon, lat = 2.78, 51.96  # in the first chunk
    region = parse_region(f"{lon},{lat},{lon + 0.05},{lat + 0.02}")
    copy = open_atlas(ADDRESS)
    bucket.forget()
    scores = score_atlas(copy, MODEL, ["snow"], region=region)
    np.testing.assert_array_equal(scores, score_atlas(original, MODEL, ["snow"], region=region))
    fetched = [path.partition("made.zarr/")[2] for method, path in bucket.requests if method == "GET"]
    arrays = ["embeddings/c/0/0/0/0"] * 2 + (["scale/c/0/0/0"] * 2 if original.spec.dtype == "int8" else [])
    assert sorted(fetched) == sorted(arrays)
    assert bucket.sent_bytes < 1.2 * original.arrays["embeddings"].chunk_bytes() + 5000


def test_damage_is_one_line(original, folder, tmp_path):
    copy = publish_atlas(original, tmp_path).store
    shard = copy / "embeddings/c/0/0/0/0"
    data = bytearray(shard.read_bytes())
    data[-10] ^= 1
    shard.write_bytes(data)
    with pytest.raises(AtlasError, match="the index of embeddings/c/0/0/0/0 is damaged; publish"):
        open_atlas(copy).read(slice(0, 1), slice(0, 1))
    status = copy / "status/c/0/0/0"
    status.write_bytes(bytes(20) + status.read_bytes()[20:])
    with pytest.raises(AtlasError, match="status/c/0/0/0 is damaged; publish"):
        open_atlas(copy).status  # noqa: B018
    root = (copy / "zarr.json").read_text()
    (copy / "zarr.json").write_text(root.replace('"patch_pixels": 8', '"patch_pixels": 9'))
    with pytest.raises(AtlasError, match=r"published copy .* is damaged"):
        open_atlas(copy)


@pytest.mark.parametrize("place", ["folder", "web"])
def test_a_flipped_bit_in_any_chunk_is_one_line_and_no_map(original, folder, tmp_path, place):
    """Also of embeddings, whose bytes are all possible: without a checksum the map would be another one."""
    names = ["embeddings", "scale"] if original.spec.dtype == "int8" else ["embeddings"]
    with running(partial(RangeHandler, directory=tmp_path)) as web:
        web.sent = 0
        for name in names:
            copy = tmp_path / f"{name}.zarr"
            shutil.copytree(folder, copy)
            (shard,) = (file for file in (copy / name / "c").rglob("*") if file.is_file())
            data = bytearray(shard.read_bytes())
            data[100] ^= 1
            shard.write_bytes(data)
            opened = open_atlas(
                copy if place == "folder" else f"http://127.0.0.1:{web.server_port}/{copy.name}"
            )
            with pytest.raises(
                AtlasError, match=rf"{name}/c/0/0/0(/0)? is damaged; publish the atlas there again"
            ):
                score_atlas(opened, MODEL, ["snow"])


def test_a_shard_that_was_not_uploaded_is_one_line_and_no_hole(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "made.zarr")
    copy = open_atlas(tmp_path / "made.zarr")
    (copy.path / "embeddings/c/0/0/0/0").unlink()
    with pytest.raises(AtlasError, match="embeddings/c/0/0/0/0 is missing; publish the atlas there again"):
        score_atlas(copy, MODEL, ["snow"])
    (copy.path / "status/c/0/0/0").unlink()
    with pytest.raises(AtlasError, match="status/c/0/0/0 is missing; publish"):
        open_atlas(copy.path).status  # noqa: B018


def codecs_of(store):
    """All codecs of the chunks of a copy."""
    return [codec for _, array in zarr.open_group(store, mode="r").arrays() for codec in array.compressors]


def without_checksums(store):
    """Rewrite a copy as older versions published it."""
    group = zarr.open_group(store, mode="a")
    for name, array in list(group.arrays()):
        values, attributes = array[...], dict(array.attrs)
        compressors = [codec for codec in array.compressors if not isinstance(codec, Crc32cCodec)]
        layout = {
            "shape": array.shape,
            "chunks": array.chunks,
            "shards": array.shards,
            "dtype": array.dtype,
            "fill_value": array.fill_value,
            "dimension_names": array.metadata.dimension_names,
        }
        plain = group.create_array(
            name, **layout, compressors=compressors, attributes=attributes, overwrite=True
        )
        plain[...] = values
    zarr.consolidate_metadata(group.store)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
def test_a_copy_without_checksums_is_read_and_replaced_when_published_again(original, tmp_path, monkeypatch):
    monkeypatch.setattr("sat2cap.publishing.copy.LAYOUT", "older")
    copy = publish_atlas(original, tmp_path).store
    without_checksums(copy)
    assert not any(isinstance(codec, Crc32cCodec) for codec in codecs_of(copy))
    expected = score_atlas(original, MODEL, ["snow"])
    np.testing.assert_array_equal(score_atlas(open_atlas(copy), MODEL, ["snow"]), expected)
    monkeypatch.undo()
    publish_atlas(original, tmp_path)
    assert sum(isinstance(codec, Crc32cCodec) for codec in codecs_of(copy)) == len(
        list(copy.glob("*/zarr.json"))
    )
    np.testing.assert_array_equal(score_atlas(open_atlas(copy), MODEL, ["snow"]), expected)


def test_what_only_an_atlas_can_is_refused(folder):
    for work in (verify_atlas, partial(publish_atlas, folder="elsewhere")):
        with pytest.raises(
            AtlasError, match=r"is a published copy; check it with: sha256sum -c made\.sha256"
        ):
            work(open_atlas(folder))


def test_the_checksum_is_that_of_the_standard():
    """RFC 3720, B.4: 32 bytes of zeros, of ones, and ascending."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
