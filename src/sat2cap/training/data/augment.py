"""Overhead patches as the tower sees them in training: varied, resized, normalised, on any device."""

import torch
from torch import Tensor
from torch.nn import functional

from sat2cap.model import Preprocess
from sat2cap.training.run import Augment

_LUMA = (0.299, 0.587, 0.114)


def augment(
    pixels: Tensor,
    settings: Augment,
    preprocess: Preprocess,
    seed: int,
    *,
    first: int = 0,
    total: int | None = None,
) -> Tensor:
    """uint8 `[b, P, P, 3]` to float32 `[b, 3, S, S]`, normalised; the same for the same `seed`.

    The patches are those from `first` on of a batch of `total`, and each varies as it would in the whole
    batch (but for ``paper``, where kornia draws for what it is given). Draws come from the processor whatever
    the device, so a run on other devices, or on more of them, sees the same variations.
    """
    mine = slice(first, first + len(pixels))
    total = mine.stop if total is None else total
    images = pixels.permute(0, 3, 1, 2).float() / 255
    if settings.kind == "light":
        draws = torch.Generator().manual_seed(seed)
        images = _turn_and_crop(images, _thetas(settings, total, draws)[mine], preprocess.size)
        images = _recolour(images, _factors(settings.colour, total, draws)[:, mine])
    elif settings.kind == "paper":
        images = _paper(images, preprocess.size, seed + first)
    elif images.shape[-1] != preprocess.size:
        size = (preprocess.size, preprocess.size)
        images = functional.interpolate(images, size, mode="bicubic", antialias=True).clamp(0, 1)
    mean = torch.tensor(preprocess.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).view(3, 1, 1)
    return (images - mean) / std


def _thetas(settings: Augment, count: int, draws: torch.Generator) -> Tensor:
    """`[N, 2, 3]`: one of the eight symmetries of the square and a square crop, each sample its own."""
    area = settings.min_area + (1 - settings.min_area) * torch.rand(count, generator=draws)
    side = area.sqrt()
    shift = (torch.rand(count, 2, generator=draws) * 2 - 1) * (1 - side)[:, None]
    turn = torch.randint(0, 4, (count,), generator=draws)
    flip = torch.randint(0, 2, (count,), generator=draws) * 2 - 1
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


def _turn_and_crop(images: Tensor, thetas: Tensor, size: int) -> Tensor:
    """Turned, cropped and resized in one resampling."""
    shape = [len(images), 3, size, size]
    grid = functional.affine_grid(thetas.to(images.device), shape, align_corners=False)
    varied: Tensor = functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return varied


def _factors(most: float, count: int, draws: torch.Generator) -> Tensor:
    """`[3, N, 1, 1, 1]`: of brightness, contrast and saturation, within `most` of 1."""
    return 1 + most * (2 * torch.rand(3, count, 1, 1, 1, generator=draws) - 1)


def _recolour(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast and saturation, each sample its own."""
    brightness, contrast, saturation = factors.to(images.device)
    luma = torch.tensor(_LUMA, device=images.device).view(3, 1, 1)
    grey = (images * luma).sum(dim=1, keepdim=True)
    images = grey + saturation * (images - grey)
    middle = grey.mean(dim=(1, 2, 3), keepdim=True)
    recoloured: Tensor = (middle + contrast * (images - middle)) * brightness
    return recoloured.clamp(0, 1)


def _paper(images: Tensor, size: int, seed: int) -> Tensor:
    """RandomResizedCrop (bicubic) and three operations of RandAugment, as in the authors' code, by kornia.

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
