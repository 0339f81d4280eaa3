"""Models by hub name, from a hub on loopback: pinned, cached, without a network, and told what to do."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from fake_hub import FakeHub, serving
from tiny_model import tiny_clip

from sat2cap.catalogue import resolve_model
from sat2cap.errors import ModelError
from sat2cap.model.formats import hub as hub_of
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.formats.published import PUBLISHED_MODELS, PublishedModel
from sat2cap.model.formats.transformers_config import ASSUMED_PREPROCESS
from sat2cap.model.load import load_model, treat_as_published
from sat2cap.model.summary import describe_model

NAME, CLIP = "someone/tinyclip", "openai/clip-vit-base-patch32"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub, with an empty cache."""
    with serving() as made:
        address = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", made.url)
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{made.url}/{address}")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two versions of one model."""
    made = tmp_path_factory.mktemp("models")
    return tuple(tiny_clip(made / f"v{n}", seed=n, image=16, hidden=64, dim=32) for n in (1, 2))


def gone(hub: FakeHub) -> None:
    """Everything on the hub is away, so that only a cache can answer."""
    hub.folders.clear()
    hub.branches.clear()
    hub.asked.clear()


def test_a_name_is_fetched_once_and_says_its_revision_and_licence(
    hub: FakeHub, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(folders[0], tmp_path / "v1")
    (tmp_path / "v1" / "README.md").write_text("---\ntags:\n- clip\nlicense: cc-by-4.0\n---\n# Tiny\n")
    (tmp_path / "v1" / "pytorch_model.bin").write_bytes(b"a second form of the weights")
    commit = hub.add(NAME, tmp_path / "v1")
    found = load_model(NAME)
    assert found.identity == load_model(folders[0]).identity
    assert not any("pytorch_model.bin" in path for path in hub.asked), "weights are downloaded once"
    record = describe_model(found)
    assert (record.name, record.source, record.revision) == ("tinyclip", NAME, commit)
    assert (record.licence, record.kind, record.dim) == ("cc-by-4.0", "CLIPModel", 32)
    gone(hub)
    assert load_model(NAME).identity == found.identity
    assert hub.asked == [], "what is in the cache needs no network"


def test_a_revision_pins_and_fetch_renews(hub: FakeHub, folders: tuple[Path, Path]) -> None:
    old = hub.add(NAME, folders[0])
    first = load_model(NAME).identity
    new = hub.add(NAME, folders[1])
    assert load_model(NAME).identity == first, "a model does not change under a run"
    assert hub_of.fetch_from_hub(NAME, refresh=True).name == new
    second = load_model(NAME).identity
    assert second != first
    assert load_model(f"{NAME}@{old}").identity == first
    hub.add(NAME, folders[0], branch="v1")
    pinned = load_model(f"{NAME}@v1")
    assert (pinned.identity, pinned.card["revision"]) == (first, old)
    with pytest.raises(ModelError, match=f"sat2cap models fetch {NAME}@nonsense"):
        load_model(f"{NAME}@nonsense")


def test_pickled_and_open_clip_weights_are_fetched_when_there_are_no_others(
    hub: FakeHub, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file
    from test_openclip import saved

    shutil.copytree(folders[0], tmp_path / "old")
    torch.save(load_file(tmp_path / "old" / "model.safetensors"), tmp_path / "old" / "pytorch_model.bin")
    (tmp_path / "old" / "model.safetensors").unlink()
    hub.add("someone/old", tmp_path / "old")
    assert load_model("someone/old").identity == load_model(folders[0]).identity
    saved(tmp_path / "oc", quick=True)
    hub.add("someone/open", tmp_path / "oc")
    assert load_model("someone/open").identity == load_model(tmp_path / "oc").identity


def test_what_is_missing_says_which_command_fetches_it(
    hub: FakeHub, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=f"sat2cap models fetch {NAME}$") as error:
        load_model(NAME)
    assert "\n" not in str(error.value)
    hub.add(NAME, folders[0])
    weights = hub_of.fetch_from_hub(NAME) / "model.safetensors"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert load_model(NAME).dim == 32
    weights.unlink()
    with pytest.raises(ModelError, match=f"sat2cap models fetch {NAME}$"):
        load_model(NAME)


def test_a_link_in_the_cache_to_a_file_that_is_gone_is_fetched_again(
    hub: FakeHub, folders: tuple[Path, Path]
) -> None:
    """As where the files that snapshots link to were not copied with them, or were cleaned up."""
    hub.add(NAME, folders[0])
    weights = hub_of.fetch_from_hub(NAME) / "model.safetensors"
    weights.resolve().unlink()
    assert weights.is_symlink()
    assert load_model(NAME).identity == load_model(folders[0]).identity


def test_a_model_without_weights_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"model_type": "clip"}')
    hub.add(NAME, tmp_path / "empty")
    with pytest.raises(ModelError, match="has no weights of a form that can be read"):
        load_model(NAME)


@pytest.fixture
def sat2cap(
    hub: FakeHub, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A small overhead tower under the name of the authors', its CLIP beside it."""
    entry = next(model for model in PUBLISHED_MODELS if model.name == "MVRL/Sat2Cap")
    small = PublishedModel(**{**vars(entry), "dim": 32, "overhead": entry.overhead.with_size(16)})
    monkeypatch.setattr("sat2cap.model.formats.published.PUBLISHED_MODELS", (small,))
    load_model(folders[1]).overhead.save_pretrained(tmp_path / "tower")
    hub.add("MVRL/Sat2Cap", tmp_path / "tower")
    hub.add(CLIP, folders[0])
    return tmp_path / "tower"


def test_sat2cap_by_name_has_its_projection_statistics_and_text_tower(
    hub: FakeHub, sat2cap: Path, folders: tuple[Path, Path]
) -> None:
    found, clip = load_model("MVRL/Sat2Cap"), load_model(folders[0])
    patches = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert found.embed_overhead(patches).shape == (2, 32), "with the projection: the numbers of CLIP's space"
    assert found.overhead_preprocess.mean == (0.3670, 0.3827, 0.3338)
    assert found.overhead_preprocess.std == (0.2209, 0.1975, 0.1988)
    assert found.overhead_preprocess.crop == 800
    np.testing.assert_array_equal(found.embed_text(["snow"]), clip.embed_text(["snow"]))
    assert found.ground is not None
    assert found.ground is not found.overhead
    record = describe_model(found)
    commit = hub.branches[CLIP, "main"]
    assert record.text == f"2 layers of 64, 77 tokens, of {CLIP}@{commit}"
    assert (record.name, record.encoding, record.dynamic) == ("Sat2Cap", "reference", None)


def test_a_copy_of_sat2cap_can_be_told_what_it_is(hub: FakeHub, sat2cap: Path, tmp_path: Path) -> None:
    plain = load_model(sat2cap)
    assert plain.overhead_preprocess.mean != (0.3670, 0.3827, 0.3338)
    told = treat_as_published(plain, "MVRL/Sat2Cap")
    assert told.place_identity == load_model("MVRL/Sat2Cap").place_identity
    assert load_model(save_checkpoint(told, tmp_path / "ours")).identity == told.identity
    assert plain.card[ASSUMED_PREPROCESS] == "CLIP"
    assert ASSUMED_PREPROCESS not in told.card
    with pytest.raises(ModelError, match="'MVRL/Nothing' is no known model: see sat2cap models list"):
        treat_as_published(plain, "MVRL/Nothing")
    other = load_model(tiny_clip(tmp_path / "other", image=16, hidden=64, dim=48))
    with pytest.raises(ModelError, match="48 numbers an embedding, and MVRL/Sat2Cap 32: it is no copy"):
        treat_as_published(other, "MVRL/Sat2Cap")


def test_a_copy_of_sat2cap_and_a_copy_of_clip_need_no_hub(
    folders: tuple[Path, Path], sat2cap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=f"sat2cap models fetch {CLIP}"):
        resolve_model(sat2cap, like="MVRL/Sat2Cap")
    both = resolve_model(sat2cap, text=str(folders[0]), like="MVRL/Sat2Cap")
    assert both.overhead_preprocess.mean == (0.3670, 0.3827, 0.3338)
    assert both.ground is not None
    np.testing.assert_array_equal(both.embed_text(["a"]), load_model(folders[0]).embed_text(["a"]))


def test_weights_pickled_in_parts_are_fetched_and_read(
    hub: FakeHub, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    old = tmp_path / "old"
    shutil.copytree(folders[0], old)
    weights = load_file(old / "model.safetensors")
    (old / "model.safetensors").unlink()
    place = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(weights)}
    for file in set(place.values()):
        torch.save({name: weights[name] for name in weights if place[name] == file}, old / file)
    (old / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": place}))
    hub.add("someone/old", old)
    assert load_model("someone/old").identity == load_model(folders[0]).identity
    (old / "pytorch_model-00002-of-00002.bin").unlink()
    hub.add("someone/cut", old)
    with pytest.raises(ModelError, match="has no weights of a form that can be read"):
        load_model("someone/cut")


def test_the_table_of_known_models_holds_together() -> None:
    names = [model.name for model in PUBLISHED_MODELS]
    assert len(names) == len(set(names)) >= 8
    for model in PUBLISHED_MODELS:
        assert hub_of.is_hub_name(model.name)
        assert model.text is None or model.text in names
        assert model.overhead is None or model.overhead.size == model.pixels
