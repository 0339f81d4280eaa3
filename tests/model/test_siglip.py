"""SigLIP and SigLIP 2: what transformers computes from the same files, and what cannot be read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, SiglipConfig, SiglipModel, SiglipVisionModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.siglip2.tokenization_siglip2 import Siglip2Tokenizer

from sat2cap.errors import ModelError
from sat2cap.model.formats.folder import save_checkpoint
from sat2cap.model.formats.transformers_config import ASSUMED_PREPROCESS
from sat2cap.model.load import load_model
from sat2cap.model.preprocess import Preprocess

TEXTS = ["a busy STREET!", "snow, and the sea", "a " * 40]
SIZE, DIM, TOKENS = 32, 64, 16


def gemma_tokenizer() -> Any:
    """SigLIP 2's class with a vocabulary of single letters, and an end mark as the hub's files add it."""
    from tokenizers.processors import TemplateProcessing

    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *"abcdefghijklmnopqrstuvwxyz,!"]
    made = Siglip2Tokenizer({piece: number for number, piece in enumerate(pieces)}, [])
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    return made


def sentencepiece_tokenizer(folder: Path) -> Any:
    """SigLIP's class with a vocabulary learned from a few words."""
    import io

    import sentencepiece
    from transformers import SiglipTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a busy street", "snow and the sea", "a quiet beach in winter"] * 20),
        model_writer=model,
        vocab_size=40,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=0,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    folder.mkdir()
    (folder / "spiece.model").write_bytes(model.getvalue())
    return SiglipTokenizer(str(folder / "spiece.model"))


def tiny_siglip(folder: Path, tokenizer: Any, **processor: object) -> Path:
    """A random `SiglipModel` with tokenizer and preprocessing, as transformers saves it."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": DIM,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    ends = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
    text = {**sizes, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": TOKENS}
    config = SiglipConfig(text_config=text, vision_config={**sizes, "image_size": SIZE, "patch_size": 8})
    SiglipModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {"size": {"height": SIZE, "width": SIZE}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps({**settings, "resample": 3, **processor}))
    return folder


@pytest.fixture(scope="module", params=["siglip", "siglip2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp(request.param)
    if request.param == "siglip":
        pytest.importorskip("sentencepiece")
        return tiny_siglip(made / "model", sentencepiece_tokenizer(made / "pieces"))
    return tiny_siglip(made / "model", gemma_tokenizer(), resample=2)


def test_a_siglip_folder_gives_what_transformers_gives(folder: Path) -> None:
    model, theirs = load_model(folder), SiglipModel.from_pretrained(folder).eval()
    patches = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    given = tokenizer(TEXTS, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt")[
        "input_ids"
    ]
    assert (model.text.tokenize(TEXTS)[0] == given).all()
    with torch.no_grad():
        out = theirs(pixel_values=model.overhead_preprocess.images(patches), input_ids=given)
    np.testing.assert_allclose(model.embed_text(TEXTS), out.text_embeds.numpy(), atol=1e-5)
    found = model.embed_overhead(patches)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, out.image_embeds.numpy(), atol=1e-5)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).min() > 0.01
    assert (model.dim, model.patch_pixels) == (DIM, SIZE)
    assert model.logit_scale == pytest.approx(theirs.logit_scale.exp().item())
    resample = json.loads((folder / "preprocessor_config.json").read_text())["resample"]
    assert model.overhead_preprocess.resample == {2: "bilinear", 3: "bicubic"}[resample]


def test_a_siglip_survives_our_folder_and_transformers_reads_its_tower(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    saved = save_checkpoint(model, tmp_path / "saved")
    again = load_model(saved)
    assert again.identity == model.identity
    patches = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(again.embed_overhead(patches), model.embed_overhead(patches))
    np.testing.assert_array_equal(again.embed_text(TEXTS), model.embed_text(TEXTS))
    tower = SiglipVisionModel.from_pretrained(saved / "overhead").eval()
    with torch.no_grad():
        theirs = tower(model.overhead_preprocess.images(patches)).pooler_output.numpy()
    np.testing.assert_allclose(theirs, model.embed_overhead(patches), atol=1e-5)


def test_without_settings_images_are_seen_as_every_siglip_sees_them(folder: Path, tmp_path: Path) -> None:
    said = load_model(folder)
    SiglipModel.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    bare = load_model(tmp_path / "bare")
    assert bare.overhead_preprocess == replace(said.overhead_preprocess, resample="bicubic")
    assert (bare.card[ASSUMED_PREPROCESS], ASSUMED_PREPROCESS in said.card) == ("SigLIP", False)


def test_names_of_a_tower_alone_may_have_their_prefix_or_not(folder: Path, tmp_path: Path) -> None:
    SiglipVisionModel.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    bare = load_model(tmp_path / "bare")
    assert (bare.ground, bare.text) == (None, None)
    weights = load_file(tmp_path / "bare" / "model.safetensors")
    plain = {name.removeprefix("vision_model."): tensor for name, tensor in weights.items()}
    assert "embeddings.patch_embedding.weight" in plain
    for prefix in ("", "vision_model."):
        named = {prefix + name: tensor for name, tensor in plain.items()}
        save_file(named, tmp_path / "bare" / "model.safetensors")
        assert load_model(tmp_path / "bare").place_identity == bare.place_identity


@pytest.mark.parametrize("resample", [2, 3])
@pytest.mark.parametrize(("height", "width"), [(60, 97), (32, 32), (20, 33)])
def test_squashing_is_transformers_own(height: int, width: int, resample: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    settings = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    theirs = SiglipImageProcessorPil(resample=resample, **settings)
    expected = theirs(Image.fromarray(image), return_tensors="np")["pixel_values"]
    name = {2: "bilinear", 3: "bicubic"}[resample]
    ours = Preprocess(32, (0.5,) * 3, (0.5,) * 3, resample=name, squash=True)
    np.testing.assert_array_equal(ours.images([image]).numpy(), expected)


def test_an_image_squashed_is_not_cropped() -> None:
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, :8] = 255
    assert Preprocess(32).pixels([wide]).max() == 0
    assert Preprocess(32, squash=True).pixels([wide]).max() == 255
    assert "squash" not in Preprocess(32).as_dict(), "identities of earlier models must not change"
    assert Preprocess.from_dict(Preprocess(32, squash=True).as_dict()) == Preprocess(32, squash=True)


def test_a_flexible_siglip_is_refused_with_one_to_take(tmp_path: Path) -> None:
    config = {"model_type": "siglip2", "architectures": ["Siglip2Model"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="give one of a fixed resolution, such as google/siglip2-base"):
        load_model(tmp_path)


def test_a_siglip_tokenizer_is_not_read_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny_siglip(tmp_path / "m", gemma_tokenizer())
    values = json.loads((made / "tokenizer_config.json").read_text())
    (made / "tokenizer_config.json").write_text(json.dumps({**values, "tokenizer_class": "SiglipTokenizer"}))
    monkeypatch.setattr("sat2cap.model.tokenization.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'sat2cap\[siglip\]'"):
        load_model(made)
