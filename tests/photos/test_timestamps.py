"""Times, zones and angles as people and cameras write them: read, or a fault, never another time."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat2cap.photos.timestamps import (
    UNKNOWN_ZONE,
    UNREADABLE_DATE,
    UNREADABLE_PLACE,
    RecordFaultError,
    epochs_to_instants,
    parse_angle,
    parse_clock_time,
    parse_zone,
)

NOON_ISH = datetime(2024, 5, 20, 14, 30)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2024:05:20 14:30:00", NOON_ISH),
        ("2024-05-20 14:30:00", NOON_ISH),
        ("2024-05-20T14:30", NOON_ISH),
        ("2024/05/20  14:30:00\0", NOON_ISH),
        ("2024.5.20 14:30:00", NOON_ISH),
        ("2024:05:20 14:30:00.123", NOON_ISH.replace(microsecond=123_000)),
        ("2024:05:20 14:30:00,1234567", NOON_ISH.replace(microsecond=123_456)),
        ("2024:05:20 14:29:60", NOON_ISH),
        ("2024-05-20 24:00:00", datetime(2024, 5, 21)),
        ("2024-05-20 02:30:00 PM", NOON_ISH),
        ("2024-05-20 12:30:00 a.m.", datetime(2024, 5, 20, 0, 30)),
        ("2024-05-20", datetime(2024, 5, 20)),
        ("20240520T143000", NOON_ISH),
        ("20240520143000", NOON_ISH),
    ],
)
def test_dates_that_begin_with_the_year_are_read(text: str, shown: datetime) -> None:
    clock = parse_clock_time(text)
    assert clock is not None
    assert (clock.shown, clock.ahead, clock.instant) == (shown, None, None)


@pytest.mark.parametrize(
    "text", ["", "   ", "\0", "0000:00:00 00:00:00", "    :  :     :  :  ", "0000-00-00"]
)
def test_a_blank_date_is_none(text: str) -> None:
    assert parse_clock_time(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "2012:02:30 10:00:00",
        "2012-13-01 10:00:00",
        "20/05/2024 14:30:00",
        "05-20-2024",
        "2024-05/20",
        "2024-05-20 25:00:00",
        "2024-05-20 24:00:01",
        "2024-05-20 14:60:00",
        "2024-05-20 14:30:61",
        "2024-05-20 14:30:00 13:00",
        "2024-05-20 13:30:00 PM",
        "1716215",
        "9999-12-31 24:00:00",
    ],
)
def test_other_dates_are_a_fault(text: str) -> None:
    with pytest.raises(RecordFaultError):
        parse_clock_time(text)


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("Z", 0),
        ("z", 0),
        (" UTC", 0),
        ("GMT", 0),
        ("+00:00", 0),
        ("-05:00", -5),
        ("-5:00", -5),
        ("-0500", -5),
        ("-05", -5),
        ("\N{MINUS SIGN}05:00", -5),
        (" +0530", 5.5),
        ("+14:00", 14),
        ("UTC+2", 2),
        ("+02:00[Europe/Berlin]", 2),
        ("[Europe/Berlin]", 2),
        (" America/New_York", -4),
    ],
)
def test_zones_that_mean_one_thing_are_read(zone: str, hours: float) -> None:
    clock = parse_clock_time(f"2024-05-20 14:30:00{zone}")
    assert clock is not None
    assert clock.ahead == timedelta(hours=hours)
    assert clock.instant == NOON_ISH - timedelta(hours=hours)


@pytest.mark.parametrize(
    "zone", ["CST", "+25:00", "+02:75", "-15:00", "+", "Mars/Base", "../etc/passwd", "?"]
)
def test_other_zones_are_a_fault_and_not_local_time(zone: str) -> None:
    for parse in (
        lambda: parse_clock_time(f"2024-05-20 14:30:00 {zone}"),
        lambda: parse_zone(zone, NOON_ISH),
    ):
        with pytest.raises(RecordFaultError, match=UNKNOWN_ZONE):
            parse()


def test_an_hour_that_comes_twice_in_a_named_zone_is_a_fault() -> None:
    with pytest.raises(RecordFaultError, match=UNKNOWN_ZONE):
        parse_clock_time("2024-10-27 02:30:00 Europe/Berlin")
    assert parse_zone("", NOON_ISH) is None
    assert parse_zone("   :  ", NOON_ISH) is None


def test_numbers_since_1970_are_told_apart_by_their_size() -> None:
    instant = datetime(2024, 5, 20, 14, 30)
    seconds = int(instant.replace(tzinfo=UTC).timestamp())
    for digits in (0, 3, 6, 9):
        number = seconds * 10**digits
        assert epochs_to_instants(np.array([number]))[0].item() == instant
        clock = parse_clock_time(str(number))
        assert clock is not None
        assert (clock.shown, clock.ahead) == (instant, timedelta(0))
    values = np.array([0.0, 1.25, np.nan, np.inf, 1e30, -86400.0])
    assert [None if np.isnat(v) else v.item() for v in epochs_to_instants(values)] == [
        datetime(1970, 1, 1),
        datetime(1970, 1, 1, 0, 0, 1, 250_000),
        None,
        None,
        None,
        datetime(1969, 12, 31),
    ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),
    st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_python_writes_is_read_as_the_same_instant(moment: datetime, zone: timezone) -> None:
    clock = parse_clock_time(moment.replace(tzinfo=zone).isoformat())
    assert clock is not None
    assert clock.shown == moment
    assert clock.instant == moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(max_size=30) | st.from_regex(r"\A\d{4}[-:]\d\d[-:]\d\d[ T][\d:.+\-Z ]{0,16}\Z"))
def test_any_text_is_a_time_a_blank_or_a_fault(text: str) -> None:
    fault = UNREADABLE_DATE
    try:
        parse_clock_time(text)
        parse_angle(text, "NS", 90)
    except RecordFaultError as error:
        fault = str(error)
    assert fault in (UNREADABLE_DATE, UNKNOWN_ZONE, UNREADABLE_PLACE)


@pytest.mark.parametrize(
    ("text", "angle"),
    [
        ("52.347", 52.347),
        ("-52.347", -52.347),
        ("52.347 S", -52.347),
        ("N 52.347", 52.347),
        ("52° 20.82' N", 52.347),
        ("52 20.82", 52.347),
        ("52°20'49.2\"N", 52.347),
        ("52:20:49.2", 52.347),
        ("52° 19' 60.00\"", 52 + 20 / 60),
        ("52d20m49.2s", 52.347),
    ],
)
def test_angles_with_minutes_and_seconds_are_read(text: str, angle: float) -> None:
    assert parse_angle(text, "NS", 90) == pytest.approx(angle, abs=1e-9)


@pytest.mark.parametrize(
    "text", ["x", "52,347", "52.347 E", "-52.347 S", "52 61", "52 20 61", "91", "52 -20", "N"]
)
def test_other_angles_are_a_fault(text: str) -> None:
    with pytest.raises(RecordFaultError, match=UNREADABLE_PLACE):
        parse_angle(text, "NS", 90)
    assert parse_angle(" ", "NS", 90) is None
