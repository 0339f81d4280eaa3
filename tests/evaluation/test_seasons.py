"""Scores over months and hours, against the planet's truth and by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import model
from scipy.stats import spearmanr

from sat2cap.atlas import Atlas, create_or_resume
from sat2cap.atlas.layout import CellStatus
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.errors import InputError
from sat2cap.evaluation.maps.location_baseline import CALENDAR
from sat2cap.evaluation.maps.seasons import (
    CALENDAR_HOURS,
    TrackedPrompt,
    TrackedRegion,
    evaluate_time,
    months_apart,
)
from sat2cap.evaluation.metric import metric_values
from sat2cap.geo.grid import cell_grid
from sat2cap.geo.region import parse_region
from sat2cap.miniworld.truth import prepare_ground_truth
from sat2cap.miniworld.world import World
from sat2cap.query.series import mean_scores

PLACES = {"north": "-69.92,46.09,-69.85,46.14", "south": "-67.30,-35.88,-67.23,-35.83"}
JAM, LEAVES, CAMELS = (
    TrackedPrompt("cars", "traffic jam"),
    TrackedPrompt("yellow", "autumn leaves"),
    TrackedPrompt("dry", "camels"),
)


@pytest.fixture(scope="module")
def checkpoint():
    return model(16)


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory, checkpoint) -> list[TrackedRegion]:
    """Two small countries of the made-up planet, embedded as noise."""

    def embedded(place: str) -> Atlas:
        grid = cell_grid(parse_region(PLACES[place]))
        facts = {"identity": "m", "place_identity": checkpoint.place_identity, "card": checkpoint.card}
        imagery = {"identity": "i", "uri": "miniworld:2"}
        spec = AtlasSpec(grid, np.ones(grid.shape, bool), 16, "float16", facts, imagery, 480.0, 8)
        writer = create_or_resume(tmp_path_factory.mktemp(place) / f"{place}.zarr", spec)
        for chunk in writer.pending():
            rows = np.random.default_rng(0).normal(size=(*chunk.shape, 16)).astype(np.float32)
            writer.write(chunk, rows, np.full(chunk.shape, CellStatus.OK, np.uint8))
        return writer.finish()

    return [TrackedRegion(place, embedded(place)) for place in PLACES]


def test_correlations_are_those_of_the_means(regions, checkpoint) -> None:
    figures = metric_values(evaluate_time(regions, checkpoint, [JAM, LEAVES, CAMELS]).metrics)
    for region in regions:
        ours = mean_scores(region.atlas, checkpoint, [JAM.text], CALENDAR)[0]
        truth = (
            prepare_ground_truth(World(2), region.atlas.grid).truth_series("traffic jam", CALENDAR).mean(1)
        )
        assert figures[f"rank_correlation.{region.name}.cars"] == pytest.approx(
            spearmanr(ours, truth).statistic
        )
        by_hour = ours.reshape(12, 8).mean(0)
        assert figures[f"hour.{region.name}.cars"] == pytest.approx(
            spearmanr(by_hour, truth.reshape(12, 8).mean(0)).statistic
        )
        still = truth.reshape(12, 8).mean(1)
        assert np.isnan(figures[f"month.{region.name}.cars"]) == (np.ptp(still) <= 0.1 * still.mean())
        assert figures[f"peak_hour.{region.name}.cars"] == CALENDAR_HOURS[by_hour.argmax()]
        assert figures[f"swing.{region.name}.cars"] == pytest.approx(np.ptp(ours))
        assert f"rank_correlation.{region.name}.dry" not in figures, "hardly ever there"
    assert figures["months_apart.truth.yellow"] == 6
    assert 0 <= figures["months_apart.yellow"] <= 6


def test_regions_know_their_hemisphere_and_keep_their_curves(regions, checkpoint) -> None:
    found = evaluate_time(regions, checkpoint, [LEAVES])
    assert found.table_data["south"] == {"north": False, "south": True}
    curve = found.table_data["curves"]["yellow"]["north"]
    assert len(curve["score"]) == len(curve["truth"]) == 96
    october, april = (np.reshape(curve["truth"], (12, 8))[month].mean() for month in (9, 3))
    assert october > april
    low, high = {f.name: f.interval for f in found.metrics}["rank_correlation.median"]
    assert low <= high


def test_prompts_without_a_truth_are_followed_too(regions, checkpoint) -> None:
    figures = metric_values(evaluate_time(regions, checkpoint, [TrackedPrompt("a dog")]).metrics)
    assert {"swing.north.a dog", "peak_month.south.a dog", "months_apart.a dog"} <= set(figures)
    assert not any("correlation" in name or "truth" in name for name in figures)


def test_several_regions_of_a_hemisphere_are_one_figure_a_prompt(regions, checkpoint) -> None:
    """The mean over the pairs, here twice the same pair."""
    twice = [*regions, TrackedRegion("far south", regions[1].atlas)]
    found = evaluate_time(twice, checkpoint, [LEAVES]).metrics
    once = metric_values(evaluate_time(regions, checkpoint, [LEAVES]).metrics)
    names = [figure.name for figure in found]
    assert len(names) == len(set(names))
    for name in ("months_apart.yellow", "months_apart.truth.yellow", "months_apart.mean_error"):
        assert metric_values(found)[name] == once[name]
    assert metric_values(found)["months_apart.prompts"] == 1


def test_months_apart_by_hand() -> None:
    year = np.cos(np.arange(12) * 2 * np.pi / 12)
    for turn, expected in ((0, 0), (1, 1), (6, 6), (8, 4), (11, 1)):
        assert months_apart(year, np.roll(year, turn)) == expected


def test_what_does_not_change_is_refused(regions) -> None:
    with pytest.raises(InputError, match="no Dynamic Encoder"):
        evaluate_time(regions, model(16, dynamic=False), [JAM])
    with pytest.raises(InputError, match="the same name"):
        evaluate_time([regions[0], regions[0]], model(16), [JAM])
