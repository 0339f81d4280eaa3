"""Augmentation of overhead patches: geometry, colour, resizing and normalisation, on any device."""

import torch
from torch import Tensor

from sat2cap.model import Preprocess
from sat2cap.training.data.crops import Boxes, draw_light_boxes, draw_paper_boxes, resize_crops
from sat2cap.training.data.rand_augment import draw_operations, rand_augment
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

    Equal seeds give equal results. The patches are rows `first` to `first + b` of a batch of `total`; each is
    augmented as in the whole batch. Random numbers are drawn on the CPU, so that a run on other devices, or
    on more of them, sees the same augmentations. Patches are resized as at evaluation, with antialiasing:
    ``none`` and ``light`` by the filter of `preprocess`, ``paper`` by bicubic interpolation (the authors').
    """
    own_rows = slice(first, first + len(pixels))
    total = own_rows.stop if total is None else total
    source, size = pixels.shape[1], preprocess.size
    generator = torch.Generator().manual_seed(seed)
    if settings.kind == "light":
        boxes = draw_light_boxes(settings.min_area, source, total, generator)
        turns = torch.randint(0, 8 if settings.turns else 1, (total,), generator=generator)
        factors = _draw_colour_factors(settings.colour, total, generator)
        crops, turns = _own_boxes(boxes, own_rows), turns[own_rows]
        images = resize_crops(pixels, crops, size, preprocess.resample, turns)
        images = _adjust_colours(images, factors[:, own_rows])
    elif settings.kind == "paper":
        boxes = draw_paper_boxes(source, total, generator)
        chosen, signs = draw_operations(total, generator)
        images = resize_crops(pixels, _own_boxes(boxes, own_rows), size, "bicubic")
        images = rand_augment(images, chosen[:, own_rows], signs[:, own_rows])
    elif source == size:
        images = pixels.permute(0, 3, 1, 2).float() / 255
    else:
        images = resize_crops(pixels, Boxes.whole(len(pixels), source), size, preprocess.resample)
    mean = torch.tensor(preprocess.mean, device=images.device).view(3, 1, 1)
    std = torch.tensor(preprocess.std, device=images.device).view(3, 1, 1)
    return images.sub_(mean).div_(std)


def _own_boxes(boxes: Boxes, rows: slice) -> Boxes:
    return boxes.rows(rows.start, rows.stop)


def _draw_colour_factors(max_change: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw brightness, contrast and saturation factors, shape (3, N, 1, 1, 1), within `max_change` of 1."""
    return 1 + max_change * (2 * torch.rand(3, count, 1, 1, 1, generator=generator) - 1)


def _adjust_colours(images: Tensor, factors: Tensor) -> Tensor:
    """Scale the brightness b, contrast c and saturation s of each image `[N, 3, S, S]`, within [0, 1].

    With grey = luma · image and its mean, the three steps one after the other are::

        image <- grey + s (image - grey)
        image <- mean + c (image - mean)
        image <- b image

    Together they are one 3 x 3 matrix for the colours of each image, and one number added.
    """
    brightness, contrast, saturation = factors.flatten(2).to(images.device)  # [N, 1] each
    luma = torch.tensor(_LUMA, device=images.device)
    middle = images.mean(dim=(2, 3)) @ luma[:, None]
    gain = (brightness * contrast)[..., None]
    colours = gain * (saturation[..., None] * torch.eye(3, device=images.device))
    colours += gain * (1 - saturation[..., None]) * luma
    offset = brightness * (1 - contrast) * middle
    recoloured = torch.baddbmm(offset[..., None], colours, images.flatten(2))
    return recoloured.clamp_(0, 1).view_as(images)
