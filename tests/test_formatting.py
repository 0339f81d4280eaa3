import math

import pytest

from sat2cap.formatting import (
    format_bytes,
    format_duration,
    format_lonlat,
    format_moment,
    format_month,
    format_percent,
    format_value,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, "–"),
        (12.0, "12"),
        (0.0, "0.000"),
        (0.12345, "0.123"),
        (1234.6, "1,235"),
        (12.3456, "12.3"),
        (136.5, "136.5"),
        (1000.5, "1,000.5"),
        (0.5, "0.500"),
    ],
)
def test_values_have_three_digits(value: float, text: str) -> None:
    assert format_value(value) == text


def test_percentages_below_one_have_two_decimals() -> None:
    fractions = (0.1234, 0.00123, 0.0, -0.05, math.inf)
    assert [format_percent(fraction) for fraction in fractions] == [
        "12.3 %",
        "0.12 %",
        "0.0 %",
        "-5.0 %",
        "–",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (77, "77 s"), (120, "2 min"), (3000, "50 min"), (8000, "2.2 h"), (5e5, "5.8 days")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_sizes_are_decimal() -> None:
    assert format_bytes(605_000) == "0.605 MB"
    assert format_bytes(2_340_000_000) == "2.34 GB"


def test_places_are_latitude_first_with_the_hemisphere() -> None:
    assert format_lonlat(-69.849, 46.1234) == "46.12° N, 69.85° W"
    assert format_lonlat(7.0, -0.00004, 4) == "0.0000° S, 7.0000° E"


def test_moments_have_a_year_if_one_is_given() -> None:
    assert format_moment(5, 7, 8.5) == "5 July, 08:30"
    assert format_moment(20, 5, 8.0, 2024) == "20 May 2024, 08:00"
    assert format_month(1, short=True) == "Jan"
