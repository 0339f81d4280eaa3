"""Images to what a tower reads: the numbers of transformers' CLIP processor on Pillow, at less cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import ModelError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

AnyImage = Image.Image | NDArray[np.uint8]
"""A Pillow image of any mode, or uint8 `[H, W, 3]`."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_IN_CACHE = 3 * 224**2  # numbers normalised at once: more would go to memory and back at each step


@dataclass(frozen=True)
class Preprocess:
    """Centre crop (optional), resize of the shorter edge, centre crop to a square, normalisation.

    With `squash`, one resize to a square in place of the resize and crop.
    """

    size: int
    """Pixels a side of what comes out."""
    mean: tuple[float, float, float] = CLIP_MEAN
    """Of each channel, in 0-1."""
    std: tuple[float, float, float] = CLIP_STD
    resample: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop: int | None = None
    """Centre crop of this many pixels a side taken **before** resizing; None takes the whole image."""
    shortest_edge: int | None = None
    """What the shorter edge is resized to before the last crop; None for `size`."""
    squash: bool = False
    """Resize to a square whatever the shape, as SigLIP does, instead of cropping one out."""

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        if self.size < 1 or (self.shortest_edge or self.size) < self.size:
            raise ModelError(
                f"preprocessing to {self.size} px from {self.shortest_edge} px: resize to at least the size"
            )
        if self.resample not in _FILTERS:
            raise ModelError(f"resample {self.resample!r} is not known: give one of {', '.join(_FILTERS)}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ModelError(
                f"mean {self.mean} and std {self.std} must be three numbers each, std above zero"
            )

    def of_size(self, size: int) -> "Preprocess":
        """The same to another number of pixels a side."""
        return replace(self, size=size, shortest_edge=None)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values; without `squash` unless it is set, as it was before there was one.

        Atlases and checkpoints are named by a hash of these values, which must stay what it is.
        """
        values = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        return values if self.squash else {name: value for name, value in values.items() if name != "squash"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocess":
        """From what `as_dict` gave; ModelError when it is something else."""
        try:
            fields = {**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])}
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"preprocessing {values} cannot be read ({error}): save the checkpoint again"
            ) from error

    def images(
        self, images: Sequence[AnyImage] | NDArray[np.uint8], dtype: torch.dtype = torch.float32
    ) -> torch.Tensor:
        """`[B, 3, size, size]` of a list of images, or of uint8 `[B, H, W, 3]`; rounded to `dtype` last."""
        return self._normalise(self.pixels(images), dtype)

    def pixels(self, images: Sequence[AnyImage] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 `[B, size, size, 3]`: everything but the normalisation."""
        if isinstance(images, np.ndarray) and images.ndim == 4:
            _check_array(images[0] if len(images) else np.zeros((1, 1, 3), np.uint8))
            if images.shape[1:3] == (self.size, self.size) and self._keeps_square():
                return images
        if len(images) == 0:
            return np.zeros((0, self.size, self.size, 3), np.uint8)
        return np.stack([self._fit(image) for image in images])

    def _keeps_square(self) -> bool:
        """Whether an image that is already `size` square passes unchanged."""
        return self.shortest_edge in (None, self.size) and (self.crop is None or self.crop >= self.size)

    def _fit(self, image: AnyImage) -> NDArray[np.uint8]:
        """One image to uint8 `[size, size, 3]`."""
        if isinstance(image, np.ndarray):
            _check_array(image)
            if image.shape[:2] == (self.size, self.size) and self._keeps_square():
                return image
            image = Image.fromarray(image)
        image = image.convert("RGB")
        if self.crop is not None:
            image = _centre_crop(image, min(self.crop, image.width), min(self.crop, image.height))
        width, height = self._resized(image.size)
        if image.size != (width, height):
            image = image.resize((width, height), _FILTERS[self.resample])
        return np.asarray(_centre_crop(image, self.size, self.size))

    def _resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height before the last crop, of an image's width and height."""
        if self.squash:
            return self.size, self.size
        edge, short = self.shortest_edge or self.size, min(size)
        # Truncation, not rounding, of the longer edge: what both transformers and torchvision do.
        return int(edge * size[0] / short), int(edge * size[1] / short)

    def _normalise(self, pixels: NDArray[np.uint8], dtype: torch.dtype) -> torch.Tensor:
        """uint8 `[B, S, S, 3]` to `[B, 3, S, S]`, in float32 and in transformers' own order of roundings."""
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        planes = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        made = torch.empty(planes.shape, dtype=dtype)
        few = max(1, _IN_CACHE // (3 * self.size**2))
        for start in range(0, len(planes), few):
            some = planes[start : start + few].to(torch.float32, memory_format=torch.contiguous_format)
            made[start : start + few] = some.div_(255).sub_(mean).div_(std)
        return made


def _check_array(image: NDArray[Any]) -> None:
    """ModelError unless uint8 `[H, W, 3]`."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ModelError(f"image is {image.dtype} {list(image.shape)}: give uint8 [H, W, 3]")


def _centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of an image at least as large as what is asked."""
    if image.size == (width, height):
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
