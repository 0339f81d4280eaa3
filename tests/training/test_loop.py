"""The training loop on a made-up pair set: what it learns, keeps, refuses, and survives."""

import json
import random
import re
import signal
import socket
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_pairs import FakePairs, log_of, small_run
from PIL import Image
from run_fake import Sections, start

from sat2cap.errors import JobError, PairsError, RunFileError
from sat2cap.locks import folder_lock
from sat2cap.model.load import load_model
from sat2cap.model.networks.towers import digest_weights
from sat2cap.training.data.patches import decode_image, pixel_stats
from sat2cap.training.data.sampler import draw_batches, dynamic_keep_mask, initial_queue_rows, total_steps
from sat2cap.training.loop import train
from sat2cap.training.output.checkpoint import two_way_retrieval


@pytest.fixture(scope="module")
def plain_log(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> list[dict[str, float]]:
    """The log of `small_run` as it is, which other runs are compared with."""
    return log_of_run(tmp_path_factory.mktemp("plain"), clip_folder)


@pytest.fixture(scope="module")
def float32_log(tmp_path_factory: pytest.TempPathFactory, clip_folder: Path) -> list[dict[str, float]]:
    """The same in float32."""
    return log_of_run(tmp_path_factory.mktemp("float32"), clip_folder, optim={"precision": "float32"})


def log_of_run(root: Path, clip_folder: Path, **sections: dict[str, object]) -> list[dict[str, float]]:
    """Train on the fake pairs, and return the log."""
    (root / "clip").symlink_to(clip_folder)
    (root / "pairs").mkdir()
    train(small_run(root / "out", **sections), pairs=FakePairs(root / "pairs", {"train": 50, "val": 12}))
    return log_of(root / "out")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()
    }


def test_a_second_run_in_the_folder_is_refused_and_touches_nothing(root: Path, pairs: FakePairs) -> None:
    run = small_run(root / "out", optim={"steps": 4})
    with (
        folder_lock(root / "out", "training folder"),
        pytest.raises(JobError, match=r"training folder '.*out' is being written by process \d+ on"),
    ):
        train(run, pairs=pairs)
    (root / "out").mkdir(exist_ok=True)
    assert list((root / "out").iterdir()) == []
    (root / "out" / ".checkpoint.x_1").mkdir()  # of a killed process
    train(run, pairs=pairs)
    assert not any(path.name.startswith(".") or path.name == "lock" for path in (root / "out").iterdir())


def test_a_full_disk_is_an_error_of_the_system_that_names_the_file(
    root: Path, pairs: FakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def save_to_full_disk(state: object, file: object) -> None:
        with Path("/dev/full").open("wb") as full:
            save(state, full)

    run = small_run(root / "out", optim={"steps": 4})
    monkeypatch.setattr(torch, "save", save_to_full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*step-.*\.pt'"):
        train(run, pairs=pairs)
    monkeypatch.undo()
    assert (train(run, pairs=pairs) / "sat2cap.json").is_file()


def test_squashed_photos_and_the_filter_are_recorded_in_the_checkpoint(root: Path, pairs: FakePairs) -> None:
    settings = {"ground_resize": "squash", "overhead_filter": "bilinear"}
    trained = load_model(train(small_run(root / "out", model=settings, optim={"steps": 1}), pairs=pairs))
    assert trained.ground_preprocess.squash
    assert trained.overhead_preprocess.resample == "bilinear"
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 60, 3), dtype=np.uint8))
    start = load_model(root / "clip")
    assert np.array_equal(
        trained.ground_preprocess.pixels([photo])[0],
        np.asarray(photo.resize((24, 24), Image.Resampling.BICUBIC)),
    )
    assert not np.allclose(trained.embed_ground([photo]), start.embed_ground([photo]), atol=1e-3)
    assert trained.ground_identity != start.ground_identity


