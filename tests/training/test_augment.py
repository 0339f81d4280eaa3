"""Variations of patches."""

import numpy as np
import pytest
import torch

from sat2cap.model.preprocess import Preprocess
from sat2cap.training.data.augment import augment_patches
from sat2cap.training.run import Augment

PLAIN = Preprocess(16, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


@pytest.fixture
def patches() -> torch.Tensor:
    values = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    return torch.from_numpy(values)


def test_none_is_the_checkpoints_own_preprocessing(patches: torch.Tensor) -> None:
    preprocess = Preprocess(16)
    augmented = augment_patches(patches, Augment(kind="none"), preprocess, 0)
    np.testing.assert_allclose(augmented.numpy(), preprocess.images(patches.numpy()).numpy(), atol=1e-5)


def test_turns_are_the_eight_symmetries_of_the_square(patches: torch.Tensor) -> None:
    augmented = augment_patches(patches, Augment(min_area=1, colour=0), PLAIN, 1)
    images = patches.permute(0, 3, 1, 2).float() / 255
    used = set()
    for image, turned in zip(images, augmented, strict=True):
        ways = {
            (k, flip): torch.rot90(image.flip(-1) if flip else image, k, (1, 2))
            for k in range(4)
            for flip in (False, True)
        }
        right = [way for way, expected in ways.items() if (expected - turned).abs().max() < 1e-3]
        assert len(right) == 1
        used.add(right[0])
    assert len(used) == 8


def test_crops_stay_inside_and_within_the_area() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).repeat(64, 1)  # value = column
    patches = ramp[None, :, :, None].expand(200, 64, 64, 3)
    augmented = augment_patches(patches, Augment(turns=False, min_area=0.5, colour=0), PLAIN, 2)[:, 0] * 255
    widths = (augmented[:, 0, -1] - augmented[:, 0, 0]) / 15 * 16 / 64
    assert float(widths.min()) == pytest.approx(0.5**0.5, abs=0.05)
    assert float(widths.max()) == pytest.approx(1, abs=0.05)
    assert float(augmented.min()) >= 0
    assert float(augmented.max()) <= 63
    assert float(augmented[:, 0, 0].std()) > 1


def test_colour_changes_within_its_bound(patches: torch.Tensor) -> None:
    grey = torch.full((50, 16, 16, 3), 100, dtype=torch.uint8)
    augmented = augment_patches(grey, Augment(turns=False, min_area=1, colour=0.2), PLAIN, 3) * 255
    assert float(augmented.min()) >= 80 - 1e-3
    assert float(augmented.max()) <= 120 + 1e-3
    assert float(augmented.mean(dim=(1, 2, 3)).std()) > 5


@pytest.mark.parametrize("kind", ["light", "paper"])
def test_the_seed_decides_and_the_global_state_is_left_alone(patches: torch.Tensor, kind: str) -> None:
    settings = Augment(kind=kind)  # type: ignore[arg-type]
    before = torch.random.get_rng_state()
    first = augment_patches(patches[:8], settings, PLAIN, 5)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(3)
    assert torch.equal(first, augment_patches(patches[:8], settings, PLAIN, 5))
    assert not torch.equal(first, augment_patches(patches[:8], settings, PLAIN, 6))
    assert first.shape == (8, 3, 16, 16)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
