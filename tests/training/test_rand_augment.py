"""RandAugment: the published tables of strengths, and each operation against Pillow's."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from sat2cap.model import Preprocess
from sat2cap.training.data.augment import augment_patches
from sat2cap.training.data.rand_augment import OPERATIONS, SIGNED, draw_operations, rand_augment, strengths
from sat2cap.training.run import Augment

SIZE = 48
NAMES = list(OPERATIONS)
ANGLE = math.radians(9)
MIDDLE = SIZE / 2


def affine(image: Image.Image, *matrix: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST)


BY_PILLOW: dict[str, Callable[[Image.Image], Image.Image]] = {
    "identity": lambda image: image,
    "shear_x": lambda image: affine(image, 1, 0.09, 0, 0, 1, 0),
    "shear_y": lambda image: affine(image, 1, 0, 0, 0.09, 1, 0),
    "translate_x": lambda image: affine(image, 1, 0, -6, 0, 1, 0),
    "translate_y": lambda image: affine(image, 1, 0, 0, 0, 1, -6),
    "rotate": lambda image: image.rotate(9, Image.Resampling.NEAREST),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.27),
    "colour": lambda image: ImageEnhance.Color(image).enhance(1.27),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.27),
    "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(1.27),
    "posterize": lambda image: ImageOps.posterize(image, 7),
    "solarize": lambda image: ImageOps.solarize(image, 178.5),  # type: ignore[arg-type]
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
}


@pytest.fixture
def images() -> np.ndarray:
    """Photograph-like images that use a part of the values only."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(40, 210, (6, 6, 6, 3)).astype(np.uint8)
    smooth = [np.asarray(Image.fromarray(c).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) for c in coarse]
    return np.stack(smooth)


def apply(images: np.ndarray, name: str, sign: int = 1) -> np.ndarray:
    """Return the images after one round of one operation, uint8."""
    planes = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    chosen = torch.full((1, len(images)), NAMES.index(name))
    changed = rand_augment(planes, chosen, torch.full((1, len(images)), sign))
    return (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_the_published_tables_of_strengths() -> None:
    table = strengths(331)
    ends = {name: (float(values[0]), float(values[30])) for name, values in table.items()}
    assert ends["shear_x"] == ends["shear_y"] == pytest.approx((0, 0.3))
    assert ends["translate_x"] == ends["translate_y"] == pytest.approx((0, 150))
    assert ends["rotate"] == pytest.approx((0, 30))
    for name in ("brightness", "colour", "contrast", "sharpness"):
        assert ends[name] == pytest.approx((0, 0.9))
    assert ends["solarize"] == pytest.approx((255, 0))
    bits = [8, 8, 8, 8, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 6, 6, 5, 5, 5, 5, 5, 5, 5, 5, 4, 4, 4, 4]
    assert table["posterize"].tolist() == bits
    assert all(len(values) == 31 for values in table.values())
    assert list(table) == NAMES
    assert len(NAMES) == 14
    assert not any("invert" in name for name in NAMES)
    assert [n for n in NAMES if n not in SIGNED] == [
        "identity",
        "posterize",
        "solarize",
        "autocontrast",
        "equalize",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_pillows(images: np.ndarray, name: str) -> None:
    ours = apply(images, name).astype(int)
    theirs = np.stack([np.asarray(BY_PILLOW[name](Image.fromarray(image))) for image in images]).astype(int)
    moves = name.startswith(("shear", "translate", "rotate"))
    if moves:  # a position on the edge of two pixels may fall to either
        assert (np.abs(ours - theirs).max(-1) > 0).mean() < 0.01
    else:
        assert np.abs(ours - theirs).max() <= 1
    assert name == "identity" or not np.array_equal(ours, images)


@pytest.mark.parametrize("name", sorted(SIGNED))
def test_signs_go_both_ways(images: np.ndarray, name: str) -> None:
    up, down = apply(images, name, 1).astype(float), apply(images, name, -1).astype(float)
    assert not np.array_equal(up, down)
    if name == "brightness":
        assert up.mean() == pytest.approx(1.27 * images.mean(), rel=0.03)
        assert down.mean() == pytest.approx(0.73 * images.mean(), rel=0.03)


def test_each_image_has_operations_of_its_own_all_alike_often() -> None:
    chosen, signs = draw_operations(5000, torch.Generator().manual_seed(0))
    assert chosen.shape == signs.shape == (3, 5000)
    assert len(torch.unique(chosen, dim=1).T) > 2000
    counts = torch.bincount(chosen.ravel(), minlength=14)
    assert len(counts) == 14
    assert float(counts.min()) > 0.9 * 15000 / 14
    assert float(signs.float().mean()) == pytest.approx(0, abs=0.03)


def test_brightness_stays_what_it_was_in_the_mean() -> None:
    pixels = torch.randint(0, 256, (300, 1, 1, 3), dtype=torch.uint8).expand(300, 24, 24, 3)
    preprocess = Preprocess(16, mean=(0, 0, 0), std=(1, 1, 1))
    changed = augment_patches(pixels, Augment(kind="paper"), preprocess, 0)
    # rotations, shears and shifts fill a part of some patches with black: 0.055 less in the mean of 30 seeds
    assert float(changed.mean()) == pytest.approx(float(pixels.float().mean() / 255) - 0.055, abs=0.03)


def test_a_share_of_a_batch_is_augmented_as_in_the_whole() -> None:
    pixels = torch.randint(0, 256, (12, 24, 24, 3), dtype=torch.uint8)
    preprocess, settings = Preprocess(16), Augment(kind="paper")
    whole = augment_patches(pixels, settings, preprocess, 7)
    part = augment_patches(pixels[5:9], settings, preprocess, 7, first=5, total=12)
    torch.testing.assert_close(part, whole[5:9])
