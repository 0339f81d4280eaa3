"""Columns of a table of photos: which field each serves, and which look useful and serve none."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sat2cap.errors import InputError, quote

COLUMN_NAMES = {
    "key": ("key", "id", "photo_id", "photoid", "image_id", "uuid"),
    "lon": ("lon", "longitude", "lng", "long", "x", "decimallongitude"),
    "lat": ("lat", "latitude", "y", "decimallatitude"),
    "taken": ("taken", "date_taken", "datetaken", "datetime", "captured_at", "local_time"),
    "utc": ("utc", "taken_utc", "timestamp_utc", "utc_time"),
    "zone": (
        *("zone", "timezone", "time_zone", "tz", "tzid", "utc_offset", "gmt_offset", "tz_offset"),
        *("timezone_offset", "time_offset", "offset_time", "offsettimeoriginal"),
    ),
    "user": ("user", "user_id", "uid", "owner", "photographer"),
    "licence": ("licence", "license"),
    "source": ("source", "page", "page_url", "pageurl"),
    "author": ("author", "user_name", "owner_name", "attribution"),
    "title": ("title",),
    "url": ("url", "image_url", "download_url", "downloadurl", "file", "path", "filename", "image"),
    "level": ("accuracy_level",),
    "error_m": (
        *("error_m", "accuracy_m", "gps_accuracy", "accuracy_coordinates", "positional_accuracy"),
        *("coordinateuncertaintyinmeters", "uncertainty_m", "horizontal_accuracy"),
    ),
    "video": ("video",),
}
"""Fields of a photo that a table may have, and the column names tried for each in turn, in small letters.

`taken` is local clock time unless the value has a zone, or the row one in `zone`: an offset, hours ahead of
UTC, or a name such as Europe/Rome. `utc` is an instant in UTC, as text, a timestamp or a number since 1970,
and serves where there is no `taken`."""

_LOOKS_LIKE = {
    "error_m": ("accura", "uncertain", "precision", "hdop", "error"),
    "zone": ("timezone", "timeoffset", "offsettime", "tzoffset", "tzname", "utcoffset", "gmtoffset"),
    "utc": ("utc", "gmt"),
    "taken": ("taken", "captur", "date", "time", "observed"),
    "user": ("user", "owner", "photograph", "observer", "recordedby"),
    "licence": ("licen", "rights"),
    "author": ("author", "creator", "credit"),
    "url": ("url", "link", "filename", "filepath", "imagepath"),
    "lon": ("lon", "lng"),
    "lat": ("lat",),
}
"""Parts of a column's name, in small letters, that make it look useful for a field that has no column."""


_MAX_LISTED = 50  # columns that a message names


@dataclass(frozen=True)
class ColumnUse:
    """How the columns of a table are used."""

    fields: Mapping[str, str]
    """Column by field of `COLUMN_NAMES`."""
    unused: Mapping[str, str]
    """Columns that are not used although they look useful, each with the field that it may be for."""

    def describe(self) -> list[tuple[str, str]]:
        """Return lines for people, each a name and a text."""
        used = ", ".join(f"{name}={column}" for name, column in self.fields.items())
        lines = [("columns used", used)]
        if self.unused:
            hints = ", ".join(f"{column} (--column {name}={column}?)" for column, name in self.unused.items())
            lines.append(("columns not used", hints))
        if not {"error_m", "level"} & set(self.fields):
            lines.append(("accuracy", "no column for it is used, so no place is too coarse"))
        return lines


def match_columns(
    path: Path, names: Sequence[str], chosen: Mapping[str, str], *, has_points: bool
) -> ColumnUse:
    """Match the columns of a table with the fields of a photo; those that the user has `chosen` come first.

    `has_points`: whether the table has a column of points, so that it needs none for `lon` and `lat`. Raises
    `InputError` if a column that is needed is missing, or a chosen one is not there.
    """
    for name, column in chosen.items():
        if name not in COLUMN_NAMES or column not in names:
            rule = f"fields are {', '.join(COLUMN_NAMES)}; its columns are {_list_columns(names)}"
            raise InputError(f"{path}: {name}={column} names no field or column; {rule}")
    by_lower_name = {name.strip().lower(): name for name in reversed(names)}
    guessed = {
        field: by_lower_name[next(name for name in candidates if name in by_lower_name)]
        for field, candidates in COLUMN_NAMES.items()
        if field not in chosen and any(name in by_lower_name for name in candidates)
    }
    fields = {**guessed, **chosen}
    for column in fields.values():
        if list(names).count(column) > 1:
            raise InputError(
                f"{path} has {list(names).count(column)} columns {quote(column)!r}; rename all but one"
            )
    required = ["key", *([] if has_points else ["lon", "lat"])]
    missing = [name for name in required if name not in fields]
    if not {"taken", "utc"} & set(fields):
        missing.append("taken")
    if missing:
        fix = f"name it, such as {missing[0]}=COLUMN; its columns are {_list_columns(names)}"
        raise InputError(f"{path} has no column for {', '.join(missing)}; {fix}")
    return ColumnUse(fields, _find_unused(names, fields, has_points=has_points))


def _list_columns(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(quote(name, 60) for name in names[:_MAX_LISTED]) + more


def _find_unused(names: Sequence[str], fields: Mapping[str, str], *, has_points: bool) -> dict[str, str]:
    """Return the columns that look as if they were for a field that has none, each with that field."""
    open_fields = [
        field
        for field in _LOOKS_LIKE
        if field not in fields
        and not (field in ("lon", "lat") and has_points)
        and not (field == "error_m" and "level" in fields)
        and not (field == "taken" and "utc" in fields)
        and not (field == "zone" and "taken" not in fields)
    ]
    unused = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        match = next((f for f in open_fields if any(part in plain for part in _LOOKS_LIKE[f])), None)
        if name not in fields.values() and match is not None:
            unused[name] = match
    return unused
