"""The whole of table 1 on pairs whose answers are known, its baselines, and what is kept of a gallery."""

from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod
from seeing import DIM, SEEN, Plain, Seeing, seeing

from sat2cap.errors import ModelError, PairsError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.metric import metric_values
from sat2cap.evaluation.retrieval import gallery as gallery_module
from sat2cap.evaluation.retrieval.evaluation import TableOptions, evaluate_table, gallery_metrics
from sat2cap.evaluation.retrieval.gallery import embed_gallery, same_places
from sat2cap.evaluation.retrieval.moments import (
    MOMENTS,
    conditioned_embeddings_at,
    moment_metrics,
    nearest_rows,
)
from sat2cap.model import Compute

TRAINED = {"training": {"run": {"model": {"dynamic": True, "dropout": 0.3}}}}


def test_a_model_that_knows_finds_all_and_one_that_guesses_finds_chance() -> None:
    found = evaluate_table(Plain(), {"knows": seeing(dynamic=False)}, seeing(1e4, dynamic=False, seed=1))
    figures = metric_values(found.metrics)
    for way in ("overhead2ground", "ground2overhead"):
        assert figures[f"{way}.r1"] == figures[f"{way}.median_rank"] == 1
        assert figures[f"clip.{way}.r10"] < 0.35
        assert figures[f"above_clip.{way}.r10"] == pytest.approx(1 - figures[f"clip.{way}.r10"])
    assert figures["chance.r10"] == pytest.approx(10 / 90)
    assert [row["name"] for row in found.table_data["rows"]] == ["", "own_photo", "clip", "chance"]
    intervals = {figure.name: figure.interval for figure in found.metrics}
    low, high = intervals["above_clip.overhead2ground.r10"]
    assert low < figures["above_clip.overhead2ground.r10"] < high
    assert intervals["overhead2ground.r1"] == (1.0, 1.0)


def test_every_row_says_how_it_was_trained_and_asked() -> None:
    models = {"whole": seeing(**TRAINED), "bare": seeing(dynamic=False, seed=2), "again": seeing(seed=3)}
    found = evaluate_table(Plain(40), models, options=TableOptions(draws=0))
    rows = {row["name"]: row for row in found.table_data["rows"]}
    assert list(rows) == [
        "",
        "own_photo",
        "no_metadata",
        "location",
        "bare",
        "again",
        "again.no_metadata",
        "chance",
    ]
    marks = ("meta_training", "dropout", "meta_inference")
    assert [rows[""][mark] for mark in marks] == [True, True, True]
    assert [rows["no_metadata"][mark] for mark in marks] == [True, True, False]
    assert [rows["bare"][mark] for mark in marks] == [False, None, False]
    assert {figure.interval for figure in found.metrics} == {None}


@pytest.mark.parametrize("told", [True, False])
def test_one_row_is_that_of_the_table(told: bool) -> None:
    gallery = embed_gallery(Plain(), seeing(2.0), "test", 2000, 0)
    alone = metric_values(gallery_metrics(gallery, seeing(2.0), use_metadata=told))
    options = TableOptions(metadata=told, draws=0)
    whole = metric_values(evaluate_table(Plain(), {"m": seeing(2.0)}, options=options).metrics)
    assert alone.items() <= whole.items()
    assert ("location.overhead2ground.r1" in whole) is told


def test_photos_of_one_place_are_each_others_right_answer() -> None:
    eye = {"knows": seeing(dynamic=False)}
    one = metric_values(evaluate_table(Plain(60, several=3), eye, options=TableOptions(draws=0)).metrics)
    assert (one["gallery"], one["places"]) == (60, 20)
    assert one["overhead2ground.median_rank"] == 1
    assert one["own_photo.ground2overhead.mean_rank"] == 3, "ties with the two other pairs of the place"
    apart = TableOptions(draws=0, same_place_m=1e6)
    assert metric_values(evaluate_table(Plain(60), eye, options=apart).metrics)["places"] == 1


def test_the_linear_model_is_a_baseline_beside_clip() -> None:
    ours, linear, clip = seeing(dynamic=False), seeing(1.0, seed=4), seeing(1e4, dynamic=False, seed=1)
    found = evaluate_table(Plain(), {"m": ours}, clip, TableOptions(draws=20), linear=linear)
    rows = {row["name"]: row for row in found.table_data["rows"]}
    assert list(rows) == ["", "own_photo", "linear", "clip", "chance"]
    assert rows["linear"]["meta_inference"] is True
    alone = metric_values(
        evaluate_table(Plain(), {"linear model": linear}, options=TableOptions(draws=0)).metrics
    )
    figures = metric_values(found.metrics)
    for way in ("overhead2ground", "ground2overhead"):
        assert figures[f"linear.{way}.r10"] == alone[f"{way}.r10"]
        assert figures[f"above_linear.{way}.r10"] == pytest.approx(1 - alone[f"{way}.r10"])


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ModelError, match="no model"):
        evaluate_table(Plain(), {})
    with pytest.raises(ModelError, match="no Dynamic Encoder"):
        evaluate_table(Plain(), {"m": seeing(dynamic=False)}, options=TableOptions(metadata=True))
    with pytest.raises(PairsError, match="'val'"):
        evaluate_table(Plain(), {"m": seeing()}, options=TableOptions(split="val"))


