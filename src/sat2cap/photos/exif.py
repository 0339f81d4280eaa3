"""Photo records from the EXIF of the images in a folder: where and when each was taken.

What a camera writes wrongly is a fault of the record and is never repaired: half a position, numbers that
are not numbers, a zone that is not understood, a camera clock and a GPS clock that disagree. (CIPA DC-008,
Exif 2.32, tables 6 to 8 and section 4.6.6.)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags

from sat2cap.errors import InputError, JobError, PictureError, Sat2CapError, escape_controls
from sat2cap.files import digest, read_regular_file
from sat2cap.photos.files import IMAGE_SUFFIXES
from sat2cap.photos.local_time import local_times
from sat2cap.photos.protocol import Photo
from sat2cap.photos.timestamps import (
    ClockTime,
    RecordFaultError,
    join_angle,
    parse_clock_time,
    parse_zone,
)
from sat2cap.pictures import MAX_PICTURE_BYTES, open_header

UNREADABLE_FILE = "unreadable file"
BROKEN_GPS = "broken GPS tags"
CLOCKS_DISAGREE = "clocks disagree"
NOT_A_FILE = "not a regular file"
BROKEN_NAME = "file name is not UTF-8"
_CLOCK_TOLERANCE = timedelta(minutes=30)
"""Largest difference between camera and GPS clock: cameras drift by minutes, zones differ by half an hour."""
_GPS, _EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
_HEIC_SUFFIXES = (".heic", ".heif")
_RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef"),
    *(".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f", ".jxl", ".jp2"),
)
"""Photos of formats that are not read: each is a record with a fault, so that it is counted."""
_VIDEO_SUFFIXES = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".webm")

Tags = Mapping[int, Any]


@dataclass(frozen=True)
class ExifFolder:
    """A `PhotoSource` over all photos in a folder and below it."""

    folder: Path
    licence: str = "unknown"
    """What may be done with the photos; a copyright tag does not say."""

    @property
    def uri(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def photos(self) -> Iterator[Photo]:
        """Yield a record for every image file, in the order of the paths.

        Raises `InputError` when there is no such folder.
        """
        if not self.folder.is_dir():
            raise InputError(f"photos {str(self.folder)!r}: there is no such folder; check the path")
        for path in sorted(self.folder.rglob("*")):
            suffix, name = path.suffix.lower(), path.relative_to(self.folder).as_posix()
            if path.is_dir():
                continue
            if not _is_text(name) and suffix in (*IMAGE_SUFFIXES, *_RAW_SUFFIXES, *_VIDEO_SUFFIXES):
                shown = escape_controls(name)
                yield Photo(*(_make_key(name), None, None, None), source=shown, url=shown, fault=BROKEN_NAME)
            elif suffix in IMAGE_SUFFIXES:
                yield read_photo(path, name, self.licence)
            elif suffix in _RAW_SUFFIXES:
                fault = f"unsupported format {suffix}"
                yield Photo(_make_key(name), None, None, None, source=name, url=name, fault=fault)
            elif suffix in _VIDEO_SUFFIXES:
                yield Photo(_make_key(name), None, None, None, source=name, url=name, video=True)

    def read_image(self, photo: Photo) -> bytes:
        """Return the bytes of the file. Raises `JobError` when it is gone, or not a regular file."""
        try:
            return read_regular_file(self.folder / photo.url, MAX_PICTURE_BYTES)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no path"
            raise JobError(f"photo {photo.url} cannot be read ({reason}); build again without it") from None


def _is_text(name: str) -> bool:
    """Return whether a file's name is UTF-8, so that it can stand in tables; other bytes are surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _make_key(name: str) -> str:
    """Return a key that no other path within the folder has."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name.rsplit(".", 1)[0])[-60:] + "-" + digest(name)[:8]


def read_photo(path: Path, name: str, licence: str = "unknown") -> Photo:
    """Read the record of one image file from its EXIF.

    `name` is the path within the folder; the record's key is made of it. A file that cannot be read, or whose
    tags are impossible, gives a record with a fault.
    """
    lon = lat = error_m = None
    taken, author, fault = None, "", ""
    try:
        with open_header(path) as image:
            exif = image.getexif()
            main, gps, details = dict(exif), exif.get_ifd(_GPS), exif.get_ifd(_EXIF)
        author = _read_text(main.get(ExifTags.Base.Artist))
        lon, lat = _read_position(gps)
        error_m = _parse_number(gps.get(ExifTags.GPS.GPSHPositioningError))
        taken = _local_time(_read_camera_clock(details), _read_gps_clock(gps), lon, lat)
    except RecordFaultError as error:
        fault = str(error)
    except PictureError as error:
        fault = _describe_unreadable(path, str(error))
    except Sat2CapError:
        raise
    except Exception:  # EXIF of a stranger: whatever its parser raises is a fault of this one record
        fault = UNREADABLE_FILE
    return Photo(
        *(_make_key(name), lon, lat, taken, author, licence, name, author, "", name),
        error_m=error_m,
        fault=fault,
    )


def _describe_unreadable(path: Path, reason: str) -> str:
    """Return the fault of a file that cannot be opened, one of a few, as records are counted by it."""
    if NOT_A_FILE in reason:
        return NOT_A_FILE
    if path.suffix.lower() in _HEIC_SUFFIXES:
        return reason.split(";", maxsplit=1)[0] if "extra" in reason else "unreadable HEIC file"
    return UNREADABLE_FILE


def _read_text(value: Any) -> str:
    """Return a tag's text without its padding; empty for a missing one."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ")