def test_it_learns_and_the_checkpoint_carries_everything(root: Path, pairs: FakePairs) -> None:
    run = small_run(
        root / "out",
        data={"validation_pairs": 12},
        optim={"steps": 150, "lr": 3e-3, "precision": "float32"},
        augment={"kind": "none"},
    )
    calls: list[tuple[str, int, int]] = []
    folder = train(run, pairs=pairs, progress=lambda *call: calls.append(call))
    start, trained = load_model(root / "clip"), load_model(folder)
    log = log_of(root / "out")
    assert [line["step"] for line in log] == list(range(1, 151))
    assert np.mean([line["loss"] for line in log[-10:]]) < 0.6 * np.mean([line["loss"] for line in log[:10]])
    assert digest_weights(trained.ground.state_dict()) == digest_weights(start.overhead.state_dict())
    assert digest_weights(trained.overhead.state_dict()) != digest_weights(start.overhead.state_dict())
    assert trained.dynamic is not None
    assert trained.encoding == "cyclic"
    np.testing.assert_array_equal(trained.embed_text(["snow"]), start.embed_text(["snow"]))
    assert trained.logit_scale == pytest.approx(log[-1]["scale"], rel=0.01)
    assert trained.logit_scale != pytest.approx(1 / 0.07, abs=1e-4)
    training_calls = [
        (stage, done, total) for stage, done, total in calls if stage.startswith("training, loss ")
    ]
    assert [(done, total) for _, done, total in training_calls] == [
        (8 * k, 1200) for k in range(1, 151)
    ]  # samples
    assert training_calls[-1][0] == f"training, loss {log[-1]['loss']:.3f}"
    card = trained.card
    assert card["training"]["pairs"] == {"fingerprint": "fake", "count": 50}
    assert card["training"]["run"]["optim"]["lr"] == 3e-3
    assert card["training"]["samples"] == 1200
    years = [pairs.pair("train", number).taken.year for number in range(50)]
    assert card["training"]["years"] == [min(years), max(years)]
    assert card["metrics"]["loss"] == pytest.approx(np.mean([line["loss"] for line in log[-100:]]))
    assert card["metrics"]["validation.gallery"] == 12
    assert not (root / "out" / "state").exists()
    assert "eager" not in (folder / "overhead" / "config.json").read_text(), (
        "how it ran is no part of the model"
    )


def test_training_improves_retrieval_over_the_model_it_began_as(root: Path, pairs: FakePairs) -> None:
    seen = [pairs.pair("train", number) for number in range(50)]
    overhead = np.stack([np.asarray(decode_image(pair.overhead, pair.key)) for pair in seen])
    photos = [decode_image(pair.ground, pair.key) for pair in seen]

    def median_rank(folder: Path) -> float:
        model = load_model(folder)
        ground = model.embed_ground(photos)
        return two_way_retrieval(model.embed_overhead(overhead), ground)["overhead2ground.median_rank"]

    run = small_run(root / "out", model={"dynamic": False}, optim={"steps": 200, "lr": 3e-3})
    trained = train(run, pairs=pairs)
    assert load_model(trained).dynamic is None
    assert median_rank(trained) < 0.4 * median_rank(root / "clip")


@pytest.mark.parametrize(
    ("section", "settings"),
    [
        ("loss", {"form": "queue_only"}),
        ("loss", {"form": "symmetric", "queue": 0}),
        ("loss", {"form": "siglip"}),
        ("data", {"hard_negatives": 4}),
        ("model", {"encoding": "sphere"}),
        ("model", {"train_layers": 1}),
        ("model", {"lora_rank": 2}),
        ("model", {"dropout_unit": "batch", "dropout": 0.5, "encoding": "reference"}),
        ("model", {"overhead_stats": "paper"}),
        ("optim", {"schedule": "warm_restarts", "restart_every": 5, "clip_norm": 1.0}),
        ("augment", {"kind": "paper", "source_pixels": 32}),
    ],
)
def test_every_choice_runs_and_matters(
    root: Path,
    pairs: FakePairs,
    plain_log: list[dict[str, float]],
    section: str,
    settings: dict[str, object],
) -> None:
    folder = train(small_run(root / "out", **{section: settings}), pairs=pairs)
    changed = log_of(root / "out")
    assert len(changed) == len(plain_log) == 12
    assert [line["loss"] for line in plain_log] != [line["loss"] for line in changed]
    assert load_model(folder).encoding == settings.get("encoding", "cyclic")


