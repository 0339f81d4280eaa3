import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest
import shapely
from made_up import screen_photos

from sat2cap.errors import PairsError
from sat2cap.pairs.screening.areas import Area
from sat2cap.pairs.screening.rules import Funnel, Rules
from sat2cap.pairs.screening.screen import screen_records
from sat2cap.photos.columns import record_batches
from sat2cap.photos.protocol import Photo

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
    passed, funnel = screen_photos([GOOD, other], RULES)
    assert passed == [GOOD]
    assert funnel == Funnel(2, {fault: 1})
    assert funnel.kept_count == 1


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
    passed, funnel = screen_photos([GOOD, other], RULES)
    assert passed == [GOOD, other]
    assert funnel.dropped == {}


@pytest.mark.parametrize(
    ("fault", "change", "rules"),
    [
        ("video", {"video": True}, {}),
        ("clocks disagree", {"fault": "clocks disagree", "lon": None}, {}),
        ("place too coarse", {"level": 15}, {}),
        ("place too coarse", {"error_m": 100.5}, {}),
        ("in an excluded area", {"lon": 10.0}, {"excluded": Area("box", shapely.box(9, 50, 11, 53))}),
        ("licence", {"licence": "CC-BY-NC-2.0"}, {"licences": ("CC0*", "CC-BY-[0-9]*")}),
        ("more by one user", {"lon": 6.0}, {"per_user": 1}),
        ("more in one cell", {"user": "bob", "lon": 5.001}, {"per_cell": 1}),
    ],
)
def test_each_rule_of_a_list_of_photos(fault, change, rules):
    other = replace(GOOD, **{"key": "b", **change})
    passed, funnel = screen_photos([GOOD, other], replace(RULES, **rules))
    assert funnel == Funnel(2, {fault: 1})
    assert len(passed) == 1


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"level": 16, "error_m": 100.0, "lon": 5.1}, {}),
        ({"level": 13, "lon": 5.1}, {"least_level": 13}),
        ({"lon": 11.5}, {"excluded": Area("box", shapely.box(9, 50, 11, 53))}),
        ({"licence": "CC-BY-2.0", "lon": 5.1}, {"licences": ("CC0*", "CC-BY-[0-9]*")}),
        ({"user": "bob"}, {"per_user": 1}),
        ({"lon": 5.1}, {"per_cell": 1}),
        ({"user": "", "lon": 5.1}, {"per_user": 1}),
        (
            {"lon": 5.1, "author": "it's; drop table candidates --", "title": "ü\0"},
            {"licences": ("it's", "CC0*")},
        ),
    ],
)
def test_what_those_rules_keep(change, rules):
    other = replace(GOOD, **{"key": "b", **change})
    passed, funnel = screen_photos([GOOD, other], replace(RULES, **rules))
    assert funnel.dropped == {}
    assert [(p.key, p.title, p.author) for p in passed] == [("a", "", ""), ("b", other.title, other.author)]


def test_photos_of_unknown_users_are_not_capped_as_those_of_one():
    many = [replace(GOOD, key=f"k{n}", user="", lon=5.0 + n) for n in range(5)]
    assert screen_photos(many, replace(RULES, per_user=1))[1].dropped == {}


def test_caps_keep_the_same_photos_whatever_the_order():
    many = [
        replace(
            GOOD, key=f"k{n}", user=f"u{n % 7}", lon=5 + n % 10 * 0.1, taken=datetime(2012, 3, 4, 5, n % 60)
        )
        for n in range(400)
    ]
    rules = replace(RULES, per_user=30, per_cell=12)
    passed, funnel = screen_photos(many, rules)
    again, _ = screen_photos(many[::-1], rules)
    assert {photo.key for photo in passed} == {photo.key for photo in again}
    assert [photo.key for photo in passed] == sorted((p.key for p in passed), key=lambda key: int(key[1:]))
    by_user, by_place = Counter(p.user for p in passed), Counter(p.lon for p in passed)
    assert max(by_user.values()) <= 30
    assert max(by_place.values()) == 12
    assert funnel.dropped == {
        "more by one user": 400 - 7 * 30,
        "more in one cell": 7 * 30 - len(passed),
    }


def test_batches_do_not_change_the_result():
    faulty = [replace(GOOD, key=f"k{n % 90}", lon=float(n % 200), video=n % 3 == 0) for n in range(300)]
    whole, parts = pa.Table.from_batches(record_batches(faulty)), []
    for size in (300, 7):
        passed, funnel = screen_records(whole.to_batches(max_chunksize=size), RULES)
        parts.append(([photo.key for photo in passed], funnel))
    assert parts[0] == parts[1]
    assert parts[0][1].dropped["repeated key"] > 0


@pytest.mark.parametrize(
    "fault", [{"per_user": 0}, {"per_cell": 0}, {"cell_km": 0.0}, {"look_alike_bits": 9}]
)
def test_rules_without_sense_are_refused(fault):
    with pytest.raises(PairsError):
        Rules(**fault)


def test_later_rules_are_part_of_the_identity_only_when_set():
    """Else every set built by an earlier version would be another one."""
    assert list(Rules().as_dict()) == [
        *("earliest", "latest", "null_island_deg", "require_hour", "place_decimals")
    ]
    strict = Rules(excluded=Area("box", shapely.box(9, 50, 11, 53)), licences=("CC0*",), per_user=2).as_dict()
    assert strict["licences"] == ["CC0*"]
    assert strict["per_user"] == 2
    assert strict["excluded"]["area"] == "box"
    assert json.loads(json.dumps(strict)) == strict


def test_rules_can_be_loosened():
    midnight = replace(GOOD, taken=datetime(1999, 3, 4))
    assert screen_photos([midnight], replace(RULES, earliest=datetime(1999, 1, 1), require_hour=False))[
        0
    ] == [midnight]


def test_a_photo_of_tomorrow_is_implausible_by_default():
    assert screen_photos([replace(GOOD, taken=datetime(9999, 1, 1, 1))])[1].dropped == {"implausible date": 1}


def test_the_funnel_adds_up_in_the_order_of_the_rules():
    photos = [
        GOOD,
        replace(GOOD, key="b", taken=None),
        replace(GOOD, key="c", lon=None),
        replace(GOOD, key="d"),
    ]
    funnel = screen_photos(photos, RULES)[1].drop({"later": 0, "patch": 1})
    assert list(funnel.dropped.items()) == [("no place", 1), ("no date", 1), ("duplicate", 1), ("patch", 1)]
    assert funnel.as_dict() == {"records": 4, "dropped": dict(funnel.dropped), "kept": 0}
