import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # calibration_measures lives there

from calibration_measures import (
    PromptTruth,
    evaluate_calibration,
    expected_calibration_error,
    reliability,
)


def test_reliability_by_hand():
    share, truth = np.array([0.05, 0.15, 0.12, 1.0, 0.95]), np.array([0.0, 1.0, 0.0, 1.0, 0.5])
    bins = reliability(share, truth)
    assert [one.cells for one in bins] == [1, 2, 2]
    np.testing.assert_allclose([one.chance for one in bins], [0.05, 0.135, 0.975])
    np.testing.assert_allclose([one.truth for one in bins], [0, 0.5, 0.75])
    assert expected_calibration_error(bins) == pytest.approx((0.05 + 2 * 0.365 + 2 * 0.225) / 5)


def test_a_share_that_is_the_chance_has_no_error_and_its_square_has():
    rng = np.random.default_rng(0)
    share = rng.random(200_000)
    happened = (rng.random(200_000) < share).astype(float)
    assert expected_calibration_error(reliability(share, happened)) < 0.01
    assert expected_calibration_error(reliability(share**2, happened)) > 0.1


def test_a_scale_that_lights_as_much_as_is_there_is_told_from_one_that_does_not():
    """The truth itself as `contrast`, and its rank within each prompt as `percentile`."""
    rng = np.random.default_rng(1)
    truths = [rng.random(1000) * top for top in (0.1, 0.3, 0.6, 1.0)]

    def asked(truth, nonsense):
        ranks = np.argsort(np.argsort(truth + 1e-9 * rng.random(1000))) / 9.99
        return PromptTruth(
            {"cosine": -truth, "percentile": ranks, "share": truth**2, "contrast": truth},
            truth * (not nonsense),
            nonsense,
        )

    everything = [*(asked(truth, False) for truth in truths), asked(rng.random(1000) * 0.1, True)]
    found = dict(evaluate_calibration(everything))
    assert found["contrast.ece"] == pytest.approx(0, abs=1e-9)
    assert found["share.ece"] > 0.05
    assert found["contrast.brier"] == 0 < found["share.brier"]
    assert found["contrast.total"] == pytest.approx(1)
    assert found["prompts"] == 4
    assert found["contrast.nonsense_lit"] == 0
    assert found["percentile.nonsense_lit"] == pytest.approx(0.05, abs=0.005)
    assert found["contrast.truth_where_lit"] > 0.8 > found["percentile.truth_where_lit"]
    assert found["contrast.lit_against_true"] > found["cosine.lit_against_true"]
