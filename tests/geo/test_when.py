"""Dates as people write them."""

from datetime import UTC, datetime

import pytest

from sat2cap.errors import WhenError
from sat2cap.geo.when import When, parse_when


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-20T08:00", When(2024, 5, 20, 8.0)),
        ("2024-05-20 8:30", When(2024, 5, 20, 8.5)),
        ("2024-05-20T23:59:30", When(2024, 5, 20, 23 + 59 / 60 + 30 / 3600)),
        ("2024-05-20", When(2024, 5, 20, 12.0)),
        (" 2024-05 ", When(2024, 5, 15, 12.0)),
        ("2024-02-29", When(2024, 2, 29, 12.0)),
    ],
)
def test_forms(text, expected):
    assert parse_when(text) == expected


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("yesterday", "not a date"),
        ("", "not a date"),
        ("20-05-2024", "not a date"),
        ("2024-13", "month 13"),
        ("2023-02-29", "days 1 to 28"),
        ("2024-05-00", "days 1 to 31"),
        ("2024-05-20T24:00", "hour 24"),
        ("2024-05-20T08:75", "minutes"),
        ("2024-05-20T08:00Z", "leave the zone off"),
        ("2024-05-20T08:00+02:00", "leave the zone off"),
        ("0000-05-20", "year 0"),
    ],
)
def test_refused_in_one_line(text, rule):
    with pytest.raises(WhenError) as caught:
        parse_when(text)
    assert rule in str(caught.value)
    assert "2024-05-20T08:00" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_minute_of_a_day_is_read_back():
    for minute in range(24 * 60):
        text = f"2024-05-20T{minute // 60:02d}:{minute % 60:02d}"
        assert parse_when(text).isoformat() == text


def test_a_datetime_keeps_its_clock_reading():
    assert When.from_datetime(datetime(2011, 7, 3, 18, 45, 36)) == When(2011, 7, 3, 18.76)
    assert When.from_datetime(datetime(2011, 7, 3, 18, tzinfo=UTC)).hour == 18
