import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
import sklearn.metrics
from conftest import Ran

from sat2cap.atlas import open_atlas
from sat2cap.catalogue import resolve_model
from sat2cap.demo import headline_metrics, run_demo
from sat2cap.demo.labels import to_slug
from sat2cap.errors import InputError
from sat2cap.evaluation.metric import metric_values
from sat2cap.evaluation.retrieval.evaluation import gallery_metrics
from sat2cap.evaluation.retrieval.gallery import embed_gallery
from sat2cap.geo.when import parse_when
from sat2cap.miniworld.truth import truth_map
from sat2cap.miniworld.world import World
from sat2cap.pairs import open_pairs
from sat2cap.query import score_atlas

DIRECTIONS = ("overhead2ground", "ground2overhead")
STEPS = ("pairs", "train", "embed", "map", "evaluate", "report")
REQUIRED = [
    *(
        f"map.{measure}.{kind}{part}"
        for measure in ("auroc", "average_precision")
        for kind in ("", "linear.", "clip.", "clip_aerial.", "location.")
        for part in ("mean", "median")
    ),
    *("map.prompts", "time.rank_correlation.linear.median", "time.rank_correlation.oracle.median"),
    *("time.rank_correlation.median", "time.prompts", "retrieval.gallery", "demo.peak_memory_mb"),
    *(f"demo.seconds.{step}" for step in (*STEPS, "total")),
    *(
        f"retrieval.{kind}{way}.{name}"
        for kind in ("", "linear.", "clip.", "no_metadata.")
        for way in DIRECTIONS
        for name in ("r1", "r5", "r10", "median_rank")
    ),
]


def test_results_are_a_flat_object_of_finite_numbers_with_all_that_is_promised(ran: Ran) -> None:
    stored = json.loads((ran.out / "results.json").read_text())
    assert stored == ran.figures
    assert set(REQUIRED) <= set(stored)
    assert all(isinstance(value, float) and math.isfinite(value) for value in stored.values())


def test_every_prompt_has_its_metrics_beside_all_baselines(ran: Ran) -> None:
    for kind, measure in product(
        ("", "linear.", "clip.", "clip_aerial.", "location."), ("auroc", "average_precision")
    ):
        prefix = f"map.{measure}.{kind}"
        found = {n: v for n, v in ran.figures.items() if n.startswith(f"{prefix}prompt.")}
        assert len(found) == ran.figures["map.prompts"] >= 5
        assert np.mean(list(found.values())) == pytest.approx(ran.figures[f"{prefix}mean"])
    assert f"map.auroc.prompt.{to_slug('where can i see the sea')}" in ran.figures


def test_a_prompts_auroc_is_that_of_its_map_file_against_the_truth(ran: Ran) -> None:
    """Rice grows in the south alone, so its figure is of one country and one file."""
    prompt = next(p for p in ran.plan.prompts if p.concept == "rice paddy")
    with rasterio.open(ran.out / "maps" / f"{to_slug(prompt.text)}-south.tif") as file:
        scores = file.read(1)
        assert file.descriptions == (prompt.text,)
    grid = open_atlas(ran.out / "atlas" / "south.zarr").grid
    expected = truth_map(World(2), "rice paddy", grid).values
    known = np.isfinite(scores)
    positive = expected >= 0.5 * expected.max()
    auroc = sklearn.metrics.roc_auc_score(positive[known], scores[known])
    assert ran.figures[f"map.auroc.prompt.{to_slug(prompt.text)}"] == pytest.approx(auroc, abs=1e-9)
    precision = sklearn.metrics.average_precision_score(positive[known], scores[known])
    assert ran.figures[f"map.average_precision.prompt.{to_slug(prompt.text)}"] == pytest.approx(
        precision, abs=1e-9
    )


