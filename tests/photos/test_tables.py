"""Photos in tables and in shards: columns by name, moments with and without zones, and the images."""

import contextlib
import gzip
import io
import json
import os
import tarfile
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import duckdb
import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as papq
import pyproj
import pytest
import shapely
from made_up import build_small, picture

from sat2cap.errors import InputError, JobError
from sat2cap.geo import parse_region
from sat2cap.photos.columns import TORN_ROW
from sat2cap.photos.files import FolderFiles, ListedPhotos, TarFiles, iterate_photos, open_photo_files
from sat2cap.photos.protocol import Photo
from sat2cap.photos.quotes import CheckedQuotes, MisplacedQuoteError
from sat2cap.photos.shards import REPEATED_MEMBER, UNREADABLE_METADATA, open_shards
from sat2cap.photos.table import TableRecords
from sat2cap.photos.table_values import NOT_UTF8
from sat2cap.photos.tar_members import NOT_REGULAR, TOO_LARGE
from sat2cap.photos.timestamps import (
    UNKNOWN_ZONE,
    UNREADABLE_ACCURACY,
    UNREADABLE_DATE,
    UNREADABLE_PLACE,
)

ROME = {"id": ["a"], "lon": [12.5], "lat": [41.9]}


def csv(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def test_a_csv_with_guessed_names(tmp_path):
    path = csv(
        tmp_path / "x.csv",
        ID=["a", "b", "c"],
        Longitude=["5.5", "", "x"],
        latitude=[52.0, 51.0, 50.0],
        date_taken=["2012-03-04 05:06:07", "2012-02-30 05:06:07", ""],
        licence=["CC0-1.0", "", "CC-BY-4.0"],
        title=["a, b", 'say "c"\nand d', ""],
        filename=["1.jpg", "2.jpg", "3.jpg"],
        gps_accuracy=[5, "", 200],
    )
    assert list(iterate_photos(TableRecords(path))) == [
        Photo(
            "a", 5.5, 52.0, datetime(2012, 3, 4, 5, 6, 7), "", "CC0-1.0", "", "", "a, b", "1.jpg", None, 5.0
        ),
        Photo(
            *("b", None, 51.0, None, "", "unknown", "", "", 'say "c"\nand d', "2.jpg"),
            fault=UNREADABLE_DATE,
        ),
        Photo(
            *("c", None, 50.0, None, "", "CC-BY-4.0", "", "", "", "3.jpg", None, 200.0),
            fault=UNREADABLE_PLACE,
        ),
    ]


@pytest.mark.parametrize(
    ("column", "value", "taken"),
    [
        ("taken", "2012-07-04 22:30:00", datetime(2012, 7, 4, 22, 30)),
        ("taken", "2012-07-04T22:30:00.5", datetime(2012, 7, 4, 22, 30, 0, 500000)),
        ("taken", "2012-07-04T22:30:00Z", datetime(2012, 7, 5, 0, 30)),
        ("taken", "2012-07-04T22:30:00-0500", datetime(2012, 7, 5, 5, 30)),
        ("taken", "2012-01-04T22:30:00+09:00", datetime(2012, 1, 4, 14, 30)),
        ("utc", "2012-07-04 22:30:00", datetime(2012, 7, 5, 0, 30)),
        ("utc", 1341441000, datetime(2012, 7, 5, 0, 30)),
        ("taken", 1341441000_000, datetime(2012, 7, 5, 0, 30)),
        ("taken", 1341441000_000_000, datetime(2012, 7, 5, 0, 30)),
        ("utc", 1341441000_000_000_000, datetime(2012, 7, 5, 0, 30)),
        ("taken", "2012-07-04T22:30:00-5:00", datetime(2012, 7, 5, 5, 30)),
        ("taken", "2012:07:04 22:30:00", datetime(2012, 7, 4, 22, 30)),
        ("taken", "2012-07-04 22:29:60", datetime(2012, 7, 4, 22, 30)),
        ("taken", "2012-07-04 22:30:00 CST", None),
        ("utc", "2012-07-04 22:30:00+25:00", None),
        ("taken", datetime(2012, 7, 4, 22, 30), datetime(2012, 7, 4, 22, 30)),
        ("utc", datetime(2012, 7, 4, 22, 30), datetime(2012, 7, 5, 0, 30)),
        ("taken", datetime(2012, 7, 4, 22, 30, tzinfo=UTC), datetime(2012, 7, 5, 0, 30)),
        (
            "taken",
            datetime(2012, 7, 4, 22, 30, tzinfo=timezone(timedelta(hours=9))),
            datetime(2012, 7, 4, 15, 30),
        ),
        ("taken", "yesterday", None),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_moments_become_the_local_time_of_the_place(tmp_path, column, value, taken, form):
    frame = pd.DataFrame({**ROME, column: [value]})
    path = tmp_path / f"x.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    (photo,) = iterate_photos(TableRecords(path))
    assert photo.taken == taken


def test_an_instant_without_a_place_has_no_local_time(tmp_path):
    path = csv(tmp_path / "x.csv", key=["a", "b"], lon=["", 500], lat=[1, 2], utc=["2012-07-04 22:30:00"] * 2)
    assert [photo.taken for photo in iterate_photos(TableRecords(path))] == [None, None]


def test_geoparquet_needs_no_columns_of_coordinates(tmp_path):
    points = gpd.points_from_xy([5.5, 6.5], [52.0, 53.0])
    frame = gpd.GeoDataFrame(
        {"key": [7, 8], "when": pd.to_datetime(["2012-07-04 22:30"] * 2)}, geometry=points, crs=4326
    )
    frame.to_parquet(tmp_path / "x.parquet")
    photos = list(iterate_photos(TableRecords(tmp_path / "x.parquet", {"taken": "when"})))
    assert [(p.key, p.lon, p.lat, p.taken) for p in photos] == [
        ("7", 5.5, 52.0, datetime(2012, 7, 4, 22, 30)),
        ("8", 6.5, 53.0, datetime(2012, 7, 4, 22, 30)),
    ]
    frame.to_crs(3857).to_parquet(tmp_path / "y.parquet")
    with pytest.raises(InputError, match="save it in EPSG:4326"):
        list(TableRecords(tmp_path / "y.parquet", {"taken": "when"}).records())


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({}, "no column for key, lon, taken"),
        ({"lon": "west"}, "its columns are lat, b"),
        ({"shoe": "b"}, "no field"),
    ],
)
def test_a_table_without_required_columns_is_refused_in_one_line(tmp_path, columns, word):
    path = csv(tmp_path / "x.csv", lat=[1], b=[2])
    with pytest.raises(InputError, match=word) as error:
        list(TableRecords(path, columns).records())
    assert "\n" not in str(error.value)


def test_images_in_a_folder_or_in_tars(tmp_path):
    (tmp_path / "in").mkdir()
    by_path = Photo("a", 1, 1, None, url="in/1.jpg")
    by_url = Photo("b", 1, 1, None, url="https://x.test/y/2.jpg?size=l")
    by_key, gone = Photo("c", 1, 1, None), Photo("d", 1, 1, None, url="../secret.jpg")
    (tmp_path.parent / "secret.jpg").write_bytes(b"secret")
    for name, number in (("in/1.jpg", 1), ("2.jpg", 2), ("c.png", 3)):
        (tmp_path / name).write_bytes(picture(number))
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for name in ("in/1.jpg", "2.jpg", "c.png"):
            tar.add(tmp_path / name, f"./{name}")
    for files in (open_photo_files(str(tmp_path)), open_photo_files(str(tmp_path / "*.tar"))):
        assert [files.read_image(photo) for photo in (by_path, by_url, by_key)] == [
            picture(n) for n in (1, 2, 3)
        ]
        with pytest.raises(JobError, match="photo d"):
            files.read_image(gone)
    assert (type(open_photo_files(str(tmp_path))), type(open_photo_files(str(tmp_path / "all.tar")))) == (
        FolderFiles,
        TarFiles,
    )
    with pytest.raises(InputError, match="no such folder or tar"):
        open_photo_files(str(tmp_path / "nowhere"))


def test_a_listed_set_is_built_from_its_folder_and_credits_it(tmp_path):
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    path = csv(
        tmp_path / "x.csv",
        key=[f"k{n}" for n in range(9)],
        lon=[5 + n / 9 for n in range(9)],
        lat=[52] * 9,
        taken=[f"2012-03-04 05:0{n}:07" for n in range(9)],
        author=["Ann"] * 9,
        url=[f"{n}.jpg" for n in range(9)],
    )
    made = build_small(tmp_path / "pairs", ListedPhotos(TableRecords(path), FolderFiles(tmp_path)))
    assert made.manifest["funnel"]["dropped"]["photo cannot be had"] == 1
    assert set(made.index.author) == {"Ann"}
    assert "title" not in made.index
    assert {pair.key: pair.ground for pair in made.sample_pairs(99)} == {
        f"k{n}": picture(n) for n in range(8) if f"k{n}" in set(made.index.key)
    }


def test_the_papers_shards_are_a_source(tmp_path):
    first = build_small(tmp_path / "first")
    again = build_small(tmp_path / "again", open_shards(str(first.path)))
    assert again.manifest["funnel"]["records"] == len(first.index)
    for pair, other in zip(first.sample_pairs(99), again.sample_pairs(99), strict=True):
        assert (pair.key, pair.ground, pair.overhead, pair.taken) == (
            other.key,
            other.ground,
            other.overhead,
            other.taken,
        )
    assert list(again.manifest["shards"].values()) == list(first.manifest["shards"].values())


def test_faults_in_shards_are_counted(tmp_path):
    samples = {
        "good.1": ('{"latitude": 1, "longitude": 2, "date_taken": "2012-03-04 05:06:07.0"}', True),
        "dateless": ('{"latitude": 1, "longitude": 2, "date_taken": "0000-00-00 00:00:00"}', True),
        "torn": ('{"latitude": 1', True),
        "photoless": ('{"latitude": 1, "longitude": 2, "date_taken": "2012-03-04 05:06:07.0"}', False),
    }
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for key, (metadata, photo) in samples.items():
            key = key.split(".")[0]
            for part, data in (
                ("groundlevel.jpg", picture(1) if photo else b""),
                ("metadata.json", metadata.encode()),
            ):
                if data:
                    info = tarfile.TarInfo(f"{key}.{part}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    photos = list(open_shards(str(tmp_path / "*.tar")).photos())
    assert [(p.key, p.fault, p.taken is None) for p in photos] == [
        ("good", "", False),
        ("dateless", "", True),
        ("torn", UNREADABLE_METADATA, True),
        ("photoless", UNREADABLE_METADATA, True),
    ]
    assert open_shards(str(tmp_path)).read_image(photos[0]) == picture(1)
    (tmp_path / "00000.tar").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match="fetch it again"):
        list(open_shards(str(tmp_path)).photos())
    with pytest.raises(InputError, match=r"no \.tar there"):
        open_shards(str(tmp_path / "nowhere"))


def test_values_that_are_not_understood_are_faults_of_their_rows(tmp_path):
    path = csv(
        tmp_path / "x.csv",
        key=["a", "b", "c", "d", "e"],
        lon=["4 54.0 E", "4.9", "4.9", "4,9", "4.9"],
        lat=["52° 20.82' N", "52", "52", "52", "-52 S"],
        taken=["2012-07-04 22:30", "2012-07-04 22:30:00 CST", "4 July", "2012-07-04 22:30:00", ""],
    )
    photos = list(iterate_photos(TableRecords(path)))
    assert [photo.fault for photo in photos] == [
        "",
        UNKNOWN_ZONE,
        UNREADABLE_DATE,
        UNREADABLE_PLACE,
        UNREADABLE_PLACE,
    ]
    assert (photos[0].lon, photos[0].lat) == (pytest.approx(4.9), pytest.approx(52.347))
    assert photos[0].taken == datetime(2012, 7, 4, 22, 30)
    assert [photo.taken for photo in photos[1:3]] == [None, None]


def test_rows_that_are_torn_or_no_text_do_not_end_the_reading(tmp_path):
    rows = [b"key,lon,lat,taken,title", b"a,5,52,2012-07-04 22:30:00,one", b"b,5,52", b"c,5,52,,Stra\xdfe"]
    (tmp_path / "x.csv").write_bytes(b"\n".join([*rows, b"d,5,52,2012-07-04 22:30:00,two"]) + b"\n")
    with pytest.warns(UserWarning, match="1 rows are left out as torn .*, in line 3; correct them"):
        photos = list(iterate_photos(TableRecords(tmp_path / "x.csv")))
    assert [(p.key, p.fault) for p in photos] == [("a", ""), ("c", NOT_UTF8), ("d", ""), ("", TORN_ROW)]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_a_torn_row_that_is_no_text_is_a_fault_and_the_others_are_read(tmp_path, suffix, capfd):
    """Also in blocks that come after it, with quotation marks, and after rows that Arrow has read."""
    rows = [
        b'r%d,5,52,2012-07-04 22:30:00,"line %d\nof ""two"", with a comma"' % (n, n) for n in range(40_000)
    ]
    rows[20_000:20_000] = [
        b"torn,5,Stra\xdfe",
        b"",
        b"odd,5,52,2012-07-04 22:30:00,Stra\xdfe",
        b"a,b,c,d,e,f",
    ]
    data = b"\n".join([b"key,lon,lat,taken,title", *rows]) + b"\n"
    assert len(data) > 2.5 * 2**20, "several blocks of Arrow's"
    path = tmp_path / f"x{suffix}"
    path.write_bytes(gzip.compress(data, 1) if suffix.endswith("gz") else data)
    with pytest.warns(UserWarning, match="2 rows .* torn .*, in line 40002, 40005; correct them"):
        table = pa.Table.from_batches(TableRecords(path).records())
    keys = [f"r{n}" for n in range(40_000)]
    keys.insert(20_000, "odd")
    assert table["key"].to_pylist() == [*keys, "", ""]
    assert Counter(table["fault"].to_pylist()) == {"": 40_000, NOT_UTF8: 1, TORN_ROW: 2}
    assert table["title"][29_999].as_py() == 'line 29998\nof "two", with a comma'
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("title", "read"),
    [
        ('"never closed', None),
        ('a 5" lens', 'a 5" lens'),
        ('"so" he said', "so he said"),
        ('"two\nlines\n"', "two\nlines\n"),
        ('"r9,5,52,2012-07-04 22:30:00,""quoted"""', 'r9,5,52,2012-07-04 22:30:00,"quoted"'),
    ],
)
@pytest.mark.parametrize("after", ['"ok"', '", then"', "plain", '"two\nlines"'])
@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_quotation_mark_that_is_not_closed_takes_no_other_rows(tmp_path, title, read, after, end):
    rows = ["key,lon,lat,taken,title"]
    rows += [f'r{n},5,52,2012-07-04 22:30:00,"before"' for n in range(3)]
    rows += [f"odd,5,52,2012-07-04 22:30:00,{title}"]
    rows += [f"s{n},5,52,2012-07-04 22:30:00,{after}" for n in range(3 if end else 0)]
    (tmp_path / "x.csv").write_text((end or "\n").join(rows) + end, newline="")
    warned = "1 rows are left out as torn .*, in line 5; correct them"
    with pytest.warns(UserWarning, match=warned) if read is None else contextlib.nullcontext():
        photos = list(iterate_photos(TableRecords(tmp_path / "x.csv")))
    titles = {p.key: p.title.replace("\r", "") for p in photos if not p.fault}
    expected = dict.fromkeys(("r0", "r1", "r2"), "before") | ({} if read is None else {"odd": read})
    if end:
        expected |= dict.fromkeys(("s0", "s1", "s2"), after.strip('"'))
    assert titles == expected
    assert [p.fault for p in photos if p.fault] == ([TORN_ROW] if read is None else [])


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.txt", "x.csv.gz", "x.csv.zst"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_usual_delimiter_and_compression_is_read(tmp_path, name, delimiter):
    rows = [["key", " lon", "lat ", "taken", "error_m"], ["a", "5.25", "-52.5", "2012-07-04 22:30:00", "12"]]
    if delimiter != ",":
        rows += [["b", "5,25", "-52,5", "2012-07-04 22:30:00", "12,5"]]
    with pa.output_stream(str(tmp_path / name)) as file:
        file.write("\n".join(map(delimiter.join, rows)).encode("utf-8-sig"))
    photos = list(iterate_photos(TableRecords(tmp_path / name)))
    assert [(p.key, p.lon, p.lat, p.error_m, p.fault) for p in photos] == [
        ("a", 5.25, -52.5, 12, ""),
        *([] if delimiter == "," else [("b", 5.25, -52.5, 12.5, "")]),
    ]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        ("key,lon,lat,taken\n".encode("utf-16"), "UTF-16"),
        ("key,lon,lat,taken\n".encode("utf-16-le"), "zero bytes"),
        # Workers must name a case alike, so the time within the archive is fixed.
        (gzip.compress(b"key,lon,lat,taken\n", mtime=0), "end in .gz"),
        (b"PK\3\4" + bytes(60), "a workbook; save it as CSV"),
        (b"PAR1" + bytes(60), "end in .parquet"),
        (b"key,lon,lat,lat,taken\n", "2 columns 'lat'"),
    ],
)
def test_what_is_no_usable_text_is_refused_in_one_line(tmp_path, data, rule):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(InputError) as error:
        list(TableRecords(tmp_path / "x.csv").records())
    assert rule in str(error.value)
    assert "\n" not in str(error.value)


