"""The 1,000 real rows of YFCC100M: every form of the file, and the funnel counted again by hand."""

import bz2
import gzip
import sqlite3
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote_plus

import geopandas as gpd
import numpy as np
import pytest
from real_data import COUNTRIES, YFCC, needs_data

from sat2cap.errors import InputError
from sat2cap.pairs import Rules, read_area
from sat2cap.pairs.screening.rules import EXCLUDED
from sat2cap.pairs.screening.screen import screen_records
from sat2cap.photos.files import iterate_photos
from sat2cap.photos.table_values import NOT_UTF8
from sat2cap.photos.yfcc import _COLUMNS, TORN_ROW, YfccRecords

pytestmark = needs_data
NOT_USA = f"{COUNTRIES}:ADM0_A3=USA"


def rows() -> list[dict[str, str]]:
    lines = YFCC.read_text(encoding="utf-8").split("\n")[:-1]
    return [dict(zip(_COLUMNS, line.split("\t"), strict=True)) for line in lines]


def counted_by_hand(least_level: int, licence: str | None) -> dict[str, int]:
    """The funnel by plain loops over the text: no DuckDB, no Arrow, and GeoPandas' join for the border."""
    usa = gpd.read_file(COUNTRIES).query("ADM0_A3 == 'USA'")
    places = [row for row in rows() if row["longitude"]]
    points = gpd.GeoDataFrame(
        places,
        geometry=gpd.points_from_xy([r["longitude"] for r in places], [r["latitude"] for r in places]),
        crs=4326,
    )
    american = set(gpd.sjoin(points, usa.to_crs(4326)).photoid)
    counts: dict[str, int] = {}

    def fault(row: dict[str, str]) -> str:
        moment = datetime.fromisoformat(row["datetaken"])
        for reason, wrong in (
            ("video", row["marker"] == "1"),
            ("no place", not row["longitude"]),
            ("place too coarse", row["accuracy"] != "" and int(row["accuracy"]) < least_level),
            (EXCLUDED, row["photoid"] in american),
            ("implausible date", not 2000 <= moment.year <= 2024),
            ("no hour", moment.hour == moment.minute == moment.second == 0),
            ("licence", licence is not None and row["licenseurl"].split("/")[-3] != licence),
        ):
            if wrong:
                return reason
        return "usable"

    for row in rows():
        counts[fault(row)] = counts.get(fault(row), 0) + 1
    return counts


@pytest.mark.parametrize(
    ("least_level", "licence", "expected"),
    [
        (16, None, {"video": 3, "no place": 856, "place too coarse": 65, EXCLUDED: 28, "usable": 48}),
        (
            1,
            None,
            {"video": 3, "no place": 856, EXCLUDED: 50, "implausible date": 1, "no hour": 1, "usable": 89},
        ),
        (
            13,
            "by",
            {
                "video": 3,
                "no place": 856,
                "place too coarse": 24,
                EXCLUDED: 47,
                "no hour": 1,
                "licence": 62,
                "usable": 7,
            },
        ),
    ],
)
def test_the_funnel_of_the_real_rows(least_level, licence, expected) -> None:
    rules = Rules(
        latest=datetime(2024, 12, 31),
        least_level=least_level,
        excluded=read_area(NOT_USA),
        licences=() if licence is None else ("CC-BY-[0-9]*",),
    )
    usable, funnel = screen_records(YfccRecords(YFCC).records(), rules)
    counts = {**funnel.dropped, "usable": funnel.kept_count}
    assert counts == expected == counted_by_hand(least_level, licence)
    assert list(counts) == list(expected), "in the order of the rules"
    assert len(usable) == funnel.kept_count
    assert funnel.records == 1000


def test_a_margin_finds_the_photos_that_coarse_borders_lose() -> None:
    """Anna Maria Island, Galveston, Manhattan; Key West and Cape Hatteras are farther; Toronto is abroad."""
    lost = {"7676077502", "5955415539", "2760079853"}
    still_lost = {"6985418911", "4983805904"}
    abroad = {"8828496684", "2726915113", "13137609893", "3464703920"}
    photos = [photo for photo in iterate_photos(YfccRecords(YFCC)) if photo.lon is not None]
    lon, lat = (np.array([getattr(photo, name) for photo in photos]) for name in ("lon", "lat"))
    plain, wide = (read_area(NOT_USA, margin).contains_points(lon, lat) for margin in (0.0, 20.0))
    assert {p.key for p, inside in zip(photos, plain, strict=True) if inside}.isdisjoint(
        lost | still_lost | abroad
    )
    assert (wide >= plain).all()
    keys_inside = {p.key for p, inside in zip(photos, wide, strict=True) if inside}
    assert lost <= keys_inside
    assert keys_inside.isdisjoint(still_lost | abroad)
    assert read_area(NOT_USA, 20.0).as_dict() != read_area(NOT_USA).as_dict()


