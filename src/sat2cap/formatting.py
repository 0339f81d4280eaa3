"""Numbers, durations, sizes, coordinates and dates as text for people to read.

Everything here takes plain numbers, so that pages, maps and the terminal write the same thing the same way.
"""

import math
import unicodedata
from datetime import date

UNDEFINED = "–"
"""Stands for a value that was not measured or is not defined."""


def format_value(value: float) -> str:
    """Return a number with about three digits: ``0.123``, ``12.3``, ``1,234``.

    A half, as medians of ranks have, keeps its decimal (``13.5``); a value that is not finite is `UNDEFINED`.
    """
    if not math.isfinite(value):
        return UNDEFINED
    if abs(value) >= 1 and value % 1 == 0.5:
        return f"{value:,.1f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def format_percent(fraction: float) -> str:
    """Return a fraction as a percentage, ``0.123`` as ``12.3 %``; below 1 % with two decimals.

    A fraction that is not finite is `UNDEFINED`.
    """
    if not math.isfinite(fraction):
        return UNDEFINED
    return f"{100 * fraction:.{1 if abs(fraction) >= 0.01 or fraction == 0 else 2}f} %"


def format_duration(seconds: float) -> str:
    """Return a duration in the unit that suits it, to about two digits: ``45 s``, ``2.5 min``, ``3 days``."""
    for unit, unit_s in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 1.5 * unit_s:
            count = seconds / unit_s
            return f"{count:.2g} {unit}" if count < 10 else f"{count:.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def format_bytes(count: float) -> str:
    """Return a size in decimal megabytes or, from 1e9 bytes, gigabytes: ``0.605 MB``, ``2.34 GB``."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def format_lonlat(lon: float, lat: float, decimals: int = 2) -> str:
    """Return a place given in degrees as ``46.12° N, 69.85° W``: latitude first, as people write it."""
    north_south, east_west = "N" if lat >= 0 else "S", "E" if lon >= 0 else "W"
    return f"{abs(lat):.{decimals}f}° {north_south}, {abs(lon):.{decimals}f}° {east_west}"


def format_month(month: int, *, short: bool = False) -> str:
    """Return the name of a month, 1 to 12: ``January``, or ``Jan`` if `short`."""
    return f"{date(2000, month, 1):{'%b' if short else '%B'}}"


def format_moment(day: int, month: int, hour: float, year: int | None = None) -> str:
    """Return a date and local time as ``20 May 2024, 08:00``, without the year if that is None.

    The hour is a fraction, so 8.5 is ``08:30``.
    """
    minutes = round(hour * 60)
    date_text = f"{day} {format_month(month)}" + ("" if year is None else f" {year}")
    return f"{date_text}, {minutes // 60:02d}:{minutes % 60:02d}"


def is_plain_text(text: str) -> bool:
    """Return whether every letter of a text may stand in any file of text, XML included.

    Control characters, halves of surrogate pairs and the two that are no characters may not: programs that
    read such a file refuse it, and a half of a pair cannot be encoded at all.
    """
    return not any(
        unicodedata.category(letter) in ("Cc", "Cs") or letter in "\ufffe\uffff" for letter in text
    )
