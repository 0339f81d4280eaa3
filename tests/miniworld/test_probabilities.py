"""What is likely where and when, and that photos follow it."""

from dataclasses import fields, replace

import numpy as np
import pytest
from places_to_look import make_box, probability, random_positions

from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of
from sat2cap.geo.grid import cell_lonlat
from sat2cap.geo.when import When
from sat2cap.miniworld.concepts import CONCEPT_NAMES, CONCEPTS, concept_probabilities
from sat2cap.miniworld.prompts import half_year_later
from sat2cap.miniworld.scenes.scene import sample_scenes
from sat2cap.miniworld.surroundings import LocalTimes, Surroundings, local_times, sample_surroundings
from sat2cap.miniworld.truth import ANY_TIME, find_concept, prepare_ground_truth, truth_map
from sat2cap.miniworld.world import World

WORLD = World(7)


def test_there_are_enough_concepts_of_every_kind() -> None:
    assert len(CONCEPTS) >= 40
    assert len(set(CONCEPT_NAMES)) == len(CONCEPT_NAMES)
    assert sum(not c.visible_from_above for c in CONCEPTS) >= 15
    assert sum(bool(c.varies_with) for c in CONCEPTS) >= 12
    assert {word for c in CONCEPTS for word in c.varies_with.split()} == {"month", "hour"}


def random_chances(count: int, seed: int = 1) -> np.ndarray:
    lon, lat = random_positions(count, seed)
    r = np.random.default_rng(seed)
    clock = r.integers(1, 13, count), r.integers(1, 29, count), r.uniform(0, 24, count)
    return concept_probabilities(sample_surroundings(lon, lat, WORLD.seed), local_times(lat, *clock))


def test_chances_are_probabilities_and_every_concept_happens() -> None:
    found = random_chances(6_000)
    assert found.shape == (6_000, len(CONCEPTS))
    assert found.dtype == np.float32
    assert not np.isnan(found).any()
    assert found.min() >= 0
    assert found.max() <= 1
    likely = dict(zip(CONCEPT_NAMES, found.max(0), strict=True))
    assert {name: round(float(p), 2) for name, p in likely.items() if p < 0.3} == {}


@pytest.mark.parametrize("edge", [(180.0, 0.0), (-180.0, 0.0), (0.0, 85.0), (0.0, -85.0), (12.0, 90.0)])
def test_the_ends_of_the_planet_have_chances_too(edge: tuple[float, float]) -> None:
    lon, lat = np.array([edge[0]]), np.array([edge[1]])
    found = concept_probabilities(
        sample_surroundings(lon, lat, WORLD.seed), local_times(lat, *(np.array([v]) for v in (1, 1, 0.0)))
    )
    assert ((found >= 0) & (found <= 1)).all()


def test_a_concept_says_truly_whether_month_or_hour_changes_it() -> None:
    lon, lat = random_positions(1_500, seed=3)
    here = sample_surroundings(lon, lat, WORLD.seed)

    def swing(times: list[tuple[int, float]]) -> np.ndarray:
        each = [by_light(local_times(lat, *(np.full(1_500, v) for v in (m, 15, h)))) for m, h in times]
        return np.ptp(np.stack(each), 0).max(0)

    def by_light(m: LocalTimes) -> np.ndarray:
        return np.stack([np.broadcast_to(c.daylight_probability(here, m), lat.shape) for c in CONCEPTS], 1)

    by_month = swing([(month, 12.0) for month in range(1, 13)])
    by_month = np.maximum(by_month, swing([(month, 22.0) for month in range(1, 13)]))
    by_month = np.maximum(by_month, swing([(month, 7.0) for month in range(1, 13)]))
    by_hour = swing([(6, float(hour)) for hour in range(24)])
    by_hour = np.maximum(by_hour, swing([(10, float(hour)) for hour in range(24)]))
    for k, c in enumerate(CONCEPTS):
        if "month" in c.varies_with:
            assert by_month[k] > 0.05, c.name
        if "hour" in c.varies_with:
            assert by_hour[k] > 0.05, c.name
        if not c.varies_with:
            assert max(by_month[k], by_hour[k]) == 0, c.name