def test_measured_statistics_go_with_the_checkpoint(root: Path, pairs: FakePairs) -> None:
    folder = train(small_run(root / "out", model={"overhead_stats": "measure"}), pairs=pairs)
    patches = np.stack([np.asarray(decode_image(pair.overhead, pair.key)) for pair in pairs.read("train")])
    trained = load_model(folder)
    np.testing.assert_allclose(trained.overhead_preprocess.mean, patches.mean((0, 1, 2)) / 255, atol=1e-4)
    np.testing.assert_allclose(trained.overhead_preprocess.std, patches.std((0, 1, 2)) / 255, atol=1e-4)
    assert trained.ground_preprocess == load_model(root / "clip").ground_preprocess
    np.testing.assert_allclose(pixel_stats(patches)[0], patches.mean((0, 1, 2)) / 255, atol=1e-4)


def finish(*processes: BaseProcess) -> None:
    """Wait for them; each must end well."""
    for process in processes:
        process.join(timeout=200)
        assert process.exitcode == 0


def test_a_killed_run_resumes_to_the_identical_result(root: Path) -> None:
    sections: Sections = {
        "data": {"validation_pairs": 12},
        "optim": {"steps": 60},
        "output": {"checkpoint_every": 7, "validate_every": 10},
    }
    finish(start(root, "whole", sections))
    log = root / "killed" / "log.jsonl"
    kills = 0
    for target in sorted(random.sample(range(8, 58), 3)):
        process = start(root, "killed", sections)
        while process.exitcode is None and not (log.exists() and log.read_bytes().count(b"\n") >= target):
            time.sleep(0.001)
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills > 0, "no process was caught before it was done"
    finish(start(root, "killed", sections))
    assert (root / "whole" / "log.jsonl").read_bytes() == log.read_bytes()
    for name in ("checkpoint", "best"):
        assert_same_model(root / "whole" / name, root / "killed" / name)


def assert_same_model(one: Path, other: Path) -> None:
    """Byte for byte, but for the folder's name in the card."""
    first, second = files_of(one), files_of(other)
    assert first.keys() == second.keys()
    assert len(first) > 6
    assert [name for name in first if first[name] != second[name] and name != "sat2cap.json"] == []
    manifests = [json.loads(files["sat2cap.json"]) for files in (first, second)]
    for manifest in manifests:
        del manifest["card"]["name"], manifest["manifest_sha256"]
    assert manifests[0] == manifests[1]


@pytest.mark.parametrize("form", ["paper", "symmetric"])
def test_two_processes_give_the_same_losses_as_one(root: Path, form: str) -> None:
    """Each embeds half of a batch, in parts, and the negatives are all of it."""
    sections: Sections = {"loss": {"form": form}, "optim": {"steps": 24, "precision": "float32"}}
    train(small_run(root / "one", **sections), pairs=FakePairs(root / "pairs", {"train": 50, "val": 12}))
    shared = {**sections, "optim": {**sections["optim"], "devices": 2, "micro_batch": 2}}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    finish(*(start(root, "two", shared, devices=2, rank=rank, port=port) for rank in range(2)))
    one, two = log_of(root / "one"), log_of(root / "two")
    assert len(one) == len(two) == 24
    np.testing.assert_allclose([x["loss"] for x in one], [x["loss"] for x in two], rtol=1e-3)
    np.testing.assert_allclose([x["scale"] for x in one], [x["scale"] for x in two], rtol=1e-4)


