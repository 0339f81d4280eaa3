"""Ranks and the figures made of them, against counting by hand and by brute force."""

from pathlib import Path

import numpy as np
import pytest

from sat2cap.errors import PairsError
from sat2cap.evaluation.retrieval import ranks as ranks_module
from sat2cap.evaluation.retrieval.ranks import match_ranks
from sat2cap.pairs import chance_metrics, retrieval_metrics


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
    assert match_ranks(query, gallery).tolist() == [2, 2, 2]
    assert match_ranks(gallery, query).tolist() == [1, 3, 2]


def test_ties_count_against_the_query() -> None:
    """A model that says the same of everything must not look perfect."""
    query = unit(np.random.default_rng(0), 50, 8)
    assert match_ranks(query, np.ones((50, 8), np.float32)).tolist() == [50] * 50
    assert match_ranks(np.zeros((50, 8), np.float32), query).tolist() == [50] * 50


@pytest.mark.parametrize("seed", range(8))
def test_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 200)), int(rng.integers(1, 64))
    gallery = unit(rng, n, d)
    query = unit(rng, n, d) + gallery * rng.random((n, 1)).astype(np.float32)
    gallery[rng.integers(0, n, n // 3)] = gallery[0]  # several equal rows
    assert match_ranks(query, gallery).tolist() == brute_force(query, gallery)


def test_rows_closer_than_float32_products_can_tell_are_still_ordered() -> None:
    rng = np.random.default_rng(5)
    query, base = unit(rng, 300, 32), unit(rng, 1, 32)
    gallery = (base + 1e-6 * rng.normal(size=(300, 32))).astype(np.float32)
    assert match_ranks(query, gallery).tolist() == brute_force(query, gallery)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    gallery, query = unit(rng, 230, 16), unit(rng, 230, 16)
    whole = match_ranks(query, gallery)
    monkeypatch.setattr(ranks_module, "_BLOCK_BYTES", 7 * 4 * 230)
    assert (match_ranks(query, gallery) == whole).all()


def test_shuffling_both_sides_alike_shuffles_the_ranks() -> None:
    rng = np.random.default_rng(7)
    gallery, query, order = unit(rng, 90, 8), unit(rng, 90, 8), rng.permutation(90)
    assert (match_ranks(query[order], gallery[order]) == match_ranks(query, gallery)[order]).all()


def test_chance_is_the_middle_of_the_gallery() -> None:
    rng = np.random.default_rng(8)
    metrics = retrieval_metrics(match_ranks(unit(rng, 2000, 32), unit(rng, 2000, 32)))
    assert 850 < metrics["median_rank"] < 1150
    assert metrics["r10"] == pytest.approx(10 / 2000, abs=0.006)


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
        match_ranks(query, gallery)


def test_no_ranks_no_figures() -> None:
    with pytest.raises(PairsError, match="no pairs"):
        retrieval_metrics(np.array([], dtype=np.int64))


def several(query: np.ndarray, gallery: np.ndarray, place: np.ndarray) -> list[int]:
    """The definition with several right rows, one pair at a time."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    found = []
    for q, mine in zip(query, place, strict=True):
        best = max((float(q @ g), i) for i, g in enumerate(gallery) if place[i] == mine)[1]
        wrong = gallery[place != mine]
        found.append(1 + sum(float(q @ (g - gallery[best])) >= 0 for g in wrong))
    return found


def test_several_photos_of_a_place_are_all_right() -> None:
    query = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    gallery = np.array([[1, 0], [5, 0], [3, 1]], dtype=np.float32)
    place = np.array([7, 7, 9])
    # Queries 0 and 1: right rows score 1 and 5, the wrong one 3: first. Query 2: 1 against 0 and 0: first.
    assert match_ranks(query, gallery, place).tolist() == [1, 1, 1]
    assert match_ranks(query, gallery).tolist() == [3, 1, 1]


@pytest.mark.parametrize("seed", range(8))
def test_several_photos_of_a_place_equal_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 90))
    gallery, query = unit(rng, n, 8), unit(rng, n, 8)
    gallery[rng.integers(0, n, n // 2)] = gallery[0]  # equal rows, of one place and of several
    place = rng.integers(0, max(2, n // 3), n)
    assert match_ranks(query, gallery, place).tolist() == several(query, gallery, place)


def test_places_of_one_photo_change_nothing() -> None:
    rng = np.random.default_rng(11)
    gallery, query = unit(rng, 60, 8), unit(rng, 60, 8)
    assert (match_ranks(query, gallery, rng.permutation(60)) == match_ranks(query, gallery)).all()


def test_a_memory_map_is_read_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(12)
    gallery, query = unit(rng, 500, 16), unit(rng, 500, 16)
    np.save(tmp_path / "q.npy", query)
    monkeypatch.setattr(ranks_module, "_BLOCK_BYTES", 50 * 4 * 500)
    mapped = np.load(tmp_path / "q.npy", mmap_mode="r")
    assert (match_ranks(mapped, gallery) == match_ranks(query, gallery)).all()


def test_metrics_weigh_as_repeated_rows_do() -> None:
    rng = np.random.default_rng(13)
    for count in (1, 2, 7, 40):
        mine, weight = rng.integers(1, 30, count), rng.integers(0, 4, count)
        weight[0] += 1
        assert retrieval_metrics(mine, weight.astype(float)) == pytest.approx(
            retrieval_metrics(np.repeat(mine, weight))
        )


def test_chance_by_hand_and_by_guessing() -> None:
    assert chance_metrics(np.arange(200)) == {
        "r1": pytest.approx(1 / 200), "r5": pytest.approx(5 / 200), "r10": pytest.approx(10 / 200),
        "median_rank": 100.5, "mean_rank": pytest.approx(100.5),
    }  # fmt: skip
    place = np.repeat(np.arange(20), [1, 2, 3, 4] * 5)
    rng = np.random.default_rng(14)
    drawn = np.concatenate([match_ranks(unit(rng, 50, 16), unit(rng, 50, 16), place) for _ in range(300)])
    guessed, expected = retrieval_metrics(drawn), chance_metrics(place)
    for name, value in guessed.items():
        assert expected[name] == pytest.approx(value, rel=0.06), name
