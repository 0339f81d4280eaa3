"""Photos in tables and in shards: columns by name, moments with and without zones, and the images."""

import io
import tarfile
from datetime import UTC, datetime, timedelta, timezone

import geopandas as gpd
import pandas as pd
import pytest
from made_up import build_small, picture

from sat2cap.errors import InputError, JobError
from sat2cap.photos.files import FolderFiles, ListedPhotos, TarFiles, iterate_photos, open_photo_files
from sat2cap.photos.protocol import Photo
from sat2cap.photos.shards import UNREADABLE_METADATA, open_shards
from sat2cap.photos.table import TableRecords

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
        Photo("b", None, 51.0, None, "", "unknown", "", "", 'say "c"\nand d', "2.jpg"),
        Photo("c", None, 50.0, None, "", "CC-BY-4.0", "", "", "", "3.jpg", None, 200.0),
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
    if form == "csv" and column == "utc" and isinstance(value, int):
        taken = None  # seconds are told from text by the column's type, which a CSV has not
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
