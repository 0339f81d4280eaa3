import io
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from made_up import PATCH, SPLIT, Album, FastLand, Land, build_small, hash_files, paint, picture
from pickled_engine import PickledEngine
from PIL import Image

import sat2cap
from sat2cap.errors import JobError, PairsError
from sat2cap.pairs import PatchSpec, open_pairs, shard_job
from sat2cap.stores import open_store


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed build."""
    return build_small(tmp_path_factory.mktemp("whole") / "pairs")


def test_every_pair_is_the_photo_and_the_patch_of_its_own_place_and_moment(whole):
    photos = {photo.key: photo for photo in Album().photos()}
    seen = []
    for split in ("train", "val", "test"):
        pairs = list(whole.read(split))
        rows = whole.index[whole.index.split == split]
        assert [pair.key for pair in pairs] == rows.key.tolist()
        assert len(pairs) == whole.count(split) > 0
        for pair in pairs:
            photo = photos[pair.key]
            assert (pair.lon, pair.lat, pair.taken) == (photo.lon, photo.lat, photo.taken)
            assert pair.ground == picture(int(pair.key[1:]))
            pixels = np.asarray(Image.open(io.BytesIO(pair.overhead)), float)
            assert pixels.shape == (8, 8, 3)
            middle = paint(np.array(photo.lon), np.array(photo.lat))[:3]
            assert np.abs(pixels[3:5, 3:5].mean((0, 1)) - middle).max() < 12
        seen += [pair.key for pair in pairs]
    assert len(seen) == len(set(seen)) == whole.manifest["funnel"]["kept"]


def test_the_index_is_geoparquet_with_a_row_a_pair(whole):
    index = gpd.read_parquet(whole.path / "index.parquet")
    photos = {photo.key: photo for photo in Album().photos()}
    assert index.crs.to_epsg() == 4326
    assert index.columns.tolist() == [
        *("key", "shard", "offset", "split", "lon", "lat", "taken", "user", "licence", "source", "imagery"),
        "geometry",
    ]
    for row in index.itertuples():
        photo = photos[row.key]
        assert (row.geometry.x, row.geometry.y) == (row.lon, row.lat) == (photo.lon, photo.lat)
        assert (row.taken.to_pydatetime(), row.user) == (photo.taken, photo.user)
        assert (row.licence, row.source, row.imagery) == ("CC-BY-4.0", photo.source, "land:180.0")
        with tarfile.open(whole.path / "shards" / row.shard) as tar:
            assert f"{row.key}.overhead.jpg" in tar.getnames()


def test_webdataset_reads_the_papers_layout(whole):
    wds = pytest.importorskip("webdataset")
    names = sorted(str(path) for path in (whole.path / "shards").glob("train-*.tar"))
    samples = list(wds.WebDataset(names, shardshuffle=False))
    assert [sample["__key__"] for sample in samples] == [pair.key for pair in whole.read("train")]
    assert {"groundlevel.jpg", "overhead.jpg", "metadata.json"} <= set(samples[0])
    photo = next(p for p in Album().photos() if p.key == samples[0]["__key__"])
    record = json.loads(samples[0]["metadata.json"])
    assert record == {
        "latitude": photo.lat,
        "longitude": photo.lon,
        "date_taken": photo.taken.strftime("%Y-%m-%d %H:%M:%S.25"),
    }


def test_the_manifest_counts_what_is_there(whole):
    manifest = json.loads((whole.path / "pairs.json").read_text())
    assert manifest["version"] == 1
    assert sum(manifest["counts"].values()) == len(whole.index) == manifest["funnel"]["kept"]
    assert manifest["funnel"]["records"] == 60
    assert manifest["funnel"]["kept"] + sum(manifest["funnel"]["dropped"].values()) == 60
    assert manifest["test_patches_overlapping_training"] == 0
    assert manifest["provenance"]["imagery"]["attribution"] == "Nobody"
    assert {f"shards/{name}" for name in manifest["shards"]} | {
        "index.parquet",
        "pairs.json",
        "journal.jsonl",
    } == set(hash_files(whole.path))


@pytest.mark.parametrize("imagery", [Land(), FastLand()])
def test_bytes_do_not_depend_on_workers_or_on_reading_in_batches(whole, tmp_path, imagery):
    again = build_small(tmp_path / "again", imagery=imagery, workers=2)
    assert hash_files(again.path) == hash_files(whole.path)
    assert again.fingerprint == whole.fingerprint


def test_the_call_of_the_library_takes_any_opened_source(whole, tmp_path):
    settings = {"patch": PATCH, "split": SPLIT, "per_shard": 7}
    again = sat2cap.build_pairs(Album(), Land(), tmp_path / "again", **settings)
    assert hash_files(again.path) == hash_files(whole.path)


def test_workers_of_an_engine_give_the_same_bytes(whole, tmp_path):
    calls = []
    again = build_small(tmp_path / "again", engine=PickledEngine(), progress=lambda *call: calls.append(call))
    assert hash_files(again.path) == hash_files(whole.path)
    assert ("a worker was lost (RayActorError); tasks that are done again: 1", 1, 1) in calls
    counts = [done for stage, done, _ in calls if stage == "building pairs"]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, again.manifest["funnel"]["kept"])


def test_a_run_leaves_a_record_beside_the_set(tmp_path):
    made = build_small(tmp_path / "pairs", Album(torn="1", gone="2"), engine=PickledEngine())
    build_small(made.path, Album(torn="1", gone="2"))  # which has nothing to do
    (record,) = map(json.loads, (tmp_path / "pairs.runs.jsonl").read_text().splitlines())
    assert (record["outcome"], record["engine"]) == ("finished", "pickled")
    assert record["identity"] == made.manifest["identity"]
    dropped = made.manifest["funnel"]["dropped"]
    reasons = ("photo cannot be decoded", "photo cannot be had")
    kept = made.manifest["funnel"]["kept"]
    assert record["statuses"] == {"paired": kept, **{reason: dropped[reason] for reason in reasons}}
    assert record["photos"] == sum(record["statuses"].values())
    shards = len(made.manifest["shards"])
    assert record["retries"] == {"RayActorError": shards}
    (worker,) = record["workers"]
    assert (worker["shards"], worker["photos"]) == (shards, record["photos"])
    assert {"host", "processor", "pillow", "rasterio", "sat2cap"} <= set(worker)


def test_a_run_that_ends_early_is_recorded_with_the_reason(tmp_path):
    def stop(stage, done, total):
        if stage == "building pairs" and done > total / 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        build_small(tmp_path / "pairs", progress=stop)
    (record,) = map(json.loads, (tmp_path / "pairs.runs.jsonl").read_text().splitlines())
    assert (record["outcome"], record["engine"]) == ("StopHereError", "process")
    assert 0 < record["photos"] < 60


def test_a_worker_that_sees_no_photos_refuses_before_it_makes_a_shard(tmp_path):
    job = shard_job.ShardJob(Album(gone=""), Land(), PATCH, open_store(tmp_path / "pairs"))
    assert set(job.for_workers([]).prepare()) == {"processor", "pillow", "rasterio", "numpy", "sat2cap"}
    elsewhere = replace(job, probes=(next(Album().photos()),))
    with pytest.raises(JobError, match=r"photos \S+ and imagery \S+ cannot be read on \S+; put them where"):
        elsewhere.prepare()


def test_the_batch_protocol_is_used_when_there_is_one(tmp_path):
    calls = tmp_path / "calls"
    made = build_small(tmp_path / "pairs", imagery=FastLand(calls=str(calls)), per_shard=1000)
    sizes = [int(line) for line in calls.read_text().splitlines()]
    assert sum(sizes) == len(made.index)
    assert len(sizes) == 3


class StopHereError(Exception):
    pass


def test_an_interrupted_build_goes_on_to_the_same_bytes(whole, tmp_path, monkeypatch):
    out = tmp_path / "pairs"

    def stop(stage, done, total):
        if stage == "building pairs" and done > total / 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        build_small(out, progress=stop)
    with pytest.raises(PairsError, match="unfinished"):
        open_pairs(out)
    finished = sorted((out / "shards").iterdir())
    assert 1 < len(finished) < len(whole.manifest["shards"])
    with (out / "journal.jsonl").open("ab") as file:
        file.write(b'{"name": "train-0')  # a line torn by a kill
    finished[0].write_bytes(finished[0].read_bytes()[:-700])  # journalled, yet broken since
    (out / "shards" / ".train-00001.abc.tar").write_bytes(b"half")
    made = []
    real = shard_job.stage_shard
    monkeypatch.setattr(
        shard_job, "stage_shard", lambda shard, *rest: made.append(shard.name) or real(shard, *rest)
    )
    build_small(out)
    intact = {path.name for path in finished[1:]}
    assert set(made) == set(whole.manifest["shards"]) - intact
    assert hash_files(out) == hash_files(whole.path)


def killed_build(out, flag):
    build_small(Path(out), Album(kill_at="7", flag=flag))


def test_a_killed_process_loses_only_the_shard_in_hand(whole, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    process = multiprocessing.get_context("spawn").Process(
        target=killed_build, args=(tmp_path / "pairs", str(flag))
    )
    process.start()
    process.join()
    assert process.exitcode == -9
    assert not (tmp_path / "pairs" / "pairs.json").exists()
    build_small(tmp_path / "pairs")
    assert hash_files(tmp_path / "pairs") == hash_files(whole.path)


def test_a_killed_worker_is_one_clean_error_and_building_again_goes_on(whole, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    photos = Album(kill_at="7", flag=str(flag))
    with pytest.raises(JobError, match="build again to go on"):
        build_small(tmp_path / "pairs", photos, workers=2)
    build_small(tmp_path / "pairs", photos, workers=2)
    assert hash_files(tmp_path / "pairs") == hash_files(whole.path)


UNGUARDED = """
from pathlib import Path
from made_up import Album, Land
from sat2cap.pairs import PatchSpec, SplitPlan, build_pairs

