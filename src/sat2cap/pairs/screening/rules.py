"""What a photo's record must satisfy, and the count of those that do not.

Nothing is ever repaired by guessing: a record with a fault is counted by its reason and left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from sat2cap.errors import PairsError
from sat2cap.pairs.screening.areas import Area

EXCLUDED = "in an excluded area"
REPEATED, DUPLICATE = "repeated key", "duplicate"
USER_CAP, CELL_CAP = "more by one user", "more in one cell"

_FIRST_FIELDS = ("earliest", "latest", "null_island_deg", "require_hour", "place_decimals")
"""Always part of a set's identity; a later field only when it is set, so that older sets keep theirs."""


@dataclass(frozen=True)
class Rules:
    """What a photo's record must satisfy. Raises `PairsError` for rules that make no sense."""

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
    least_level: int = 16
    """Least accuracy of the place on Flickr's scale, 1 to 16; places without one are not judged by it."""
    most_error_m: float = 100.0
    """Largest error of the place in metres; places without one are not judged by it."""
    excluded: Area | None = None
    """Photos from here are left out; the paper leaves out the United States."""
    licences: tuple[str, ...] = ()
    """Licences to keep, as shell patterns such as ``CC-BY-[0-9]*``; none for all."""
    per_user: int | None = None
    """At most so many photos of one user, chosen by a hash of their keys."""
    per_cell: int | None = None
    """At most so many photos in one cell of `cell_km`, chosen likewise, after `per_user`."""
    cell_km: float = 1.0
    """Side of a cell of `per_cell`."""
    look_alike_bits: int | None = None
    """Largest Hamming distance, in bits, at which a photo counts as a near-duplicate of an earlier one and is
    left out; see `sat2cap.pairs.screening.near_duplicates`. None to keep near-duplicates."""

    def __post_init__(self) -> None:
        for name in ("per_user", "per_cell"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise PairsError(f"{name} {limit} must be at least 1; leave it out for no limit")
        if not (math.isfinite(self.most_error_m) and self.most_error_m >= 0):
            raise PairsError(f"most_error_m {self.most_error_m} must be 0 or more; use 100")
        if not (math.isfinite(self.cell_km) and self.cell_km > 0):
            raise PairsError(f"cell_km {self.cell_km} must be above 0; use 1")
        if self.look_alike_bits is not None and not 0 <= self.look_alike_bits <= 8:
            raise PairsError(f"look_alike_bits {self.look_alike_bits} must be from 0 to 8; use 2")

    def as_dict(self) -> dict[str, object]:
        """Return the rules as plain JSON values, as in the manifest and the fingerprint.

        Rules added after the first version are left out while they have their default values.
        """
        values: dict[str, object] = {}
        for rule in fields(self):
            value = getattr(self, rule.name)
            if rule.name in _FIRST_FIELDS or value != rule.default:
                values[rule.name] = _to_json_value(value)
        return values

    def failing_conditions(self, latest: datetime) -> dict[str, str]:
        """Return the rules that judge one record alone, in the order in which they are tried.

        Each reason for leaving a record out comes with the SQL condition under which it applies. `latest` is
        the moment after which a date is implausible.
        """
        licence_matches = " or ".join(f"licence glob {sql_literal(pattern)}" for pattern in self.licences)
        return {
            "bad key": "key is null or not regexp_full_match(key, '[A-Za-z0-9_-]{1,80}')",
            "video": "video",
            "no place": "lon is null or lat is null",
            "bad coordinates": "not (isfinite(lon) and isfinite(lat) and abs(lon) <= 180 and abs(lat) <= 90)",
            "null island": f"greatest(abs(lon), abs(lat)) <= {self.null_island_deg!r}",
            "place too coarse": f"level < {self.least_level} or error_m > {self.most_error_m!r}",
            EXCLUDED: "excluded",
            "no date": "taken is null",
            "implausible date": f"taken < timestamp '{self.earliest}' or taken > timestamp '{latest}'",
            "no hour": "taken = date_trunc('day', taken)" if self.require_hour else "false",
            "licence": f"not ({licence_matches})" if licence_matches else "false",
        }


def sql_literal(text: str) -> str:
    """Return text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _to_json_value(value: object) -> object:
    """Return the value of a rule as a JSON value: dates as ISO text, areas by their `as_dict`."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Area):
        return value.as_dict()
    return list(value) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Funnel:
    """Number of records listed, and of those left out by each rule."""

    records: int
    """Everything the source listed."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Records left out by reason, in the order the rules were tried; without reasons that never applied."""

    @property
    def kept_count(self) -> int:
        """Number of records that passed every rule."""
        return self.records - sum(self.dropped.values())

    def drop(self, reasons: Mapping[str, int]) -> "Funnel":
        """Return a new funnel with more records left out, counted by reason."""
        dropped = dict(self.dropped)
        for reason, count in reasons.items():
            if count:
                dropped[reason] = dropped.get(reason, 0) + count
        return Funnel(self.records, dropped)

    def as_dict(self) -> dict[str, object]:
        """Return the funnel as plain JSON values, as in the manifest."""
        return {"records": self.records, "dropped": dict(self.dropped), "kept": self.kept_count}
