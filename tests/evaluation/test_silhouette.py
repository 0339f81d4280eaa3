"""Silhouettes against Rousseeuw's own example and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import silhouette_samples

from sat2cap.errors import InputError
from sat2cap.evaluation.clusters import silhouette as module
from sat2cap.evaluation.clusters.silhouette import _OrderedClusters, point_silhouettes

COUNTRIES = ("BEL", "BRA", "CHI", "CUB", "EGY", "FRA", "IND", "ISR", "USA", "USS", "YUG", "ZAI")
DISSIMILARITIES = """
5.58
7.00 6.50
7.08 7.00 3.83
4.83 5.08 8.17 5.83
2.17 5.75 6.67 6.92 4.92
6.42 5.00 5.58 6.00 4.67 6.42
3.42 5.50 6.42 6.42 5.00 3.92 6.17
2.50 4.92 6.25 7.33 4.50 2.25 6.33 2.75
6.08 6.67 4.25 2.67 6.00 6.17 6.17 6.92 6.17
5.25 6.83 4.50 3.75 5.75 5.42 6.08 5.83 6.67 3.67
4.75 3.00 6.08 6.67 5.00 5.58 4.83 6.17 5.67 6.50 6.92
"""
"""Rousseeuw 1987, table 1: how unlike twelve countries were found by students of politics."""

TWO = {
    "USA": 0.43, "BEL": 0.39, "FRA": 0.35, "ISR": 0.30, "BRA": 0.22, "EGY": 0.20, "ZAI": 0.19,
    "CUB": 0.40, "USS": 0.34, "CHI": 0.33, "YUG": 0.26, "IND": -0.04,
}  # fmt: skip
THREE = {
    "USA": 0.47, "FRA": 0.44, "BEL": 0.42, "ISR": 0.37, "EGY": 0.02, "ZAI": 0.28, "BRA": 0.25, "IND": 0.17,
    "CUB": 0.48, "USS": 0.44, "YUG": 0.31, "CHI": 0.31,
}  # fmt: skip
"""His figures 2 and 3."""


def distances() -> np.ndarray:
    matrix = np.zeros((12, 12))
    matrix[np.tril_indices(12, -1)] = [float(n) for n in DISSIMILARITIES.split()]
    return matrix + matrix.T


@pytest.mark.parametrize(
    ("labels", "expected", "mean"),
    [
        ([1, 1, 2, 2, 1, 1, 2, 1, 1, 2, 2, 1], TWO, 0.28),
        ([1, 2, 3, 3, 1, 1, 2, 1, 1, 3, 3, 2], THREE, 0.33),
    ],
)
def test_rousseeuws_own_example(labels: list[int], expected: dict[str, float], mean: float) -> None:
    clusters = _OrderedClusters(labels, 12)
    silhouettes = clusters.silhouettes(distances()[:, clusters.order], np.argsort(clusters.order))
    for country, value in zip(COUNTRIES, silhouettes, strict=True):
        assert value == pytest.approx(expected[country], abs=0.0051), country
    assert silhouettes.mean() == pytest.approx(mean, abs=0.0051)


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_scikit_learn(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(150, 12)).astype(np.float32)
    rows[:30] = rows[0]  # points that coincide
    labels = rng.integers(0, 9, 150) * 5 - 7
    labels[3] = 999  # alone in its cluster
    expected = silhouette_samples(rows.astype(np.float64), labels)
    assert expected[3] == 0
    np.testing.assert_allclose(point_silhouettes(rows, labels), expected, atol=1e-6)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 8 * 150 * 7)  # blocks of seven points
    sample = np.sort(rng.permutation(150)[:40])
    np.testing.assert_allclose(point_silhouettes(rows, labels, sample), expected[sample], atol=1e-6)


@pytest.mark.parametrize("labels", [[0] * 6, list(range(6)), [0, 1, 0]])
def test_what_has_no_silhouette_is_refused(labels: list[int]) -> None:
    with pytest.raises(InputError, match="2 to 5 clusters"):
        point_silhouettes(np.eye(6), labels)
