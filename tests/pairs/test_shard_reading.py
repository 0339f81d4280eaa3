"""Shards as tar files: a cut or damaged one is one line, whatever its headers claim."""

import io
import tarfile
from datetime import datetime
from pathlib import Path

import pytest

from sat2cap.errors import PairsError
from sat2cap.pairs.shard_file import ShardFile
from sat2cap.pairs.shard_reading import Pair, read_member, read_pairs_at, read_shard
from sat2cap.stores import open_store

METADATA = b'{"latitude": -1.5, "longitude": 2.25, "date_taken": "2019-03-04 05:06:07.25"}'
PAIR = Pair("a", b"photo", b"x" * 512, 2.25, -1.5, datetime(2019, 3, 4, 5, 6, 7, 250_000))


def pack(*members: tuple[str, bytes]) -> bytes:
    """Return a tar of files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def header(size: int) -> bytes:
    """Return the header of a photo that claims a size, of which no byte follows."""
    info = tarfile.TarInfo("a.groundlevel.jpg")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


WHOLE = pack(("a.groundlevel.jpg", b"photo"), ("a.overhead.jpg", b"x" * 512), ("a.metadata.json", METADATA))


def shard(folder: Path, data: bytes) -> ShardFile:
    (folder / "x.tar").write_bytes(data)
    return ShardFile(open_store(folder), "x.tar")


def test_a_pair_is_read_from_any_of_the_ways_in(tmp_path: Path) -> None:
    two = shard(tmp_path, WHOLE[: 6 * 512] + WHOLE)
    assert list(read_shard(two, 2)) == [PAIR, PAIR]
    assert list(read_pairs_at(two, [6 * 512, 0])) == [PAIR, PAIR]
    assert read_member(two, 6 * 512, "a.overhead.jpg") == PAIR.overhead


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", r"0 pairs of 1"),
        (bytes(10_240), r"0 pairs of 1"),
        (WHOLE[:300], r"truncated header"),
        (WHOLE[:1800], r"unexpected end of data"),
        (WHOLE[: 4 * 512], r"0 pairs of 1"),
        (b"not a tar " * 100, r"invalid header"),
        (WHOLE[: 2 * 512] + b"\xff" * 512 + WHOLE[3 * 512 :], r"bad checksum|invalid header"),
        (header(10**12), r"a member of 1,000,000,000,000 bytes"),
        (header(-5), r"a member of -5 bytes"),
    ],
)
def test_a_damaged_shard_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(PairsError, match=rf"x\.tar is broken \(.*({words}).*build the pairs again"):
        list(read_shard(shard(tmp_path, data), 1))


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"latitude": 1, "longitude": 2, "date_taken": "2019-03-04"}',
        b'{"latitude": 1, "longitude": 2, "date_taken": "2019-03-04 05:06"}',
        b'{"latitude": 1, "longitude": 2, "date_taken": "2019-03-04 05:06:07+01:00"}',
        b'{"latitude": 1, "longitude": 2, "date_taken": "yesterday"}',
        b'{"latitude": 1, "longitude": 2, "date_taken": 20190304}',
        b'{"latitude": null, "longitude": 2, "date_taken": "2019-03-04 05:06:07.0"}',
        b'{"latitude": 1, "longitude": 2}',
        b"[1, 2, 3]",
    ],
)
def test_metadata_that_are_not_whole_are_one_line(tmp_path: Path, metadata: bytes) -> None:
    data = pack(("a.groundlevel.jpg", b"photo"), ("a.overhead.jpg", b"patch"), ("a.metadata.json", metadata))
    with pytest.raises(PairsError, match=r"x\.tar is broken \(.+\); build the pairs again"):
        list(read_shard(shard(tmp_path, data), 1))


@pytest.mark.parametrize("size", [10**12, -5])
def test_a_photo_of_an_impossible_size_is_not_read(tmp_path: Path, size: int) -> None:
    with pytest.raises(PairsError, match=f"a member of {size:,} bytes"):
        read_member(shard(tmp_path, header(size)), 0, "a.groundlevel.jpg")
