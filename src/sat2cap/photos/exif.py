"""A folder of photos that say in their EXIF where and when they were taken.

What cameras get wrong is a fault of the record, never mended: half a position, numbers that are none, a
camera clock and a GPS clock that disagree. (CIPA DC-008, Exif 2.32, tables 6 to 8 and section 4.6.6.)
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
from sat2cap.photos.files import SUFFIXES
from sat2cap.photos.local_time import local_times
from sat2cap.photos.protocol import Photo

UNREADABLE, BROKEN_GPS, CLOCKS = "unreadable file", "broken GPS tags", "clocks disagree"
_CLOCK_TOLERANCE = timedelta(minutes=30)
"""Between camera and GPS clock; zones differ by less only in theory, cameras drift by minutes."""
_GPS, _EXIF = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")

Tags = Mapping[int, Any]


class _BrokenError(ValueError):
    """A tag that is there and cannot be meant."""


@dataclass(frozen=True)
class ExifFolder:
    """A `PhotoSource` over all photos in a folder and below it."""

    folder: Path
    licence: str = "unknown"
    """What may be done with the photos; a copyright tag does not say."""

    @property
    def uri(self) -> str:
        """The folder."""
        return str(self.folder)

    def photos(self) -> Iterator[Photo]:
        """A record for every image file, by path. Raises `InputError` when there is no such folder."""
        if not self.folder.is_dir():
            raise InputError(f"photos {str(self.folder)!r}: there is no such folder; check the path")
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield read_photo(path, path.relative_to(self.folder).as_posix(), self.licence)

    def image(self, photo: Photo) -> bytes:
        """The file's bytes. Raises `JobError` when it is gone."""
        try:
            return (self.folder / photo.url).read_bytes()
        except OSError as error:
            raise JobError(f"photo {photo.url} cannot be read ({error.strerror})") from None


def read_photo(path: Path, name: str, licence: str = "unknown") -> Photo:
    """The record in one file's EXIF; `name` is what to call the file, and unique."""
    key = re.sub(r"[^A-Za-z0-9_-]", "_", name.rsplit(".", 1)[0])[-60:] + "-" + digest(name)[:8]
    lon = lat = error_m = None
    taken, author, fault = None, "", ""
    try:
        with Image.open(path) as image:
            exif = image.getexif()
            main, gps, details = dict(exif), exif.get_ifd(_GPS), exif.get_ifd(_EXIF)
        author = str(main.get(ExifTags.Base.Artist, "")).strip("\0 ")
        lon, lat = _place(gps)
        error_m = _number(gps.get(ExifTags.GPS.GPSHPositioningError))
        taken = _local(details, _gps_moment(gps), lon, lat)
    except _BrokenError as error:
        fault = str(error)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        fault = UNREADABLE
    return Photo(key, lon, lat, taken, author, licence, name, author, "", name, error_m=error_m, fault=fault)


def _place(gps: Tags) -> tuple[float | None, float | None]:
    """``(lon, lat)``, degrees; both None without a position. Raises `_BrokenError` for half of one."""
    names = ExifTags.GPS
    if names.GPSLatitude not in gps and names.GPSLongitude not in gps:
        return None, None
    if str(gps.get(names.GPSStatus, "A")).strip("\0 ").upper() == "V":
        raise _BrokenError(BROKEN_GPS)  # V: the receiver had no fix, so the numbers are old or invented
    lat = _degrees(gps.get(names.GPSLatitude), gps.get(names.GPSLatitudeRef), "NS", 90)
    lon = _degrees(gps.get(names.GPSLongitude), gps.get(names.GPSLongitudeRef), "EW", 180)
    return lon, lat


def _degrees(value: Any, ref: Any, sides: str, most: int) -> float:
    side = str(ref).strip("\0 ").upper()
    parts = [_number(part) for part in value] if isinstance(value, tuple) else []
    known = [part for part in parts if part is not None]
    if len(known) != 3 or len(parts) != 3 or side not in (sides[0], sides[1]):
        raise _BrokenError(BROKEN_GPS)
    degrees, minutes, seconds = known
    if min(known) < 0 or minutes >= 60 or seconds >= 60:
        raise _BrokenError(BROKEN_GPS)
    angle = degrees + minutes / 60 + seconds / 3600
    if angle > most:
        raise _BrokenError(BROKEN_GPS)
    return -angle if side == sides[1] else angle


def _number(value: Any) -> float | None:
    """A rational as a float; None for none, and for one divided by zero."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if np.isfinite(number) else None


def _gps_moment(gps: Tags) -> datetime | None:
    """The GPS clock, UTC without zone; None unless date and time are both there."""
    date = str(gps.get(ExifTags.GPS.GPSDateStamp, "")).strip("\0 ")
    clock = gps.get(ExifTags.GPS.GPSTimeStamp)
    parts = [_number(part) for part in clock] if isinstance(clock, tuple) else []
    known = [part for part in parts if part is not None]
    if not date or len(known) != 3:
        return None
    try:
        midnight = datetime.strptime(date, "%Y:%m:%d")
    except ValueError:
        return None
    hours, minutes, seconds = known
    return midnight + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _camera_moment(details: Tags) -> tuple[datetime | None, timedelta | None]:
    """The camera's clock, and how far it is ahead of UTC if the camera says so."""
    pairs = (
        (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
        (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
    )  # never DateTime, which is when the file was last changed
    for date, offset in pairs:
        try:
            taken = datetime.strptime(str(details.get(date, "")).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        found = _OFFSET.fullmatch(str(details.get(offset, "")).strip("\0 "))
        if found is None:
            return taken, None
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return taken, -ahead if found[1] == "-" else ahead
    return None, None


def _local(details: Tags, gps: datetime | None, lon: float | None, lat: float | None) -> datetime | None:
    """The local clock time of the photo.

    An instant (camera clock with its offset, or else the GPS clock where there is no camera clock) becomes
    the local time of the place. A camera clock without offset is taken to be local, and the GPS clock must
    agree on the hour; receivers are known to be a day off, so the date is the camera's.
    """
    camera, ahead = _camera_moment(details)
    if camera is not None and ahead is not None:
        local = _at(lon, lat, camera - ahead)
        camera = camera if local is None else local
    by_gps = None if gps is None else _at(lon, lat, gps)
    if camera is None or by_gps is None:
        return by_gps if camera is None else camera
    apart = abs(camera - by_gps)
    of_day = min(apart % timedelta(days=1), timedelta(days=1) - apart % timedelta(days=1))
    if of_day > _CLOCK_TOLERANCE or apart > timedelta(days=1) + _CLOCK_TOLERANCE:
        raise _BrokenError(CLOCKS)
    return camera


def _at(lon: float | None, lat: float | None, utc: datetime) -> datetime | None:
    if lon is None or lat is None:
        return None
    moment = np.array([utc], "datetime64[us]")
    local = local_times(np.array([lon]), np.array([lat]), moment)[0]
    found: datetime | None = local.item()
    return found
