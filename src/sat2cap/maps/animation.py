"""Animations of one prompt through months or hours: GIF and MP4."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.maps.colours import paint_of
from sat2cap.maps.decoration.fonts import fonts_for
from sat2cap.maps.layers import layers_of, provenance
from sat2cap.maps.options import DEFAULT_OPTIONS, MapOptions
from sat2cap.maps.picture import draw_page, page_words
from sat2cap.progress import Progress, silent

Frame = NDArray[np.uint8]
"""RGB, ``[h, w, 3]``."""

_DPI = 100
_FRAME_S = 0.5
"""Duration of each frame, seconds."""


def write_gif(
    score: xr.DataArray, path: Path | str, options: MapOptions = DEFAULT_OPTIONS, progress: Progress = silent
) -> None:
    """Publish a GIF with a frame for each date of a score ``(time, y, x)``, all in the same colours.

    Frames last half a second, in an endless loop; provenance is in the comment. Raises `InputError` unless
    the score is one prompt at 2 dates or more.
    """
    images = [Image.fromarray(frame) for frame in _draw_frames(score, options, progress)]
    samples = Image.new("RGB", (images[0].width, images[0].height * min(len(images), 4)))
    for i in range(min(len(images), 4)):  # colours are chosen from all seasons, then kept: none may flicker
        samples.paste(images[i * len(images) // min(len(images), 4)], (0, i * images[0].height))
    palette = samples.quantize(256, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    about = "\n".join(f"{name}: {text}" for name, text in provenance(score).items())
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=round(_FRAME_S * 1000),
        loop=0,
        comment=about.encode(),
        disposal=1,
    )
    write_bytes(path, buffer.getvalue())


def write_mp4(
    score: xr.DataArray, path: Path | str, options: MapOptions = DEFAULT_OPTIONS, progress: Progress = silent
) -> None:
    """Publish the frames of `write_gif` as H.264 video, which is smaller and plays in every browser.

    Raises `InputError` if PyAV is missing, or unless the score is one prompt at 2 dates or more.
    """
    av = _import_pyav(path)
    frames = _pad_to_even(list(_draw_frames(score, options, progress)))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        texts = provenance(score)
        file.metadata["title"] = texts.get("prompt", "")
        file.metadata["comment"] = "\n".join(f"{name}: {text}" for name, text in texts.items())
        stream = file.add_stream("libx264", rate=round(1 / _FRAME_S), options={"crf": "18"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"  # the one that every browser and phone plays
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))
    write_bytes(path, buffer.getvalue())


def _draw_frames(score: xr.DataArray, options: MapOptions, progress: Progress) -> Iterator[Frame]:
    """Yield the page of each date, all of the size of the first. Raises `InputError`."""
    layers = layers_of(score)
    if score.dims != ("time", "y", "x") or len(layers) < 2:
        raise InputError(
            f"an animation shows one prompt at 2 or more dates, not {len(layers)} maps of dims {score.dims}"
            "; give --months, --hours or several --when"
        )
    norm = paint_of(score).norm
    limits = float(norm.vmin or 0), float(norm.vmax or 0)
    size: tuple[int, int] | None = None
    with fonts_for(page_words(score, options)):
        for done, layer in enumerate(layers, 1):
            figure = draw_page(layer, options, limits=limits, dpi=_DPI)
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
            size = size or (pixels.shape[0], pixels.shape[1])
            yield _fit_to_size(pixels, size)
            progress("drawing frames", done, len(layers))


def _fit_to_size(pixels: Frame, size: tuple[int, int]) -> Frame:
    """Return a frame cut or padded with white to (height, width): a longer date may need one more line."""
    frame = np.full((*size, 3), 255, np.uint8)
    height, width = min(size[0], pixels.shape[0]), min(size[1], pixels.shape[1])
    frame[:height, :width] = pixels[:height, :width]
    return frame


def _pad_to_even(frames: Sequence[Frame]) -> list[Frame]:
    """Pad frames to an even height and width, as pixel format yuv420p requires."""
    height, width = frames[0].shape[:2]
    return [_fit_to_size(frame, (height + height % 2, width + width % 2)) for frame in frames]


def _import_pyav(path: Path | str) -> Any:
    """Return the module `av`. Raises `InputError` if it is not installed."""
    try:
        import av
    except ImportError:
        raise InputError(
            f"{str(path)!r}: video needs PyAV; pip install 'sat2cap[video]', or write a .gif"
        ) from None
    return av
