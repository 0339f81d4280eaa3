"""A model opened for asking, in numpy: what transformers computes from the same files, without torch."""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_openclip import saved as saved_openclip
from test_siglip import gemma_tokenizer, sentencepiece_tokenizer, tiny_siglip
from tiny_model import tiny_clip
from transformers import AutoTokenizer, CLIPModel, SiglipModel

from sat2cap.errors import ModelError
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.load import load_model
from sat2cap.model.networks.dynamic_encoder import DynamicEncoder
from sat2cap.model.networks.dynamic_numpy import read_dynamic_weights
from sat2cap.model.networks.text_numpy import ACTIVATIONS
from sat2cap.model.open_model import open_query_model
from sat2cap.model.stored_model import StoredModel
from sat2cap.model.weight_hashes import HASHES_FILE, remembered_hash
from sat2cap.model.weights import map_tensors

TEXTS = [
    "a photo of a busy street",
    "snow",
    "It's the SEA's 3 é ñ 10%",
    "many words " * 60,
    "  two  spaces ",
    "Snow, </s> and the <|endoftext|> Sea!",
    "日本",
]
FAMILIES = ("clip", "siglip", "siglip2")


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of each architecture, as transformers saves it."""
    made = tmp_path_factory.mktemp(request.param)
    if request.param == "clip":
        return tiny_clip(made / "model")
    if request.param == "siglip":
        pytest.importorskip("sentencepiece")
        return tiny_siglip(made / "model", sentencepiece_tokenizer(made / "pieces"))
    return tiny_siglip(made / "model", gemma_tokenizer())


def transformers_embeddings(folder: Path) -> np.ndarray:
    """Unit embeddings of TEXTS, padded as each architecture was trained, by transformers alone."""
    is_clip = json.loads((folder / "config.json").read_text())["model_type"] == "clip"
    theirs = (CLIPModel if is_clip else SiglipModel).from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    width = theirs.config.text_config.max_position_embeddings
    padding = {"padding": True} if is_clip else {"padding": "max_length"}
    tokens = tokenizer(TEXTS, **padding, max_length=width, truncation=True, return_tensors="pt")
    arguments = dict(tokens) if is_clip else {"input_ids": tokens["input_ids"]}
    with torch.no_grad():
        rows = theirs.get_text_features(**arguments)
    rows = (rows if isinstance(rows, torch.Tensor) else rows.pooler_output).numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_texts_are_embedded_as_by_transformers(folder: Path) -> None:
    model = open_query_model(folder)
    assert isinstance(model, StoredModel)
    np.testing.assert_allclose(model.embed_text(TEXTS), transformers_embeddings(folder), atol=1e-5)
    alone = np.concatenate([model.embed_text([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, model.embed_text(TEXTS), atol=1e-6)


def test_a_process_that_stays_gets_the_same_embeddings(folder: Path) -> None:
    model = open_query_model(folder)
    before = model.embed_text(TEXTS)
    model.expect_many()
    after = np.concatenate([model.embed_text([text]) for text in TEXTS])  # few tokens and many
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)


def test_models_of_the_same_files_share_their_text_tower(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "model")
    one, other = (open_query_model(copy).text.tower for _ in range(2))
    assert one is other
    os.utime(copy / "model.safetensors", ns=(1, 1))
    assert open_query_model(copy).text.tower is not one


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_it_is_stored(folder: Path, dtype: torch.dtype, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.name not in (HASHES_FILE, "model.safetensors"):
            (half / file.name).write_bytes(file.read_bytes())
    weights = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors")
    model, whole = open_query_model(half), load_model(half)
    np.testing.assert_allclose(model.embed_text(TEXTS), transformers_embeddings(half), atol=1e-5)
    assert model.place_identity == whole.place_identity
    assert model.place_identity != open_query_model(folder).place_identity


def test_it_is_the_model_that_is_loaded_whole(folder: Path, tmp_path: Path) -> None:
    whole = load_model(folder)
    for path in (folder, save_checkpoint(whole, tmp_path / "ours")):
        model = open_query_model(path)
        assert isinstance(model, StoredModel)
        assert model.place_identity == whole.place_identity
        assert model.text_identity in {
            whole.text_identity,
            None,
        }  # SentencePiece does not tell its vocabulary
        assert (model.text_identity is None) == (folder / "spiece.model").is_file()
        assert (model.dim, model.logit_scale, model.encoding) == (
            whole.dim,
            whole.logit_scale,
            whole.encoding,
        )
        assert model.has_ground_tower is whole.has_ground_tower is True
        assert (model.text_scale, model.card) == (whole.text_scale, load_model(path).card)
        np.testing.assert_allclose(model.embed_text(TEXTS), whole.embed_text(TEXTS), atol=1e-5)
        assert [model.find_cut_off_text(text) for text in TEXTS] == [
            whole.find_cut_off_text(text) for text in TEXTS
        ]


def test_an_end_mark_of_2_is_the_greatest_token(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "old")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    model = open_query_model(folder)
    np.testing.assert_allclose(model.embed_text(TEXTS), transformers_embeddings(folder), atol=1e-5)
    assert np.abs(model.embed_text(["snow"]) - model.embed_text(["the sea"])).max() > 0.01


@pytest.mark.parametrize("quick", [True, False])
def test_an_open_clip_folder_is_read(quick: bool, tmp_path: Path) -> None:
    saved_openclip(tmp_path / "m", quick)
    model, whole = open_query_model(tmp_path / "m"), load_model(tmp_path / "m")
    assert isinstance(model, StoredModel)
    texts = ["snow", "a photo of the sea"]
    np.testing.assert_allclose(model.embed_text(texts), whole.embed_text(texts), atol=1e-5)
    assert (model.place_identity, model.card) == (whole.place_identity, whole.card)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_are_transformers_own(name: str) -> None:
    from transformers.activations import ACT2FN

    x = np.concatenate([np.linspace(-8, 8, 4001), [-1e4, -90, 90, 1e4, 0]]).astype(np.float32)
    expected = ACT2FN[name](torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ACTIVATIONS[name](x), expected, rtol=2e-6, atol=2e-6)


def test_weights_in_several_files_are_one_model(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    expected = open_query_model(folder)
    identity, vectors = expected.place_identity, expected.embed_text(TEXTS)
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"a.safetensors": names[: len(names) // 2], "b.safetensors": names[len(names) // 2 :]}
    for file, own in parts.items():
        save_file({name: weights[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    model = open_query_model(folder)
    assert model.place_identity == identity
    np.testing.assert_array_equal(model.embed_text(TEXTS), vectors)


def test_the_dynamic_encoder_is_torchs(tmp_path: Path) -> None:
    torch.manual_seed(1)
    encoder = DynamicEncoder(32, features=12).eval()
    weights = read_dynamic_weights({name: t.numpy() for name, t in encoder.state_dict().items()}, "h")
    features = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(weights.offsets(features), expected, atol=1e-6)


def test_a_weight_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    missing = "text_model.encoder.layers.1.mlp.fc2.bias"
    save_file(
        {name: tensor for name, tensor in weights.items() if name != missing}, folder / "model.safetensors"
    )
    with pytest.raises(ModelError, match=rf"lacks 1 weights of CLIPTextModelWithProjection, {missing}"):
        open_query_model(folder).embed_text(["snow"])


def test_a_tokenizer_with_another_end_mark_is_refused(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 5
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="end-of-text token 5 and its tokenizer"):
        open_query_model(folder).embed_text(["snow"])


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_file_cut_short_is_one_line(size: int, tmp_path: Path) -> None:
    save_file({"w": torch.ones(1000)}, tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:size])
    with pytest.raises(ModelError, match=r"w\.safetensors cannot be read"):
        map_tensors(tmp_path / "w.safetensors")


def test_a_hash_is_computed_once_until_the_file_changes(tmp_path: Path) -> None:
    file, calls = tmp_path / "w.safetensors", []

    def compute() -> str:
        calls.append(file.read_text())
        return f"hash of {file.read_text()}"

    file.write_text("one")
    assert [remembered_hash([file], "w", compute) for _ in range(3)] == ["hash of one"] * 3
    assert remembered_hash([file], "another subject", lambda: "other") == "other"
    assert calls == ["one"]
    file.write_text("two")  # as long as before
    os.utime(file, ns=(1, 1))
    assert remembered_hash([file], "w", compute) == "hash of two"
    (tmp_path / HASHES_FILE).write_text("{ damaged")
    assert remembered_hash([file], "w", compute) == "hash of two"
    assert calls == ["one", "two", "two"]


def test_hashes_of_a_read_only_folder_go_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sat2cap.model import weight_hashes

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "m").mkdir()
    file = tmp_path / "m" / "w"
    file.write_text("w")
    write = weight_hashes.write_json

    def refuse(path: Path, value: object) -> None:
        if path.parent == file.parent:
            raise PermissionError(13, "Permission denied", str(path))
        write(path, value)

    monkeypatch.setattr(weight_hashes, "write_json", refuse)
    assert remembered_hash([file], "w", lambda: "a") == "a"
    assert remembered_hash([file], "w", lambda: "b") == "a"
    assert [path.name for path in file.parent.iterdir()] == ["w"]


def test_scales_are_those_of_the_loaded_model(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    theirs = float(load_file(folder / "model.safetensors")["logit_scale"])
    assert open_query_model(folder).logit_scale == math.exp(theirs)


def test_neither_torch_nor_transformers_is_imported(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path / "m")
    code = (
        "import sys; from sat2cap.model import open_query_model; m = open_query_model(sys.argv[1]); "
        "m.embed_text(['snow']); m.place_identity; "
        "print([name for name in ('torch', 'transformers', 'xarray', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