def test_the_linear_baseline_is_fitted_to_the_pairs_of_the_demo(ran: Ran) -> None:
    model, trained = (resolve_model(ran.out / name / "checkpoint") for name in ("linear", "train"))
    assert model.card["method"] == "linear"
    assert model.card["training"]["pairs"] == trained.card["training"]["pairs"]
    assert model.encoding == trained.encoding
    prompt = next(p for p in ran.plan.prompts if p.concept == "rice paddy")
    atlas = open_atlas(ran.out / "atlas" / "south-linear.zarr")
    scores = score_atlas(atlas, model, [prompt.text]).values[0]
    expected = truth_map(World(2), "rice paddy", atlas.grid).values
    known = np.isfinite(scores)
    auroc = sklearn.metrics.roc_auc_score((expected >= 0.5 * expected.max())[known], scores[known])
    name = f"map.auroc.linear.prompt.{to_slug(prompt.text)}"
    assert ran.figures[name] == pytest.approx(auroc, abs=1e-9)


def test_the_location_baseline_sees_no_imagery(ran: Ran) -> None:
    """Recomputed from the Dynamic Encoder's own output for a dated prompt of one country's truth."""
    prompt = next(p for p in ran.plan.prompts if p.concept == "market")
    checkpoint = resolve_model(ran.out / "train" / "checkpoint")
    found = []
    for name, south in (("north", False), ("south", True)):
        grid = open_atlas(ran.out / "atlas" / f"{name}.zarr").grid
        when = parse_when("2021-11-15T10:00" if south else "2021-05-15T10:00")
        from sat2cap.geo.grid import cell_lonlat

        lon, lat = (side.ravel() for side in cell_lonlat(grid))
        offset = checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
        offset /= np.linalg.norm(offset, axis=1, keepdims=True)
        expected = truth_map(World(2), "market", grid, when).values.ravel()
        scores = offset @ checkpoint.embed_text([prompt.text])[0]
        found.append(sklearn.metrics.roc_auc_score(expected >= 0.5 * expected.max(), scores))
    figure = ran.figures[f"map.auroc.location.prompt.{to_slug(prompt.text)}"]
    assert figure == pytest.approx(np.mean(found), abs=2e-3)  # float32 in another order may swap near ties


def test_chance_and_the_ratio_to_clip_follow_from_the_gallery(ran: Ran) -> None:
    figures = ran.figures
    assert figures["retrieval.gallery"] == 30
    assert figures["retrieval.chance.r10"] == pytest.approx(1 / 3)
    assert figures["retrieval.chance.median_rank"] == 15.5
    for way in DIRECTIONS:
        ratio = figures[f"retrieval.{way}.r10"] / figures[f"retrieval.clip.{way}.r10"]
        assert figures[f"retrieval.times_clip.{way}.r10"] == pytest.approx(ratio)


def test_hemispheres_are_counted_from_their_own_figures(ran: Ran) -> None:
    expected = 0
    for prompt, sign in ((ran.plan.winter_prompts[0], 1), (ran.plan.summer_prompts[0], -1)):
        north, south = (
            ran.figures[f"hemispheres.{to_slug(prompt.text)}.{place}.january"]
            - ran.figures[f"hemispheres.{to_slug(prompt.text)}.{place}.july"]
            for place in ("north", "south")
        )
        expected += sign * north > 0 and sign * south < 0
    assert ran.figures["hemispheres.prompts"] == 2
    assert ran.figures["hemispheres.swapped"] == expected


def test_the_demo_leaves_what_a_person_would_have_made(ran: Ran) -> None:
    training, heldout = open_pairs(ran.out / "pairs"), open_pairs(ran.out / "heldout")
    assert training.manifest["provenance"]["photos"] == "miniworld:1"
    assert heldout.manifest["provenance"]["photos"] == "miniworld:2"
    assert training.count("train") > 60
    assert heldout.count("test") == len(heldout.index) >= 30
    for name in ("north", "south", "north-linear", "south-linear", "north-clip", "south-clip"):
        assert open_atlas(ran.out / "atlas" / f"{name}.zarr").complete
    files = sorted(path.suffix for path in (ran.out / "maps").iterdir())
    assert files == [".png"] * len(ran.plan.map_prompts) + [".tif"] * len(ran.plan.map_prompts)


