"""Which photos have a place and a moment that can be believed.

A record with a fault is counted by its reason and left out; nothing is ever repaired by guessing.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sat2cap.sources.photos import Photo

_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")

REASONS = (
    "bad key",
    "repeated key",
    "no place",
    "bad coordinates",
    "null island",
    "no date",
    "date with a zone",
    "implausible date",
    "no hour",
    "duplicate",
)
"""Every reason `screen` gives, in the order the rules are tried."""


@dataclass(frozen=True)
class Rules:
    """What a photo's record must satisfy."""

    earliest: datetime = datetime(2000, 1, 1)
    """Photos before this are scans, or cameras whose clock was never set."""
    latest: datetime | None = None
    """Photos after this have a wrong clock; None for the moment of screening."""
    null_island_deg: float = 0.01
    """Within this many degrees of (0, 0) a place is a missing value in disguise."""
    require_hour: bool = True
    """Leave out photos taken at exactly 00:00:00, which is how a date without an hour is written."""
    place_decimals: int = 4
    """Two places equal to this many decimals of a degree (4: about 11 m) are one place."""


@dataclass(frozen=True)
class Funnel:
    """How many records there were and what became of them."""

    records: int
    """Everything the source listed."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Records left out by reason, in the order the rules were tried; without reasons that never applied."""

    @property
    def kept(self) -> int:
        """Records that passed every rule."""
        return self.records - sum(self.dropped.values())

    def drop(self, reasons: Mapping[str, int]) -> "Funnel":
        """The funnel after leaving out more records, by reason."""
        dropped = dict(self.dropped)
        for reason, count in reasons.items():
            if count:
                dropped[reason] = dropped.get(reason, 0) + count
        return Funnel(self.records, dropped)

    def as_dict(self) -> dict[str, object]:
        """As plain JSON values."""
        return {"records": self.records, "dropped": dict(self.dropped), "kept": self.kept}


def _place_fault(photo: Photo, rules: Rules) -> str | None:
    if photo.lon is None or photo.lat is None:
        return "no place"
    if not (math.isfinite(photo.lon) and math.isfinite(photo.lat)):
        return "bad coordinates"
    if not (-180 <= photo.lon <= 180 and -90 <= photo.lat <= 90):
        return "bad coordinates"
    if max(abs(photo.lon), abs(photo.lat)) <= rules.null_island_deg:
        return "null island"
    return None


def _date_fault(photo: Photo, rules: Rules, latest: datetime) -> str | None:
    taken = photo.taken
    if taken is None:
        return "no date"
    if taken.tzinfo is not None:  # the hour must be local, and which zone is local is not known here
        return "date with a zone"
    if not rules.earliest <= taken <= latest:
        return "implausible date"
    if rules.require_hour and (taken.hour, taken.minute, taken.second, taken.microsecond) == (0, 0, 0, 0):
        return "no hour"
    return None


def _moment(photo: Photo, decimals: int) -> tuple[object, ...]:
    """Who was where in which minute; a burst of shots shares it."""
    assert photo.lon is not None
    assert photo.lat is not None
    assert photo.taken is not None
    minute = photo.taken.replace(second=0, microsecond=0)
    return photo.user, round(photo.lon, decimals), round(photo.lat, decimals), minute


def screen(photos: Iterable[Photo], rules: Rules | None = None) -> tuple[list[Photo], Funnel]:
    """The photos that satisfy `rules`, in their order, and the funnel that says why others went.

    Of duplicates (one user, place and minute) the first is kept.
    """
    rules = rules or Rules()
    latest = rules.latest or datetime.now()
    keys: set[str] = set()
    moments: set[tuple[object, ...]] = set()
    dropped = dict.fromkeys(REASONS, 0)
    kept: list[Photo] = []
    records = 0
    for photo in photos:
        records += 1
        fault = None if _KEY.fullmatch(photo.key) else "bad key"
        fault = fault or ("repeated key" if photo.key in keys else None)
        fault = fault or _place_fault(photo, rules) or _date_fault(photo, rules, latest)
        keys.add(photo.key)
        if fault is None:
            moment = _moment(photo, rules.place_decimals)
            fault = "duplicate" if moment in moments else None
            moments.add(moment)
        if fault is None:
            kept.append(photo)
        else:
            dropped[fault] += 1
    return kept, Funnel(records).drop(dropped)
