"""Augmentation of overhead patches: geometry, colour, resizing and normalisation, on any device."""

import torch
from torch import Tensor
from torch.nn import functional

from sat2cap.model import Preprocess
from sat2cap.training.run import Augment

_LUMA = (0.299, 0.587, 0.114)


def augment_patches(
    pixels: Tensor,
    settings: Augment,
    preprocess: Preprocess,
    seed: int,
    *,
    first: int = 0,
    total: int | None = None,
) -> Tensor:
    """Augment uint8 patches of shape (b, P, P, 3); return normalised float32 images of shape (b, 3, S, S).

    Equal seeds give equal results. The patches are rows `first` to `first + b` of a batch of `total`;
    each is augmented as in the whole batch (except with ``paper``, where kornia draws random numbers
    for the patches at hand). Random numbers are drawn on the CPU, so that a run on other devices, or on more
    of them, sees the same augmentations.
    """
    own_rows = slice(first, first + len(pixels))
    total = own_rows.stop if total is None else total
    images = pixels.permute(0, 3, 1, 2).float() / 255
    if settings.kind == "light":
        generator = torch.Generator().manual_seed(seed)
        images = _turn_and_crop(
            images, _draw_affine_matrices(settings, total, generator)[own_rows], preprocess.size
        )
        images = _adjust_colours(images, _draw_colour_factors(settings.colour, total, generator)[:, own_rows])
    elif settings.kind == "paper":
        images = _augment_as_paper(images, preprocess.size, seed + first)
    elif images.shape[-1] != preprocess.size:
        size = (preprocess.size, preprocess.size)
        images = functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean = torch.tensor(preprocess.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).view(3, 1, 1)
    return (images - mean) / std


def _draw_affine_matrices(settings: Augment, count: int, generator: torch.Generator) -> Tensor:
    """Draw one affine matrix per sample: float32, shape (N, 2, 3), for `functional.affine_grid`.

    Each combines one of the eight symmetries of the square with a square crop that covers between
    `settings.min_area` and all of the patch.
    """
    area = settings.min_area + (1 - settings.min_area) * torch.rand(count, generator=generator)
    side = area.sqrt()
    shift = (torch.rand(count, 2, generator=generator) * 2 - 1) * (1 - side)[:, None]
    turn = torch.randint(0, 4, (count,), generator=generator)
    flip = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    if not settings.turns:
        turn, flip = torch.zeros_like(turn), torch.ones_like(flip)
    # Cosine and sine of the quarter turns, exact.
    cos, sin = torch.tensor([1.0, 0, -1, 0])[turn], torch.tensor([0.0, 1, 0, -1])[turn]
    return torch.stack(
        [
            torch.stack([side * cos * flip, -side * sin, shift[:, 0]], dim=1),
            torch.stack([side * sin * flip, side * cos, shift[:, 1]], dim=1),
        ],
        dim=1,
    )


def _turn_and_crop(images: Tensor, matrices: Tensor, size: int) -> Tensor:
    """Turn, crop and resize the images to (N, 3, size, size) in one bilinear resampling."""
    shape = [len(images), 3, size, size]
    grid = functional.affine_grid(matrices.to(images.device), shape, align_corners=False)
    varied: Tensor = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return varied


def _draw_colour_factors(max_change: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw brightness, contrast and saturation factors, shape (3, N, 1, 1, 1), within `max_change` of 1."""
    return 1 + max_change * (2 * torch.rand(3, count, 1, 1, 1, generator=generator) - 1)


def _adjust_colours(images: Tensor, factors: Tensor) -> Tensor:
    """Scale the brightness, contrast and saturation of each image by its own factors, within [0, 1]."""
    brightness, contrast, saturation = factors.to(images.device)
    luma = torch.tensor(_LUMA, device=images.device).view(3, 1, 1)
    grey = (images * luma).sum(dim=1, keepdim=True)
    images = grey + saturation * (images - grey)
    middle = grey.mean(dim=(1, 2, 3), keepdim=True)
    recoloured: Tensor = (middle + contrast * (images - middle)) * brightness
    return recoloured.clamp(0, 1)


def _augment_as_paper(images: Tensor, size: int, seed: int) -> Tensor:
    """Apply RandomResizedCrop (bicubic) and three RandAugment operations with kornia, as the authors do.

    kornia picks the same three operations for the whole batch, with strengths of each sample's own.
    """
    from kornia.augmentation import RandomResizedCrop
    from kornia.augmentation.auto import RandAugment

    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)  # kornia draws from the global state
        crop = RandomResizedCrop((size, size), resample="BICUBIC", cropping_mode="resample")
        images = crop(images).clamp(0, 1)
        varied: Tensor = RandAugment(n=3, m=9)(images)
    return varied.clamp(0, 1)
