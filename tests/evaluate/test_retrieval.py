"""Ranks and the figures made of them, against counting by hand and by brute force."""

import time

import numpy as np
import pytest

from sat2cap.errors import PairsError
from sat2cap.evaluate import ranks as ranks_module
from sat2cap.evaluate.ranks import ranks
from sat2cap.evaluate.retrieval import retrieval_metrics


def brute_force(query: np.ndarray, gallery: np.ndarray) -> list[int]:
    """The definition, one pair at a time, with exact sums of float64 products."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    return [sum(float(q @ (g - own)) >= 0 for g in gallery) for q, own in zip(query, gallery, strict=True)]


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_by_hand() -> None:
    query = np.eye(3, dtype=np.float32)
    gallery = np.array([[3, 0, 0], [5, 4, 4], [1, 9, 4]], dtype=np.float32)
    # Query 0 scores 3, 5, 1: second. Query 1 scores 0, 4, 9: second. Query 2 scores 0, 4, 4: a tie, second.
    assert ranks(query, gallery).tolist() == [2, 2, 2]
    assert ranks(gallery, query).tolist() == [1, 3, 2]


def test_ties_count_against_the_query() -> None:
    """A model that says the same of everything must not look perfect."""
    query = unit(np.random.default_rng(0), 50, 8)
    assert ranks(query, np.ones((50, 8), np.float32)).tolist() == [50] * 50
    assert ranks(np.zeros((50, 8), np.float32), query).tolist() == [50] * 50


@pytest.mark.parametrize("seed", range(8))
def test_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 200)), int(rng.integers(1, 64))
    gallery = unit(rng, n, d)
    query = unit(rng, n, d) + gallery * rng.random((n, 1)).astype(np.float32)
    gallery[rng.integers(0, n, n // 3)] = gallery[0]  # several equal rows
    assert ranks(query, gallery).tolist() == brute_force(query, gallery)


def test_rows_closer_than_float32_products_can_tell_are_still_ordered() -> None:
    rng = np.random.default_rng(5)
    query, base = unit(rng, 300, 32), unit(rng, 1, 32)
    gallery = (base + 1e-6 * rng.normal(size=(300, 32))).astype(np.float32)
    assert ranks(query, gallery).tolist() == brute_force(query, gallery)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    gallery, query = unit(rng, 230, 16), unit(rng, 230, 16)
    whole = ranks(query, gallery)
    monkeypatch.setattr(ranks_module, "_BLOCK_BYTES", 7 * 4 * 230)
    assert (ranks(query, gallery) == whole).all()


def test_shuffling_both_sides_alike_shuffles_the_ranks() -> None:
    rng = np.random.default_rng(7)
    gallery, query, order = unit(rng, 90, 8), unit(rng, 90, 8), rng.permutation(90)
    assert (ranks(query[order], gallery[order]) == ranks(query, gallery)[order]).all()


def test_chance_is_the_middle_of_the_gallery() -> None:
    rng = np.random.default_rng(8)
    metrics = retrieval_metrics(ranks(unit(rng, 2000, 32), unit(rng, 2000, 32)))
    assert 850 < metrics["median_rank"] < 1150
    assert metrics["r10"] == pytest.approx(10 / 2000, abs=0.006)


def test_ten_thousand_in_seconds() -> None:
    """The bound is loose, for a busy machine: the quadratic way of Python objects takes minutes."""
    rng = np.random.default_rng(9)
    gallery = unit(rng, 10_000, 128)
    start = time.process_time()
    found = ranks(gallery, gallery)
    assert (found == 1).all()
    assert time.process_time() - start < 10


def test_metrics_by_hand() -> None:
    found = retrieval_metrics(np.array([1, 3, 5, 6, 10, 400]))
    assert found == {"r1": 1 / 6, "r5": 3 / 6, "r10": 5 / 6, "median_rank": 5.5, "mean_rank": 425 / 6}


@pytest.mark.parametrize("seed", range(200))
def test_the_median_agrees_with_recall(seed: int) -> None:
    """The paper prints a median of 12 beside R@10 = 0.591, which cannot be: more than half rank within 10."""
    rng = np.random.default_rng(seed)
    found = retrieval_metrics(rng.integers(1, int(rng.integers(2, 40)), int(rng.integers(1, 30))))
    for k in (1, 5, 10):
        if found[f"r{k}"] > 0.5:
            assert found["median_rank"] <= k
        if found[f"r{k}"] < 0.5:
            assert found["median_rank"] > k


@pytest.mark.parametrize(
    ("query", "gallery", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), r"\(3, 2\) and \(4, 2\)"),
        (np.ones(3), np.ones(3), r"must be \[N, D\]"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "not finite"),
        (np.ones((3, 2)), np.full((3, 2), np.inf), "not finite"),
    ],
)
def test_what_has_no_rank_is_refused(query: np.ndarray, gallery: np.ndarray, message: str) -> None:
    with pytest.raises(PairsError, match=message):
        ranks(query, gallery)


def test_no_ranks_no_figures() -> None:
    with pytest.raises(PairsError, match="no pairs"):
        retrieval_metrics(np.array([], dtype=np.int64))
