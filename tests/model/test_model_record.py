"""The record of a model, and the commands that show, fetch and write models."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import tiny_clip

from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.preprocess import Preprocess
from sat2cap.model.summary import describe_model

sys.path.append(str(Path(__file__).parents[1] / "cli"))

from command import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip") / "tinyclip", image=16, hidden=64, dim=32)


@pytest.fixture(scope="module")
def model(folder: Path) -> Checkpoint:
    torch.manual_seed(0)
    card = {"name": "mine", "source": "trained here", "licence": "CC0-1.0", "metrics": {"r5": 0.5}}
    return replace(load_model(folder), dynamic=DynamicEncoder(32), encoding="cyclic", card=card)


def test_a_record_says_all_that_a_model_is(model: Checkpoint, folder: Path) -> None:
    found = describe_model(model)
    assert (found.name, found.source, found.licence, found.revision) == (
        "mine",
        "trained here",
        "CC0-1.0",
        None,
    )
    assert found.overhead == "2 layers of 64, 16 px in patches of 8"
    assert found.ground == "the overhead tower"
    assert found.text == "2 layers of 64, 77 tokens"
    assert (found.dynamic, found.encoding, found.dim) == ("12, 64, 32", "cyclic", 32)
    assert found.overhead_preprocess == model.overhead_preprocess
    assert found.identity == model.identity
    plain = describe_model(load_model(folder))
    assert (plain.kind, plain.dynamic, plain.source) == ("CLIPModel", None, str(folder))
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_hash_is_of_the_weights_alone(model: Checkpoint, folder: Path) -> None:
    other = replace(model, overhead_preprocess=Preprocess(16), encoding="reference", card={})
    assert describe_model(other).weights == describe_model(model).weights
    assert describe_model(other).identity != describe_model(model).identity
    parts = [
        replace(model, dynamic=None),
        replace(model, text=None),
        replace(model, ground=None),
        replace(model, ground=load_model(folder).ground, overhead=load_model(folder).overhead),
    ]
    hashes = [describe_model(part).weights for part in parts]
    assert describe_model(model).weights not in (hashes[0], hashes[1])
    assert hashes[2] == describe_model(model).weights, "one network under two names is one"
    changed = load_model(folder)
    with torch.no_grad():
        changed.overhead.visual_projection.weight[0, 0] += 1e-3
    assert describe_model(changed).weights != describe_model(load_model(folder)).weights
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)


def test_info_prints_the_record(model: Checkpoint, tmp_path: Path) -> None:
    saved = save_checkpoint(model, tmp_path / "m")
    done = run("models", "info", saved, "--json", tmp_path / "record.json")
    assert done.status == 0, done.err
    written = json.loads((tmp_path / "record.json").read_text())
    assert written == describe_model(load_model(saved)).as_dict()
    for words in ("mine", "CC0-1.0", "encoding", "cyclic", "12, 64, 32", "metrics.r5", model.identity):
        assert words in done.out
    assert "revision             none: not from the hub" in done.out


def test_convert_writes_a_folder_that_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    clip = load_model(folder)
    clip.overhead.save_pretrained(tmp_path / "tower")
    done = run("models", "convert", tmp_path / "tower", "--text", folder, "-o", tmp_path / "ours")
    assert (done.status, done.out) == (0, f"{tmp_path / 'ours'}\n"), done.err
    again = load_model(tmp_path / "ours")
    np.testing.assert_array_equal(again.embed_text(["snow"]), clip.embed_text(["snow"]))
    assert run("models", "convert", tmp_path / "ours", "-o", tmp_path / "tower").status == 2
    done = run("models", "convert", folder, "--as", "MVRL/Sat2Cap", "-o", tmp_path / "no")
    assert done.status == 2
    assert "has 32 numbers an embedding, and MVRL/Sat2Cap 512: it is no copy" in done.err
    assert not (tmp_path / "no").exists()


def test_list_names_the_known_and_fetch_wants_a_name() -> None:
    done = run("models", "list")
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].split() == ["name", "numbers", "px", "licence", "here", "what", "it", "is"]
    assert any(line.startswith("MVRL/Sat2Cap ") and " 512 " in line for line in lines)
    done = run("models", "fetch", "not a name")
    assert (done.status, "give owner/name" in done.err) == (2, True)


def test_embed_says_what_it_computes_with_and_follows_the_option(model: Checkpoint, tmp_path: Path) -> None:
    from sat2cap.atlas import open_atlas

    saved = save_checkpoint(model, tmp_path / "m")
    region = ("--imagery", "miniworld:7", "--model", saved, "--", "-10.01,-45.01,-10.0,-45.0")
    done = run("embed", "-o", tmp_path / "x.zarr", *region)
    assert done.status == 0, done.err
    said = re.search(r"computing +(\w+) on cpu \((.+)\)", done.err)
    assert said is not None
    assert open_atlas(tmp_path / "x.zarr").model["precision"] == said[1]
    done = run("embed", "-o", tmp_path / "y.zarr", "--precision", "float32", *region)
    assert re.search(r"computing +float32 on cpu \(as requested\)", done.err)
    assert open_atlas(tmp_path / "y.zarr").model["precision"] == "float32"
    done = run("embed", "-o", tmp_path / "y.zarr", *region)
    assert done.status == 0, "an atlas goes on in the precision it was begun in"
    if said[1] == "bfloat16":
        done = run("embed", "-o", tmp_path / "y.zarr", "--precision", "bfloat16", *region)
        assert (done.status, "differs in precision float32, now bfloat16" in done.err) == (2, True)