def test_the_dark_hides_what_does_not_shine() -> None:
    lon, lat = random_positions(3_000, seed=5)
    here = sample_surroundings(lon, lat, WORLD.seed)
    noon, midnight = (local_times(lat, *(np.full(3_000, v) for v in (3, 20, h))) for h in (12.0, 0.0))
    for c in CONCEPTS:
        by_day, by_night, lit = (
            v.mean()
            for v in (
                c.probability(here, noon),
                c.probability(here, midnight),
                c.daylight_probability(here, midnight),
            )
        )
        assert by_night == pytest.approx(lit if c.emits_light else 0.3 * lit, rel=1e-3, abs=1e-5), c.name
        if not (c.varies_with or c.emits_light):
            assert by_night == pytest.approx(0.3 * by_day, rel=1e-3), c.name


def test_snow_lies_in_january_in_the_north_and_in_july_in_the_south() -> None:
    lon, lat = random_positions(3_000, seed=4)
    lat = np.sign(lat) * np.clip(np.abs(lat), 40, 58)
    north = lat > 0
    january, july = (probability("snow", lon, lat, month, 12, WORLD.seed) for month in (1, 7))
    assert january[north].mean() > july[north].mean() + 0.2
    assert july[~north].mean() > january[~north].mean() + 0.2


def test_months_swing_the_other_way_south_of_the_equator() -> None:
    """The same place mirrored has the same chances half a year later."""
    lat = np.array([45.0, 50.0, 35.0])
    here = sample_surroundings(np.array([2.0, 10.0, 60.0]), lat, WORLD.seed)
    noon = [np.full(3, v) for v in (15, 12.0)]
    for name in ("blossom", "apples", "autumn leaves", "snow"):
        k = CONCEPT_NAMES.index(name)
        for month in (1, 4, 7, 10):
            later = (month + 5) % 12 + 1
            north = concept_probabilities(here, local_times(lat, np.full(3, month), *noon))[:, k]
            mirrored = concept_probabilities(
                replace(here, lat=-lat), local_times(-lat, np.full(3, later), *noon)
            )[:, k]
            assert mirrored == pytest.approx(north, abs=1e-4), (name, month)


def test_the_tropics_have_no_seasons() -> None:
    m = local_times(np.zeros(12), np.arange(1, 13), np.full(12, 15), np.full(12, 12.0))
    assert max(m.spring.max(), m.summer.max(), m.autumn.max(), m.winter.max()) == 0


def test_lights_are_on_at_night() -> None:
    lon, lat = random_positions(2_500, seed=5, north=45)
    hours = {hour: probability("night lights", lon, lat, 3, hour, WORLD.seed) for hour in (0, 3, 12, 15, 23)}
    towns = hours[0] > 0.5
    assert towns.sum() > 40
    assert min(hours[h][towns].mean() for h in (0, 3, 23)) > 0.5
    assert max(hours[h].max() for h in (12, 15)) < 0.1


@pytest.fixture(scope="module")
def june() -> np.ndarray:
    """Mean chances by hour in June, ``[24, concepts]``."""
    lon, lat = random_positions(1_500, seed=6)
    here = sample_surroundings(lon, lat, WORLD.seed)
    clocks = ((np.full(1_500, value) for value in (6, 15, hour)) for hour in range(24))
    return np.stack([concept_probabilities(here, local_times(lat, *clock)).mean(0) for clock in clocks])


@pytest.mark.parametrize(
    ("name", "high", "low"), [("traffic jam", 8, 2), ("market", 10, 20), ("fishermen", 6, 15)]
)
def test_hours_have_their_things(june: np.ndarray, name: str, high: int, low: int) -> None:
    curve = june[:, CONCEPT_NAMES.index(name)]
    assert curve[high] > 5 * curve[low] > 0 or curve[low] < 1e-4 < curve[high]


def repeat(p: Surroundings | LocalTimes, count: int) -> dict[str, np.ndarray]:
    return {f.name: np.repeat(getattr(p, f.name), count, axis=0) for f in fields(p)}


