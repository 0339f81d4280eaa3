"""Damaged and dishonest models: a flipped bit, sizes beyond reason, lists for records; one line each."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_captioner import tiny_captioner
from tiny_model import tiny_clip

from sat2cap.cli import main
from sat2cap.errors import ModelError
from sat2cap.model import (
    DynamicEncoder,
    load_captioner,
    load_model,
    make_calibration,
    open_query_model,
    save_captioner,
    save_checkpoint,
    verify_model,
)
from sat2cap.model.file_hashes import write_sealed_manifest
from sat2cap.model.weight_hashes import HASHES_FILE


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with every part."""
    folder = tmp_path_factory.mktemp("models")
    clip = load_model(tiny_clip(folder / "clip"))
    torch.manual_seed(1)
    rng = np.random.default_rng(4)
    ground, overhead = rng.normal(size=(2, 6, clip.dim)).astype(np.float32)
    model = replace(
        clip,
        ground=load_model(folder / "clip").ground,
        dynamic=DynamicEncoder(clip.dim),
        encoding="cyclic",
        calibration=make_calibration(ground, overhead, rng.normal(size=(6, 12)).astype(np.float32)),
    )
    return save_checkpoint(model, folder / "sound")


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "model"))


def flip(file: Path, place: int = -3) -> None:
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)


