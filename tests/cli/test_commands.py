"""Every command as a user types it, on the miniature world with a tiny random model."""

import gc
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from command import Done, run
from conftest import PLANET, REGION
from PIL import Image
from rio_cogeo import cog_validate

import sat2cap
from sat2cap.atlas import open_atlas
from sat2cap.cli import app


def test_embed_reads_a_region_that_starts_with_a_minus(embedded: tuple[Path, Done]) -> None:
    path, done = embedded
    assert done.status == 0, done.err
    opened = open_atlas(path)
    box = opened.grid.geographic_extent.boundingbox
    assert box.left < -10.02 < -9.95 < box.right
    assert box.bottom < -45.03 < -44.97 < box.top
    count = int(opened.wanted.sum())
    assert f"{count} of {count} cells embedded" in done.out
    assert f"embedding cells: {count} done in " in done.err
    assert "\x1b" not in done.err + done.out, "no terminal codes in a log"


def test_a_dry_run_writes_nothing(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    done = run("embed", "--dry-run", "--imagery", PLANET, "--model", model, "-o", out, "--", REGION)
    assert done.status == 0, done.err
    assert "cells of 480 m in EPSG:32729" in done.out
    assert not out.exists()
    said = dict(re.findall(r"^(\w[\w ]*?)  +(.*)$", done.out, re.MULTILINE))
    assert set(said) >= {"cells to embed", "to read", "time", "size on disk"}
    assert re.fullmatch(
        r"about \S+ (s|min) \(network .* cells/s, imagery .* cells/s, measured\)", said["time"]
    )
    cells = int(said["cells to embed"].split()[0])
    assert float(said["to read"].split()[0]) == pytest.approx(cells * 16 * 16 / 1e6, rel=0.1)


def test_part_of_a_file_in_cells_smaller_than_patches(model: Path, tmp_path: Path) -> None:
    """Two squares of 0.02 degrees, one of them chosen: 2 km of latitude, 120 m a cell."""
    from test_errors import two_towns

    towns, out = two_towns(tmp_path / "towns.geojson"), tmp_path / "x.zarr"
    words = ("--where", "name=B", "--cell", 120, "--imagery", PLANET, "--model", model, "-o", out)
    done = run("embed", towns, *words)
    assert done.status == 0, done.err
    assert "region          towns, name=B" in done.err
    opened = open_atlas(out)
    box = opened.grid.geographic_extent.boundingbox
    assert box.bbox == pytest.approx((-9.9, -45, -9.88, -44.98), abs=0.003)
    assert opened.grid.resolution.xy == (120, -120)
    assert opened.spec.patch_m == 480
    assert (opened.status == opened.wanted).all()
    assert "120 m" in run("atlas", "info", out).out
    again = run("embed", towns, *words)
    assert "none, all cells are embedded" in again.err


def test_map_tif_is_what_the_python_api_gives(atlas: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.tif"
    done = run("map", atlas, "a busy street", "snow", "--when", "2024-05-20T08:00", "-o", out)
    assert (done.status, done.out, done.err) == (0, f"{out}\n", "")
    opened = sat2cap.open(atlas)
    with rasterio.open(out) as file:
        assert file.descriptions == ("a busy street", "snow")
        assert file.tags()["when"] == "2024-05-20T08:00"
        assert file.tags()["model"] == "tiny"
        for band, prompt in enumerate(file.descriptions, 1):
            score = opened.map(prompt, when="2024-05-20 08:00")
            np.testing.assert_allclose(file.read(band), score.values, atol=1e-6)
        assert file.transform == opened.atlas.grid.affine
    assert cog_validate(out, strict=True)[0]


def test_the_date_and_the_negatives_and_the_scale_reach_the_score(atlas: Path, tmp_path: Path) -> None:
    def pixels(*options: object) -> np.ndarray:
        assert run("map", atlas, "snow", *options, "-o", tmp_path / "m.tif").status == 0
        with rasterio.open(tmp_path / "m.tif") as file:
            return file.read(1)

    plain = pixels()
    assert not np.allclose(plain, pixels("--when", "2024-01-01T08:00"), equal_nan=True)
    assert np.allclose(pixels("--not", "snow"), 0, atol=1e-6)
    assert np.nanmax(pixels("--scale", "percentile")) == 100
    assert 0 < np.nanmin(pixels("--scale", "contrast")) <= np.nanmax(pixels("--scale", "contrast")) < 1


def test_map_png_with_imagery_under_it_and_places(atlas: Path, tmp_path: Path) -> None:
    places = tmp_path / "towns.geojson"
    point = {"type": "Point", "coordinates": [-9.98, -45.0]}
    feature = {"type": "Feature", "properties": {"name": "Ashford"}, "geometry": point}
    places.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    out = tmp_path / "m.png"
    done = run("map", atlas, "snow", "-o", out, "--underlay", PLANET, "--places", places, "--title", "Winter")
    assert done.status == 0, done.err
    assert Image.open(out).text["Title"] == "Winter"
    assert run("map", atlas, "snow", "sea", "-o", tmp_path / "two.png").status == 0
    assert Image.open(tmp_path / "two.png").width > Image.open(out).width


def test_map_geojson_holds_the_best_cells(atlas: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.geojson"
    assert run("map", atlas, "snow", "-o", out).status == 0
    document = json.loads(out.read_text())
    score = sat2cap.open(atlas).map("snow").values
    known = score[np.isfinite(score)]
    cells = sum(feature["properties"]["cells"] for feature in document["features"])
    assert cells == (known >= np.percentile(known, 95)).sum()
    done = run("map", atlas, "snow", "--above", 9, "-o", out)
    assert done == (0, f"{out}\n", f"warning: no cell scores 9 or more, the greatest is {known.max():.4g}\n")
    assert json.loads(out.read_text())["features"] == []


def test_search_prints_what_it_writes_and_what_python_gives(atlas: Path, tmp_path: Path) -> None:
    out = tmp_path / "s.geojson"
    done = run("search", atlas, "snow", "--top", 4, "--when", "2024-01", "-o", out)
    assert done.status == 0, done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["rank", "score", "lon", "lat"]
    found = sat2cap.open(atlas).search("snow", top=4, when="2024-01")
    assert [float(line[1]) for line in lines[1:]] == pytest.approx(found.score.tolist(), abs=1e-4)
    features = json.loads(out.read_text())["features"]
    assert [f["properties"]["lon"] for f in features] == pytest.approx(found.lon.tolist())


def test_atlas_info_verify_repair(atlas: Path, tmp_path: Path) -> None:
    broken = tmp_path / "x.zarr"
    shutil.copytree(atlas, broken)
    info = run("atlas", "info", broken)
    for words in ("complete     yes", "tiny", PLANET, "CC0-1.0", "EPSG:32729", "embedded"):
        assert words in info.out
    assert run("atlas", "verify", broken) == Done(0, f"{broken}: sound\n", "")

    chunk = next(
        path for path in sorted(broken.glob("embeddings/**/*")) if path.is_file() and path.name != "zarr.json"
    )
    before = chunk.read_bytes()
    chunk.write_bytes(bytes(len(before)))
    found = run("atlas", "verify", broken)
    assert found.status == 1
    assert chunk.relative_to(broken).as_posix() in found.out
    assert "1 damaged chunks computed again" in run("atlas", "repair", broken).out
    assert chunk.read_bytes() == before
    assert run("atlas", "verify", broken).status == 0
    assert run("atlas", "repair", broken) == Done(0, f"{broken}: nothing has to be computed again\n", "")

    assert run("atlas", "prepare", broken).status == 0
    prepared = broken / "_sat2cap/scan"
    data = bytearray((prepared / "embeddings.npy").read_bytes())
    data[5000] ^= 1
    (prepared / "embeddings.npy").write_bytes(data)
    found = run("atlas", "verify", broken)
    assert (found.status, found.out.count("\n")) == (1, 2)
    assert "_sat2cap/scan: is not what the chunks make" in found.out
    assert "damaged _sat2cap/scan removed" in run("atlas", "repair", broken).out
    assert not prepared.exists()

    (broken / "zarr.json").unlink()
    done = run("map", broken, "snow", "-o", tmp_path / "m.tif")
    assert done.status == 0
    cells = open_atlas(atlas).wanted.sum()
    assert done.err == (
        f"warning: atlas '{broken}' is not finished ({cells} of {cells} cells are done): "
        "what is not embedded yet has no data\n"
    )


def test_the_extent_of_an_atlas_across_the_antimeridian(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.zarr"
    region = "179.98,-17.02,-179.98,-17.0"
    assert run("embed", region, "--imagery", PLANET, "--model", model, "-o", out).status == 0
    words = run("atlas", "info", out).out
    extent = next(line.split()[1] for line in words.splitlines() if line.startswith("extent"))
    west, south, east, north = (float(edge) for edge in extent.split(","))
    assert (west, east) == pytest.approx((179.98, -179.98), abs=0.02)
    assert (south, north) == pytest.approx((-17.02, -17.0), abs=0.02)
    done = run("map", out, "snow", "--within", "0,0,1,1", "-o", tmp_path / "m.tif")
    assert done.status == 2
    assert f"give one within {extent}" in done.err
    assert run("map", out, "snow", "--within", extent, "-o", tmp_path / "m.tif").status == 0


def test_models_info(model: Path) -> None:
    done = run("models", "info", model)
    assert done.status == 0, done.err
    for words in ("tiny", "12, 64, 32", "size 16, ", "cyclic", "metrics.loss  1.5"):
        assert words in done.out


def test_models_calibrate_gives_a_model_that_serves_the_same_atlas(
    pairs: tuple[Path, Done], model: Path, atlas: Path, tmp_path: Path
) -> None:
    held_out = shutil.copytree(pairs[0], tmp_path / "p")  # embeddings of its photos are kept beside them
    assert run("models", "calibrate", model, held_out, "-o", tmp_path / "m").out == f"{tmp_path / 'm'}\n"
    told = run("models", "info", tmp_path / "m").out
    assert " photos held out" in told
    assert "contrast is a share, not a probability" in run("models", "info", model).out
    made = run(
        "map", atlas, "snow", "--model", tmp_path / "m", "--scale", "contrast", "-o", tmp_path / "c.tif"
    )
    assert made.status == 0, made.err
    with rasterio.open(tmp_path / "c.tif") as file:
        assert file.tags()["calibration"].endswith(" photos held out of training")
        values = file.read(1, masked=True)
    assert values.min() >= 0
    assert values.max() <= 1


def test_pairs_build_and_inspect(pairs: tuple[Path, Done]) -> None:
    path, done = pairs
    assert done.status == 0, done.err
    manifest = json.loads((path / "pairs.json").read_text())
    assert f"{sum(manifest['counts'].values())} pairs" in done.out
    seen = run("pairs", "inspect", path, "--check")
    assert seen.status == 0
    for words in (manifest["fingerprint"], "CC0-1.0", PLANET, "left out: "):
        assert words in seen.out


def test_inspect_notices_a_changed_shard(pairs: tuple[Path, Done], tmp_path: Path) -> None:
    shutil.copytree(pairs[0], tmp_path / "p")
    shard = sorted((tmp_path / "p" / "shards").glob("*.tar"))[0]
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    done = run("pairs", "inspect", tmp_path / "p", "--check")
    assert done.status == 1
    assert shard.name in done.out


NAMES = ("r1", "r5", "r10", "median_rank", "mean_rank")


def test_evaluate_retrieval(pairs: tuple[Path, Done], model: Path, tmp_path: Path) -> None:
    from sat2cap.catalogue import resolve_model
    from sat2cap.evaluation.metric import metric_values
    from sat2cap.evaluation.retrieval.evaluation import gallery_metrics
    from sat2cap.evaluation.retrieval.gallery import embed_gallery
    from sat2cap.pairs import open_pairs

    def figures(*options: object) -> dict[str, float]:
        out = tmp_path / "r.json"
        command = ("evaluate", "retrieval", pairs[0], "--model", model, "--split", "train", "--gallery", 40)
        done = run(*command, "--json", out, *options)
        assert done.status == 0, done.err
        assert "overhead2ground.r10" in done.out
        return dict(json.loads(out.read_text()))

    both, without = figures("--draws", 10), figures("--no-metadata")
    assert both["gallery"] == 40
    ways = [f"{way}.{name}" for way in ("overhead2ground", "ground2overhead") for name in NAMES]
    told = {name: both[name] for name in ways}
    untold = {name: both[f"no_metadata.{name}"] for name in ways}
    assert told != untold, "the Dynamic Encoder is used when the model has one"
    assert {name: without[name] for name in ways} == untold
    checkpoint = resolve_model(str(model))
    gallery = embed_gallery(open_pairs(pairs[0]), checkpoint, "train", 40, 0)
    again = metric_values(gallery_metrics(gallery, checkpoint, use_metadata=True))
    assert again == {"gallery": 40} | told


def test_evaluate_maps_against_a_raster_and_the_miniature_world(atlas: Path, tmp_path: Path) -> None:
    """A truth made of the map itself is found perfectly; its opposite not at all."""
    assert run("map", atlas, "snow", "-o", tmp_path / "truth.tif").status == 0
    with rasterio.open(tmp_path / "truth.tif") as file:
        scores, profile = file.read(1), file.profile
    with rasterio.open(tmp_path / "opposite.tif", "w", **profile) as file:
        file.write(-scores, 1)
    middle = float(np.nanmedian(scores))
    cases = tmp_path / "cases.toml"
    cases.write_text(
        f'[[case]]\nprompt = "snow"\ntruth = "truth.tif"\nthreshold = {middle}\n'
        f'[[case]]\nprompt = "snow"\ntruth = "opposite.tif"\nthreshold = {-middle}\n'
        f'[[case]]\nprompt = "snow"\ntruth = "{PLANET}/snow"\nwhen = "2024-07-01"\n'
        '[[case]]\nprompt = "snow"\ntruth = "truth.tif"\nthreshold = 9\n'
    )
    done = run("evaluate", "maps", atlas, cases, "--json", tmp_path / "m.json")
    assert done.status == 0, done.err
    figures = json.loads((tmp_path / "m.json").read_text())
    assert figures["auroc.1"] == figures["average_precision.1"] == 1
    assert figures["spearman.1"] == pytest.approx(1)
    assert figures["auroc.2"] < 0.02
    assert figures["auroc.4"] is None, "nothing is positive"
    judged = [figures[f"auroc.{n}"] for n in (1, 2, 3) if figures[f"auroc.{n}"] is not None]
    assert figures["prompts"] == len(judged)
    assert figures["auroc.mean"] == pytest.approx(np.mean(judged))


def test_train_reports_where_the_checkpoint_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Training itself has its own tests; here, that the run file and the names reach it."""
    from sat2cap import training
    from sat2cap.catalogue import resolve_model

    seen = {}

    def train(run: object, **options: object) -> Path:
        seen.update(options, run=run)
        return tmp_path / "checkpoint"

    monkeypatch.setattr(training, "train", train)
    shipped = Path(sat2cap.__file__).parent / "runs" / "miniworld.toml"
    done = run("train", shipped)
    assert (done.status, done.out) == (0, f"{tmp_path / 'checkpoint'}\n")
    assert seen["resolve"] is resolve_model


@pytest.mark.parametrize(("options", "photos"), [((), 24_000), (("--quick",), 3_000)])
def test_demo_prints_its_headline(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: tuple[str, ...], photos: int
) -> None:
    """The demo has its own tests; here, that its figures are printed and its page is named."""
    from sat2cap import demo

    plans = []

    def run_demo(out: Path, *, plan: demo.DemoPlan, progress: object) -> dict[str, float]:
        plans.append(plan)
        return {"map.auroc.mean": 0.97, "demo.seconds.total": 300.0}

    monkeypatch.setattr(demo, "run_demo", run_demo)
    done = run("demo", *options, "--out", tmp_path)
    assert done.status == 0, done.err
    assert "map.auroc.mean      0.97" in done.out
    assert str(tmp_path / "index.html") in done.out
    assert [(plan.train_photos, plan.quick) for plan in plans] == [(photos, bool(options))]


@pytest.mark.parametrize(
    ("cores", "own_setting", "expected"), [(2, None, "passive"), (2, "active", "active"), (16, None, None)]
)
def test_threads_that_wait_sleep_where_there_are_few_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, own_setting: str | None, expected: str | None
) -> None:
    monkeypatch.setattr(app, "count_cores", lambda: cores)
    monkeypatch.setattr(os, "environ", {} if own_setting is None else {"OMP_WAIT_POLICY": own_setting})
    app._let_waiting_threads_sleep()
    assert os.environ.get("OMP_WAIT_POLICY") == expected


def test_a_command_looks_for_unused_objects_less_often() -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700)
        assert run("--version").status == 0
        assert gc.get_threshold()[0] == 50_000
    finally:
        gc.set_threshold(*before)
