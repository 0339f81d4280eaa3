"""The one decoder of pictures that come from others: upright, 8 bits, within limits, from listed formats.

Photos and tiles are written by strangers. `decode_picture` therefore decides by the first bytes what a file
is, whatever it is called, and hands it only to the decoders listed here (a PostScript file would start
Ghostscript); it looks at the number of pixels before it decodes any; it reads regular files only; and it
turns everything that a decoder raises into a `PictureError`.
"""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sat2cap.errors import PictureError, Sat2CapError
from sat2cap.files import open_regular_file, read_regular_file

MAX_PIXELS = 64 * 2**20
"""Largest picture that is decoded whole, in pixels: 67 million, which take some 0.5 GB on the way."""

MAX_JPEG_PIXELS = 200_000_000
"""Largest JPEG, in pixels. Above `MAX_PIXELS` it is decoded at a half, a quarter or an eighth of its size."""

MAX_PICTURE_BYTES = 256 * 2**20
"""Largest encoded picture, in bytes."""

FORMATS = "JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF or HEIC"
"""Formats that are decoded, as messages name them."""

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Main brands of HEIC files: bytes 8 to 12, after ``ftyp`` (ISO/IEC 23008-12, annex B)."""

DECODING_VERSION = "upright"
"""Part of the names of caches made from decoded pictures; to be changed when pixels change."""

Opener = Callable[[BinaryIO], Image.Image]

_MAX_SCANS = 100
"""Passes of a progressive JPEG; encoders write about ten, and each costs the time of the whole picture."""

_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # neither a stuffed 0xFF, a restart marker nor padding
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its EXIF orientation (CIPA DC-008, Exif 2.32, section 4.6.4)."""