@pytest.mark.parametrize("settings", [{"micro_batch": 3}, {"gradient_checkpointing": True}])
def test_saving_memory_changes_no_loss(
    root: Path, pairs: FakePairs, float32_log: list[dict[str, float]], settings: dict[str, object]
) -> None:
    train(small_run(root / "out", optim={"precision": "float32", **settings}), pairs=pairs)
    saving = log_of(root / "out")
    np.testing.assert_allclose([x["loss"] for x in float32_log], [x["loss"] for x in saving], rtol=1e-4)


def test_low_rank_changes_end_in_a_plain_model(root: Path, pairs: FakePairs) -> None:
    folder = train(
        small_run(root / "out", model={"lora_rank": 4}, optim={"steps": 30, "lr": 3e-3}), pairs=pairs
    )
    start, trained = load_model(root / "clip"), load_model(folder)
    before, after = start.overhead.state_dict(), trained.overhead.state_dict()
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(re.search(r"_proj\.weight|fc[12]\.weight", name) for name in changed), changed
    losses = [line["loss"] for line in log_of(root / "out")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_patches_left_in_the_shards_give_the_same_run(
    root: Path, pairs: FakePairs, plain_log: list[dict[str, float]]
) -> None:
    train(small_run(root / "always", output={"decode": "always"}), pairs=pairs)
    assert log_of(root / "always") == plain_log


def test_photos_of_one_place_can_be_other_than_negatives(root: Path, pairs: FakePairs) -> None:
    losses = {}
    for same_place in ("negative", "ignore", "positive"):
        settings = {"data": {"place_m": 3e6}, "loss": {"same_place": same_place}}
        train(small_run(root / same_place, **settings), pairs=pairs)  # type: ignore[arg-type]
        losses[same_place] = log_of(root / same_place)[0]["loss"]
    assert losses["ignore"] < losses["negative"], "fewer negatives"
    assert losses["positive"] != losses["negative"]


def test_ground_photos_are_embedded_once(root: Path, pairs: FakePairs) -> None:
    train(small_run(root / "out"), pairs=pairs)
    assert len(list((root / "pairs" / "cache").glob("ground-train-*.npy"))) == 1
    stages: set[str] = set()
    train(small_run(root / "again"), pairs=pairs, progress=lambda stage, done, total: stages.add(stage))
    assert any(stage.startswith("training") for stage in stages)
    assert "embedding ground photos" not in stages
    assert log_of(root / "again") == log_of(root / "out")
    other = replace(pairs, fingerprint="other")
    train(small_run(root / "other"), pairs=other, progress=lambda stage, done, total: stages.add(stage))
    assert "embedding ground photos" in stages


def test_a_spoilt_cache_is_made_again(root: Path, pairs: FakePairs) -> None:
    train(small_run(root / "out"), pairs=pairs)
    (cache,) = (root / "pairs" / "cache").glob("ground-train-*.npy")
    good = cache.read_bytes()
    cache.write_bytes(good[:300])
    train(small_run(root / "again"), pairs=pairs)
    assert cache.read_bytes() == good
    assert log_of(root / "again") == log_of(root / "out")


def test_patches_beyond_the_memory_limit_go_to_a_file(
    root: Path, pairs: FakePairs, plain_log: list[dict[str, float]]
) -> None:
    train(small_run(root / "file", output={"cache_gb": 1e-6}), pairs=pairs)
    assert log_of(root / "file") == plain_log


def test_a_finished_run_is_not_trained_again_and_another_is_refused(root: Path, pairs: FakePairs) -> None:
    folder = train(small_run(root / "out"), pairs=pairs)
    before = files_of(root / "out")
    stages: list[str] = []
    assert (
        train(small_run(root / "out"), pairs=pairs, progress=lambda *call: stages.append(call[0])) == folder
    )
    assert files_of(root / "out") == before
    assert stages == []
    with pytest.raises(RunFileError, match=r"holds another run \(optim\.lr 0\.001 -> 0\.5\): give another"):
        train(small_run(root / "out", optim={"lr": 0.5}), pairs=pairs)
    with pytest.raises(RunFileError, match="holds another run"):
        train(small_run(root / "out"), pairs=replace(pairs, fingerprint="other"))
    assert files_of(root / "out") == before


def test_a_loss_that_is_no_number_stops_naming_the_pairs(root: Path, pairs: FakePairs) -> None:
    with pytest.raises(
        JobError, match=r"(loss is nan at step \d+, with pairs train-\d{3}, |are not finite)"
    ) as error:
        train(small_run(root / "out", optim={"lr": 1e30, "precision": "float32", "warmup": 0}), pairs=pairs)
    assert "\n" not in str(error.value)
    assert not (root / "out" / "checkpoint").exists()
    for path in (root / "out" / "state").glob("*.pt"):
        state = torch.load(path, weights_only=True)["student"]
        assert all(torch.isfinite(value).all() for value in state.values())


def test_too_few_pairs_and_broken_images_are_named(root: Path, pairs: FakePairs) -> None:
    with pytest.raises(RunFileError, match=r"has 50 pairs, fewer than optim\.batch 8 or loss\.queue 51"):
        train(small_run(root / "out", loss={"queue": 51}), pairs=pairs)
    with pytest.raises(PairsError, match="pair train-007 has a broken image"):
        train(small_run(root / "broken"), pairs=replace(pairs, broken="train-007"))


def test_each_pair_comes_once_an_epoch_and_the_order_needs_no_history() -> None:
    run = small_run(Path("out"), optim={"steps": None, "epochs": 3})
    all_batches = list(draw_batches(run, 50, 0))
    assert len(all_batches) == total_steps(run, 50) == 18
    for epoch in range(3):
        rows = np.concatenate([batch.rows for batch in all_batches if batch.epoch == epoch])
        assert len(rows) == len(set(rows.tolist())) == 48
    for late, batch in zip(all_batches[7:], draw_batches(run, 50, 7), strict=True):
        assert late.step == batch.step
        assert (late.rows == batch.rows).all()
    assert (all_batches[0].rows != all_batches[6].rows).any()
    assert len(set(initial_queue_rows(run, 50).tolist())) == 16


def test_dropout_is_drawn_per_sample_or_per_batch() -> None:
    sizes = {"batch": 1000, "steps": 1}
    sample = small_run(Path("out"), model={"dropout": 0.3}, optim=sizes)
    assert float(dynamic_keep_mask(sample, 0).mean()) == pytest.approx(0.7, abs=0.05)
    assert not torch.equal(dynamic_keep_mask(sample, 0), dynamic_keep_mask(sample, 1))
    batch = small_run(Path("out"), model={"dropout": 0.3, "dropout_unit": "batch"}, optim=sizes)
    means = [float(dynamic_keep_mask(batch, step).mean()) for step in range(300)]
    assert set(means) == {0.0, 1.0}
    assert np.mean(means) == pytest.approx(0.7, abs=0.1)
    for dropout, mean in ((0.0, 1.0), (1.0, 0.0)):
        assert float(dynamic_keep_mask(small_run(Path("out"), model={"dropout": dropout}), 3).mean()) == mean


def test_ranks_by_hand() -> None:
    ground = np.eye(4, dtype=np.float32)
    overhead = np.array([[5, 1, 0, 0], [2, 1, 0, 0], [0, 0, 3, 1], [3, 2, 1, 0]], np.float32)
    metrics = two_way_retrieval(overhead, ground)
    # Rows find their own ground at ranks 1, 2, 1, 4; columns their own overhead at ranks 1, 3, 1, 2.
    assert metrics["overhead2ground.r1"] == 0.5
    assert metrics["overhead2ground.r5"] == 1.0
    assert metrics["overhead2ground.median_rank"] == 1.5
    assert metrics["ground2overhead.median_rank"] == 1.5
    assert metrics["gallery"] == 4
