"""Clusters of embeddings whose kinds are known."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "query"))  # made_model lives there

from made_model import atlas, model
from sklearn.metrics import silhouette_score

from sat2cap.errors import InputError
from sat2cap.evaluation.clusters.evaluation import (
    ClusterOptions,
    cluster_map,
    evaluate_clusters,
    fit_kmeans,
)
from sat2cap.evaluation.metric import metric_values
from sat2cap.query import DEFAULT_PHRASES, read_phrases


def blobs(kinds: int, count: int = 300, spread: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(kinds, 8))
    rows = centres[np.arange(count) % kinds] / np.linalg.norm(centres, axis=1)[np.arange(count) % kinds, None]
    return (rng.uniform(1, 9, (count, 1)) * (rows + spread * rng.normal(size=rows.shape))).astype(np.float32)


def test_a_space_of_few_kinds_collapses_and_one_of_many_holds() -> None:
    options = ClusterOptions((3, 30), seeds=2, sample=200)
    found = evaluate_clusters({"many": blobs(30), "few": blobs(3)}, options)
    figures = metric_values(found.metrics)
    assert figures["few.silhouette.k3"] > 0.85
    assert figures["few.silhouette.k30"] < 0.3
    assert figures["many.silhouette.k30"] > figures["many.silhouette.k3"]
    assert figures["above.k"] == 30
    assert figures["few.fall"] == pytest.approx(figures["few.silhouette.k3"] - figures["few.silhouette.k30"])
    assert (figures["points"], figures["sample"]) == (300, 200)
    for figure in found.metrics:
        if "silhouette" in figure.name:
            low, high = figure.interval
            assert low <= figure.value <= high


def test_the_silhouette_is_scikit_learns_of_unit_rows() -> None:
    rows = blobs(5, 120, 0.4)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = metric_values(evaluate_clusters({"s": rows}, ClusterOptions((4,), seeds=1)).metrics)
    labels, centres = fit_kmeans(unit, 4, 0)
    assert found["s.silhouette.k4"] == pytest.approx(silhouette_score(unit, labels), abs=1e-5)
    nearest = np.argmin(((unit[:, None] - centres[None]) ** 2).sum(-1), axis=1)
    assert (nearest == labels).all()


def test_points_that_coincide_make_no_clusters_of_their_own() -> None:
    """Asked for more clusters than there are points apart, k-means gives fewer, each perfect."""
    same = np.repeat(blobs(4, 15, 0.2), 8, axis=0)
    found = evaluate_clusters({"same": same, "apart": blobs(4, 120)}, ClusterOptions((10, 15, 20), seeds=1))
    assert found.table_data["ks"] == [10, 15]
    with pytest.raises(InputError, match="120 points, 15 of them distinct, are too few"):
        evaluate_clusters({"same": same}, ClusterOptions((20,), seeds=1))


def test_numbers_of_clusters_are_as_the_set_allows() -> None:
    assert evaluate_clusters({"s": blobs(4, 60)}, ClusterOptions(seeds=1)).table_data["ks"] == [10, 20]
    with pytest.raises(InputError, match="too few"):
        evaluate_clusters({"s": blobs(4, 15)})
    with pytest.raises(InputError, match="same places"):
        evaluate_clusters({"s": blobs(4, 60), "t": blobs(4, 61)})
    with pytest.raises(InputError, match="between 1 and"):
        fit_kmeans(blobs(2, 10), 11)


def test_a_map_of_clusters_is_named_after_what_is_there(tmp_path: Path) -> None:
    checkpoint = model(32)
    texts = checkpoint.embed_text(["the open sea", "a vineyard"])
    cells = np.zeros((6, 8, 32), np.float32)
    cells[:, :5], cells[:, 5:] = 3 * texts[0], 7 * texts[1]
    holes = np.zeros((6, 8), bool)
    holes[2, 3] = True
    made = atlas(tmp_path / "a.zarr", cells, checkpoint, holes)
    found = cluster_map(made, checkpoint, 2, DEFAULT_PHRASES, named_by=1)
    assert found.names == (("the open sea",), ("a vineyard",)), "the largest first"
    expected = np.where(np.arange(8) < 5, 0, 1) * np.ones((6, 1), int)
    expected[holes] = -1
    expected[:, -1] = -1  # outside the region
    assert (found.label == expected).all()


def test_phrases_are_read_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_text("a dog\n\n  a cat \n")
    assert read_phrases(path) == ("a dog", "a cat")
    path.write_text("\n")
    with pytest.raises(InputError, match="empty"):
        read_phrases(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_phrases(tmp_path / "none.txt")
