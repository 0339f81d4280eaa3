"""Crops resized by matrices, against Pillow; and the fineness of what training sees, against evaluation."""

import numpy as np
import pytest
import torch
from PIL import Image

from sat2cap.model import Preprocess
from sat2cap.training.data.augment import augment_patches
from sat2cap.training.data.crops import Boxes, draw_light_boxes, draw_paper_boxes, resize_crops
from sat2cap.training.run import Augment

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


def natural_images(count: int, size: int) -> torch.Tensor:
    """Return uint8 images whose amplitudes fall with frequency as those of photographs do."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(count, 3, size, size))) / frequency
    images = np.fft.ifft2(spectrum).real
    images = 128 + 35 * (images - images.mean((2, 3), keepdims=True)) / images.std((2, 3), keepdims=True)
    return torch.from_numpy(images.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1).copy())


def high_pass_energy(images: torch.Tensor) -> float:
    """Return the mean energy above half of the highest frequency."""
    spectrum = torch.fft.fft2(images).abs() ** 2
    frequency = torch.hypot(
        torch.fft.fftfreq(images.shape[-1])[:, None], torch.fft.fftfreq(images.shape[-1])[None]
    )
    return float(spectrum[..., frequency > 0.25].mean())


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("size", [9, 16, 48])
def test_crops_are_those_of_pillow(name: str, size: int) -> None:
    pixels = torch.from_numpy(np.random.default_rng(1).integers(90, 166, (2, 40, 40, 3), dtype=np.uint8))
    boxes = Boxes(*(torch.tensor(side) for side in ([0.0, 3.0], [0.0, 10.0], [40.0, 33.0], [40.0, 21.0])))
    ours = resize_crops(pixels, boxes, size, name).permute(0, 2, 3, 1).numpy() * 255
    for image, (left, top, right, bottom), crop in zip(
        pixels.numpy(), [(0, 0, 40, 40), (10, 3, 31, 36)], ours, strict=True
    ):
        square = Image.fromarray(image).crop((left, top, right, bottom)).resize((size, size), FILTERS[name])
        assert np.abs(np.asarray(square, float) - crop).max() <= 1.6  # Pillow rounds after each direction


def test_training_sees_as_fine_a_picture_as_evaluation() -> None:
    pixels = natural_images(8, 200)
    preprocess = Preprocess(56, mean=(0, 0, 0), std=(1, 1, 1), resample="bilinear")
    evaluation = high_pass_energy(preprocess.images(pixels.numpy()))
    plain = Augment(kind="light", colour=0)
    for repeat in range(3):
        energy = high_pass_energy(augment_patches(pixels, plain, preprocess, repeat))
        assert energy == pytest.approx(evaluation, rel=0.1)
    skipping = pixels.permute(0, 3, 1, 2)[:, :, 2::4, 2::4][..., :50, :50].float() / 255
    assert high_pass_energy(skipping) > 1.5 * evaluation, "the measure sees aliasing"


def test_drawn_boxes_lie_inside_and_have_the_areas_and_ratios_that_are_asked_for() -> None:
    generator = torch.Generator().manual_seed(0)
    light, paper = draw_light_boxes(0.5, 100, 4000, generator), draw_paper_boxes(100, 4000, generator)
    for boxes, furthest in ((light, 28), (paper, 60)):
        for start, length in ((boxes.top, boxes.height), (boxes.left, boxes.width)):
            assert float(start.min()) >= 0
            assert float((start + length).max()) <= 100 + 1e-3
            assert float(start.max()) > furthest
    share = light.height * light.width / 1e4
    assert float(share.min()) == pytest.approx(0.5, abs=0.01)
    assert float(share.mean()) == pytest.approx(0.75, abs=0.01)
    share, ratio = paper.height * paper.width / 1e4, (paper.width / paper.height).log()
    assert float(share.min()) == pytest.approx(0.08, abs=0.01)
    assert float(share.mean()) == pytest.approx(0.478, abs=0.01), "large and oblong ones do not fit"
    assert float(ratio.abs().max()) == pytest.approx(np.log(4 / 3), abs=0.1)
    assert float(ratio.mean()) == pytest.approx(0, abs=0.01)
    assert torch.equal(paper.top, paper.top.round())
