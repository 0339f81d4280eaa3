"""Shards, tables and photos of strangers, damaged: records, counted faults, or one line of ours."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import geopandas
import pandas as pd
import pyarrow.parquet as papq
import pytest
import shapely
from damage import CHANGES, FLIPS, QUICK, damage_bytes, outcome_of
from hypothesis import given
from PIL import ExifTags, Image

from sat2cap.errors import InputError
from sat2cap.photos.columns import record_batches
from sat2cap.photos.exif import BROKEN_NAME, ExifFolder, read_photo
from sat2cap.photos.files import iterate_photos
from sat2cap.photos.shards import open_shards
from sat2cap.photos.table import TableRecords

ROWS = {
    "id": ["a", "b"],
    "taken": ["2012-03-04 05:06:07", "2012-03-05T05:06:07Z"],
    "title": ["x", "é"],
    "gps_accuracy": [5, 20.5],
}


def outcomes_of(path: Path, read: Callable[[], object], changes=CHANGES) -> set[str]:
    """The outcomes of reading a file after each of many changes."""
    data, outcomes = path.read_bytes(), set()

    @QUICK
    @given(changes)
    def check(some: list[tuple[str, float, int]]) -> None:
        path.write_bytes(damage_bytes(data, some))
        outcomes.add(outcome_of(read))

    check()
    return outcomes


def write_shard(path: Path, tar_format: int, encoding: str = "utf-8") -> Path:
    metadata = {"latitude": 1.0, "longitude": 2.0, "date_taken": "2012-03-04 05:06:07.0"}
    parts = {"groundlevel.jpg": b"x" * 100, "metadata.json": json.dumps(metadata).encode()}
    with tarfile.open(path, "w", format=tar_format, encoding=encoding) as tar:
        for key in ("é" * 60, "k2"):
            for part, data in parts.items():
                info = tarfile.TarInfo(f"{key}.{part}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_damaged_shards(tmp_path: Path, tar_format: int) -> None:
    path = write_shard(tmp_path / "a.tar", tar_format)
    assert outcomes_of(path, lambda: list(open_shards(str(path)).photos())) == {"read", "refused"}


def test_a_member_whose_name_is_not_utf8_is_a_photo(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "a.tar", tarfile.GNU_FORMAT, "latin-1")
    photos = list(open_shards(str(path)).photos())
    assert [(photo.lon, photo.fault) for photo in photos] == [(2.0, ""), (2.0, "")]
    assert len({photo.key for photo in photos}) == 2
    assert sum(len(batch) for batch in record_batches(photos)) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Arrow's, of torn rows
def test_damaged_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    pd.DataFrame({**ROWS, "lon": [5.5, 6], "lat": [52, 51]}).to_csv(path, index=False)
    assert outcomes_of(path, lambda: list(iterate_photos(TableRecords(path)))) == {"read", "refused"}


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    places = geopandas.GeoDataFrame(ROWS, geometry=shapely.points([1, 2], [3, 4]), crs="EPSG:4326")
    places.to_parquet(path)
    assert [photo.lon for photo in iterate_photos(TableRecords(path))] == [1, 2]
    table = papq.read_table(path)
    for geo in (
        [],
        None,
        "a",
        {"columns": {}},
        {"primary_column": "geometry", "columns": {"geometry": None}},
    ):
        papq.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path)
        with pytest.raises(InputError, match="cannot be read as a table"):
            list(iterate_photos(TableRecords(path)))
    places.to_parquet(path)
    outcomes = outcomes_of(path, lambda: list(iterate_photos(TableRecords(path))), FLIPS)
    assert {"refused"} <= outcomes <= {"read", "refused"}


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Pillow, about the damage
def test_damaged_exif_is_a_record(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16))
    exif = image.getexif()
    exif[ExifTags.Base.Artist] = "me"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (52.0, 22.0, 3.5), 3: "E", 4: (4.0, 5.0, 6.0)})
    exif.get_ifd(ExifTags.IFD.Exif).update({0x9003: "2012:03:04 05:06:07", 0x9011: "+01:00"})
    for suffix, name in (("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")):
        path = tmp_path / f"a.{suffix}"
        image.save(path, name, exif=exif)
        assert round(read_photo(path, "a").lon or 0, 3) == 4.085
        assert outcomes_of(path, lambda path=path: read_photo(path, "a"), FLIPS) == {"read"}


def test_a_photo_whose_name_is_not_utf8_is_a_fault_that_can_be_written(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"x.jpg", b"\xe9.txt"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "x.jpg")
    photos = list(ExifFolder(tmp_path).photos())
    assert [(photo.url, photo.fault) for photo in photos] == [("caf\\udce9.jpg", BROKEN_NAME), ("x.jpg", "")]
    assert [len(batch) for batch in record_batches(photos)] == [2]
