"""Photos that say where and when they were taken, and the ways in which they say it wrongly."""

import os
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import screen_photos
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from real_data import DATA, needs_data

from sat2cap.errors import InputError, JobError
from sat2cap.photos.exif import (
    BROKEN_GPS,
    CLOCKS_DISAGREE,
    NOT_A_FILE,
    UNREADABLE_FILE,
    ExifFolder,
    read_photo,
)
from sat2cap.photos.protocol import Photo
from sat2cap.photos.timestamps import UNKNOWN_ZONE, UNREADABLE_DATE

TAKEN, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132
TAKEN_OFFSET, ARTIST, ERROR = 0x9011, 0x013B, 0x001F
HERE = {1: "N", 2: (43.0, 28.0, 2.814), 3: "E", 4: (11.0, 53.0, 6.456)}


def shoot(path, gps=None, clock=None, main=None):
    exif = Image.Exif()
    for tag, value in (main or {}).items():
        exif[tag] = value
    exif.get_ifd(0x8825).update(gps or {})
    exif.get_ifd(0x8769).update(clock or {})
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return read_photo(path, path.name)


@needs_data
def test_the_real_folder_gives_the_right_places_and_local_times():
    photos = list(ExifFolder(DATA / "photos" / "exif-samples").photos())
    records = {p.url: (round(p.lat, 6), round(p.lon, 6), p.taken.isoformat(" ")) for p in photos}
    # degrees, minutes and seconds of the tags, worked out by hand; GPS time is UTC and two hours less, on a
    # date that is one day more
    assert records == {
        "DSCN0010.jpg": (43.467448, 11.885127, "2008-10-22 16:28:39"),
        "DSCN0012.jpg": (43.467157, 11.885395, "2008-10-22 16:29:49"),
        "DSCN0021.jpg": (43.467082, 11.884538, "2008-10-22 16:38:20"),
        "DSCN0025.jpg": (43.468365, 11.881635, "2008-10-22 16:43:21"),
        "DSCN0027.jpg": (43.468442, 11.881515, "2008-10-22 16:44:01"),
        "DSCN0029.jpg": (43.468243, 11.880172, "2008-10-22 16:46:53"),
        "DSCN0038.jpg": (43.467255, 11.879213, "2008-10-22 16:52:15"),
        "DSCN0040.jpg": (43.466012, 11.879112, "2008-10-22 16:55:37"),
        "DSCN0042.jpg": (43.464455, 11.881478, "2008-10-22 17:00:07"),
    }
    assert screen_photos(photos)[1].dropped == {}


@needs_data
def test_the_street_photos_have_places_and_no_date():
    photos = list(ExifFolder(DATA / "photos" / "street").photos())
    assert [(round(p.lon, 4), round(p.lat, 4)) for p in photos] == [
        (13.4003, 52.5189),
        (13.4004, 52.5189),
        (13.4004, 52.519),
    ]
    assert screen_photos(photos)[1].dropped == {"no date": 3}
    assert len(list(ExifFolder(DATA / "photos").photos())) == 12, "folders below it count too"


def test_the_southern_and_western_hemispheres(tmp_path):
    photo = shoot(tmp_path / "a.jpg", {**HERE, 1: "S", 3: "W\0"}, {TAKEN: "2012:03:04 05:06:07"})
    assert (photo.lat, photo.lon) == (
        pytest.approx(-43.467448, abs=1e-6),
        pytest.approx(-11.885127, abs=1e-6),
    )
    assert (photo.taken, photo.fault) == (datetime(2012, 3, 4, 5, 6, 7), "")


@pytest.mark.parametrize(
    "gps",
    [
        {k: v for k, v in HERE.items() if k != 1},
        {k: v for k, v in HERE.items() if k != 4},
        {**HERE, 3: "X"},
        {**HERE, 2: (43.0, 61.0, 0.0)},
        {**HERE, 2: (91.0, 0.0, 0.0)},
        {**HERE, 4: (181.0, 0.0, 0.0)},
        {**HERE, 2: (IFDRational(43, 0), 28.0, 2.0)},
        {**HERE, 2: (43.0, 28.0, 2.0, 1.0)},
        {**HERE, 2: (43.0, 28.0, IFDRational(0, 0))},
        {**HERE, 2: (43.0, 28.0, 60.5)},
        {**HERE, 9: "V"},
    ],
)
def test_an_incomplete_or_impossible_position_is_a_fault(tmp_path, gps):
    photo = shoot(tmp_path / "a.jpg", gps, {TAKEN: "2012:03:04 05:06:07"})
    assert photo.fault == BROKEN_GPS
    assert screen_photos([photo])[1].dropped == {BROKEN_GPS: 1}


