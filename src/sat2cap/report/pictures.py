"""Pictures that travel inside a page, as ``data:`` addresses, and the colours of maps."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sat2cap.maps import COLOURS, overlay_opacity
from sat2cap.pictures import read_picture_size

Values = NDArray[np.floating]

_COLOUR_PERCENTILES = (0.5, 99.5)  # of the values, for the first and the last colour


@dataclass(frozen=True)
class Picture:
    """An image inside a page, which a browser shows without loading anything."""

    uri: str
    """``data:image/...;base64,...``."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    alt: str
    """Text in place of the picture, for those who cannot see it."""


def picture_from_pixels(pixels: NDArray[np.uint8], alt: str, *, quality: int = 82) -> Picture:
    """Return colours, uint8 `[H, W, 3]` or `[H, W, 4]`, as a JPEG; an alpha channel is left out."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return Picture(_data_uri("jpeg", buffer.getvalue()), image.width, image.height, alt)


def picture_from_jpeg(jpeg: bytes, alt: str) -> Picture:
    """Return the bytes of a JPEG file as a picture, unchanged."""
    width, height = read_picture_size(jpeg)
    return Picture(_data_uri("jpeg", jpeg), width, height, alt)


def picture_from_webp(webp: bytes, alt: str) -> Picture:
    """Return the bytes of a WebP file, which may be moving, as a picture, unchanged."""
    width, height = read_picture_size(webp)
    return Picture(_data_uri("webp", webp), width, height, alt)


def colour_limits(*layers: Values) -> tuple[float, float]:
    """Return the values of the first and the last colour, shared by maps that are compared.

    They are percentiles of the finite values of all `layers`, so that outliers do not take the colours;
    0 and 1 if no value is finite.
    """
    finite = np.concatenate([layer[np.isfinite(layer)].ravel() for layer in layers])
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, _COLOUR_PERCENTILES))
    return (low, high) if low < high else (low - 1e-6, low + 1e-6)


def map_picture(values: Values, alt: str, limits: tuple[float, float] | None = None) -> Picture:
    """Return a map `[H, W]` as PNG, one pixel a cell, from dark to light; NaN is transparent.

    `limits` are the values of the first and the last colour; None for those of `colour_limits`.
    """
    shares = _colour_shares(values, limits)
    # 255 colours and one index for no data: a palette makes a quarter of the bytes of RGBA
    index = np.where(np.isfinite(values), np.round(np.nan_to_num(shares) * 254), 255).astype(np.uint8)
    image = Image.fromarray(index, "P")
    colours = (COLOURS(np.linspace(0, 1, 255))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette([*colours.ravel().tolist(), 255, 255, 255])
    return _png_picture(image, alt, transparency=255)


def overlay_picture(values: Values, alt: str, limits: tuple[float, float] | None = None) -> Picture:
    """Return a map `[H, W]` as PNG to lie over imagery: low values are transparent, high ones are not.

    One pixel a cell; NaN is transparent. `limits` are the values of the first and the last colour; None for
    the median and the upper one of `colour_limits`, so that the lower half of the cells is transparent.
    """
    if limits is None:
        median, (_, high) = float(np.nanmedian(values)), colour_limits(values)
        limits = (median, high) if median < high else colour_limits(values)
    shares = np.nan_to_num(_colour_shares(values, limits))
    rgba = (COLOURS(shares) * 255).round().astype(np.uint8)
    rgba[..., 3] = np.where(np.isfinite(values), overlay_opacity(shares.astype(np.float32)) * 255, 0).astype(
        np.uint8
    )
    return _png_picture(Image.fromarray(rgba), alt)


def hex_colour(share: float) -> str:
    """Return the colour of a share, 0 to 1, on the ramp of the reports, as ``#rrggbb``."""
    red, green, blue = (round(255 * channel) for channel in COLOURS(float(share))[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour_shares(values: Values, limits: tuple[float, float] | None) -> Values:
    """Return how far each value lies from the lower to the upper limit: 0 to 1, NaN for NaN."""
    low, high = colour_limits(values) if limits is None else limits
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _png_picture(image: Image.Image, alt: str, transparency: int | None = None) -> Picture:
    buffer = io.BytesIO()
    if transparency is None:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "PNG", optimize=True, transparency=transparency)
    return Picture(_data_uri("png", buffer.getvalue()), image.width, image.height, alt)


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