def test_torn_rows_are_told_with_their_lines(tmp_path):
    rows = ["key,lon,lat,taken,title", 'a,5,52,2012-07-04 22:30:00,"two', 'lines"', "b,5,52", "", "c,5"]
    (tmp_path / "x.csv").write_text("\n".join(rows))
    with pytest.warns(UserWarning, match="2 rows are left out as torn .* in line 4, 6; correct"):
        list(TableRecords(tmp_path / "x.csv").records())


def test_quotes_are_checked_across_blocks():
    """A stream in blocks of any size is as a whole: every quotation mark begins or ends a value."""
    good, bad = b'a,"b ""c"" d","",\n"x\ny",2\n', b'a,"b" c,3\n'
    for text, fine in ((good, True), (bad, False), (good + b'a,"b\n', False), (good + b'a,b"\n', False)):
        for size in range(1, len(text) + 2):
            stream = CheckedQuotes(pa.BufferReader(b"\xef\xbb\xbf" * (size > 2) + text), ",")
            try:
                while stream.read(size):
                    pass
            except MisplacedQuoteError:
                assert not fine
            else:
                assert fine


@pytest.mark.parametrize("start", [b"", b"key,lon,lat,taken\na,5,52,2012-07-04 22:30:00\ntorn\xff\n"])
def test_a_line_without_end_is_cut_and_not_taken_into_memory(tmp_path, start):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(start + b"x" * (30 * 2**20), 1))
    table = TableRecords(tmp_path / "x.csv.gz")
    if not start:
        with pytest.raises(InputError, match="no column for key") as error:
            list(table.records())
        assert len(str(error.value)) < 5000
        return
    tracemalloc.start()
    with pytest.warns(UserWarning, match="31 rows .* torn .*, in line 3, 4, 5, 6, 7 …; correct"):
        faults = [photo.fault for photo in iterate_photos(table)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (faults[0], set(faults[1:]), len(faults)) == ("", {TORN_ROW}, 32)
    assert peak < 25 * 2**20


@pytest.mark.parametrize(
    ("value", "zone", "taken"),
    [
        ("2012-07-04 22:30:00", "+09:00", datetime(2012, 7, 4, 15, 30)),
        ("2012-07-04 22:30:00", "America/New_York", datetime(2012, 7, 5, 4, 30)),
        ("2012-01-04 22:30:00", "America/New_York", datetime(2012, 1, 5, 4, 30)),
        ("2012-07-04 22:30:00", "Z", datetime(2012, 7, 5, 0, 30)),
        ("2012-07-04 22:30:00", -5, datetime(2012, 7, 5, 5, 30)),
        ("2012-07-04 22:30:00", 5.75, datetime(2012, 7, 4, 18, 45)),
        ("2012-07-04 22:30:00", "", datetime(2012, 7, 4, 22, 30)),
        ("2012-07-04 22:30:00", "CST", UNKNOWN_ZONE),
        ("2012-07-04 22:30:00", 7200, UNKNOWN_ZONE),
        ("2012-07-04 22:30:00", "nan", UNKNOWN_ZONE),
        ("2012-07-04 22:30:00Z", "+09:00", datetime(2012, 7, 5, 0, 30)),
        ("", "+09:00", None),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_zone_may_stand_in_a_column_of_its_own(tmp_path, value, zone, taken, form):
    frame = pd.DataFrame({**ROME, "taken": [value], "Time_Zone": [zone]})
    path = tmp_path / f"x.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    (photo,) = iterate_photos(TableRecords(path))
    assert (photo.fault or photo.taken) == taken
    assert photo.fault == "" or photo.taken is None


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_points_in_every_encoding_and_empty_ones(tmp_path, encoding):
    points = [shapely.Point(5.5, 52), shapely.Point(), None, shapely.Point(6.5, 53)]
    frame = gpd.GeoDataFrame(
        {"key": list("abcd"), "taken": ["2012-07-04 22:30:00"] * 4}, geometry=points, crs=4326
    )
    frame.to_parquet(tmp_path / "x.parquet", geometry_encoding=encoding)
    photos = list(iterate_photos(TableRecords(tmp_path / "x.parquet")))
    assert [(p.lon, p.lat) for p in photos] == [(5.5, 52.0), (None, None), (None, None), (6.5, 53.0)]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["gps_accuracy", "accuracy_level"])
def test_an_accuracy_that_is_no_number_is_a_fault_and_not_a_place_without_one(tmp_path, column, form):
    values = ["", "12", "12.0", " 12 m", "nan", "inf", "1e999", "-1", "about 5"]
    frame = pd.DataFrame(
        {"id": range(9), "lon": 5, "lat": 52, "taken": "2012-07-04 22:30:00", column: values}
    )
    path = tmp_path / f"x.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    photos = list(iterate_photos(TableRecords(path)))
    assert [photo.fault for photo in photos] == [*[""] * 4, *[UNREADABLE_ACCURACY] * 5]
    read = [photo.error_m if column == "gps_accuracy" else photo.level for photo in photos]
    assert read == [None, 12, 12, 12, *[None] * 5]
    numbers = frame.assign(**{column: [None, 12.0, 12.0, 12.0, None, np.inf, np.inf, -1.0, -np.inf]})
    numbers.to_parquet(tmp_path / "numbers.parquet")
    faults = [photo.fault for photo in iterate_photos(TableRecords(tmp_path / "numbers.parquet"))]
    assert faults == [*[""] * 5, *[UNREADABLE_ACCURACY] * 4]


def native(path, shape, crs=""):
    """A Parquet file with a column of Parquet's own type GEOMETRY, which DuckDB writes."""
    kind = f"geometry('{crs}')" if crs else "geometry"
    select = f"select 'a' as key, '2012-07-04 22:30:00' as taken, '{shape}'::{kind} as place"
    with duckdb.connect() as db:
        db.execute(f"copy ({select}) to '{path}' (format parquet, geoparquet_version 'NONE')")
    return path


def test_points_of_parquets_own_type_are_places(tmp_path):
    degrees = pyproj.CRS("OGC:CRS84").to_json()
    for crs in ("", degrees):
        (photo,) = iterate_photos(TableRecords(native(tmp_path / "x.parquet", "POINT(5.5 52)", crs)))
        assert (photo.lon, photo.lat, photo.taken) == (5.5, 52.0, datetime(2012, 7, 4, 22, 30))
    path = native(tmp_path / "y.parquet", "POINT(600000 6000000)", pyproj.CRS(3857).to_json())
    with pytest.raises(InputError, match="save it in EPSG:4326"):
        list(TableRecords(path).records())


def test_polygons_of_parquets_own_type_are_regions_in_the_crs_that_it_states(tmp_path):
    square = "POLYGON((0 0,111319.49 0,111319.49 111325.14,0 111325.14,0 0))"  # of one degree
    path = native(tmp_path / "x.parquet", square, pyproj.CRS(3857).to_json())
    np.testing.assert_allclose(parse_region(str(path)).geometry.boundingbox.bbox, (0, 0, 1, 1), atol=1e-6)


def test_a_point_that_is_no_wkb_is_no_place(tmp_path):
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    table = pa.table(
        {
            "key": ["a", "b"],
            "taken": ["2012-07-04 22:30:00"] * 2,
            "geometry": [b"x", shapely.Point(5, 52).wkb],
        }
    )
    papq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "x.parquet")
    photos = list(iterate_photos(TableRecords(tmp_path / "x.parquet")))
    assert [(p.lon, p.lat) for p in photos] == [(None, None), (5.0, 52.0)]


def test_the_columns_that_are_used_and_those_that_look_useful_are_named(tmp_path):
    row = {"id": ["a"], "lon": [5.0], "lat": [52.0], "taken": ["2012-07-04 22:30:00"]}
    lines = dict(TableRecords(csv(tmp_path / "a.csv", **row, accuracy_coordinates=[250])).explain_columns())
    assert lines == {"columns used": "key=id, lon=lon, lat=lat, taken=taken, error_m=accuracy_coordinates"}
    path = csv(tmp_path / "b.csv", **row, accuracy=[250], observer=["Ann"], colour=["red"])
    lines = dict(TableRecords(path).explain_columns())
    assert (
        lines["columns not used"]
        == "accuracy (--column error_m=accuracy?), observer (--column user=observer?)"
    )
    assert "no place is too coarse" in lines["accuracy"]
    (photo,) = iterate_photos(TableRecords(path, {"error_m": "accuracy"}))
    assert photo.error_m == 250


def write_tar(path, members):
    """Write a tar of ``(name, bytes)`` members, or of `TarInfo` members without content."""
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


METADATA = b'{"latitude": 1, "longitude": 2, "date_taken": "2012-03-04 05:06:07.0"}'


def sample(key):
    return [(f"{key}.groundlevel.jpg", picture(1)), (f"{key}.metadata.json", METADATA)]


def test_equal_names_in_two_folders_of_a_shard_are_two_photos(tmp_path):
    write_tar(tmp_path / "0.tar", [*sample("one/a"), *sample("two/a"), *sample("./b"), *sample("one_a")])
    photos = list(open_shards(str(tmp_path)).photos())
    assert [photo.fault for photo in photos] == [""] * 4
    assert len({photo.key for photo in photos}) == 4
    assert [photo.key for photo in photos[2:]] == ["b", "one_a"]
    assert photos[0].key.startswith("one_a-")


def test_members_that_must_not_be_read_are_faults_of_their_samples(tmp_path):
    link = tarfile.TarInfo("link.groundlevel.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("device.metadata.json")
    device.type = tarfile.CHRTYPE
    sparse = tarfile.TarInfo("sparse.groundlevel.jpg")  # a terabyte of zeros in no bytes
    sparse.pax_headers = {"GNU.sparse.size": str(2**40), "GNU.sparse.map": "0,0"}
    huge = ("huge.groundlevel.jpg", picture(1))
    path = write_tar(
        tmp_path / "0.tar",
        [
            *(link, ("link.metadata.json", METADATA)),
            *(("device.groundlevel.jpg", picture(1)), device),
            *(sparse, ("sparse.metadata.json", METADATA)),
            *(*sample("twice"), ("twice.metadata.json", METADATA)),
            *sample("good"),
        ],
    )
    photos = {photo.key: photo for photo in open_shards(str(path)).photos()}
    assert {key: photo.fault for key, photo in photos.items()} == {
        "link": NOT_REGULAR,
        "device": NOT_REGULAR,
        "sparse": NOT_REGULAR,
        "twice": REPEATED_MEMBER,
        "good": "",
    }
    write_tar(tmp_path / "1.tar", [huge, ("huge.metadata.json", METADATA)])
    data = bytearray((tmp_path / "1.tar").read_bytes())
    header = tarfile.TarInfo("huge.groundlevel.jpg")
    header.size = 2**40
    data[:512] = header.tobuf()
    (tmp_path / "1.tar").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read as a tar"):
        list(open_shards(str(tmp_path / "1.tar")).photos())
    with (tmp_path / "1.tar").open("r+b") as file:
        file.truncate(2**40 + 2**20)  # as large as it claims, though nothing is there
    assert [photo.fault for photo in open_shards(str(tmp_path / "1.tar")).photos()] == [TOO_LARGE]


def test_a_tar_whose_sizes_lead_back_or_that_is_a_pipe_ends_in_one_line(tmp_path):
    path = write_tar(tmp_path / "0.tar", sample("a"))
    data = bytearray(path.read_bytes())
    header = tarfile.TarInfo("a.groundlevel.jpg")
    header.size = -1024
    data[:512] = header.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(data)
    os.mkfifo(tmp_path / "1.tar")
    for name in ("0.tar", "1.tar"):
        with pytest.raises(InputError, match="cannot be read as a tar"):
            list(open_shards(str(tmp_path / name)).photos())


def test_a_file_name_in_two_folders_of_a_tar_is_not_guessed(tmp_path):
    path = write_tar(
        tmp_path / "0.tar", [("x/1.jpg", picture(1)), ("y/1.jpg", picture(2)), ("y/2.jpg", picture(3))]
    )
    files = open_photo_files(str(path))
    assert files.read_image(Photo("a", 1, 1, None, url="y/1.jpg")) == picture(2)
    assert files.read_image(Photo("b", 1, 1, None, url="https://x.test/2.jpg")) == picture(3)
    with pytest.raises(JobError, match="several folders"):
        files.read_image(Photo("c", 1, 1, None, url="https://x.test/1.jpg"))


def test_only_regular_files_of_a_folder_are_read(tmp_path):
    os.mkfifo(tmp_path / "1.jpg")
    for url in ("1.jpg", "a\0b.jpg", "x" * 5000 + ".jpg"):
        with pytest.raises(JobError):
            FolderFiles(tmp_path).read_image(Photo("a", 1, 1, None, url=url))
