"""Archives of tiles with flipped, cut or swapped bytes, or with parts that unpack to far more."""

import gzip
import json
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pmtiles.tile import Compression, TileType, deserialize_directory, serialize_directory, zxy_to_tileid
from pmtiles.writer import Writer
from servers import encode

from sat2cap.errors import ImageryError
from sat2cap.geo.grid import patch_around
from sat2cap.imagery.protocol import PartlyReadError
from sat2cap.imagery.tiles.pmtiles import open_archive
from sat2cap.imagery.tiles.pmtiles_parts import MAX_ENTRIES, parse_directory, unpack

BOX = patch_around(0.0005, 0.0005, 100, 32)
TILE = (16, 2**15, 2**15 - 1)
PNG = encode(np.random.default_rng(0).integers(1, 255, (256, 256, 4), np.uint8), "png")
HEADER = {
    "tile_type": TileType.PNG,
    "min_zoom": 16,
    "max_zoom": 16,
    "min_lon_e7": 0,
    "min_lat_e7": 0,
    "max_lon_e7": 100_000,
    "max_lat_e7": 100_000,
    "center_zoom": 16,
    "center_lon_e7": 0,
    "center_lat_e7": 0,
}
QUICK = settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def write_archive(path: Path, data: bytes = PNG, compression: Compression = Compression.NONE) -> Path:
    with path.open("wb") as file:
        writer = Writer(file)
        writer.write_tile(zxy_to_tileid(*TILE), data)
        writer.finalize(HEADER | {"tile_compression": compression}, {"attribution": "made up"})
    return path


def outcome_of(path: Path) -> str:
    """Open and read an archive: "read", "refused" or "in several lines"; any other exception is a failure."""
    try:
        open_archive(str(path)).read(BOX)
    except (ImageryError, PartlyReadError) as error:
        return "in several lines" if "\n" in str(error) else "refused"
    return "read"


def test_any_flipped_bit_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    data, path = write_archive(tmp_path / "a.pmtiles").read_bytes(), tmp_path / "b.pmtiles"
    outcomes = set()
    parts = st.one_of(st.integers(0, 8 * 300), st.integers(0, 8 * len(data) - 1))  # most of it is the picture

    @QUICK
    @given(parts)
    def flip(bit: int) -> None:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        outcomes.add(outcome_of(path))

    flip()
    assert outcomes == {"read", "refused"}


def test_cut_and_swapped_archives(tmp_path: Path) -> None:
    data, path = write_archive(tmp_path / "a.pmtiles").read_bytes(), tmp_path / "b.pmtiles"
    for place in (0, 5, 60, 127, 140, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:place])
        assert outcome_of(path) == "refused", place
        path.write_bytes(data[:7] + data[place:] + data[7:place])
        assert outcome_of(path) in ("read", "refused"), place


def test_a_small_tile_that_unpacks_to_far_more_takes_little_memory(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    million = bytes(2**20)
    bomb = b"".join(packer.compress(million) for _ in range(128)) + packer.flush()
    assert len(bomb) < 2**18
    path = write_archive(tmp_path / "a.pmtiles", bomb, Compression.GZIP)
    tracemalloc.start()
    with pytest.raises(ImageryError, match=r"a part unpacks to more than 33554432 bytes"):
        open_archive(str(path))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 80 * 2**20, "less than the 128 MB of the tile"


def test_packed_parts_are_unpacked_whole_or_not_at_all() -> None:
    text = json.dumps({"a": 1}).encode()
    assert unpack(gzip.compress(text), Compression.GZIP, 100) == text
    assert unpack(text, Compression.NONE, 100) == text
    for data, rule in ((gzip.compress(text)[:-9], "cut short"), (b"no gzip at all", "no gzip")):
        with pytest.raises(ValueError, match=rule):
            unpack(data, Compression.GZIP, 100)
    with pytest.raises(ValueError, match="brotli"):
        unpack(text, Compression.BROTLI, 100)


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 9), st.integers(1, 2**30)), min_size=1))
def test_directories_are_those_of_the_reference_library(rows: list[tuple[int, int, int]]) -> None:
    from pmtiles.tile import Entry

    ids = np.cumsum([row[0] for row in rows]).tolist()
    starts = np.cumsum([0, *(row[2] for row in rows)]).tolist()
    entries = [
        Entry(tile_id, start + tile_id % 3, length, run)
        for tile_id, start, (_, run, length) in zip(ids, starts, rows, strict=False)
    ]
    packed = serialize_directory(entries)
    ours = [str(entry) for entry in parse_directory(gzip.decompress(packed))]
    assert ours == [str(entry) for entry in deserialize_directory(packed)]


def test_directories_that_claim_too_much_are_refused() -> None:
    cases = {
        b"": "claims 0 entries",
        bytes([3, 1]): "claims 3 entries in 2 bytes",
        b"\xff\xff\xff\x7f" + bytes(40): f"claims {2**28 - 1} entries",
        b"\x80" * 100 + b"\x01": "more than 64 bits",
        b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x01\x01": "too large",
        bytes([1, 1, 1, 1, 0]): "no offset",
    }
    assert MAX_ENTRIES < 2**28 - 1
    for data, rule in cases.items():
        with pytest.raises(ValueError, match=rule):
            parse_directory(data)