@pytest.mark.parametrize("when", [(1, 15, 9.0), (7, 10, 22.0), (10, 5, 12.0)])
def test_truth_is_how_often_scenes_show_a_thing(when: tuple[int, int, float]) -> None:
    """20 places a time, 4,000 draws each: no frequency is further from the truth than five deviations."""
    many = 4_000
    lon, lat = random_positions(4_000, seed=8)
    urban = np.argsort(-sample_surroundings(lon, lat, WORLD.seed).urban)[:3]
    chosen = np.concatenate([np.arange(9), urban])
    p, m = (
        sample_surroundings(lon[chosen], lat[chosen], WORLD.seed),
        local_times(lat[chosen], *(np.full(12, v) for v in when)),
    )
    expected = concept_probabilities(p, m)
    draws = np.random.default_rng(2).random((12 * many, len(CONCEPT_NAMES)), dtype=np.float32)
    found = sample_scenes(Surroundings(**repeat(p, many)), LocalTimes(**repeat(m, many)), draws)
    index = {name: k for k, name in enumerate(CONCEPT_NAMES)}
    counts = np.zeros((12, len(CONCEPT_NAMES)))
    for k, scene in enumerate(found):
        counts[k // many, [index[name] for name in scene.shown]] += 1
    deviation = np.sqrt(expected * (1 - expected) / many)
    assert (np.abs(counts / many - expected) <= 5 * deviation + 2 / many).all()
    assert (expected > 0.2).sum() > 24


GRID = make_box(32631, 480_000, 5_016_000, metres=480, pixels=24)


def test_a_map_of_the_truth_is_the_chances_at_its_cells() -> None:
    when = When(2021, 1, 15, 12.0)
    found = truth_map(WORLD, "snow", GRID, when)
    assert found.dims == ("y", "x")
    assert grid_of(found) == GRID
    assert found.attrs["concept"] == "snow"
    lon, lat = (side.ravel() for side in cell_lonlat(GRID))
    assert np.array_equal(found.values.ravel(), probability("snow", lon, lat, 1, 12, WORLD.seed))
    assert not np.array_equal(found.values, truth_map(World(8), "snow", GRID, when).values)


def test_no_date_means_any_time() -> None:
    ground_truth = prepare_ground_truth(WORLD, GRID)
    assert {t.month for t in ANY_TIME} == set(range(1, 13))
    each = np.stack([ground_truth.truth_map("blossom", when).values for when in ANY_TIME])
    assert ground_truth.truth_map("blossom").values == pytest.approx(each.mean(0), abs=1e-5)
    assert each.max() > each.min()


def test_many_moments_asked_of_many_concepts_are_those_of_each_moment() -> None:
    shared = prepare_ground_truth(WORLD, GRID)
    moments = [When(2020, month, day, 6.0) for month in range(1, 13) for day in range(1, 29, 2)]  # 168
    for concept in ("blossom", "skiers", "blossom"):
        series = shared.truth_series(concept, moments)
        for when in (moments[0], moments[-1]):
            alone = truth_map(WORLD, concept, GRID, when).values.ravel()
            assert (series[moments.index(when)] == alone).all()
        assert (series[0] != series[84]).any()


def test_an_unknown_concept_is_one_line_that_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"unicorn.*known: sea, .*blue sky") as caught:
        truth_map(WORLD, "unicorn", GRID)
    assert "\n" not in str(caught.value)
    assert find_concept("camels").name == "camels"


def test_southern_turns_the_season_round() -> None:
    assert half_year_later("2021-01-15T12:00") == "2021-07-15T12:00"
    assert half_year_later("2021-07-20T14:00") == "2021-01-20T14:00"
    assert half_year_later("2021-06-10T06:00") == "2021-12-10T06:00"
    assert half_year_later("2021-12-15T23:00") == "2021-06-15T23:00"
    for month in range(1, 13):
        when = f"2021-{month:02d}-15T12:00"
        assert half_year_later(half_year_later(when)) == when
