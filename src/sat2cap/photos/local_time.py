"""Local clock time of a place where only the instant is known."""

from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import JobError


@lru_cache(maxsize=1)
def _finder() -> Any:
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
    """What clocks showed at places (degrees) at instants in UTC, datetime64[us] `[N]`, summer time included.

    The zone is that of the place by timezonefinder's map, at sea the nautical one. Where place or instant is
    missing or off the globe the answer is NaT.
    """
    utc = np.asarray(utc, "datetime64[us]")
    known = (np.abs(lon) <= 180) & (np.abs(lat) <= 90) & ~np.isnat(utc)
    local = np.full(len(utc), np.datetime64("NaT"), "datetime64[us]")
    for row in np.flatnonzero(known):
        zone = _zone(_finder().timezone_at(lng=float(lon[row]), lat=float(lat[row])))
        if zone is not None:
            local[row] = utc[row] + _offset(zone, utc[row])
    return local


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None


def _offset(zone: ZoneInfo, utc: np.datetime64) -> np.timedelta64:
    """Local time less UTC at an instant."""
    moment = utc.astype("datetime64[us]").item().replace(tzinfo=ZoneInfo("UTC"))
    return np.timedelta64(moment.astimezone(zone).utcoffset(), "us")