@pytest.mark.parametrize(
    ("latitude", "degrees"),
    [
        ((52.0, 20.82, 0.0), 52.347),
        ((52.0, 20.82), 52.347),
        ((52.0, 20.82, IFDRational(0, 0)), 52.347),
        (52.347, 52.347),
        ((52.0, 19.0, 60.0), 52 + 20 / 60),
        ((51.0, 60.0, 0.0), 52.0),
    ],
)
def test_positions_with_decimal_minutes_or_rounded_up_seconds_are_read(tmp_path, latitude, degrees):
    photo = shoot(tmp_path / "a.jpg", {**HERE, 2: latitude}, {TAKEN: "2012:03:04 05:06:07"})
    assert (photo.lat, photo.fault) == (pytest.approx(degrees, abs=1e-6), "")


@pytest.mark.parametrize("offset", ["-5:00", "-0500", "-05", "-05:00", "UTC-5"])
def test_every_form_of_an_offset_is_heeded(tmp_path, offset):
    photo = shoot(tmp_path / "a.jpg", HERE, {TAKEN: "2012:07:04 14:30:00", TAKEN_OFFSET: offset})
    assert (photo.taken, photo.fault) == (datetime(2012, 7, 4, 21, 30), "")


@pytest.mark.parametrize(
    ("clock", "fault"),
    [
        ({TAKEN: "2012:07:04 14:30:00", TAKEN_OFFSET: "CST"}, UNKNOWN_ZONE),
        ({TAKEN: "2012:07:04 14:30:00", TAKEN_OFFSET: "+25:00"}, UNKNOWN_ZONE),
        ({TAKEN: "2012:07:04 14:30:00 CST"}, UNKNOWN_ZONE),
        ({TAKEN: "2012:07:04 14:30:00Z", TAKEN_OFFSET: "+02:00"}, CLOCKS_DISAGREE),
        ({TAKEN: "2012:02:30 10:00:00"}, UNREADABLE_DATE),
        ({TAKEN: "4 July 2012"}, UNREADABLE_DATE),
    ],
)
def test_a_zone_or_date_that_is_not_understood_is_a_fault(tmp_path, clock, fault):
    photo = shoot(tmp_path / "a.jpg", HERE, clock)
    assert (photo.taken, photo.fault) == (None, fault)


def test_a_time_with_its_zone_written_behind_it_is_an_instant(tmp_path):
    for text in ("2012:07:04 14:30:00Z", "2012-07-04T16:30:00.25+02:00"):
        photo = shoot(tmp_path / "a.jpg", TOKYO, {TAKEN: text})
        assert photo.taken.replace(microsecond=0) == datetime(2012, 7, 4, 23, 30)


JULY = {29: "2012:07:04", 7: (22.0, 30.0, 0.0)}
JANUARY = {29: "2012:01:04", 7: (22.0, 30.0, 0.0)}
TOKYO = {1: "N", 2: (35.0, 41.0, 0.0), 3: "E", 4: (139.0, 45.0, 0.0)}


@pytest.mark.parametrize(
    ("gps", "clock", "taken"),
    [
        # only UTC is known: the zone of the place, in summer, in winter, and over midnight
        ({**HERE, **JULY}, {}, datetime(2012, 7, 5, 0, 30)),
        ({**HERE, **JANUARY}, {}, datetime(2012, 1, 4, 23, 30)),
        ({**TOKYO, **JANUARY}, {}, datetime(2012, 1, 5, 7, 30)),
        # the camera's clock with an offset is an instant, and becomes the place's time
        (HERE, {TAKEN: "2012:07:04 22:30:00", TAKEN_OFFSET: "+02:00"}, datetime(2012, 7, 4, 22, 30)),
        (TOKYO, {TAKEN: "2012:07:04 22:30:00", TAKEN_OFFSET: "+02:00"}, datetime(2012, 7, 5, 5, 30)),
        (HERE, {TAKEN: "2012:07:04 22:30:00", TAKEN_OFFSET: "-05:00"}, datetime(2012, 7, 5, 5, 30)),
        # without one it is the local clock, and a GPS clock only confirms it
        (HERE, {TAKEN: "2012:07:04 22:30:00", TAKEN_OFFSET: "   "}, datetime(2012, 7, 4, 22, 30)),
        ({**HERE, **JULY}, {TAKEN: "2012:07:05 00:21:00"}, datetime(2012, 7, 5, 0, 21)),
        ({**HERE, **JULY}, {TAKEN: "2012:07:04 00:31:00"}, datetime(2012, 7, 4, 0, 31)),
        # what is no date
        (HERE, {TAKEN: "0000:00:00 00:00:00"}, None),
        (HERE, {TAKEN: "    :  :     :  :  ", DIGITIZED: "2012:02:03 10:00:00"}, datetime(2012, 2, 3, 10)),
        ({**HERE, 29: "2012:13:04", 7: (22.0, 30.0, 0.0)}, {}, None),
        ({**HERE, 29: "2012:01:04"}, {}, None),
        ({}, {TAKEN: "2012:07:04 22:30:00"}, datetime(2012, 7, 4, 22, 30)),
        (JULY, {}, None),
    ],
)
def test_local_time(tmp_path, gps, clock, taken):
    photo = shoot(tmp_path / "a.jpg", gps, clock, {CHANGED: "2020:01:01 01:01:01"})
    assert (photo.taken, photo.fault) == (taken, "")