def test_its_atlases_find_their_models_by_themselves(ran: Ran) -> None:
    import sat2cap

    prompt = ran.plan.prompts[0].text
    for name, model in (("north", ran.out / "train" / "checkpoint"), ("north-clip", ran.plan.init)):
        mapped = sat2cap.open(ran.out / "atlas" / f"{name}.zarr").map(prompt)
        by_hand = score_atlas(
            open_atlas(ran.out / "atlas" / f"{name}.zarr"), resolve_model(str(model)), [prompt]
        )
        # asking reads texts by its own arithmetic, the demo by torch's
        np.testing.assert_allclose(mapped.values, by_hand.values[0], atol=1e-6)


def test_progress_of_every_long_step_is_reported_to_its_end(ran: Ran) -> None:
    ended = {stage.split(",")[0] for stage, done, total in ran.reports if done == total}
    expected = {
        *("building pairs of miniworld:1", "building pairs of miniworld:2", "training", "writing maps"),
        *("embedding cells of north", "embedding cells of south-clip", "evaluating", "drawing the page"),
    }
    assert expected <= ended


def test_a_second_run_makes_only_what_is_cheap_again(ran: Ran) -> None:
    def made() -> dict[Path, tuple[int, int]]:
        folders = ("pairs", "heldout", "train", "atlas")
        files = (path for name in folders for path in (ran.out / name).rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = made()
    assert len(before) > 20
    again = run_demo(ran.out, plan=ran.plan)
    assert made() == before
    repeatable = {name for name in again if not name.startswith("demo.")}
    assert {n: again[n] for n in repeatable} == {n: ran.figures[n] for n in repeatable}
    for step in ("pairs", "train", "embed"):
        assert again[f"demo.seconds.{step}"] == ran.figures[f"demo.seconds.{step}"]
    total = sum(again[f"demo.seconds.{step}"] for step in STEPS)
    assert again["demo.seconds.total"] == pytest.approx(total)


def test_the_results_of_another_plan_are_refused(ran: Ran) -> None:
    with pytest.raises(InputError, match="pairs"):
        run_demo(ran.out, plan=replace(ran.plan, train_photos=160))
    with pytest.raises(InputError, match=r"steps 4 -> 5"):
        run_demo(ran.out, plan=replace(ran.plan, steps=5))


def test_the_headline_is_short_and_holds_the_main_figures(ran: Ran) -> None:
    short = headline_metrics(ran.figures)
    assert set(short.items()) <= set(ran.figures.items())
    assert {"map.auroc.mean", "retrieval.overhead2ground.r10", "demo.seconds.total"} <= set(short)
    assert len(short) <= 44


def test_retrieval_is_what_the_evaluation_of_the_command_line_gives(ran: Ran) -> None:
    """The demo embeds photos once for three rows of the table; here each row is measured by itself."""
    heldout = open_pairs(ran.out / "heldout")
    trained, clip = resolve_model(ran.out / "train" / "checkpoint"), resolve_model(str(ran.plan.init))
    for kind, checkpoint, told in (
        ("", trained, True),
        ("no_metadata.", trained, False),
        ("clip.", clip, False),
    ):
        gallery = embed_gallery(heldout, checkpoint, "test", 30, 0)
        alone = metric_values(gallery_metrics(gallery, checkpoint, use_metadata=told))
        for way in DIRECTIONS:
            for name in ("r1", "r5", "r10", "median_rank"):
                assert ran.figures[f"retrieval.{kind}{way}.{name}"] == alone[f"{way}.{name}"]
    told = {n: v for n, v in ran.figures.items() if n.startswith("retrieval.overhead2ground")}
    untold = {n.replace("no_metadata.", ""): v for n, v in ran.figures.items() if "no_metadata.over" in n}
    assert told != untold
