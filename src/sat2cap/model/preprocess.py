"""Preprocessing of images for a tower: the values of transformers' CLIP processor, computed faster."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError, quote

# Imported when there are pixels: asking with texts needs the settings alone.
if TYPE_CHECKING:
    import torch
    from PIL import Image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

AnyImage: TypeAlias = "Image.Image | NDArray[np.uint8]"
"""A Pillow image of any mode, or uint8 `[H, W, 3]`."""

Filter = Literal["nearest", "bilinear", "bicubic", "lanczos"]
"""Pillow's filters by name."""

_MAX_EDGE_PX = 10_000
_CACHED_VALUES = 3 * 224**2  # values normalised at once: more would leave the cache between the steps


@dataclass(frozen=True)
class Preprocess:
    """Centre crop (optional), resize of the shorter edge, centre crop to a square, normalisation.

    With `squash`, one resize to a square in place of the resize and crop.
    """

    size: int
    """Width and height of the output in pixels."""
    mean: tuple[float, float, float] = CLIP_MEAN
    """Mean of each channel, in 0-1."""
    std: tuple[float, float, float] = CLIP_STD
    """Standard deviation of each channel, in 0-1."""
    resample: Filter = "bicubic"
    crop: int | None = None
    """Width and height in pixels of a centre crop taken **before** resizing; None takes the whole image."""
    shortest_edge: int | None = None
    """Length in pixels to which the shorter edge is resized before the last crop; None for `size`."""
    squash: bool = False
    """Whether to resize to a square whatever the aspect ratio, as SigLIP does, instead of cropping."""

    def __post_init__(self) -> None:
        """Raise `ModelError` for settings that could only fail later."""
        edges = [edge for edge in (self.size, self.crop, self.shortest_edge) if edge is not None]
        if not all(type(edge) is int and 1 <= edge <= _MAX_EDGE_PX for edge in edges):
            raise ModelError(
                f"preprocessing to {edges} px: an edge is a whole number from 1 to {_MAX_EDGE_PX}"
            )
        if (self.shortest_edge or self.size) < self.size:
            raise ModelError(
                f"preprocessing to {self.size} px from {self.shortest_edge} px: resize to at least the size"
            )
        if self.resample not in get_args(Filter):
            raise ModelError(
                f"resample {self.resample!r} is not known: give one of {', '.join(get_args(Filter))}"
            )
        channels = np.array([*self.mean, *self.std], float)
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite(channels).all() or min(self.std) <= 0:
            raise ModelError(
                f"mean {self.mean} and std {self.std} must be three numbers each, std above zero"
            )

    def with_size(self, size: int) -> "Preprocess":
        """Return the same preprocessing for an output of `size` by `size` pixels.

        The shorter edge is resized to `size`, too.
        """
        return replace(self, size=size, shortest_edge=None)

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain JSON values; `squash` is left out unless it is set.

        Atlases and checkpoints are identified by a hash of these values. `squash` was added later, so leaving
        it out keeps the identity of what was made before.
        """
        values = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        return values if self.squash else {name: value for name, value in values.items() if name != "squash"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Preprocess":
        """Return preprocessing from what `as_dict` returned, such as a field of ``sat2cap.json``.

        Raises `ModelError` if a field is missing, is not known, or has a value that cannot be.
        """
        try:
            fields = {**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])}
            return cls(**fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"preprocessing {quote(values)} cannot be read ({quote(error)}): save the checkpoint again"
            ) from error

    def images(
        self, images: Sequence[AnyImage] | NDArray[np.uint8], dtype: "torch.dtype | None" = None
    ) -> "torch.Tensor":
        """Return normalised pixels `[B, 3, size, size]` of a list of images, or of uint8 `[B, H, W, 3]`.

        They are computed in float32 and rounded to `dtype`, None for float32, at the end.
        """
        return self.normalise(self.pixels(images), dtype)

    def pixels(self, images: Sequence[AnyImage] | NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return images cropped and resized but not normalised, uint8 `[B, size, size, 3]`.

        An array that already has this shape is returned without a copy if no step would change it.
        """
        if isinstance(images, np.ndarray) and images.ndim == 4:
            _check_array(images[0] if len(images) else np.zeros((1, 1, 3), np.uint8))
            if images.shape[1:3] == (self.size, self.size) and self._leaves_square_unchanged():
                return images
        if len(images) == 0:
            return np.zeros((0, self.size, self.size, 3), np.uint8)
        return np.stack([self._crop_and_resize(image) for image in images])

    def _leaves_square_unchanged(self) -> bool:
        """Return whether an image of `size` by `size` pixels passes unchanged."""
        return self.shortest_edge in (None, self.size) and (self.crop is None or self.crop >= self.size)

    def _crop_and_resize(self, image: AnyImage) -> NDArray[np.uint8]:
        """Crop and resize one image to uint8 `[size, size, 3]`."""
        from PIL import Image

        from sat2cap.pictures import upright_picture

        if isinstance(image, np.ndarray):
            _check_array(image)
            if image.shape[:2] == (self.size, self.size) and self._leaves_square_unchanged():
                return image
            image = Image.fromarray(image)
        image = upright_picture(image)
        if self.crop is not None:
            image = _centre_crop(image, min(self.crop, image.width), min(self.crop, image.height))
        width, height = self._resized_shape(image.size)
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling[self.resample.upper()])
        return np.asarray(_centre_crop(image, self.size, self.size))

    def _resized_shape(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return (width, height) before the last crop, for an image of `size` (width, height)."""
        if self.squash:
            return self.size, self.size
        edge, short = self.shortest_edge or self.size, min(size)
        # Truncation, not rounding, of the longer edge: what both transformers and torchvision do.
        return int(edge * size[0] / short), int(edge * size[1] / short)

    def normalise(
        self,
        pixels: NDArray[np.uint8],
        dtype: "torch.dtype | None" = None,
        device: "torch.device | None" = None,
    ) -> "torch.Tensor":
        """Return `pixels` that were cropped and resized, uint8 `[B, S, S, 3]`, as `images` returns them.

        With a `device`, bytes are copied to it, a quarter of the size of floats, and normalised there.
        """
        import torch

        planes = torch.from_numpy(np.require(pixels, requirements="W")).permute(
            0, 3, 1, 2
        )  # torch warns of read-only
        dtype = dtype or torch.float32
        if device is not None and device.type != "cpu":
            return self._normalise_planes(planes.to(device)).to(dtype)
        normalised = torch.empty(planes.shape, dtype=dtype)
        batch_size = max(1, _CACHED_VALUES // (3 * self.size**2))
        for start in range(0, len(planes), batch_size):
            batch = slice(start, start + batch_size)
            normalised[batch] = self._normalise_planes(planes[batch])
        return normalised

    def _normalise_planes(self, planes: "torch.Tensor") -> "torch.Tensor":
        """Map uint8 `[B, 3, S, S]` to float32, as (value / 255 - mean) / std, on the device of `planes`.

        The order of operations, and so of roundings, is that of transformers. The divisor 255 is a tensor,
        since GPUs multiply by the reciprocal of a number.
        """
        import torch

        mean, std = (
            torch.tensor(values, device=planes.device).view(3, 1, 1) for values in (self.mean, self.std)
        )
        values = planes.to(torch.float32, memory_format=torch.contiguous_format)
        return values.div_(torch.tensor(255.0, device=planes.device)).sub_(mean).div_(std)


def _check_array(image: NDArray[Any]) -> None:
    """Raise `ModelError` unless an image is uint8 `[H, W, 3]`."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ModelError(f"image is {image.dtype} {list(image.shape)}: give uint8 [H, W, 3]")


def _centre_crop(image: "Image.Image", width: int, height: int) -> "Image.Image":
    """Return the central `width` by `height` pixels of an image that is at least as large."""
    if image.size == (width, height):
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
