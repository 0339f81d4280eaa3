"""Contact sheets: overhead patches and the ground photos nearest to them (figure 3 of the paper)."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sat2cap.evaluation import (
    MOMENTS,
    Gallery,
    RecordPicture,
    conditioned_embeddings_at,
    decode_image,
    nearest_rows,
    read_pairs,
)
from sat2cap.formatting import format_lonlat, format_month
from sat2cap.geo import When
from sat2cap.model import Checkpoint
from sat2cap.pairs import Pair, PairSet

_TILE_PX, _GAP_PX, _TEXT_PX = 112, 6, 17
_TITLE_COLOUR, _TEXT_COLOUR, _OWN_PHOTO_COLOUR = "#1d1a26", "#62626e", "#1f8a4c"


@dataclass(frozen=True)
class Strip:
    """A patch and the photos beside it."""

    title: str
    patch: Image.Image
    photos: Sequence[tuple[Image.Image, str, bool]]
    """Photo, the text below it, and whether it is the patch's own photo, which is framed."""


def contact_sheet(strips: Sequence[Strip]) -> bytes:
    """Return a JPEG of strips below each other; a patch's own photo is framed."""
    longest = max((len(strip.photos) for strip in strips), default=0)
    strip_px = _TILE_PX + 2 * _TEXT_PX + 2 * _GAP_PX
    width = _GAP_PX + (1 + longest) * (_TILE_PX + _GAP_PX) + 2 * _GAP_PX
    sheet = Image.new("RGB", (width, len(strips) * strip_px + _GAP_PX), "white")
    for number, strip in enumerate(strips):
        _draw_strip(sheet, strip, _GAP_PX + number * strip_px)
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()


def _draw_strip(sheet: Image.Image, strip: Strip, top: int) -> None:
    """Draw a title and, below it, the patch and its photos, from `top` pixels downwards."""
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP_PX, top), strip.title, fill=_TITLE_COLOUR, font=ImageFont.load_default(13))
    top += _TEXT_PX
    sheet.paste(square_tile(strip.patch), (_GAP_PX, top))
    for position, (photo, text, is_own) in enumerate(strip.photos):
        left = 3 * _GAP_PX + (1 + position) * (_TILE_PX + _GAP_PX)
        sheet.paste(square_tile(photo), (left, top))
        if is_own:
            frame = (left, top, left + _TILE_PX - 1, top + _TILE_PX - 1)
            pen.rectangle(frame, outline=_OWN_PHOTO_COLOUR, width=4)
        colour = _OWN_PHOTO_COLOUR if is_own else _TEXT_COLOUR
        pen.text((left, top + _TILE_PX + 1), text, fill=colour, font=ImageFont.load_default(11))


def retrieval_sheets(
    pairs: PairSet,
    split: str,
    gallery: Gallery,
    checkpoint: Checkpoint,
    use_metadata: bool,
    *,
    strips: int = 6,
) -> list[RecordPicture]:
    """Return figure 3 for patches chosen at random and, with `use_metadata`, some of them at other times.

    `gallery` holds pairs of `split`, embedded by `checkpoint`. With `use_metadata` the embedding of a patch
    is conditioned on the place and time of its photo; the second picture conditions it on each of `MOMENTS`.
    """
    chosen = np.sort(np.random.default_rng(1).permutation(len(gallery.lon))[:strips])
    embeddings = gallery.conditioned_embeddings(checkpoint) if use_metadata else gallery.unit_overhead
    nearest = nearest_rows(embeddings[chosen], gallery.ground)
    moment_rows = chosen[: max(1, strips // 3)]
    nearest_at = {
        moment.label: nearest_rows(
            conditioned_embeddings_at(gallery, checkpoint, moment_rows, moment.when), gallery.ground
        )
        for moment in (MOMENTS if use_metadata else ())
    }
    needed = np.unique(
        np.concatenate([chosen, nearest.ravel(), *(rows.ravel() for rows in nearest_at.values())])
    )
    by_position = read_pairs(pairs, split, gallery.row[needed].tolist())
    pair_of_row = {int(row): by_position[int(gallery.row[row])] for row in needed}
    own_time = [
        _make_strip(_place_text(gallery, row), row, photo_rows, pair_of_row)
        for row, photo_rows in zip(chosen, nearest, strict=True)
    ]
    about = (
        f"Each patch, chosen at random, and the nine photos of {len(gallery.lon):,} that are nearest "
        "to it; its own photo is framed where it is among them."
    )
    pictures = [RecordPicture("top9.jpg", about, contact_sheet(own_time))]
    if nearest_at:
        other_times = list(_moment_strips(gallery, moment_rows, nearest_at, pair_of_row))
        about = (
            "The same patches at other times: the nearest photos for 08:00 and 23:00 on 15 May, and "
            "for noon in January and July; below each photo, when it was taken."
        )
        pictures.append(RecordPicture("times.jpg", about, contact_sheet(other_times)))
    return pictures


def _moment_strips(
    gallery: Gallery,
    rows: NDArray[np.int64],
    nearest_at: Mapping[str, NDArray[np.int64]],
    pair_of_row: Mapping[int, Pair],
) -> Iterator[Strip]:
    """Yield one strip for each of the gallery's `rows` and each moment, by the moment's label."""
    for number, row in enumerate(rows):
        for label, photo_rows in nearest_at.items():
            title = f"{_place_text(gallery, row)}, asked for {label}"
            yield _make_strip(title, row, photo_rows[number], pair_of_row)


def _place_text(gallery: Gallery, row: int) -> str:
    return format_lonlat(gallery.lon[row], gallery.lat[row])


def _make_strip(title: str, row: int, photo_rows: Sequence[int], pair_of_row: Mapping[int, Pair]) -> Strip:
    """Return the patch of one row of a gallery beside the photos of others."""
    photos = [
        (
            decode_image(pair_of_row[int(photo_row)].ground),
            _date_text(pair_of_row[int(photo_row)]),
            int(photo_row) == int(row),
        )
        for photo_row in photo_rows
    ]
    return Strip(title, decode_image(pair_of_row[int(row)].overhead), photos)


def _date_text(pair: Pair) -> str:
    """Return month, hour and half of the Earth, as in ``Jan, 08 h, N``."""
    when = When.from_datetime(pair.taken)
    return f"{format_month(when.month, short=True)}, {int(when.hour):02d} h, {'N' if pair.lat >= 0 else 'S'}"


def square_tile(image: Image.Image, size_px: int = _TILE_PX) -> Image.Image:
    """Return the middle square of an image, `size_px` pixels wide."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size_px, size_px), Image.Resampling.BICUBIC)