def _read_position(gps: Tags) -> tuple[float | None, float | None]:
    """Return ``(lon, lat)`` in degrees, or None for both without a position.

    Raises `RecordFaultError` for half of one.
    """
    names = ExifTags.GPS
    if names.GPSLatitude not in gps and names.GPSLongitude not in gps:
        return None, None
    if _read_text(gps.get(names.GPSStatus, "A")).upper() == "V":
        raise RecordFaultError(BROKEN_GPS)  # V: the receiver had no fix, so the numbers are old or invented
    lat = _read_angle(gps.get(names.GPSLatitude), gps.get(names.GPSLatitudeRef), "NS", 90)
    lon = _read_angle(gps.get(names.GPSLongitude), gps.get(names.GPSLongitudeRef), "EW", 180)
    return lon, lat


def _read_angle(value: Any, ref: Any, sides: str, limit_deg: float) -> float:
    """Return degrees, negative on the second of two `sides` such as ``NS``. Raises `RecordFaultError`.

    `value` is degrees, minutes and seconds. Cameras that count in decimal minutes leave the seconds out, or
    write them as 0/0; a single number is decimal degrees.
    """
    side = _read_text(ref).upper()[:1]
    parts = [_parse_number(part) for part in (value if isinstance(value, tuple) else (value,))]
    if len(parts) == 3 and parts[2] is None and parts[1] is not None and parts[1] % 1:
        parts = parts[:2]
    numbers = [part for part in parts if part is not None]
    if len(numbers) != len(parts) or not side or side not in sides:
        raise RecordFaultError(BROKEN_GPS)
    try:
        angle = join_angle(numbers, limit_deg)
    except RecordFaultError:
        raise RecordFaultError(BROKEN_GPS) from None
    return -angle if side == sides[1] else angle


def _parse_number(value: Any) -> float | None:
    """Return a rational as a float; None for a missing one and for a division by zero."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _read_gps_clock(gps: Tags) -> datetime | None:
    """Return the instant of the GPS clock, UTC without zone; None unless date and time are both there.

    Raises `RecordFaultError` for a time that no clock shows. A date that cannot be read is none, as receivers
    without a fix write what they like there.
    """
    clock = gps.get(ExifTags.GPS.GPSTimeStamp)
    parts = [_parse_number(part) for part in clock] if isinstance(clock, tuple) else []
    numbers = [part for part in parts if part is not None]
    try:
        date = parse_clock_time(_read_text(gps.get(ExifTags.GPS.GPSDateStamp)))
    except RecordFaultError:
        return None
    if date is None or len(numbers) != 3:
        return None
    hours, minutes, seconds = numbers
    if not (0 <= hours <= 24 and 0 <= minutes <= 60 and 0 <= seconds < 62):
        raise RecordFaultError(BROKEN_GPS)
    midnight = date.shown.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _read_camera_clock(details: Tags) -> ClockTime | None:
    """Return what the camera's clock showed; None if it wrote nothing.

    The offset to UTC has a tag of its own, and some programs write it behind the time as well. Raises
    `RecordFaultError` if neither date can be read, if the offset cannot, or if the two offsets differ.
    """
    tag_pairs = (
        (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
        (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    )  # never DateTime, which is when the file was last changed
    fault = None
    for date, offset in tag_pairs:
        try:
            clock = parse_clock_time(_read_text(details.get(date)))
            if clock is None:
                continue
            ahead = parse_zone(_read_text(details.get(offset)), clock.shown)
        except RecordFaultError as error:
            fault = fault or error
            continue
        if ahead is not None and clock.ahead not in (None, ahead):
            raise RecordFaultError(CLOCKS_DISAGREE)
        return ClockTime(clock.shown, clock.ahead if ahead is None else ahead)
    if fault is not None:
        raise fault
    return None


def _local_time(
    camera: ClockTime | None, gps_clock: datetime | None, lon: float | None, lat: float | None
) -> datetime | None:
    """Return the local clock time of the photo, or None if no clock tells it.

    An instant (the camera clock with its offset, or the GPS clock where there is no camera clock) becomes
    the local time of the place. A camera clock without offset is taken to be local, and the GPS clock must
    agree on the hour; receivers are known to be a day off, so the date is the camera's. Raises
    `RecordFaultError` if the two clocks disagree.
    """
    by_gps = None if gps_clock is None else _local_time_at(lon, lat, gps_clock)
    if camera is None:
        return by_gps
    by_camera = None if camera.instant is None else _local_time_at(lon, lat, camera.instant)
    local = camera.shown if by_camera is None else by_camera
    if by_gps is None:
        return local
    difference = abs(local - by_gps)
    time_of_day = min(difference % timedelta(days=1), timedelta(days=1) - difference % timedelta(days=1))
    if time_of_day > _CLOCK_TOLERANCE or difference > timedelta(days=1) + _CLOCK_TOLERANCE:
        raise RecordFaultError(CLOCKS_DISAGREE)
    return local


def _local_time_at(lon: float | None, lat: float | None, utc: datetime) -> datetime | None:
    """Return the local clock time of an instant at a place in degrees; None without a place."""
    if lon is None or lat is None:
        return None
    instants = np.array([utc], "datetime64[us]")
    local: datetime | None = local_times(np.array([lon]), np.array([lat]), instants)[0].item()
    return local