def test_a_gallery_that_was_embedded_is_read(tmp_path: Path) -> None:
    first = embed_gallery(Plain(), seeing(1.0), gallery=50, cache=tmp_path)
    SEEN.clear()
    again = embed_gallery(Plain(), seeing(1.0), gallery=50, cache=tmp_path)
    assert SEEN == []
    for name in ("overhead", "ground", "lon", "lat", "row"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.taken == again.taken
    for other in ({"gallery": 51}, {"seed": 1}):
        SEEN.clear()
        embed_gallery(Plain(), seeing(1.0), **{"gallery": 50, **other}, cache=tmp_path)
        assert SEEN
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(b"broken")
    with pytest.raises(PairsError, match="remove it"):
        embed_gallery(Plain(), seeing(1.0), gallery=50, cache=tmp_path)


def test_a_model_is_moved_to_the_chosen_device_and_sees_prepared_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moves: list[str] = []
    shapes: list[tuple[int, ...]] = []

    class Watched(Seeing):
        def to(self, device: str) -> "Watched":
            moves.append(device)
            return self

        def embed_overhead(self, patches: np.ndarray, **options: object) -> np.ndarray:
            assert options == {"precision": "auto", "prepared": True, "compiled": False}
            shapes.append(patches.shape)
            return super().embed_overhead(patches, **options)

    eye = seeing(0.0)
    watched = Watched(**{name: getattr(eye, name) for name in eye.__dataclass_fields__})
    monkeypatch.setattr(gallery_module, "choose_compute", lambda: Compute("xpu", "float32", "a GPU"))
    made = embed_gallery(Plain(), watched, gallery=70)
    size = eye.overhead_preprocess.size
    assert moves == ["xpu"]
    assert shapes == [(64, size, size, 3), (6, size, size, 3)]
    np.testing.assert_allclose(made.unit_overhead, made.ground, atol=1e-5, err_msg="one colour, one order")


def test_places_are_one_within_the_distance_and_what_is_near_is_handed_on() -> None:
    step = 10 / 111_195 / np.cos(np.radians(60))  # ten metres east at 60 degrees north
    lon = np.array([5, 5 + step, 5 + 2 * step, 9, 9])
    lat = np.array([60.0, 60, 60, 60, 60])
    assert len(set(same_places(lon, lat, 9.0))) == 4
    assert same_places(lon, lat, 11.0).tolist() == [0, 0, 0, 1, 1]
    assert same_places(lon, lat, 0.0)[3:].tolist() == [3, 3]


@pytest.mark.parametrize("lon", [0.0, 7.0, 170.0, -179.9999])
@pytest.mark.parametrize("lat", [0.0, -45.0, 60.0, 89.9])
def test_near_is_near_on_the_globe_wherever_it_is(lon: float, lat: float) -> None:
    """Against pyproj's great circles on the same sphere, all pairs, handed on by hand."""
    rng, sphere = np.random.default_rng(3), Geod(a=6_371_000, b=6_371_000)
    bearing, metres = rng.uniform(0, 360, 60), rng.uniform(0, 120, 60)
    east, north, _ = sphere.fwd(np.full(60, lon), np.full(60, lat), bearing, metres)
    apart = sphere.inv(
        *(np.repeat(side, 60) for side in (east, north)), np.tile(east, 60), np.tile(north, 60)
    )
    near = apart[2].reshape(60, 60) <= 20.0
    for _ in range(6):
        near = near @ near
    found = same_places(east, north, 20.0)
    assert 1 < len(set(found)) < 60
    np.testing.assert_array_equal(found[:, None] == found[None, :], near)


def test_the_nearest_are_the_best_in_order() -> None:
    rng = np.random.default_rng(0)
    query, gallery = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(30, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        nearest_rows(query, gallery, 9), np.argsort(-(query @ gallery.T), axis=1)[:, :9]
    )
    assert nearest_rows(query, gallery[:4], 9).shape == (7, 4)


def test_photos_from_near_a_moment_are_counted_by_hand() -> None:
    eye = seeing(1.0)
    gallery = embed_gallery(Plain(), eye)
    found = metric_values(moment_metrics(gallery, eye, Bootstrap(number_blocks(gallery.lon, gallery.lat), 0)))
    evening = [min(abs(when.hour - 23), 24 - abs(when.hour - 23)) <= 3 for when in gallery.taken]
    assert found["times.hour.23.gallery"] == pytest.approx(np.mean(evening))
    told = nearest_rows(
        conditioned_embeddings_at(gallery, eye, np.arange(90), MOMENTS[1].when), gallery.ground
    )
    assert found["times.hour.23.near"] == pytest.approx(np.mean(np.array(evening)[told]))
    # July in the north is January in the south: from either hemisphere the same season is asked for
    middle_of_year = [
        abs((when.month - 1 + (when.day - 1) / 31 + (6 if lat < 0 else 0)) % 12 - (6 + 14 / 31)) <= 1.5
        for when, lat in zip(gallery.taken, gallery.lat, strict=True)
    ]
    south = gallery.lat < 0
    january = [
        min(s, 12 - s) <= 1.5
        for when, lat in zip(gallery.taken, gallery.lat, strict=True)
        for s in [abs((when.month - 1 + (when.day - 1) / 31 + (6 if lat < 0 else 0)) % 12 - 14 / 31)]
    ]
    expected = np.mean(january) * south.mean() + np.mean(middle_of_year) * (1 - south.mean())
    assert found["times.month.07.gallery"] == pytest.approx(expected)
    assert gallery.ground.shape == (90, DIM)
