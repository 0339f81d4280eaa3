"""Dates and hours as people write them, local to the place they are asked of."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime

from sat2cap.errors import WhenError

_FORM = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})"
    r"(?:-(?P<day>\d{1,2})(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?)?)?"
)
_MID_MONTH = 15
_NOON = 12.0
_FORMS = "write 2024-05-20T08:00, 2024-05-20 (noon) or 2024-05 (the 15th, noon)"


@dataclass(frozen=True)
class When:
    """A date and an hour on the local clock. Raises `WhenError` for a date or hour that does not exist."""

    year: int
    month: int
    """1 to 12."""
    day: int
    """1 to 31."""
    hour: float
    """Hours since local midnight, 0 <= hour < 24."""

    def __post_init__(self) -> None:
        if not 1 <= self.year <= 9999:
            raise WhenError(f"year {self.year} is not between 1 and 9999; {_FORMS}")
        if not 1 <= self.month <= 12:
            raise WhenError(f"month {self.month} is not between 1 and 12; {_FORMS}")
        last = calendar.monthrange(self.year, self.month)[1]
        if not 1 <= self.day <= last:
            raise WhenError(
                f"{self.year:04d}-{self.month:02d} has days 1 to {last}, not {self.day}; {_FORMS}"
            )
        if not 0 <= self.hour < 24:
            raise WhenError(f"hour {self.hour:g} is not within 0:00 to 23:59; {_FORMS}")

    @classmethod
    def from_datetime(cls, moment: datetime) -> "When":
        """The clock reading of `moment`; a time zone, if it has one, is left out, not converted."""
        hour = moment.hour + moment.minute / 60 + (moment.second + moment.microsecond / 1e6) / 3600
        return cls(moment.year, moment.month, moment.day, hour)

    def isoformat(self) -> str:
        """``2024-05-20T08:00``, to the minute below; `parse_when` reads it back."""
        minutes = int(self.hour * 60 + 1e-6)  # 8 + 20/60 is a hair under 8:20
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}T{minutes // 60:02d}:{minutes % 60:02d}"


def parse_when(text: str) -> When:
    """Read ``2024-05-20T08:00``, ``2024-05-20 08:00``, ``2024-05-20`` (noon) or ``2024-05`` (the 15th, noon).

    Times are local to the place, so a time zone is refused. Raises `WhenError`.
    """
    form = _FORM.fullmatch(text.strip())
    if form is None:
        zone = re.search(r"\d:\d\d\S*(Z|[+-]\d\d:?\d\d)$", text.strip())
        rule = "times are local to the place: leave the zone off" if zone else "this is not a date"
        raise WhenError(f"{text!r}: {rule}; {_FORMS}")
    minute, second = int(form["minute"] or 0), float(form["second"] or 0)
    if minute > 59 or second >= 60:
        raise WhenError(f"{text!r}: minutes and seconds go from 0 to 59; {_FORMS}")
    hour = _NOON if form["hour"] is None else int(form["hour"]) + minute / 60 + second / 3600
    try:
        return When(int(form["year"]), int(form["month"]), int(form["day"] or _MID_MONTH), hour)
    except WhenError as error:
        raise WhenError(f"{text!r}: {error}") from None


def months_of(year: int) -> list[When]:
    """The middle of each month of a year, at noon. Raises `WhenError`."""
    return [When(year, month, _MID_MONTH, _NOON) for month in range(1, 13)]


def hours_of(day: When) -> list[When]:
    """Every full hour of a day, from midnight on; the hour of `day` itself is left aside."""
    return [When(day.year, day.month, day.day, float(hour)) for hour in range(24)]
