"""The one parser of times and angles as cameras, tables and shards write them.

What is unambiguous is read; for anything else `RecordFaultError` says why the record cannot be used. A zone
that is not understood is such a fault: the time would otherwise count as local, hours away from the truth.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

UNREADABLE_DATE = "unreadable date"
"""Fault of a text that is no date and time."""
UNKNOWN_ZONE = "unknown time zone"
"""Fault of a time whose zone cannot be understood."""
UNREADABLE_PLACE = "unreadable place"
"""Fault of a text that is no angle, or of an angle that does not exist."""
UNREADABLE_ACCURACY = "unreadable accuracy"
"""Fault of a place whose error or level is a text or number that is none, such as -1."""


class RecordFaultError(ValueError):
    """A value that cannot be used; the text is the fault of the record."""


@dataclass(frozen=True)
class ClockTime:
    """What a clock showed."""

    shown: datetime
    """Date and time as written, without zone."""
    ahead: timedelta | None = None
    """How far the clock was ahead of UTC; None if that is not written."""

    @property
    def instant(self) -> datetime | None:
        """The time in UTC, without zone; None if the zone is not written."""
        return None if self.ahead is None else self.shown - self.ahead


_NO_DATE = re.compile(r"[\s0:./TZ-]*")
_CLOCK = re.compile(
    r"""(?P<year>\d{4}) (?P<mark>[-:/.]) (?P<month>\d{1,2}) (?P=mark) (?P<day>\d{1,2})
        (?: (?:\s+|[Tt]|:) (?P<hour>\d{1,2}) : (?P<minute>\d{2})
            (?: : (?P<second>\d{1,2}) (?:[.,](?P<fraction>\d+))? )?
            (?: \s* (?P<half>[AaPp])\.?[Mm]\.? (?![A-Za-z]) )?
            (?P<zone> \s* \S.*)? )?""",
    re.VERBOSE,
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)"
    r"(?:T?(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?(?P<zone>\s*\S.*)?)?"
)
_EPOCH = re.compile(r"\d{9,10}(\.\d+)?|\d{12,13}|\d{15,16}|\d{18,19}")
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?")
_LARGEST_OFFSET = timedelta(hours=14)  # Kiribati; the smallest is 12 hours behind
_EPOCH_LIMITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0), (np.inf, 1e-3))
"""Values below the first number are to be multiplied by the second to become microseconds."""


def parse_clock_time(text: str) -> ClockTime | None:
    """Parse a date and time, with or without a zone; None for a blank one, or one that is all zeros.

    Read are dates that begin with the year, with ``-``, ``:``, ``/`` or ``.`` between (or compact,
    ``20240520T143000``); hours to 24 and seconds to 60, which carry over; fractions of a second; AM and PM;
    a zone as `parse_zone` has it; and seconds, milli-, micro- or nanoseconds since 1970, told apart by the
    number of their digits, which are in UTC. A date alone is its midnight.

    Raises `RecordFaultError` with `UNREADABLE_DATE` or `UNKNOWN_ZONE` for any other text.

    Example:
        parse_clock_time("2024:05:20 14:30:00-5:00")
        # ClockTime(datetime(2024, 5, 20, 14, 30), timedelta(hours=-5))
    """
    text = text.strip("\0 \t\r\n")
    if _NO_DATE.fullmatch(text):
        return None
    if _EPOCH.fullmatch(text):
        instant: datetime = epochs_to_instants(np.array([float(text)]))[0].item()
        return ClockTime(instant, timedelta(0))
    match = _CLOCK.fullmatch(text) or _COMPACT.fullmatch(text)
    if match is None:
        raise RecordFaultError(UNREADABLE_DATE)
    part = match.groupdict()
    try:
        midnight = datetime(int(part["year"]), int(part["month"]), int(part["day"]))
        shown = midnight + _time_of_day(part)
    except (ValueError, OverflowError):
        raise RecordFaultError(UNREADABLE_DATE) from None
    return ClockTime(shown, parse_zone(part["zone"] or "", shown))


def _time_of_day(part: dict[str, str | None]) -> timedelta:
    """Return the time since midnight. Raises `ValueError` if a clock cannot show it."""
    hour, minute, second = (int(part[name] or 0) for name in ("hour", "minute", "second"))
    half = (part.get("half") or "").lower()
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        hour = hour % 12 + (12 if half == "p" else 0)
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError(hour)
    fraction = (part["fraction"] or "")[:6].ljust(6, "0")
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=int(fraction))


def parse_zone(text: str, shown: datetime) -> timedelta | None:
    """Parse how far a clock that showed `shown` was ahead of UTC; None for a blank zone.

    Read are ``Z``, ``UTC``, ``GMT``, an offset such as ``+02:00``, ``-0500``, ``-5:00``, ``+05`` or
    ``UTC+2``, and a zone of the IANA database such as ``Europe/Rome``, alone or in brackets after an offset.
    Abbreviations such as CST, which stand for several zones, are not. Raises `RecordFaultError` with
    `UNKNOWN_ZONE` for these, and for an hour that a named zone skips or repeats.
    """
    text = text.strip("\0 \t\r\n").replace("\N{MINUS SIGN}", "-")
    if not text.strip(" :"):
        return None  # EXIF writes colons between blanks for a zone that is not known
    text, bracket, name = text.partition("[")
    if bracket and not text.strip():
        text = name.removesuffix("]")
    text = text.strip()
    bare = re.sub(r"^(UTC|GMT|[Zz]$)\s*", "", text)
    if text and not bare:
        return timedelta(0)
    if match := _OFFSET.fullmatch(bare):
        minutes = int(match[3] or 0)
        offset = timedelta(hours=int(match[2]), minutes=minutes)
        if offset <= _LARGEST_OFFSET and minutes < 60:
            return -offset if match[1] == "-" else offset
    elif "/" in text:
        return _named_zone_offset(text, shown)
    raise RecordFaultError(UNKNOWN_ZONE)


def parse_zone_value(text: str, shown: datetime) -> timedelta | None:
    """Parse a zone that stands alone, as in a column of its own: as `parse_zone` does, or as hours.

    Hours ahead of UTC, such as ``2``, ``-3.5`` or ``5.75``, are whole quarters. Raises `RecordFaultError`
    with `UNKNOWN_ZONE` for anything else; None for a blank text.
    """
    try:
        offset = timedelta(hours=float(text))
    except (ValueError, OverflowError):
        return parse_zone(text, shown)
    if abs(offset) <= _LARGEST_OFFSET and offset % timedelta(minutes=15) == timedelta(0):
        return offset
    return parse_zone(text, shown)


def _named_zone_offset(name: str, shown: datetime) -> timedelta | None:
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RecordFaultError(UNKNOWN_ZONE) from None
    first, second = (shown.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    if first != second:  # the clocks were changed within this hour
        raise RecordFaultError(UNKNOWN_ZONE)
    return first


def epochs_to_instants(values: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Convert numbers since 1970 to instants in UTC, datetime64[us] of the same shape; NaT for NaN.

    Seconds, milli-, micro- and nanoseconds are told apart by size: in each unit, the times from 1973 to 5138
    are larger than any such time in the next coarser one. Numbers that give no time of the calendar are NaT.
    """
    numbers = np.asarray(values, np.float64)
    micros = np.full(numbers.shape, np.nan)
    lowest = 0.0
    for limit, factor in _EPOCH_LIMITS:
        in_unit = (np.abs(numbers) >= lowest) & (np.abs(numbers) < limit)
        micros[in_unit] = np.round(numbers[in_unit] * factor)
        lowest = limit
    usable = np.abs(micros) < 2.5e17  # the years up to 9892
    usable &= micros > -6.2e16  # from the year 5 on, so that Python's datetime has them
    instants = np.full(numbers.shape, np.datetime64("NaT"), "datetime64[us]")
    instants[usable] = micros[usable].astype(np.int64).astype("datetime64[us]")
    return instants


