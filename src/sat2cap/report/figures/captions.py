"""Figure 6 of the paper: a patch, the photos nearest to it in January and July, and its captions.

One row of the sheet, from left to right::

    50.1° N, 3.2° E    Sat2Cap, January    Sat2Cap, July    CLIP
    [patch]            [photo][photo]      [photo][photo]   a caption        [map of all places,
                       a caption           a caption                          this one marked]
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sat2cap.evaluation import (
    CLIP,
    GalleryCaptions,
    RecordPicture,
    conditioned_embeddings_at,
    decode_image,
    nearest_rows,
    read_pairs,
)
from sat2cap.formatting import format_lonlat, format_month
from sat2cap.model import Checkpoint
from sat2cap.pairs import PairSet
from sat2cap.report.figures.sheets import square_tile

Floats = NDArray[np.float64]

_PX_PER_UNIT = 2  # all lengths below are in units; enlarged, the words can still be read
_PHOTO, _GAP, _MARGIN, _LINE_HEIGHT = 104, 4, 12, 16
_CAPTION_WIDTH = 140  # at least
_PHOTOS_PER_CAPTION = 2
_TROPICS_DEG = 23.4  # between these latitudes the year has no seasons to show
_CAPTION_COLOUR, _TITLE_COLOUR, _DOT_COLOUR, _MARK_COLOUR, _MAP_COLOUR = (
    "#1d1a26",
    "#62626e",
    "#b9b2c6",
    "#a8327d",
    "#f6f4f9",
)


@dataclass(frozen=True)
class CaptionColumn:
    """A caption, the model and month it is from, and the photos that stand over it."""

    title: str
    caption: str
    photos: Sequence[Image.Image] = ()


@dataclass(frozen=True)
class CaptionRow:
    """A place, from above, and its captions."""

    title: str
    patch: Image.Image
    lon: float
    lat: float
    columns: Sequence[CaptionColumn]


def caption_figure(
    pairs: PairSet, split: str, captions: GalleryCaptions, checkpoint: Checkpoint, *, rows: int = 6
) -> list[RecordPicture]:
    """Return figure 6 for places chosen at random, half of them south of the equator if there are so many.

    `captions` are of pairs of `split`, embedded by `checkpoint`. If they are of two months, the places lie
    outside the tropics, as far as there are such places.
    """
    gallery, by_month = captions.gallery, captions.months
    chosen = _choose_places(gallery.lat, rows, seasons=bool(by_month))
    sets = _caption_sets(captions, checkpoint, chosen)
    needed = np.unique(np.concatenate([chosen, *(each.photo_rows.ravel() for each in sets)]))
    pair_at = read_pairs(pairs, split, gallery.row[needed].tolist())

    def build_row(number: int, place: int) -> CaptionRow:
        columns = [
            CaptionColumn(
                each.title,
                each.captions[place],
                [decode_image(pair_at[int(gallery.row[row])].ground) for row in each.photo_rows[number]],
            )
            for each in sets
        ]
        if CLIP in captions.made:
            columns.append(CaptionColumn("CLIP", captions.made[CLIP][place]))
        patch = decode_image(pair_at[int(gallery.row[place])].overhead)
        lon, lat = float(gallery.lon[place]), float(gallery.lat[place])
        return CaptionRow(format_lonlat(lon, lat), patch, lon, lat, columns)

    caption_rows = [build_row(number, place) for number, place in enumerate(chosen.tolist())]
    where, when = "", "without a time"
    if by_month:
        where, when = ", outside the tropics where there are any", "for noon on the 15th of the month"
    about = (
        f"Places chosen at random{where}: each from above; the captions of its embedding, {when}, under the "
        f"photos nearest to that; of CLIP's embedding; and where it lies among all {len(gallery.lon):,}."
    )
    return [RecordPicture("captions.jpg", about, caption_sheet(caption_rows, gallery.lon, gallery.lat))]


@dataclass(frozen=True)
class _CaptionSet:
    """Captions of our model for one month, or without a time."""

    title: str
    captions: Sequence[str]
    """One for each place of the gallery."""
    photo_rows: NDArray[np.int64]
    """Rows of the gallery whose photos are nearest to each chosen place, `[chosen, photos]`."""


def _caption_sets(
    captions: GalleryCaptions, checkpoint: Checkpoint, chosen: NDArray[np.int64]
) -> list[_CaptionSet]:
    """Return one set for each month, or a single one for a model that does not know time."""
    gallery = captions.gallery

    def caption_set(title: str, texts: Sequence[str], embeddings: NDArray[np.float32]) -> _CaptionSet:
        return _CaptionSet(title, texts, nearest_rows(embeddings, gallery.ground, _PHOTOS_PER_CAPTION))

    if not captions.months:
        return [caption_set("Sat2Cap", captions.made[""], gallery.unit_overhead[chosen])]
    return [
        caption_set(
            f"Sat2Cap, {format_month(when.month)}",
            texts,
            conditioned_embeddings_at(gallery, checkpoint, chosen, when),
        )
        for when, texts in captions.months.items()
    ]


def _choose_places(lat_deg: Floats, count: int, seasons: bool) -> NDArray[np.int64]:
    """Return rows chosen at random, from north to south, as many from each half of the Earth as can be.

    With `seasons`, places outside the tropics come first.
    """
    order = np.random.default_rng(1).permutation(len(lat_deg))
    if seasons:
        order = order[np.argsort(np.abs(lat_deg[order]) < _TROPICS_DEG, kind="stable")]
    north, south = order[lat_deg[order] >= 0], order[lat_deg[order] < 0]
    south_count = min(len(south), max(count // 2, count - len(north)))
    chosen = np.concatenate([north[: count - south_count], south[:south_count]])
    return np.asarray(chosen[np.argsort(-lat_deg[chosen], kind="stable")], np.int64)


def caption_sheet(rows: Sequence[CaptionRow], lon: Floats, lat: Floats) -> bytes:
    """Return a JPEG of rows below each other, each with its place marked on a map of all places.

    `lon` and `lat` are all places, degrees, `[N]` each. Every row has the same columns.
    """
    widths = [max(_CAPTION_WIDTH, len(column.photos) * (_PHOTO + _GAP) - _GAP) for column in rows[0].columns]
    lefts = np.cumsum([_MARGIN + _PHOTO + _MARGIN, *(width + _MARGIN for width in widths)]).tolist()
    overview = _draw_overview(lon, lat)
    tallest = max(
        _column_height(column, width)
        for row in rows
        for column, width in zip(row.columns, widths, strict=True)
    )
    row_height = _LINE_HEIGHT + tallest + _MARGIN
    sheet = _Sheet.create(lefts[-1] + _PHOTO + _MARGIN, row_height * len(rows) + _MARGIN)
    for number, row in enumerate(rows):
        top = _MARGIN + number * row_height
        sheet.write_text(_MARGIN, top, row.title, _TITLE_COLOUR)
        sheet.paste_image(_MARGIN, top + _LINE_HEIGHT, square_tile(row.patch, _PHOTO * _PX_PER_UNIT))
        for left, width, column in zip(lefts[:-1], widths, row.columns, strict=True):
            _draw_column(sheet, left, top, width, column)
        sheet.paste_image(lefts[-1], top + _LINE_HEIGHT, _mark_place(overview, lon, lat, row))
    return sheet.encode_jpeg()


def _draw_column(sheet: "_Sheet", left: int, top: int, width: int, column: CaptionColumn) -> None:
    """Draw the title, the photos, and the caption in as many lines as it needs."""
    sheet.write_text(left, top, column.title, _TITLE_COLOUR)
    for position, photo in enumerate(column.photos):
        tile = square_tile(photo, _PHOTO * _PX_PER_UNIT)
        sheet.paste_image(left + position * (_PHOTO + _GAP), top + _LINE_HEIGHT, tile)
    caption_top = top + _LINE_HEIGHT + (_PHOTO + _GAP if column.photos else 0)
    for number, line in enumerate(_wrap_text(column.caption, width)):
        sheet.write_text(left, caption_top + number * _LINE_HEIGHT, line, _CAPTION_COLOUR)


def _column_height(column: CaptionColumn, width: int) -> int:
    """Return the height of a column below its title, in units: at least that of a photo."""
    photos = _PHOTO + _GAP if column.photos else 0
    return max(_PHOTO, photos + len(_wrap_text(column.caption, width)) * _LINE_HEIGHT)


def _wrap_text(text: str, width: int) -> list[str]:
    """Return text in lines of at most `width` units; a single word that is longer has a line to itself."""
    font, lines = _load_font(), [""]
    for word in text.split():
        longer_line = f"{lines[-1]} {word}".strip()
        if font.getlength(longer_line) <= width * _PX_PER_UNIT:
            lines[-1] = longer_line
        else:
            lines.append(word)
    return lines


@cache
def _load_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12 * _PX_PER_UNIT)


@dataclass(frozen=True)
class _Sheet:
    """A picture whose coordinates are units of `_PX_PER_UNIT` pixels."""

    image: Image.Image
    pen: ImageDraw.ImageDraw

    @classmethod
    def create(cls, width: int, height: int) -> "_Sheet":
        image = Image.new("RGB", (width * _PX_PER_UNIT, height * _PX_PER_UNIT), "white")
        return cls(image, ImageDraw.Draw(image))

    def write_text(self, left: int, top: int, text: str, colour: str) -> None:
        self.pen.text((left * _PX_PER_UNIT, top * _PX_PER_UNIT), text, fill=colour, font=_load_font())

    def paste_image(self, left: int, top: int, picture: Image.Image) -> None:
        self.image.paste(picture, (left * _PX_PER_UNIT, top * _PX_PER_UNIT))

    def encode_jpeg(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
        return buffer.getvalue()


def _draw_overview(lon: Floats, lat: Floats) -> Image.Image:
    """Return a map of all places as dots, as wide as a photo."""
    west, east, south, north = lon.min(), lon.max(), lat.min(), lat.max()
    aspect = np.clip((north - south) / max(east - west, 1e-9), 0.3, 1.0)
    image = Image.new("RGB", (_PHOTO * _PX_PER_UNIT, int(aspect * _PHOTO * _PX_PER_UNIT)), _MAP_COLOUR)
    pen = ImageDraw.Draw(image)
    for x, y in zip(*_map_pixels(image, lon, lat, lon, lat), strict=True):
        pen.rectangle((x - 1, y - 1, x, y), fill=_DOT_COLOUR)
    return image


def _mark_place(overview: Image.Image, lon: Floats, lat: Floats, row: CaptionRow) -> Image.Image:
    """Return a copy of the overview with the place of a row marked."""
    image, radius_px = overview.copy(), 4 * _PX_PER_UNIT
    (x,), (y,) = _map_pixels(image, lon, lat, np.array([row.lon]), np.array([row.lat]))
    box = (x - radius_px, y - radius_px, x + radius_px, y + radius_px)
    ImageDraw.Draw(image).ellipse(box, fill=_MARK_COLOUR, outline="white", width=_PX_PER_UNIT)
    return image


def _map_pixels(
    image: Image.Image, all_lon: Floats, all_lat: Floats, lon: Floats, lat: Floats
) -> tuple[list[int], list[int]]:
    """Return columns and rows of some places on a map that just holds all places, with a margin."""
    margin_px = 5 * _PX_PER_UNIT

    def scale_to_pixels(values: Floats, all_values: Floats, size_px: int) -> list[int]:
        low, high = float(all_values.min()), float(all_values.max())
        share = (values - low) / max(high - low, 1e-9)
        return [int(position) for position in margin_px + share * (size_px - 2 * margin_px)]

    return scale_to_pixels(lon, all_lon, image.width), scale_to_pixels(-lat, -all_lat, image.height)