def test_every_field_of_a_row_is_read() -> None:
    photos = {photo.key: photo for photo in iterate_photos(YfccRecords(YFCC))}
    assert list(photos) == [row["photoid"] for row in rows()]
    for row in rows():
        photo = photos[row["photoid"]]
        assert photo.user == row["uid"]
        assert photo.author == unquote_plus(row["unickname"])
        assert photo.title == unquote_plus(row["title"])
        assert photo.url == row["downloadurl"]
        assert photo.source == row["pageurl"]
        assert photo.video == (row["marker"] == "1")
        assert photo.taken == datetime.fromisoformat(row["datetaken"])
        assert (photo.lon, photo.lat, photo.level) == (
            (float(row["longitude"]), float(row["latitude"]), int(row["accuracy"]))
            if row["longitude"]
            else (None, None, None)
        )
        kind, version = row["licenseurl"].rstrip("/").split("/")[-2:]
        assert photo.licence == f"CC-{kind.upper()}-{version}"
    assert any("é" in photo.title for photo in photos.values()), "some titles are not ASCII"


def as_bz2(path: Path) -> Path:
    path.with_suffix(".bz2").write_bytes(bz2.compress(YFCC.read_bytes()))
    return path.with_suffix(".bz2")


def as_gz(path: Path) -> Path:
    path.with_suffix(".gz").write_bytes(gzip.compress(YFCC.read_bytes()))
    return path.with_suffix(".gz")


def as_older(path: Path) -> Path:
    lines = [[v for n, v in row.items() if n not in ("line", "hash")] for row in rows()]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def as_sqlite(path: Path) -> Path:
    with sqlite3.connect(path) as db:
        names = [name for name in _COLUMNS if name not in ("line", "hash")]
        typed = (f"{n} REAL" if n in ("longitude", "latitude") else f"{n} TEXT" for n in names)
        db.execute(f"create table yfcc100m_dataset ({', '.join(typed)})")
        marks = ",".join("?" * len(names))
        lines = [[row[n] or None for n in names] for row in rows()]
        db.executemany(f"insert into yfcc100m_dataset values ({marks})", lines)
    return path


@pytest.mark.parametrize("form", [as_bz2, as_gz, as_older, as_sqlite])
def test_every_form_of_the_file_gives_the_same_records(form, tmp_path) -> None:
    again = list(iterate_photos(YfccRecords(form(tmp_path / "yfcc"))))
    assert again == list(iterate_photos(YfccRecords(YFCC)))


def test_torn_rows_are_counted_and_the_rest_is_read(tmp_path) -> None:
    lines = YFCC.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5][:60] + b"\n"
    lines[700] = b"\t".join([lines[700].rstrip(b"\n"), b"one more\n"])
    lines[9] = lines[9].replace(b"2006-08", b"2006-13").replace(b"http://creativecommons", b"%FF%zz")
    (tmp_path / "torn").write_bytes(b"".join(lines))
    with pytest.warns(UserWarning, match="2 rows are left out as torn .*, in line 6, 701; correct them"):
        _, funnel = screen_records(YfccRecords(tmp_path / "torn").records(), Rules())
    whole = screen_records(YfccRecords(YFCC).records(), Rules())[1].dropped
    assert funnel.records == 1000
    assert funnel.dropped == {**whole, TORN_ROW: 2, "no place": 854}


def test_a_torn_row_that_is_not_utf8_is_counted_and_the_rest_is_read(tmp_path, capfd) -> None:
    lines = YFCC.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5][:60] + b"\xdf\n"
    (tmp_path / "torn.bz2").write_bytes(bz2.compress(b"".join(lines)))
    with pytest.warns(UserWarning, match="1 rows are left out as torn .*, in line 6; correct them"):
        again = list(iterate_photos(YfccRecords(tmp_path / "torn.bz2")))
    whole = list(iterate_photos(YfccRecords(YFCC)))
    assert again[:-1] == whole[:5] + whole[6:]
    assert again[-1].fault == TORN_ROW
    assert capfd.readouterr().err == ""


def test_other_files_are_refused_in_one_line(tmp_path) -> None:
    (tmp_path / "x").write_text("a,b\n1,2\n")
    for path in (tmp_path / "x", tmp_path / "nowhere"):
        with pytest.raises(InputError) as error:
            list(YfccRecords(path).records())
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_a_row_that_is_not_utf8_is_a_fault(tmp_path) -> None:
    lines = YFCC.read_bytes().splitlines(keepends=True)
    lines[5] = lines[5].replace(b"\thttp", b"\xdf\thttp", 1)
    (tmp_path / "latin").write_bytes(b"".join(lines))
    faults = [photo.fault for photo in iterate_photos(YfccRecords(tmp_path / "latin"))]
    assert [(row, fault) for row, fault in enumerate(faults) if fault] == [(5, NOT_UTF8)]
