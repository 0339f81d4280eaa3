"""Agreement with the truth, against hand-counted values and scikit-learn and SciPy."""

import numpy as np
import pytest
from numpy.typing import ArrayLike
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from sat2cap.errors import InputError
from sat2cap.evaluation.maps.agreement import Agreement, auroc, spearman


def average_precision(score: ArrayLike, positive: ArrayLike) -> float:
    return _metric("average_precision", score, positive)


def best_f1(score: ArrayLike, positive: ArrayLike) -> float:
    return _metric("f1", score, positive)


def _metric(name: str, score: ArrayLike, positive: ArrayLike) -> float:
    labels = np.ravel(positive)
    return Agreement.from_cells(np.ravel(score), labels, labels.astype(bool)).weighted_metrics()[name]


def test_auroc_by_hand() -> None:
    # Pairs (positive, negative): 0.9 beats 0.1 and 0.5; 0.5 beats 0.1 and ties with 0.5: 3.5 of 4.
    assert auroc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == 3.5 / 4


def test_average_precision_by_hand() -> None:
    # Positives at depth 1 (precision 1/1) and 3 (precision 2/3).
    assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    # All tie: both positives enter at depth 4.
    assert average_precision([7, 7, 7, 7], [1, 0, 1, 0]) == 0.5


def test_spearman_by_hand() -> None:
    assert spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx(1 - 6 * 4 / (4 * 15))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_agrees_with_the_reference_libraries_ties_included(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, size=(17, 9)) / 7
    truth = rng.integers(0, 4, size=score.shape) + score
    positive = rng.random(score.shape) < 0.3
    assert auroc(score, positive) == pytest.approx(roc_auc_score(positive.ravel(), score.ravel()), abs=1e-12)
    assert average_precision(score, positive) == pytest.approx(
        average_precision_score(positive.ravel(), score.ravel()), abs=1e-12
    )
    assert spearman(score, truth) == pytest.approx(
        spearmanr(score.ravel(), truth.ravel()).statistic, abs=1e-12
    )


def test_a_monotone_change_of_the_scores_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    score, positive = rng.normal(size=200), rng.random(200) < 0.5
    assert auroc(np.exp(score), positive) == auroc(score, positive)
    assert average_precision(score**3, positive) == average_precision(score, positive)
    assert auroc(-score, positive) == pytest.approx(1 - auroc(score, positive))


def test_cells_without_data_are_left_out() -> None:
    score, positive = [0.9, np.nan, 0.5, 0.1, np.nan], [1, 0, 0, 1, 1]
    assert auroc(score, positive) == auroc([0.9, 0.5, 0.1], [1, 0, 1]) == 0.5


def test_undefined_figures_are_nan() -> None:
    assert np.isnan(auroc([1, 2], [1, 1]))
    assert np.isnan(auroc([1, 2], [0, 0]))
    assert np.isnan(average_precision([1, 2], [0, 0]))
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))


def test_grids_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(2,\) and \(3,\)"):
        auroc([1, 2], [1, 0, 1])
    with pytest.raises(InputError, match="none of 2 cells"):
        spearman([np.nan, np.nan], [1, 0])


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("levels", [2, 5, 10_000])
def test_the_best_f1_is_that_of_the_best_threshold(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    score, positive = rng.integers(0, levels, 80), rng.random(80) < 0.3
    precision, recall, _ = precision_recall_curve(positive, score)
    expected = np.nanmax(2 * precision * recall / np.maximum(precision + recall, 1e-12))
    assert best_f1(score, positive) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_weights_count_as_repeated_cells_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    score, truth = rng.integers(0, 9, 60) / 4, rng.integers(0, 5, 60) / 4
    positive, weight = truth > 0.5, rng.integers(0, 4, 60)
    again = [np.repeat(side, weight) for side in (score, truth, positive)]
    assert Agreement.from_cells(score, truth, positive).weighted_metrics(
        weight.astype(float)
    ) == pytest.approx(
        {
            "auroc": auroc(again[0], again[2]),
            "average_precision": average_precision(again[0], again[2]),
            "f1": best_f1(again[0], again[2]),
            "spearman": spearman(again[0], again[1]),
        }
    )
