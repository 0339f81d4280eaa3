"""Pictures of strangers: upright, of the right values, and within limits of time, memory and format."""

import io
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sat2cap import pictures
from sat2cap.errors import PictureError
from sat2cap.pictures import decode_picture, read_picture_size, upright_picture

ORIENTATION = 0x0112
RED, BLACK = (250, 0, 0), (0, 0, 0)


def encode(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def red_top() -> Image.Image:
    """A picture 96 pixels wide and 64 high whose upper quarter is red."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:16] = RED
    return Image.fromarray(pixels)


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims to have this size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "PNG", "TIFF", "MPO", "AVIF"])
@pytest.mark.parametrize(
    ("orientation", "red_side"),
    [(1, "top"), (3, "bottom"), (6, "right"), (8, "left"), (4, "bottom"), (5, "left"), (7, "right")],
)
def test_a_picture_is_turned_as_the_camera_was_held(form: str, orientation: int, red_side: str) -> None:
    more = {"save_all": True, "append_images": [red_top()]} if form == "MPO" else {}
    upright = decode_picture(encode(red_top(), form, exif=exif(orientation), **more))
    assert upright.size == ((64, 96) if red_side in ("left", "right") else (96, 64))
    pixels = np.asarray(upright)
    edges = {"top": pixels[3], "bottom": pixels[-4], "left": pixels[:, 3], "right": pixels[:, -4]}
    for side in (red_side, {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}[red_side]):
        assert np.abs(edges[side].mean(0) - (RED if side == red_side else BLACK)).max() < 12, side
    assert upright.getexif().get(ORIENTATION) is None, "no one turns it again"
    assert upright_picture(upright).size == upright.size


NOISE = np.random.default_rng(4).bytes(64)


@pytest.mark.parametrize(
    "tags",
    [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + NOISE, b"Exif"],
    ids=["a far offset", "noise", "cut"],
)
def test_a_picture_with_broken_exif_is_read_as_it_lies(tags: bytes) -> None:
    assert decode_picture(encode(red_top(), "JPEG", exif=tags)).size == (96, 64)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_to_8(form: str) -> None:
    values = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = np.asarray(decode_picture(encode(Image.fromarray(values), form)))
    assert pixels.shape == (64, 64, 3)
    assert np.array_equal(pixels[..., 0], np.round(values / 257).astype(np.uint8))
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_transparent(bits: int) -> None:
    """The chunk tRNS names it in the file's own bits (PNG, third edition, section 11.3.1.1)."""
    largest = 2**bits - 1

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 16, 1, bits, 0, 0, 0, 0)
    row = "".join(f"{value * largest // 15:0{bits}b}" for value in range(16))
    line = b"\0" + int(row, 2).to_bytes(len(row) // 8, "big")
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", largest))
    data += chunk(b"IDAT", zlib.compress(line)) + chunk(b"IEND", b"")
    grey = np.array([value * largest // 15 * 255 / largest for value in range(16)]).round()
    pixels = np.asarray(decode_picture(data, "RGBA"))[0]
    assert (pixels[:, :3] == grey[:, None]).all()
    np.testing.assert_array_equal(pixels[:, 3], np.where(grey == 255, 0, 255))
    assert (np.asarray(decode_picture(data))[0] == grey[:, None]).all()


def test_every_mode_of_a_picture_becomes_rgb() -> None:
    colour = Image.new("RGB", (8, 8), (200, 100, 50))
    for form, mode in (
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("JPEG", "CMYK"),
        ("GIF", "P"),
    ):
        decoded = decode_picture(encode(colour.convert(mode), form))
        assert (decoded.mode, decoded.size) == ("RGB", (8, 8)), (form, mode)
    assert decode_picture(encode(colour.convert("RGBA"), "PNG"), "RGBA").getpixel((0, 0)) == (
        200,
        100,
        50,
        255,
    )
    with pytest.raises(PictureError, match="32 bits"):
        decode_picture(encode(Image.new("F", (8, 8)), "TIFF"))


def test_an_animation_gives_its_first_picture() -> None:
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in range(0, 250, 5)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_picture(data).getpixel((4, 4)) == (0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n{} loop\n",
        b"%PDF-1.4\n%%EOF",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"P6 1 1 255 abc",
        b"\xff\xd8\xff",
        b"BM",
    ],
)
def test_other_formats_are_refused_by_their_content(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(data)
    for source in (data, tmp_path / "photo.jpg"):
        with pytest.raises(PictureError) as caught:
            decode_picture(source)
        assert len(str(caught.value).splitlines()) == 1


def test_a_picture_too_large_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    tracemalloc.start()
    for width, height in ((30_000, 7_000), (30_000, 30_000), (10_000, 10_000)):
        with pytest.raises(PictureError, match=f"{width} x {height} pixels; at most 67 million"):
            decode_picture(png_header(width, height))
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    monkeypatch.setattr(pictures, "MAX_PIXELS", 0)
    with pytest.raises(PictureError, match="1 x 1"):
        decode_picture(encode(Image.new("RGB", (1, 1)), "PNG"))


def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100 * 100)
    monkeypatch.setattr(pictures, "MAX_JPEG_PIXELS", 400 * 400)
    grey = Image.new("RGB", (400, 300), (90, 90, 90))
    decoded = decode_picture(encode(grey, "JPEG", exif=exif(6)))
    assert decoded.size == (75, 100), "a quarter of each side, and turned"
    assert decoded.getpixel((5, 5)) == (90, 90, 90)
    with pytest.raises(PictureError, match="400 x 300 pixels"):
        decode_picture(encode(grey, "JPEG", progressive=True))
    with pytest.raises(PictureError, match="400 x 401 pixels"):
        decode_picture(encode(grey.resize((400, 401)), "JPEG"))


def test_a_progressive_jpeg_has_a_limit_of_scans() -> None:
    data = encode(red_top(), "JPEG", progressive=True)
    assert decode_picture(data).size == (96, 64)
    start = data.rindex(b"\xff\xda")
    scan = data[start : data.rindex(b"\xff\xd9")]
    with pytest.raises(PictureError, match="more than 100 scans"):
        decode_picture(data[:start] + scan * 1000 + b"\xff\xd9")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "real.jpg").write_bytes(encode(red_top(), "JPEG"))
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real.jpg")
    assert decode_picture(tmp_path / "link.jpg").size == (96, 64)
    for path, reason in (
        (tmp_path / "pipe.jpg", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "nowhere.jpg", "no such file"),
    ):
        with pytest.raises(PictureError, match=reason):
            decode_picture(path)


def test_a_file_has_a_limit_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PICTURE_BYTES", 2**20)
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(PictureError, match="larger than 1 MB"):
        decode_picture(tmp_path / "sparse.jpg")


def test_heic_is_read_by_an_extra_or_named(monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    data = io.BytesIO()
    heif.from_pillow(red_top()).save(data, quality=90)
    assert read_picture_size(data.getvalue()) == (96, 64)
    pixels = np.asarray(decode_picture(data.getvalue()))
    assert np.abs(pixels[3].mean(0) - RED).max() < 12
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(PictureError, match=r"pip install 'sat2cap\[heic\]'"):
        decode_picture(data.getvalue())


SAMPLES = [
    encode(red_top(), form, **options)
    for form, options in (
        ("JPEG", {"exif": exif(6)}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("WEBP", {"exif": exif(6)}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("GIF", {}),
        ("BMP", {}),
        ("AVIF", {}),
    )
]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=4),
    st.none() | st.integers(0, 2000),
)
def test_damaged_pictures_give_pixels_or_one_error(
    data: bytes, changes: list[tuple[int, int]], cut: int | None
) -> None:
    damaged = bytearray(data)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    message = "one line"
    try:
        assert decode_picture(bytes(damaged[:cut])).mode == "RGB"
    except PictureError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    assert len(message) < 200