def verify(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Exit status and output of ``sat2cap models verify``."""
    status: object = 0
    try:
        main(["models", "verify", str(folder)])
    except SystemExit as stop:
        status = stop.code or 0
    return status, capsys.readouterr().out


def refusal(read: Callable[[], object]) -> str:
    with pytest.raises(ModelError) as error:
        read()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700
    return str(error.value)


FILES = [
    "overhead/model.safetensors",
    "overhead/config.json",
    "ground/model.safetensors",
    "text/model.safetensors",
    "text/tokenizer.json",
    "dynamic.safetensors",
    "calibration.safetensors",
]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_of_any_file_is_one_line_that_names_it(copy: Path, name: str) -> None:
    load_model(copy)
    flip(copy / name)
    assert f"{copy / name} does not match its hash" in refusal(lambda: load_model(copy))
    result = verify_model(copy)
    assert result.problems == [f"{name}: does not match its hash in sat2cap.json"]
    assert result.files >= len(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith("ground")])
def test_asking_without_torch_notices_it_too(copy: Path, name: str) -> None:
    """The photos' tower is not read when a prompt is asked, and the overhead tower only to be recognised."""
    flip(copy / name)
    message = refusal(lambda: open_query_model(copy).place_identity)
    assert f"{copy / name} does not match its hash" in message


@pytest.mark.parametrize("field", ["overhead_preprocess", "logit_scale", "text_scale", "encoding", "files"])
def test_another_mean_or_scale_in_the_manifest_is_noticed(copy: Path, field: str) -> None:
    manifest = json.loads((copy / "sat2cap.json").read_text())
    change: dict[str, Any] = {
        "overhead_preprocess": {**manifest["overhead_preprocess"], "mean": [0.25, 0.4, 0.4]},
        "logit_scale": manifest["logit_scale"] * 2,
        "text_scale": 3.0,
        "encoding": "reference",
        "files": {},
    }
    assert manifest[field] != change[field]
    (copy / "sat2cap.json").write_text(json.dumps({**manifest, field: change[field]}))
    for read in (load_model, open_query_model, verify_model):
        assert "sat2cap.json does not match its own hash" in refusal(lambda read=read: read(copy))  # type: ignore[misc]


def test_every_single_flipped_bit_of_the_manifest_is_noticed(copy: Path) -> None:
    path = copy / "sat2cap.json"
    whole = path.read_bytes()
    meaning = json.loads(whole)
    for place in range(0, len(whole), 17):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 7
        path.write_bytes(changed)
        try:
            same = json.loads(changed) == meaning
        except ValueError:
            same = False
        if not same:  # a line break became another kind of space
            refusal(lambda: open_query_model(copy))


def test_a_hash_is_remembered_until_the_file_changes(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_query_model(copy).place_identity  # noqa: B018
    assert (copy / "text" / HASHES_FILE).is_file()
    computed: list[str] = []
    monkeypatch.setattr("sat2cap.model.file_hashes.digest_file", lambda path: computed.append(str(path)))
    open_query_model(copy).place_identity  # noqa: B018
    assert computed == []
    os.utime(copy / "dynamic.safetensors", (1, 1))
    refusal(lambda: open_query_model(copy))
    assert computed == [str(copy / "dynamic.safetensors")]


def test_verify_believes_nothing_that_is_remembered(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load_model(copy)
    file = copy / "text/model.safetensors"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    flip(file)
    os.utime(file, ns=times)
    (copy / "more.bin").write_bytes(b"more")
    status, out = verify(copy, capsys)
    assert status == 1
    assert out.splitlines() == [
        "text/model.safetensors: does not match its hash in sat2cap.json",
        "more.bin: is not named in sat2cap.json",
    ]


def test_a_sound_model_is_said_to_be(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = verify(sound, capsys)
    assert status == 0
    assert out == f"{sound}: sound, {verify_model(sound).files} files match their hashes\n"


def test_a_missing_file_is_named(copy: Path) -> None:
    (copy / "dynamic.safetensors").unlink()
    assert "dynamic.safetensors cannot be read (No such file or directory)" in refusal(
        lambda: load_model(copy)
    )


def test_a_checkpoint_of_before_the_hashes_opens_and_cannot_be_verified(copy: Path, sound: Path) -> None:
    values = json.loads((copy / "sat2cap.json").read_text())
    values = {name: value for name, value in values.items() if name not in ("files", "manifest_sha256")}
    (copy / "sat2cap.json").write_text(json.dumps(values))
    assert load_model(copy).identity == load_model(sound).identity == values["identity"]
    assert "names no hashes, so there is nothing to compare with" in refusal(lambda: verify_model(copy))


def test_a_captioner_has_hashes_too(tmp_path: Path) -> None:
    folder = save_captioner(tiny_captioner(), tmp_path / "captioner")
    assert verify_model(folder).problems == []
    flip(folder / "model.safetensors")
    assert "model.safetensors does not match its hash" in refusal(lambda: load_captioner(folder))


def test_the_cache_of_the_hub_is_compared_with_the_names_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob of git, as `git hash-object` names it, and a large file named after its SHA-256."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--owner--small"
    snapshot = cache / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("abc")
    blobs = {
        "config.json": ("ce013625030ba8dba906f756967f9e9ca394464a", b"hello\n"),
        "model.safetensors": ("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", b"hello\n"),
    }
    (cache / "blobs").mkdir()
    for name, (sha, data) in blobs.items():
        (cache / "blobs" / sha).write_bytes(data)
        (snapshot / name).symlink_to(cache / "blobs" / sha)
    assert (verify_model("owner/small").files, verify_model("owner/small").problems) == (2, [])
    for name, (sha, _) in blobs.items():
        flip(cache / "blobs" / sha)
        assert f"{name}: does not match the hash that the hub gave" in verify_model("owner/small").problems
    assert "neither a folder here nor in the cache" in refusal(lambda: verify_model("owner/other"))


LARGE = [
    {"num_hidden_layers": 10_000_000},
    {"num_hidden_layers": -1},
    {"hidden_size": 10**12},
    {"num_attention_heads": 0},
    {"patch_size": 0},
    {"image_size": 10**9},
    {"image_size": [48]},
    {"num_hidden_layers": "12"},
    {"num_hidden_layers": True},
]


@pytest.mark.parametrize("change", LARGE, ids=str)
def test_sizes_that_no_model_has_are_refused_at_once(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = tiny_clip(tmp_path / "clip")
    config = json.loads((folder / "config.json").read_text())
    config["vision_config"] |= change
    (folder / "config.json").write_text(json.dumps(config))
    for read in (load_model, open_query_model):
        message = refusal(lambda read=read: read(folder))  # type: ignore[misc]
        assert "its config describes no network" in message
        assert next(iter(change)) in message


ODD_VALUES = [[1], {}, None, 1e400, "\ud800"]


@pytest.mark.parametrize(
    "field", ["parts", "overhead_preprocess", "logit_scale", "text_scale", "card", "encoding"]
)
@pytest.mark.parametrize("value", ODD_VALUES, ids=repr)
def test_values_of_another_kind_in_a_manifest_are_read_or_refused_in_one_line(
    copy: Path, field: str, value: object
) -> None:
    path = copy / "sat2cap.json"
    values = json.loads(path.read_text()) | {field: value}
    try:
        write_sealed_manifest(path, values)  # as a stranger would
    except (ValueError, UnicodeEncodeError):
        path.write_text(json.dumps(values))
    for read in (load_model, open_query_model):
        try:
            read(copy)
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("value", [[1], 7], ids=repr)
def test_lists_for_records_in_a_folder_of_transformers_are_one_line(
    tmp_path: Path, file: str, value: object
) -> None:
    """Every field in turn is something else than it should be."""
    folder = tiny_clip(tmp_path / "clip")
    whole = json.loads((folder / file).read_text()) if (folder / file).is_file() else {"size": 48}
    for content in (value, *({**whole, name: value} for name in whole)):
        (folder / file).write_text(json.dumps(content))
        for read in (load_model, lambda path: open_query_model(path).embed_text(["snow"])):
            try:
                read(folder)
            except ModelError as error:
                assert "\n" not in str(error)  # noqa: PT017
