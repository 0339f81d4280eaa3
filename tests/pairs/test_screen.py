from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sat2cap.pairs.screen import Funnel, Rules, screen
from sat2cap.sources.photos import Photo

GOOD = Photo("a", 5.0, 52.0, datetime(2012, 3, 4, 5, 6, 7), "ann", "CC0-1.0", "album")
RULES = Rules(latest=datetime(2024, 1, 1))


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("bad key", {"key": "a.b"}),
        ("bad key", {"key": ""}),
        ("bad key", {"key": "x" * 81}),
        ("bad key", {"key": "a\n"}),
        ("repeated key", {"key": "a"}),
        ("no place", {"lon": None}),
        ("no place", {"lat": None}),
        ("bad coordinates", {"lon": float("nan")}),
        ("bad coordinates", {"lon": 180.5}),
        ("bad coordinates", {"lat": -90.01}),
        ("null island", {"lon": 0.0, "lat": 0.0}),
        ("null island", {"lon": 0.001, "lat": -0.009}),
        ("no date", {"taken": None}),
        ("date with a zone", {"taken": datetime(2012, 3, 4, 5, tzinfo=UTC)}),
        ("implausible date", {"taken": datetime(1905, 7, 1, 12)}),
        ("implausible date", {"taken": datetime(2024, 1, 1, 0, 0, 1)}),
        ("no hour", {"taken": datetime(2012, 3, 4)}),
        ("duplicate", {}),
        ("duplicate", {"taken": datetime(2012, 3, 4, 5, 6, 59), "lon": 5.00004}),
    ],
)
def test_each_fault_is_counted_by_its_reason(fault, change):
    other = replace(GOOD, **{"key": "b", **change})
    kept, funnel = screen([GOOD, other], RULES)
    assert kept == [GOOD]
    assert funnel == Funnel(2, {fault: 1})
    assert funnel.kept == 1


@pytest.mark.parametrize(
    "change",
    [
        {"user": "bob"},
        {"lon": 5.001},
        {"taken": datetime(2012, 3, 4, 5, 7, 0)},
        {"taken": datetime(2012, 3, 4, 0, 0, 1)},
        {"taken": datetime(2000, 1, 1, 12)},
        {"lon": 0.0},
        {"lon": 180.0, "lat": -90.0},
    ],
)
def test_what_only_looks_like_a_fault_is_kept(change):
    other = replace(GOOD, **{"key": "b-_9", **change})
    kept, funnel = screen([GOOD, other], RULES)
    assert kept == [GOOD, other]
    assert funnel.dropped == {}


def test_rules_can_be_loosened():
    midnight = replace(GOOD, taken=datetime(1999, 3, 4))
    assert screen([midnight], replace(RULES, earliest=datetime(1999, 1, 1), require_hour=False))[0] == [
        midnight
    ]


def test_a_photo_of_tomorrow_is_implausible_by_default():
    assert screen([replace(GOOD, taken=datetime(9999, 1, 1, 1))])[1].dropped == {"implausible date": 1}


def test_the_funnel_adds_up_in_the_order_of_the_rules():
    photos = [
        GOOD,
        replace(GOOD, key="b", taken=None),
        replace(GOOD, key="c", lon=None),
        replace(GOOD, key="d"),
    ]
    funnel = screen(photos, RULES)[1].drop({"later": 0, "patch": 1})
    assert list(funnel.dropped.items()) == [("no place", 1), ("no date", 1), ("duplicate", 1), ("patch", 1)]
    assert funnel.as_dict() == {"records": 4, "dropped": dict(funnel.dropped), "kept": 0}
