"""Preprocessing against transformers' processor and against a published tensor."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from sat2cap.errors import ModelError
from sat2cap.model.preprocess import Preprocess

CLIP_DATA = Path(__file__).parents[2].parent / "shared" / "data" / "clip"


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 `[height, width, 3]` with structure at several scales."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    fine = random.integers(-20, 20, (height, width, 3))
    return np.clip(np.asarray(coarse).astype(int) + fine, 0, 255).astype(np.uint8)


def test_the_published_tensor_is_reproduced_exactly() -> None:
    if not CLIP_DATA.is_dir():
        pytest.skip(f"needs {CLIP_DATA}")
    expected = np.load(CLIP_DATA / "expected_preprocessed_image.npy")
    with Image.open(CLIP_DATA / "franz-kafka.jpg") as photo:
        np.testing.assert_array_equal(Preprocess(224).images([photo]).numpy(), expected)


@pytest.mark.parametrize(("height", "width"), [(60, 97), (97, 60), (48, 48), (20, 33), (300, 61)])
@pytest.mark.parametrize("size", [48, 49])
def test_equal_to_transformers(height: int, width: int, size: int) -> None:
    image = noise(height, width)
    theirs = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    expected = theirs(Image.fromarray(image), return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(Preprocess(size).images([image]).numpy(), expected)
    np.testing.assert_array_equal(Preprocess(size).images([Image.fromarray(image)]).numpy(), expected)


def test_a_larger_shortest_edge_is_cropped_like_transformers() -> None:
    image = noise(80, 120)
    theirs = CLIPImageProcessorPil(size={"shortest_edge": 60}, crop_size={"height": 48, "width": 48})
    expected = theirs(Image.fromarray(image), return_tensors="np")["pixel_values"]
    np.testing.assert_array_equal(Preprocess(48, shortest_edge=60).images([image]).numpy(), expected)


def test_crop_is_taken_before_the_resize() -> None:
    image = noise(100, 140)
    middle = np.ascontiguousarray(image[20:80, 40:100])
    found = Preprocess(48, crop=60).images([image])
    assert (found == Preprocess(48).images([middle])).all()
    assert not (found == Preprocess(48).images([image])).all()


def test_batches_of_arrays_and_odd_modes() -> None:
    batch = np.stack([noise(48, 48, seed) for seed in range(3)])
    preprocess = Preprocess(48, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    found = preprocess.images(batch).numpy()
    expected = (batch / 255 - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7]
    np.testing.assert_allclose(found, expected.transpose(0, 3, 1, 2), atol=1e-6)
    grey = Image.fromarray(batch[0, ..., 0])
    assert preprocess.images([grey, grey.convert("RGBA"), grey.convert("P")]).shape == (3, 3, 48, 48)
    assert preprocess.images([]).shape == (0, 3, 48, 48)


@pytest.mark.parametrize("count", [1, 3, 60])
def test_bfloat16_is_the_float32_rounded_whatever_the_order_in_memory(count: int) -> None:
    batch = np.random.default_rng(0).integers(0, 256, (count, 56, 56, 3), dtype=np.uint8)
    planar = np.moveaxis(np.ascontiguousarray(np.moveaxis(batch, -1, 1)), 1, -1)
    exact = Preprocess(56).images([Image.fromarray(one) for one in batch])
    for form in (batch, planar, list(planar)):
        assert torch.equal(Preprocess(56).images(form), exact)
        rounded = Preprocess(56).images(form, torch.bfloat16)
        assert rounded.dtype == torch.bfloat16
        assert torch.equal(rounded, exact.bfloat16())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_normalises_to_the_same_bits() -> None:
    preprocess = Preprocess(24)
    pixels = np.stack([noise(24, 24, seed) for seed in range(3)])
    for dtype in (torch.float32, torch.bfloat16):
        on_gpu = preprocess.normalise(pixels, dtype, torch.device("cuda"))
        assert torch.equal(on_gpu.cpu(), preprocess.normalise(pixels, dtype))


def test_what_cannot_be_an_image_is_refused() -> None:
    with pytest.raises(ModelError, match=r"float64 \[9, 9, 3\]: give uint8 \[H, W, 3\]"):
        Preprocess(8).images([np.zeros((9, 9, 3))])  # type: ignore[list-item]
    with pytest.raises(ModelError, match=r"give uint8 \[H, W, 3\]"):
        Preprocess(8).images(np.zeros((2, 8, 8, 4), np.uint8))
    with pytest.raises(ModelError, match="'area' is not known"):
        Preprocess(8, resample="area")  # type: ignore[arg-type]


def test_settings_survive_json() -> None:
    settings = Preprocess(48, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), resample="bilinear", crop=800)
    assert Preprocess.from_dict(settings.as_dict()) == settings
    with pytest.raises(ModelError, match="cannot be read"):
        Preprocess.from_dict({"size": 3})