_ANGLE = re.compile(
    r"""(?P<before>[NSEW])? \s* (?P<sign>[+-])? \s* (?P<degrees>\d+(?:\.\d+)?) \s* (?:°|º|deg|d|\s|:|$)? \s*
        (?: (?P<minutes>\d+(?:\.\d+)?) \s* (?:'|′|’|m|\s|:|$)? \s*
            (?: (?P<seconds>\d+(?:\.\d+)?) \s* (?:"|″|”|''|s)? \s* )? )?
        (?P<after>[NSEW])?""",
    re.VERBOSE | re.IGNORECASE,
)


def parse_angle(text: str, sides: str, limit_deg: float) -> float | None:
    """Parse a latitude or longitude in degrees, also with minutes and seconds; None for a blank text.

    `sides` is ``NS`` or ``EW``; the second letter, like a minus sign, makes the angle negative. Raises
    `RecordFaultError` with `UNREADABLE_PLACE` for any other text, and for an angle beyond `limit_deg`.

    Example:
        parse_angle("52° 20.82' S", "NS", 90)    # -52.347
    """
    text = text.strip("\0 \t\r\n")
    if not text:
        return None
    match = _ANGLE.fullmatch(text)
    letters = [letter.upper() for letter in (match["before"], match["after"]) if letter] if match else []
    if match is None or len(letters) > 1 or not set(letters) <= set(sides) or (letters and match["sign"]):
        raise RecordFaultError(UNREADABLE_PLACE)
    parts = [float(part) for part in (match["degrees"], match["minutes"], match["seconds"]) if part]
    angle = join_angle(parts, limit_deg)
    return -angle if match["sign"] == "-" or letters == [sides[1]] else angle


def join_angle(parts: list[float], limit_deg: float) -> float:
    """Return degrees, minutes and seconds, of which the last given may have a fraction, as degrees.

    60 minutes or seconds, as rounding writes them, carry over. Raises `RecordFaultError` with
    `UNREADABLE_PLACE` for negative or larger parts, and for an angle beyond `limit_deg`.
    """
    if not 1 <= len(parts) <= 3 or min(parts) < 0 or max(parts[1:], default=0) > 60:
        raise RecordFaultError(UNREADABLE_PLACE)
    angle = sum(part / 60.0**power for power, part in enumerate(parts))
    if not angle <= limit_deg:
        raise RecordFaultError(UNREADABLE_PLACE)
    return angle
