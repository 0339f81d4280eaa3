"""Agreement with the truth of a small country, whose cells are known."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import model

from sat2cap.atlas import create_or_resume
from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.errors import ModelError
from sat2cap.evaluation.maps.location_baseline import CALENDAR
from sat2cap.evaluation.miniworld.maps import (
    Country,
    aerial_scores,
    can_judge,
    daylight_oracle_agreement,
    location_scores,
    map_agreement,
    map_scores,
    summary,
    time_agreement,
)
from sat2cap.geo.grid import cell_grid, cell_lonlat
from sat2cap.geo.region import parse_region
from sat2cap.geo.when import When
from sat2cap.miniworld.prompts import SEASONAL_PROMPTS, Prompt
from sat2cap.miniworld.surroundings import local_times
from sat2cap.miniworld.truth import prepare_ground_truth
from sat2cap.miniworld.world import World
from sat2cap.query import score_atlas

SEA, PINES = Prompt("water", "sea"), Prompt("taiga", "conifer forest")
JAM = Prompt("cars", "traffic jam", "2021-05-12T08:00")


@pytest.fixture(scope="module")
def checkpoint():
    return model(16)


@pytest.fixture(scope="module")
def country(tmp_path_factory, checkpoint) -> Country:
    """A coast in the south, embedded as noise."""
    grid = cell_grid(parse_region("-67.30,-35.88,-67.23,-35.83"))
    model_facts = {"identity": "m", "place_identity": checkpoint.place_identity, "card": checkpoint.card}
    spec = AtlasSpec(grid, np.ones(grid.shape, bool), 16, "float16", model_facts, {"identity": "i"}, 480.0, 8)
    writer = create_or_resume(tmp_path_factory.mktemp("atlas") / "a.zarr", spec)
    for chunk in writer.pending():
        values = np.random.default_rng(0).normal(size=(*chunk.shape, 16)).astype(np.float32)
        writer.write(chunk, values, np.full(chunk.shape, CellStatus.OK, np.uint8))
    return Country("south", writer.finish(), prepare_ground_truth(World(2), grid), south=True)


def oracle(sign):
    """Scores that are the truth itself, or its opposite."""

    def scores(country, checkpoint, texts, when):
        concepts = {SEA.text: SEA, JAM.text: JAM, PINES.text: PINES}
        return np.stack(
            [
                sign * country.ground_truth.truth_map(concepts[text].concept, when).values.ravel()
                for text in texts
            ]
        )

    return scores


def test_the_truth_agrees_with_itself_and_its_opposite_does_not(country, checkpoint):
    for sign, auroc in ((1, 1.0), (-1, 0.0)):
        found = dict(map_agreement([country], checkpoint, [SEA, JAM], scores=oracle(sign)))
        assert {prompt: values["auroc"] for prompt, values in found.items()} == {SEA: auroc, JAM: auroc}
        for prompt, values in found.items():
            truth = country.truth(prompt)
            expected = average_precision_score(truth >= truth.max() / 2, sign * truth)
            assert values["average_precision"] == pytest.approx(expected, abs=1e-9)


def test_a_prompt_that_no_country_can_judge_is_left_out(country, checkpoint):
    assert not can_judge(country, PINES)
    found = list(map_agreement([country], checkpoint, [PINES, SEA]))
    assert [prompt for prompt, _ in found] == [SEA]
    assert list(map_agreement([country], checkpoint, [PINES], scores=oracle(1))) == []


def test_the_mean_is_over_countries_and_noise_knows_nothing(country, checkpoint):
    second = replace(country, name="again")
    (_, one), (_, two) = (
        *map_agreement([country], checkpoint, [SEA]),
        *map_agreement([country, second], checkpoint, [SEA]),
    )
    assert one == two
    assert 0.3 < one["auroc"] < 0.7
    truth = country.truth(SEA)
    share = float((truth >= truth.max() / 2).mean())
    assert one["average_precision"] == pytest.approx(share, abs=0.15), "noise is right as often as by luck"


def test_the_aerial_template_asks_for_the_text_seen_from_above(country, checkpoint):
    expected = map_scores(country, checkpoint, ["aerial view of the sea"], None)
    np.testing.assert_array_equal(aerial_scores(country, checkpoint, ["the sea"], None), expected)


def test_the_oracle_of_daylight_knows_nights_but_not_the_rush_hour(country):
    """Night lights are a matter of the sun; a market is held by day, but in the morning."""
    lights = next(prompt for prompt in SEASONAL_PROMPTS if prompt.concept == "night lights")
    found = dict(daylight_oracle_agreement([country], [lights, JAM, PINES]))
    assert found[JAM] < found[lights]
    truth = country.mean_truth(JAM, CALENDAR)
    latitude = np.full(len(CALENDAR), country.ground_truth.surroundings.lat.mean())
    clock = (np.array([getattr(when, name) for when in CALENDAR]) for name in ("month", "day", "hour"))
    up = local_times(latitude, *clock).sun > 0
    by_hand = [
        np.mean([t for t, other, sun in zip(truth, CALENDAR, up, strict=True)
                 if other.month == when.month and sun == here])
        for when, here in zip(CALENDAR, up, strict=True)
    ]  # fmt: skip
    assert found[JAM] == pytest.approx(spearmanr(by_hand, truth).statistic, abs=1e-6)


def test_southern_seasons_are_asked_half_a_year_later(country):
    assert country.when(JAM) == When(2021, 11, 12, 8.0)
    assert replace(country, south=False).when(JAM) == When(2021, 5, 12, 8.0)
    assert country.when(SEA) is None


def test_a_country_with_another_atlas_shares_its_truths(country):
    first = country.truth(SEA)
    assert replace(country, atlas=country.atlas).truth(SEA) is first
    np.testing.assert_array_equal(first, country.ground_truth.truth_map("sea").values.ravel())


def test_maps_are_those_of_the_query(country, checkpoint):
    when = When(2021, 1, 1, 3.0)
    expected = score_atlas(country.atlas, checkpoint, ["p", "q"], when=when).values.reshape(2, -1)
    np.testing.assert_array_equal(map_scores(country, checkpoint, ["p", "q"], when), expected)


@pytest.mark.parametrize("when", [When(2021, 3, 9, 17.0), None])
def test_location_alone_is_the_cosine_of_the_offset(country, checkpoint, when):
    lon, lat = (side.ravel() for side in cell_lonlat(country.atlas.grid))
    cosines = []
    for t in [when] if when else CALENDAR:
        offset = checkpoint.dynamic_offset(lat, lon, t.year, t.month, t.day, t.hour).astype(np.float64)
        cosines.append(
            checkpoint.embed_text(["p", "q"]) @ (offset / np.linalg.norm(offset, axis=1)[:, None]).T
        )
    found = location_scores(country, checkpoint, ["p", "q"], when)
    np.testing.assert_allclose(found, np.mean(cosines, axis=0), atol=3e-6)


def test_a_model_without_a_dynamic_encoder_has_no_location_baseline(country):
    with pytest.raises(ModelError, match="no Dynamic Encoder"):
        location_scores(country, model(16, dynamic=False), ["p"], None)


def test_agreement_in_time_is_the_rank_correlation_of_the_means(country, checkpoint):
    scipy_stats = pytest.importorskip("scipy.stats")
    calendar = CALENDAR[::5]
    found = dict(time_agreement([country], checkpoint, [JAM, PINES], calendar=calendar))
    assert set(found) == {JAM}  # none grow there
    ours = [float(score_atlas(country.atlas, checkpoint, [JAM.text], when=t).values.mean()) for t in calendar]
    truth = [float(country.ground_truth.truth_map("traffic jam", t).values.mean()) for t in calendar]
    assert found[JAM] == pytest.approx(scipy_stats.spearmanr(ours, truth).statistic, abs=1e-9)


def test_the_summary_counts_what_it_is_over():
    figures = summary("map", [(SEA, 0.5), (JAM, 1.0), (PINES, 0.9)])
    assert figures == {"map.mean": pytest.approx(0.8), "map.median": 0.9, "map.prompts": 3.0}
