"""Local clock times of places, computed from instants in UTC."""

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import JobError
from sat2cap.photos.timestamps import parse_clock_time


@lru_cache(maxsize=1)
def _load_zone_map() -> Any:
    """Load timezonefinder's map of time zones, once. Raises `JobError` if it is not installed."""
    try:
        from timezonefinder import TimezoneFinder
    except ImportError:
        raise JobError(
            "times in UTC need the zones of the world; install them: pip install 'sat2cap[pairs]'"
        ) from None
    return TimezoneFinder()


def local_times(
    lon: NDArray[np.float64], lat: NDArray[np.float64], utc: NDArray[np.datetime64]
) -> NDArray[np.datetime64]:
    """Return the local clock times of instants at places, summer time included.

    `lon`, `lat`: degrees, shape (N,). `utc`: instants in UTC, shape (N,). Returns datetime64[us], shape (N,),
    by the zone of each place on timezonefinder's map (at sea, the nautical zone); NaT where the place or the
    instant is missing, or the place is off the globe. Raises `JobError` if timezonefinder is not installed.

    Example:
        local_times(np.array([12.5]), np.array([41.9]), np.array(["2012-07-04T22:30"], "datetime64[us]"))
        # 2012-07-05T00:30, as Rome is two hours ahead of UTC in summer
    """
    utc = np.asarray(utc, "datetime64[us]")
    usable = (np.abs(lon) <= 180) & (np.abs(lat) <= 90) & ~np.isnat(utc)
    local = np.full(len(utc), np.datetime64("NaT"), "datetime64[us]")
    for row in np.flatnonzero(usable):
        zone = _load_zone(_load_zone_map().timezone_at(lng=float(lon[row]), lat=float(lat[row])))
        if zone is not None:
            local[row] = utc[row] + _utc_offset(zone, utc[row])
    return local


def read_local_time(text: str, lon: float, lat: float) -> datetime | None:
    """Return the local clock time that a text tells at a place in degrees; None for a blank text.

    A text with a zone is an instant, and becomes the time of the place; None if the place is off the globe.
    Raises `RecordFaultError` if date or zone cannot be understood.
    """
    clock = parse_clock_time(text)
    if clock is None or clock.instant is None:
        return None if clock is None else clock.shown
    instants = np.array([clock.instant], "datetime64[us]")
    local: datetime | None = local_times(np.array([lon]), np.array([lat]), instants)[0].item()
    return local


@lru_cache(maxsize=1024)
def _load_zone(name: str | None) -> ZoneInfo | None:
    """Load a zone such as Europe/Rome; None if the system does not know it."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _utc_offset(zone: ZoneInfo, utc: np.datetime64) -> np.timedelta64:
    """Return local time minus UTC at an instant."""
    instant = utc.astype("datetime64[us]").item().replace(tzinfo=ZoneInfo("UTC"))
    return np.timedelta64(instant.astimezone(zone).utcoffset(), "us")
