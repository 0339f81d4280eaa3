"""Contact sheets: an overhead patch and the ground photos it calls up (figure 3 of the paper)."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
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

_TILE, _GAP, _TEXT = 112, 6, 17
_INK, _SOFT, _RIGHT = "#1d1a26", "#62626e", "#1f8a4c"


@dataclass(frozen=True)
class Strip:
    """A patch and the photos beside it."""

    title: str
    patch: Image.Image
    photos: Sequence[tuple[Image.Image, str, bool]]
    """Photo, what stands below it, and whether it is the right one."""


def contact_sheet(strips: Sequence[Strip]) -> bytes:
    """A JPEG of strips below each other; the right photo is framed."""
    longest = max((len(strip.photos) for strip in strips), default=0)
    width = _GAP + (1 + longest) * (_TILE + _GAP) + 2 * _GAP
    height = len(strips) * (_TILE + 2 * _TEXT + 2 * _GAP) + _GAP
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    for number, strip in enumerate(strips):
        top = _GAP + number * (_TILE + 2 * _TEXT + 2 * _GAP)
        pen.text((_GAP, top), strip.title, fill=_INK, font=ImageFont.load_default(13))
        top += _TEXT
        sheet.paste(tile(strip.patch), (_GAP, top))
        for place, (photo, below, right) in enumerate(strip.photos):
            left = 3 * _GAP + (1 + place) * (_TILE + _GAP)
            sheet.paste(tile(photo), (left, top))
            if right:
                pen.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), outline=_RIGHT, width=4)
            pen.text(
                (left, top + _TILE + 1),
                below,
                fill=_RIGHT if right else _SOFT,
                font=ImageFont.load_default(11),
            )
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=88, optimize=True)
    return buffer.getvalue()


def retrieval_sheets(
    pairs: PairSet, split: str, gallery: Gallery, checkpoint: Checkpoint, told: bool, *, strips: int = 6
) -> list[RecordPicture]:
    """Figure 3 for patches chosen at random; and, if the model is told place and time, two times for some."""
    chosen = np.sort(np.random.default_rng(1).permutation(len(gallery.lon))[:strips])
    query = (gallery.conditioned_embeddings(checkpoint) if told else gallery.unit_overhead)[chosen]
    found = nearest_rows(query, gallery.ground)
    moments = chosen[: max(1, strips // 3)]
    asked = {
        moment.label: nearest_rows(
            conditioned_embeddings_at(gallery, checkpoint, moments, moment.when), gallery.ground
        )
        for moment in (MOMENTS if told else ())
    }
    rows = np.unique(np.concatenate([chosen, found.ravel(), *(part.ravel() for part in asked.values())]))
    read = read_pairs(pairs, split, gallery.row[rows].tolist())
    known = {int(row): read[int(gallery.row[row])] for row in rows}
    top9 = [
        _strip(format_lonlat(gallery.lon[query_row], gallery.lat[query_row]), query_row, nine, known)
        for query_row, nine in zip(chosen, found, strict=True)
    ]
    pictures = [
        RecordPicture(
            "top9.jpg",
            f"Each patch, chosen at random, and the nine photos of {len(gallery.lon):,} that are nearest "
            "to it; its own photo is framed where it is among them.",
            contact_sheet(top9),
        )
    ]
    if asked:
        times = [
            _strip(
                f"{format_lonlat(gallery.lon[query_row], gallery.lat[query_row])}, asked for {label}",
                query_row,
                nine[number],
                known,
            )
            for number, query_row in enumerate(moments)
            for label, nine in asked.items()
        ]
        pictures.append(
            RecordPicture(
                "times.jpg",
                "The same patches told other times: the nearest photos at 08:00 and 23:00 on 15 May, and "
                "at noon in January and July; below each photo, when it was taken.",
                contact_sheet(times),
            )
        )
    return pictures


def _strip(title: str, query: int, found: Sequence[int], known: Mapping[int, Pair]) -> Strip:
    photos = [
        (decode_image(known[int(row)].ground), _taken(known[int(row)]), int(row) == int(query))
        for row in found
    ]
    return Strip(title, decode_image(known[int(query)].overhead), photos)


def _taken(pair: Pair) -> str:
    when = When.from_datetime(pair.taken)
    return f"{format_month(when.month, short=True)}, {int(when.hour):02d} h, {'N' if pair.lat >= 0 else 'S'}"


def tile(image: Image.Image, size: int = _TILE) -> Image.Image:
    """The middle square, `size` pixels wide."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)