@pytest.mark.parametrize(
    "clock",
    [
        {TAKEN: "2012:07:04 22:30:00"},
        {TAKEN: "2012:07:08 00:30:00"},
        {TAKEN: "2012:07:05 01:30:00"},
        {TAKEN: "2012:07:04 22:30:00", TAKEN_OFFSET: "+05:00"},
    ],
)
def test_clocks_that_disagree_are_a_fault_and_give_no_time(tmp_path, clock):
    photo = shoot(tmp_path / "a.jpg", {**HERE, **JULY}, clock)
    assert (photo.fault, photo.taken) == (CLOCKS_DISAGREE, None)


def test_broken_files_are_counted_and_keys_are_unique(tmp_path):
    (tmp_path / "sub").mkdir()
    shoot(tmp_path / "a b.jpg", {**HERE, ERROR: 250.0}, {TAKEN: "2012:07:04 22:30:00"}, {ARTIST: "Ann"})
    shoot(tmp_path / "sub" / "a b.jpg", HERE, {TAKEN: "2012:07:05 22:30:00"})
    (tmp_path / "torn.JPG").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "notes.txt").write_text("no photo")
    photos = list(ExifFolder(tmp_path, licence="CC0-1.0").photos())
    usable, funnel = screen_photos(photos)
    assert funnel.dropped == {UNREADABLE_FILE: 1, "place too coarse": 1}
    assert len({photo.key for photo in photos}) == 3
    assert [(photo.url, photo.licence) for photo in usable] == [("sub/a b.jpg", "CC0-1.0")]
    assert photos[0].author == photos[0].user == "Ann"
    assert ExifFolder(tmp_path).read_image(usable[0]) == (tmp_path / "sub" / "a b.jpg").read_bytes()
    with pytest.raises(InputError, match="no such folder"):
        list(ExifFolder(tmp_path / "nowhere").photos())


def test_photos_of_other_formats_are_counted_by_their_reason(tmp_path):
    shoot(tmp_path / "good.jpg", HERE, {TAKEN: "2012:07:04 22:30:00"})
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    (tmp_path / "IMG_2.CR2").write_bytes(b"II*\0")
    (tmp_path / "clip.MOV").write_bytes(b"x")
    (tmp_path / "script.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n{} loop\n")
    os.mkfifo(tmp_path / "pipe.jpg")
    usable, funnel = screen_photos(list(ExifFolder(tmp_path).photos()))
    assert [photo.url for photo in usable] == ["good.jpg"]
    assert funnel.dropped == {
        NOT_A_FILE: 1,
        UNREADABLE_FILE: 1,
        "unreadable HEIC file": 1,
        "unsupported format .cr2": 1,
        "video": 1,
    }
    with pytest.raises(JobError, match="not a regular file"):
        ExifFolder(tmp_path).read_image(Photo("k", None, None, None, url="pipe.jpg"))


def test_heic_photos_have_places_and_dates(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(HERE)
    exif.get_ifd(0x8769).update({TAKEN: "2012:07:04 22:30:00"})
    heif.from_pillow(Image.new("RGB", (64, 64), (200, 0, 0))).save(tmp_path / "a.heic", exif=exif.tobytes())
    photo = read_photo(tmp_path / "a.heic", "a.heic")
    assert (photo.taken, photo.fault) == (datetime(2012, 7, 4, 22, 30), "")
    assert (photo.lat, photo.lon) == (pytest.approx(43.467448, abs=1e-6), pytest.approx(11.885127, abs=1e-6))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert read_photo(tmp_path / "a.heic", "a.heic").fault == "HEIC is read with an extra"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=5))
def test_damaged_exif_is_a_record_or_a_fault(changes):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jpg"
        shoot(path, {**HERE, **JULY}, {TAKEN: "2012:07:05 00:30:00", TAKEN_OFFSET: "+02:00"})
        data = bytearray(path.read_bytes())
        for position, value in changes:
            data[position % len(data)] = value
        path.write_bytes(data)
        photo = read_photo(path, "a.jpg")
        assert photo.fault or photo.lat is None or abs(photo.lat) <= 90
