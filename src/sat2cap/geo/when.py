"""Moments: dates and hours on the local clock of a place, as people write them."""

import calendar
import re
from dataclasses import dataclass
from datetime import datetime

from sat2cap.errors import WhenError

_MOMENT = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d{1,2})"
    r"(?:-(?P<day>\d{1,2})(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?)?)?"
)
_MID_MONTH = 15
_NOON = 12.0
_FORMS = "write 2024-05-20T08:00, 2024-05-20 (noon) or 2024-05 (the 15th, noon)"


@dataclass(frozen=True)
class When:
    """A moment: a date and an hour on the local clock of a place.

    Raises `WhenError` for a date or hour that does not exist.
    """

    year: int
    """1 to 9999."""
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
        """Return the clock reading of `moment`; a time zone is dropped without conversion.

        Dates in this package are local to each place, so there is no one instant to convert to.
        """
        hour = moment.hour + moment.minute / 60 + (moment.second + moment.microsecond / 1e6) / 3600
        return cls(moment.year, moment.month, moment.day, hour)

    def isoformat(self) -> str:
        """Return the moment as text that `parse_when` reads, rounded down to the minute.

        >>> When(2024, 5, 20, 8.0).isoformat()
        '2024-05-20T08:00'
        """
        minutes = int(self.hour * 60 + 1e-6)  # in floats 8 + 20/60 is a little less than 8:20
        return f"{self.year:04d}-{self.month:02d}-{self.day:02d}T{minutes // 60:02d}:{minutes % 60:02d}"


def parse_when(text: str) -> When:
    """Return the moment that a text names.

    Forms are ``2024-05-20T08:00``, ``2024-05-20 08:00``, ``2024-05-20`` (noon) and ``2024-05`` (the 15th,
    noon). Raises `WhenError` for any other text, for a date or hour that does not exist, and for a time zone,
    since times are local to the place.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        zone = re.search(r"\d:\d\d\S*(Z|[+-]\d\d:?\d\d)$", text.strip())
        rule = "times are local to the place: leave the zone off" if zone else "this is not a date"
        raise WhenError(f"{text!r}: {rule}; {_FORMS}")
    minute, second = int(match["minute"] or 0), float(match["second"] or 0)
    if minute > 59 or second >= 60:
        raise WhenError(f"{text!r}: minutes and seconds go from 0 to 59; {_FORMS}")
    hour = _NOON if match["hour"] is None else int(match["hour"]) + minute / 60 + second / 3600
    try:
        return When(int(match["year"]), int(match["month"]), int(match["day"] or _MID_MONTH), hour)
    except WhenError as error:
        raise WhenError(f"{text!r}: {error}") from None


def months_of(year: int) -> list[When]:
    """Return the 15th of each month of a year, at noon. Raises `WhenError` if there is no such year.

    >>> months_of(2024)[6].isoformat()
    '2024-07-15T12:00'
    """
    return [When(year, month, _MID_MONTH, _NOON) for month in range(1, 13)]


def hours_of(day: When) -> list[When]:
    """Return the 24 full hours of a day, from midnight on; the hour of `day` itself is not used.

    >>> hours_of(When(2024, 5, 20, 12.0))[8].isoformat()
    '2024-05-20T08:00'
    """
    return [When(day.year, day.month, day.day, float(hour)) for hour in range(24)]
