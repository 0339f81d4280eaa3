"""Photo records from the EXIF of the images in a folder: where and when each was taken.

What a camera writes wrongly is a fault of the record and is never repaired: half a position, numbers that
are not numbers, a camera clock and a GPS clock that disagree. (CIPA DC-008, Exif 2.32, tables 6 to 8 and
section 4.6.6.)
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from sat2cap.errors import InputError, JobError
from sat2cap.files import digest
from sat2cap.photos.files import IMAGE_SUFFIXES
from sat2cap.photos.local_time import local_times
from sat2cap.photos.protocol import Photo

UNREADABLE_FILE = "unreadable file"
BROKEN_GPS = "broken GPS tags"
CLOCKS_DISAGREE = "clocks disagree"
_CLOCK_TOLERANCE = timedelta(minutes=30)
"""Largest difference between camera and GPS clock: cameras drift by minutes, zones differ by half an hour."""
_GPS, _EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")

Tags = Mapping[int, Any]


class _BrokenError(ValueError):
    """A tag whose value is impossible; the text is the fault of the record."""


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
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                yield read_photo(path, path.relative_to(self.folder).as_posix(), self.licence)

    def read_image(self, photo: Photo) -> bytes:
        """Return the bytes of the file. Raises `JobError` when it is gone."""
        try:
            return (self.folder / photo.url).read_bytes()
        except OSError as error:
            raise JobError(f"photo {photo.url} cannot be read ({error.strerror})") from None


def read_photo(path: Path, name: str, licence: str = "unknown") -> Photo:
    """Read the record of one image file from its EXIF.

    `name` is the path within the folder; the record's key is made of it. A file that cannot be read, or whose
    tags are impossible, gives a record with a fault.
    """
    key = re.sub(r"[^A-Za-z0-9_-]", "_", name.rsplit(".", 1)[0])[-60:] + "-" + digest(name)[:8]
    lon = lat = error_m = None
    taken, author, fault = None, "", ""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            main, gps, details = dict(exif), exif.get_ifd(_GPS), exif.get_ifd(_EXIF)
        author = str(main.get(ExifTags.Base.Artist, "")).strip("\0 ")
        lon, lat = _read_position(gps)
        error_m = _parse_number(gps.get(ExifTags.GPS.GPSHPositioningError))
        taken = _local_time(details, _read_gps_clock(gps), lon, lat)
    except _BrokenError as error:
        fault = str(error)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        fault = UNREADABLE_FILE
    return Photo(key, lon, lat, taken, author, licence, name, author, "", name, error_m=error_m, fault=fault)


def _read_position(gps: Tags) -> tuple[float | None, float | None]:
    """Return ``(lon, lat)`` in degrees, or None for both without a position.

    Raises `_BrokenError` for half of one.
    """
    names = ExifTags.GPS
    if names.GPSLatitude not in gps and names.GPSLongitude not in gps:
        return None, None
    if str(gps.get(names.GPSStatus, "A")).strip("\0 ").upper() == "V":
        raise _BrokenError(BROKEN_GPS)  # V: the receiver had no fix, so the numbers are old or invented
    lat = _parse_angle(gps.get(names.GPSLatitude), gps.get(names.GPSLatitudeRef), "NS", 90)
    lon = _parse_angle(gps.get(names.GPSLongitude), gps.get(names.GPSLongitudeRef), "EW", 180)
    return lon, lat


def _parse_angle(value: Any, ref: Any, sides: str, limit_deg: int) -> float:
    """Return degrees, negative on the second of two `sides` such as ``NS``. Raises `_BrokenError`."""
    side = str(ref).strip("\0 ").upper()
    parts = [_parse_number(part) for part in value] if isinstance(value, tuple) else []
    numbers = [part for part in parts if part is not None]
    if len(numbers) != 3 or len(parts) != 3 or side not in (sides[0], sides[1]):
        raise _BrokenError(BROKEN_GPS)
    degrees, minutes, seconds = numbers
    if min(numbers) < 0 or minutes >= 60 or seconds >= 60:
        raise _BrokenError(BROKEN_GPS)
    angle = degrees + minutes / 60 + seconds / 3600
    if angle > limit_deg:
        raise _BrokenError(BROKEN_GPS)
    return -angle if side == sides[1] else angle


def _parse_number(value: Any) -> float | None:
    """Return a rational as a float; None for a missing one and for a division by zero."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _read_gps_clock(gps: Tags) -> datetime | None:
    """Return the instant of the GPS clock, UTC without zone; None unless date and time are both there."""
    date = str(gps.get(ExifTags.GPS.GPSDateStamp, "")).strip("\0 ")
    clock = gps.get(ExifTags.GPS.GPSTimeStamp)
    parts = [_parse_number(part) for part in clock] if isinstance(clock, tuple) else []
    numbers = [part for part in parts if part is not None]
    if not date or len(numbers) != 3:
        return None
    try:
        midnight = datetime.strptime(date, "%Y:%m:%d")
    except ValueError:
        return None
    hours, minutes, seconds = numbers
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _read_camera_clock(details: Tags) -> tuple[datetime | None, timedelta | None]:
    """Return the camera's clock, and how far it is ahead of UTC if the camera says so."""
    tag_pairs = (
        (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
        (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    )  # never DateTime, which is when the file was last changed
    for date, offset in tag_pairs:
        try:
            taken = datetime.strptime(str(details.get(date, "")).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        match = _OFFSET.fullmatch(str(details.get(offset, "")).strip("\0 "))
        if match is None:
            return taken, None
        ahead = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return taken, -ahead if match[1] == "-" else ahead
    return None, None


def _local_time(
    details: Tags, gps_clock: datetime | None, lon: float | None, lat: float | None
) -> datetime | None:
    """Return the local clock time of the photo, or None if no clock tells it.

    An instant (the camera clock with its offset, or the GPS clock where there is no camera clock) becomes
    the local time of the place. A camera clock without offset is taken to be local, and the GPS clock must
    agree on the hour; receivers are known to be a day off, so the date is the camera's. Raises
    `_BrokenError` if the two clocks disagree.
    """
    camera, ahead = _read_camera_clock(details)
    if camera is not None and ahead is not None:
        local = _local_time_at(lon, lat, camera - ahead)
        camera = camera if local is None else local
    by_gps = None if gps_clock is None else _local_time_at(lon, lat, gps_clock)
    if camera is None or by_gps is None:
        return by_gps if camera is None else camera
    difference = abs(camera - by_gps)
    time_of_day = min(difference % timedelta(days=1), timedelta(days=1) - difference % timedelta(days=1))
    if time_of_day > _CLOCK_TOLERANCE or difference > timedelta(days=1) + _CLOCK_TOLERANCE:
        raise _BrokenError(CLOCKS_DISAGREE)
    return camera


def _local_time_at(lon: float | None, lat: float | None, utc: datetime) -> datetime | None:
    """Return the local clock time of an instant at a place in degrees; None without a place."""
    if lon is None or lat is None:
        return None
    instants = np.array([utc], "datetime64[us]")
    local: datetime | None = local_times(np.array([lon]), np.array([lat]), instants)[0].item()
    return local