photos = Album()
object.__setattr__(photos, "ballast", bytes(1 << 20))  # more than a pipe holds
split = SplitPlan(fractions=(0.6, 0.2, 0.2), block_km=4)
build_pairs(photos, Land(), Path("pairs"), patch=PatchSpec(480, 8), split=split, per_shard=7, workers=2)
"""


def test_a_script_without_a_main_guard_is_told_so(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].endswith("(a script must build under `if __name__ == '__main__':`)")


def test_a_broken_shard_is_reported_and_only_it_is_made_again(whole, tmp_path, monkeypatch):
    made = build_small(tmp_path / "pairs")
    name = sorted(made.manifest["shards"])[0]
    path = made.path / "shards" / name
    data = path.read_bytes()
    split = name.split("-")[0]
    for broken in (data[:1000], data[: data.index(b"metadata.json", 4000) + 1024 - 10], b"", b"x" * 2000):
        path.write_bytes(broken)
        with pytest.raises(PairsError, match=name):
            list(open_pairs(made.path).read(split))
        assert made.find_problems() == [f"{name} has other bytes than were written"]
    path.unlink()
    with pytest.raises(PairsError, match=f"{name} is missing"):
        list(made.read(split))
    assert made.find_problems() == [f"{name} is missing"]
    redone = []
    real = shard_job.stage_shard
    monkeypatch.setattr(
        shard_job, "stage_shard", lambda shard, *rest: redone.append(shard.name) or real(shard, *rest)
    )
    assert build_small(made.path).find_problems() == []
    assert redone == [name]
    assert hash_files(made.path) == hash_files(whole.path)


def test_a_cut_between_two_pairs_is_reported(whole, tmp_path):
    made = build_small(tmp_path / "pairs")
    name = next(name for name, shard in made.manifest["shards"].items() if shard["pairs"] > 1)
    path = made.path / "shards" / name
    with tarfile.open(path) as tar:
        cut = tar.getmembers()[3].offset
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(PairsError, match=f"{name} is broken"):
        list(made.read(name.split("-")[0]))


def test_pairs_that_cannot_be_made_are_left_out_by_reason(tmp_path, whole):
    broken = whole.index[~whole.index.key.str.contains("[12]$")].lon.min()
    made = build_small(tmp_path / "pairs", Album(torn="1", gone="2", png="3"), Land(edge=5.5, broken=broken))
    dropped = made.manifest["funnel"]["dropped"]
    planned = list(whole.index.key)
    assert dropped["photo cannot be decoded"] == sum(key.endswith("1") for key in planned)
    assert dropped["photo cannot be had"] == sum(key.endswith("2") for key in planned)
    fine = whole.index[~whole.index.key.str.contains("[12]$")]
    assert dropped["imagery cannot be read"] == ((fine.lon - broken).abs() < 0.02).sum() > 0
    assert dropped["patch mostly missing"] == (fine.lon > 5.5).sum() > 0
    assert made.manifest["funnel"]["kept"] == len(made.index)
    for pair in made.read("train"):
        assert not pair.key.endswith(("1", "2"))
        assert Image.open(io.BytesIO(pair.ground)).format == "JPEG"
        assert pair.lon <= 5.5
    lines = [json.loads(line) for line in (made.path / "journal.jsonl").read_text().splitlines()[1:]]
    reasons = {key: why for line in lines for key, why in line["dropped"].items()}
    assert set(reasons) == set(planned) - set(made.index.key)


def test_photos_outside_the_imagery_never_reach_a_shard(tmp_path):
    made = build_small(tmp_path / "pairs", imagery=Land(outline=(5.0, 52.0, 5.5, 53.0)))
    photos = list(Album().photos())
    inside = [5 <= photo.lon <= 5.5 and 52 <= photo.lat <= 53 for photo in photos]
    assert made.manifest["funnel"]["dropped"]["outside the imagery"] == 60 - sum(inside) > 0
    assert made.index.lon.between(5, 5.5).all()


def test_another_build_is_refused_and_nothing_is_touched(whole, tmp_path):
    before = hash_files(whole.path)
    for other in (
        {"imagery": Land(edge=9.0)},
        {"seed": 1},
        {"photos": Album(61)},
        {"patch": replace(PATCH, pixels=9)},
    ):
        with pytest.raises(PairsError, match="choose another folder"):
            build_small(whole.path, **other)
    assert hash_files(whole.path) == before
    assert build_small(whole.path).fingerprint == whole.fingerprint


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"photos": Album(0)}, "source is empty"),
        ({"imagery": Land(outline=(100.0, 0.0, 101.0, 1.0))}, "outside the imagery 60"),
        ({"imagery": Land(edge=-180.0)}, "patch mostly missing"),
        ({"workers": 0}, "at least 1"),
        ({"per_shard": 0}, "at least 1"),
        ({"split": "alphabetical"}, "spatial, random"),
    ],
)
def test_what_cannot_be_built_is_one_line(tmp_path, settings, word):
    with pytest.raises(PairsError, match=word) as error:
        build_small(tmp_path / "pairs", **settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "pairs" / "pairs.json").exists()


@pytest.mark.parametrize("fault", [{"size_m": 0}, {"pixels": 0}, {"max_missing": 1.0}, {"quality": 99}])
def test_bad_patches_are_refused(fault):
    with pytest.raises(PairsError):
        PatchSpec(**fault)


def test_opening_what_is_not_a_pair_set(tmp_path, whole):
    with pytest.raises(PairsError, match="unfinished"):
        open_pairs(tmp_path)
    (tmp_path / "pairs.json").write_text("{}")
    with pytest.raises(PairsError, match="does not describe pairs"):
        open_pairs(tmp_path)
    (tmp_path / "pairs.json").write_text('{"form')
    with pytest.raises(PairsError, match="cannot be read"):
        open_pairs(tmp_path)
    (tmp_path / "pairs.json").write_text(json.dumps({**whole.manifest, "version": 2}))
    with pytest.raises(PairsError, match="version 2"):
        open_pairs(tmp_path)
    with pytest.raises(PairsError, match="use one of train"):
        whole.read("exam")


def test_a_pair_set_can_be_sent_to_another_process(whole):
    assert pickle.loads(pickle.dumps(whole)).fingerprint == whole.fingerprint
