"""Ground embeddings in parts: what is whole is never computed again, and processes share the parts."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_pairs import FakePairs
from pickled_engine import PickledEngine
from s3_server import BUCKET, s3_server
from safetensors.numpy import save_file
from tiny_model import tiny_clip

from sat2cap.errors import PairsError
from sat2cap.files import digest
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.load import load_model
from sat2cap.progress import silent
from sat2cap.training.data import ground_embeddings as ground
from sat2cap.training.data.patches import decode_image


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "CHUNK", 4)
    monkeypatch.setattr(ground, "PART_PHOTOS", 8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return load_model(tiny_clip(tmp_path_factory.mktemp("clip") / "clip", image=24, hidden=32, dim=16))


@pytest.fixture
def pairs(tmp_path: Path) -> FakePairs:
    (tmp_path / "pairs").mkdir()
    return FakePairs(tmp_path / "pairs", {"train": 29})


def opened(pairs: FakePairs, clip: Checkpoint, **settings: object) -> ground.GroundEmbeddings:
    shared = {"fallback": Path("unused"), "precision": "float32", "progress": silent, **settings}
    return ground.ground_embeddings(pairs, "train", clip, **shared)  # type: ignore[arg-type]


def compute(pairs: FakePairs, clip: Checkpoint, **settings: object) -> np.ndarray:
    return opened(pairs, clip, **settings).read_all()


def exact(pairs: FakePairs, clip: Checkpoint) -> np.ndarray:
    """The embeddings in float32, all photos decoded and resized in this thread."""
    return clip.embed_ground([decode_image(pair.ground, pair.key) for pair in pairs.read("train")])


def files(pairs: FakePairs) -> dict[str, int]:
    """Parts, with when they were written."""
    part_files = (pairs.path / "cache").glob("ground-train-*.npy")
    return {path.name[-9:-4]: path.stat().st_mtime_ns for path in part_files}


def test_parts_are_the_embeddings_in_order(pairs: FakePairs, clip: Checkpoint) -> None:
    embeddings = compute(pairs, clip)
    np.testing.assert_allclose(embeddings, exact(pairs, clip), atol=2**-11)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-6)
    assert sorted(files(pairs)) == ["00000", "00001", "00002", "00003"]


def test_rows_are_read_in_any_order_from_files_that_stay_on_disk(pairs: FakePairs, clip: Checkpoint) -> None:
    everything = compute(pairs, clip)
    mapped = opened(pairs, clip)
    assert [type(part) for part in mapped.parts] == [np.memmap] * 4
    assert {part.dtype for part in mapped.parts} == {np.dtype(np.float16)}
    rows = np.array([28, 0, 9, 9, 17])
    np.testing.assert_array_equal(mapped[rows], everything[rows])
    assert mapped[rows].dtype == np.float32
    assert len(mapped) == 29
    assert mapped[np.array([], np.int64)].shape == (0, 16)


@pytest.mark.parametrize("threads", [1, 5])
def test_any_number_of_threads_gives_the_bytes_of_one(
    pairs: FakePairs, clip: Checkpoint, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[np.ndarray] = []
    embed = Checkpoint.embed_ground

    def record(self: Checkpoint, images: np.ndarray, **settings: object) -> np.ndarray:
        batches.append(images)
        return embed(self, images, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "embed_ground", record)
    compute(pairs, clip, threads=threads)
    photos = [decode_image(pair.ground, pair.key) for pair in pairs.read("train")]
    np.testing.assert_array_equal(np.concatenate(batches), clip.ground_preprocess.pixels(photos))


def test_workers_of_an_engine_give_the_bytes_of_this_process(
    pairs: FakePairs, clip: Checkpoint, tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir()
    others = FakePairs(tmp_path / "others", pairs.counts)
    engine, calls = PickledEngine(), []
    ours = compute(pairs, clip)
    theirs = compute(others, clip, engine=engine, progress=lambda *call: calls.append(call))
    np.testing.assert_array_equal(theirs, ours)
    files = [sorted((one.path / "cache").glob("*.npy")) for one in (pairs, others)]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert [done for stage, done, _ in calls if stage == ground.STAGE] == [0, 5, 13, 21, 29]
    assert not list((pairs.path / "cache").glob("*.jsonl"))
    (record,) = map(json.loads, (others.path / "cache/ground.runs.jsonl").read_text().splitlines())
    assert (record["outcome"], record["engine"], record["photos"]) == ("finished", "pickled", 29)
    assert (record["statuses"], record["retries"]) == ({"embedded": 29}, {"RayActorError": 4})
    (worker,) = record["workers"]
    assert (worker["parts"], worker["photos"], worker["device"]) == (4, 29, "cpu")
    assert {"host", "processor", "torch", "pillow", "sat2cap"} <= set(worker)
    for path in files[1]:
        path.unlink()
    compute(others, clip, engine=engine, rank=0, world_size=3)  # all parts, since one process asks
    np.testing.assert_array_equal(compute(others, clip, engine=engine, rank=1, world_size=3), ours)


def test_runs_share_what_one_of_them_put_into_the_bucket(
    pairs: FakePairs, clip: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = compute(pairs, clip)
    with s3_server() as server:
        theirs, calls = replace(pairs, path=f"s3://{BUCKET}/pairs"), []
        np.testing.assert_array_equal(compute(theirs, clip, fallback=tmp_path / "first"), ours)
        names = sorted(path.name for path in (tmp_path / "first").glob("*.npy"))
        assert sorted(key for key, _ in theirs.store.list()) == [f"cache/{name}" for name in names]
        server.faults = lambda method, path: 403 if method == "PUT" else None
        other = replace(theirs, fingerprint="other")
        listen = lambda *call: calls.append(call[0])  # noqa: E731
        np.testing.assert_array_equal(compute(other, clip, fallback=tmp_path / "2", progress=listen), ours)
        assert sum("embeddings are kept in the run's folder alone" in text for text in calls) == 1
        monkeypatch.setattr(Checkpoint, "embed_ground", None)
        np.testing.assert_array_equal(compute(theirs, clip, fallback=tmp_path / "third"), ours)
        several = {"rank": 1, "world_size": 9, "fallback": tmp_path / "fourth"}  # on a machine of its own
        np.testing.assert_array_equal(compute(theirs, clip, **several), ours)


def test_a_tower_is_compiled_for_many_photos_even_where_few_are_left(
    pairs: FakePairs, clip: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[object] = []
    embed = Checkpoint.embed_ground

    def record(self: Checkpoint, images: np.ndarray, **settings: object) -> np.ndarray:
        wanted.append(settings["compiled"])
        return embed(self, images, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "embed_ground", record)
    compute(pairs, clip, limit=5)
    assert set(wanted) == {False}
    wanted.clear()
    compute(pairs, clip)
    next((pairs.path / "cache").glob("ground-train-*-00002.npy")).unlink()
    compute(pairs, clip)
    assert set(wanted) == {True}


def test_a_cache_of_an_older_version_is_rounded_and_not_computed_again(
    pairs: FakePairs, clip: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = compute(pairs, clip)
    cache, full = pairs.path / "cache", exact(pairs, clip)
    content = ("fake", "train", "29", clip.ground_identity, "float32", "upright")
    older = [cache / f"ground-train-{digest(*content)[:24]}-{part:05d}.safetensors" for part in range(4)]
    for path in cache.iterdir():
        path.unlink()
    for part, path in enumerate(older):
        save_file({"ground": full[8 * part : 8 * part + 8]}, path)
    older[2].write_bytes(older[2].read_bytes()[:100])  # a damaged one is computed
    sizes: list[int] = []
    embed = Checkpoint.embed_ground

    def record(self: Checkpoint, images: np.ndarray, **settings: object) -> np.ndarray:
        sizes.append(len(images))
        return embed(self, images, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "embed_ground", record)
    np.testing.assert_allclose(compute(pairs, clip), expected, atol=2**-11)
    assert sum(sizes) == 8
    assert [path.exists() for path in older] == [False, False, True, False]


def test_a_kill_costs_no_part_that_is_whole(
    pairs: FakePairs, clip: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute(pairs, clip)
    for path in (pairs.path / "cache").iterdir():
        path.unlink()
    embed, calls = Checkpoint.embed_ground, []

    def dies(self: Checkpoint, images: list[object], **settings: object) -> np.ndarray:
        calls.append(len(images))
        if len(calls) == 6:
            raise KeyboardInterrupt
        return embed(self, images, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpoint, "embed_ground", dies)
    with pytest.raises(KeyboardInterrupt):
        compute(pairs, clip)
    whole_parts = files(pairs)
    assert sorted(whole_parts) == ["00000", "00001"]
    calls[:] = [0] * 10  # beyond where it dies
    np.testing.assert_array_equal(compute(pairs, clip), whole)
    assert sum(calls) == 29 - 16
    assert {name: files(pairs)[name] for name in whole_parts} == whole_parts


def test_processes_share_the_parts(pairs: FakePairs, clip: Checkpoint) -> None:
    with pytest.raises(PairsError, match=r"ground-train-\w+-00000\.npy is missing or broken: do all"):
        compute(pairs, clip, rank=1, world_size=2)  # no barrier: the other one's parts are not there
    assert sorted(files(pairs)) == ["00001", "00003"]
    own = files(pairs)
    assert len(compute(pairs, clip, rank=0, world_size=2)) == 29
    assert {name: files(pairs)[name] for name in own} == own
