"""Pictures that travel inside a page, as ``data:`` addresses."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.maps import COLOURS, overlay_opacity

Values = NDArray[np.floating]

_ENDS = (0.5, 99.5)  # percentiles that the ends of the colours stand for


@dataclass(frozen=True)
class Picture:
    """An image that a page shows without asking anybody for it."""

    uri: str
    """``data:image/...;base64,...``."""
    width: int
    height: int
    alt: str
    """What it shows, in words."""


def photo(pixels: NDArray[np.uint8], alt: str, *, quality: int = 82) -> Picture:
    """Colours uint8 `[h, w, 3 or 4]` as JPEG; an alpha channel is left out."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return Picture(_uri("jpeg", buffer.getvalue()), image.width, image.height, alt)


def encoded(jpeg: bytes, alt: str) -> Picture:
    """A JPEG file as it is."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return Picture(_uri("jpeg", jpeg), image.width, image.height, alt)


def limits_of(*layers: Values) -> tuple[float, float]:
    """The values of the first and the last colour for maps that are compared; NaN is left out."""
    known = np.concatenate([layer[np.isfinite(layer)].ravel() for layer in layers])
    if known.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, _ENDS))
    return (low, high) if low < high else (low - 1e-6, low + 1e-6)


def colour_map(values: Values, alt: str, limits: tuple[float, float] | None = None) -> Picture:
    """A map `[h, w]`, one pixel a cell, from dark to light; NaN is transparent."""
    shares = _shares(values, limits)
    # 255 colours and one index for no data: a palette makes a quarter of the bytes of RGBA
    index = np.where(np.isfinite(values), np.round(np.nan_to_num(shares) * 254), 255).astype(np.uint8)
    image = Image.fromarray(index, "P")
    colours = (COLOURS(np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette([*colours.ravel().tolist(), 255, 255, 255])
    return _png(image, alt, transparency=255)


def overlay(values: Values, alt: str, limits: tuple[float, float] | None = None) -> Picture:
    """A map `[h, w]` to lie over imagery, one pixel a cell: low values let it show, high ones glow.

    Without `limits` the lower half of the cells lets all of it show.
    """
    if limits is None:
        middle, (_, high) = float(np.nanmedian(values)), limits_of(values)
        limits = (middle, high) if middle < high else limits_of(values)
    shares = np.nan_to_num(_shares(values, limits))
    rgba = (COLOURS(shares) * 255).round().astype(np.uint8)
    rgba[..., 3] = np.where(np.isfinite(values), overlay_opacity(shares.astype(np.float32)) * 255, 0).astype(
        np.uint8
    )
    return _png(Image.fromarray(rgba), alt)


def colour(share: float) -> str:
    """``#rrggbb`` of a share, 0 to 1."""
    red, green, blue = (round(255 * part) for part in COLOURS(float(share))[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"


def _shares(values: Values, limits: tuple[float, float] | None) -> Values:
    low, high = limits_of(values) if limits is None else limits
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _png(image: Image.Image, alt: str, transparency: int | None = None) -> Picture:
    buffer = io.BytesIO()
    if transparency is None:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "PNG", optimize=True, transparency=transparency)
    return Picture(_uri("png", buffer.getvalue()), image.width, image.height, alt)


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