def decode_picture(
    source: bytes | Path,
    mode: Literal["RGB", "RGBA", "L"] = "RGB",
    *,
    at_least: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode a picture from bytes or from a file, upright and with 8 bits a channel.

    The orientation of its EXIF is applied and then forgotten, grey values of 16 bits are scaled to 8, and of
    an animation the first frame is taken. `mode` is that of the result. `at_least` is a size (width, height)
    in pixels that is enough for the caller: a JPEG, before it is turned, may then be decoded at a half, a
    quarter or an eighth of its size, which is quicker.

    Raises `PictureError`, whose text is a short reason, if the picture cannot be decoded: not a regular file,
    not one of `FORMATS`, too large (`MAX_PIXELS`, `MAX_JPEG_PIXELS`, `MAX_PICTURE_BYTES`), or broken.

    Example:
        decode_picture(Path("IMG_0001.jpg")).size    # (3024, 4032), upright
    """
    data = _read_bytes(source) if isinstance(source, Path) else source
    try:
        with _open_picture(io.BytesIO(data)) as image:
            _limit_pixels(image)
            _limit_scans(image, data)
            _reduce_jpeg(image, mode, at_least)
            image.load()
            return upright_picture(image, mode)
    except PictureError:
        raise
    except MemoryError:
        raise PictureError("there is not enough memory to decode it") from None
    except Exception as error:  # decoders raise whatever a crafted file leads them to
        raise PictureError(f"broken ({describe_failure(error)})") from error


def read_picture_size(source: bytes | Path) -> tuple[int, int]:
    """Return (width, height) of a picture as stored, before any turn, without decoding its pixels.

    Raises `PictureError` as `decode_picture` does, but not for broken pixels.
    """
    with open_header(source) as image:
        return image.size


@contextmanager
def open_header(source: bytes | Path) -> Iterator[Image.Image]:
    """Open a picture for its size, its format and its EXIF; of a file, little more than that is read.

    Raises `PictureError` if it is not a regular file, not one of `FORMATS`, has too many pixels (the EXIF of
    a PNG may come after them), or is broken; so does whatever the block raises on a broken picture.
    """
    try:
        with (
            io.BytesIO(source) if isinstance(source, bytes) else open_regular_file(source) as file,
            _open_picture(file) as image,
        ):
            _limit_pixels(image)
            yield image
    except Sat2CapError:
        raise
    except Exception as error:  # decoders raise whatever a crafted file leads them to
        reason = _lower_first(error.strerror) if isinstance(error, OSError) and error.strerror else None
        raise PictureError(reason or f"broken ({describe_failure(error)})") from error


def upright_picture(image: Image.Image, mode: Literal["RGB", "RGBA", "L"] = "RGB") -> Image.Image:
    """Return an opened picture turned as its EXIF says, with 8 bits a channel and without its metadata.

    Raises `PictureError` for pixels of 32 bits, whose range no one knows, and for a picture that is broken.
    """
    try:
        image.load()
    except Exception as error:  # decoders raise whatever a crafted file leads them to
        raise PictureError(f"broken ({describe_failure(error)})") from error
    turn = _TURNS.get(_read_orientation(image))
    scaled = image if image.mode in ("RGB", "RGBA", "L", "P") else _scale_to_8_bits(image)
    converted = scaled if turn is not None and scaled.mode == mode else scaled.convert(mode)
    turned = converted if turn is None else converted.transpose(turn)  # either is a copy
    turned.info = {}  # so that no one turns it again
    return turned


def describe_failure(error: Exception) -> str:
    """Return what a decoder raised as a short text: its first line, or the name of its class."""
    lines = str(error).splitlines()
    text = "".join(letter if letter.isprintable() else "?" for letter in lines[0]) if lines else ""
    return text[:100] or type(error).__name__


def _read_bytes(path: Path) -> bytes:
    try:
        return read_regular_file(path, MAX_PICTURE_BYTES)
    except OSError as error:
        raise PictureError(_lower_first(error.strerror or type(error).__name__)) from None


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _open_picture(file: BinaryIO) -> Image.Image:
    """Open a picture with the decoder that its first bytes call for.

    `Image.open` is not used: it would try every decoder there is, and warn of large pictures before their
    limit is known.
    """
    head = file.read(16)
    opener = _find_opener(head)
    if opener is None:
        raise PictureError(f"not {FORMATS}" if head else "empty")
    file.seek(0)
    image = opener(file)
    if isinstance(image, PngImagePlugin.PngImageFile):
        _scale_transparent_grey(image)
    return image


def _scale_transparent_grey(image: PngImagePlugin.PngImageFile) -> None:
    """Scale the transparent grey of a PNG of 2 or 4 bits to 8 bits, as Pillow does with the pixels alone."""
    steps = {"L;2": 85, "L;4": 17}.get(str(image.tile[0][3]), 1) if image.tile else 1
    if steps > 1 and isinstance(image.info.get("transparency"), int):
        image.info["transparency"] *= steps


def _find_opener(head: bytes) -> Opener | None:
    """Return the decoder for a file that begins with these 16 bytes; None if it is of no listed format."""
    if head.startswith(b"\xff\xd8\xff"):
        return JpegImagePlugin.jpeg_factory
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImagePlugin.PngImageFile
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WebPImagePlugin.WebPImageFile
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return TiffImagePlugin.TiffImageFile
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GifImagePlugin.GifImageFile
    if head.startswith(b"BM"):
        return BmpImagePlugin.BmpImageFile
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return AvifImagePlugin.AvifImageFile
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        return _open_heic
    return None


def _open_heic(file: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise PictureError("HEIC is read with an extra; install it: pip install 'sat2cap[heic]'") from None
    image: Image.Image = HeifImageFile(file)  # type: ignore[no-untyped-call]
    return image


def _limit_pixels(image: Image.Image) -> None:
    """Raise `PictureError` for a picture that has too many pixels to be decoded."""
    progressive = bool(image.info.get("progressive"))  # decoded whole before it can be made smaller
    whole = progressive or not isinstance(image, JpegImagePlugin.JpegImageFile)
    limit = MAX_PIXELS if whole else MAX_JPEG_PIXELS
    if image.width * image.height > limit:
        raise PictureError(
            f"{image.width} x {image.height} pixels; at most {limit / 1e6:.0f} million are decoded"
        )


def _limit_scans(image: Image.Image, data: bytes) -> None:
    """Raise `PictureError` for a progressive JPEG of so many scans that it would decode for minutes."""
    if image.info.get("progressive") and _count_scans(data) > _MAX_SCANS:
        raise PictureError(f"more than {_MAX_SCANS} scans in a progressive JPEG")


def _reduce_jpeg(image: Image.Image, mode: str, at_least: tuple[int, int] | None) -> None:
    """Have a JPEG decoded at a smaller size where it is too large, or `at_least` is enough."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return
    pixels = image.width * image.height
    scale = next((scale for scale in (1, 2, 4, 8) if pixels / scale**2 <= MAX_PIXELS), 8)
    draft_mode = "L" if mode == "L" else "RGB"
    width, height = image.width // scale, image.height // scale
    if at_least is not None:
        image.draft(draft_mode, (min(at_least[0], width), min(at_least[1], height)))
    elif scale > 1:
        image.draft(draft_mode, (width, height))


def _count_scans(data: bytes) -> int:
    """Count the scans of the first picture of a JPEG file, up to its end-of-image marker.

    Segments before the first scan, which may hold a thumbnail with scans of its own, are skipped by their
    length; compressed data are searched for markers, as a byte 0xFF in them is followed by 0x00::

        FFD8 | FFE1 length … | FFC2 length … | FFDA length … compressed … | FFDA length … compressed … | FFD9
    """
    scans, position = 0, 2
    while (match := _MARKER.search(data, position)) is not None:
        marker = match[1][0]
        if marker == 0xD9:  # end of image
            break
        scans += marker == 0xDA  # start of scan
        length = int.from_bytes(data[match.end() : match.end() + 2], "big")
        position = match.end() + max(length, 2)
    return scans


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1, upright, if there is none or the EXIF is broken."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF of a stranger: whatever its parser raises, the picture itself is sound
        return 1
    return orientation if orientation in _TURNS else 1


def _scale_to_8_bits(image: Image.Image) -> Image.Image:
    """Return grey values of 16 bits as 8 bits, 65535 as 255; other pictures of up to 8 bits as they are."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        values: np.ndarray[Any, Any] = np.asarray(image).astype(np.int64)
        grey = Image.fromarray(((values + 128) // 257).astype(np.uint8))
        transparent = image.info.get("transparency")  # a value of the 16 bits, in a PNG
        if not isinstance(transparent, int):
            return grey
        alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, alpha))
    if image.mode in ("I", "F"):
        raise PictureError("pixels of 32 bits, of unknown range; save it with 8 or 16 bits")
    return image
