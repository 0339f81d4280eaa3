"""Photos that say where and when they were taken, and the ways in which they say it wrongly."""

from datetime import datetime

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from real_data import DATA, needs_data

from sat2cap.errors import InputError
from sat2cap.pairs.screening.screen import screen_photos
from sat2cap.photos.exif import BROKEN_GPS, CLOCKS_DISAGREE, UNREADABLE_FILE, ExifFolder, read_photo

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
        {**HERE, 2: (43.0, 28.0)},
        {**HERE, 9: "V"},
    ],
)
def test_an_incomplete_or_impossible_position_is_a_fault(tmp_path, gps):
    photo = shoot(tmp_path / "a.jpg", gps, {TAKEN: "2012:03:04 05:06:07"})
    assert photo.fault == BROKEN_GPS
    assert screen_photos([photo])[1].dropped == {BROKEN_GPS: 1}


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
        (HERE, {TAKEN: "2012:02:30 10:00:00"}, None),
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
