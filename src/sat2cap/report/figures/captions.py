"""Figure 6 of the paper: a patch, the photos it calls up in January and July, and its captions."""

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
from sat2cap.report.figures.sheets import tile

Floats = NDArray[np.float64]

_SHARP = 2  # pixels to a unit, so that words can be read when the picture is enlarged
_PHOTO, _GAP, _EDGE, _LINE = 104, 4, 12, 16
_WORDS = 140  # least width of a caption
_PHOTOS = 2  # over each caption of ours
_TROPICS = 23.4  # between which the year has no seasons to show
_INK, _SOFT, _DOT, _HERE, _LAND = "#1d1a26", "#62626e", "#b9b2c6", "#a8327d", "#f6f4f9"


@dataclass(frozen=True)
class Words:
    """A caption, whose it is, and the photos that stand over it."""

    title: str
    caption: str
    photos: Sequence[Image.Image] = ()


@dataclass(frozen=True)
class Row:
    """A place and what is said of it."""

    title: str
    patch: Image.Image
    lon: float
    lat: float
    words: Sequence[Words]


def caption_figure(
    pairs: PairSet, split: str, said: GalleryCaptions, checkpoint: Checkpoint, *, rows: int = 6
) -> list[RecordPicture]:
    """Figure 6 for places chosen at random, half of them south of the equator where there are so many.

    They lie outside the tropics if the model knows time, as far as there are such places.
    """
    gallery = said.gallery
    chosen = _chosen(gallery.lat, rows, seasons=bool(said.months))
    if said.months:
        titles = [f"Sat2Cap, {format_month(when.month)}" for when in said.months]
        texts, queries = (
            list(said.months.values()),
            [conditioned_embeddings_at(gallery, checkpoint, chosen, when) for when in said.months],
        )
    else:
        titles, texts, queries = ["Sat2Cap"], [said.made[""]], [gallery.unit_overhead[chosen]]
    near = [nearest_rows(query, gallery.ground, _PHOTOS) for query in queries]
    wanted = np.unique(np.concatenate([chosen, *(found.ravel() for found in near)]))
    read = read_pairs(pairs, split, gallery.row[wanted].tolist())

    def row(number: int, place: int) -> Row:
        ours = [
            Words(title, some[place], [decode_image(read[int(gallery.row[n])].ground) for n in found[number]])
            for title, some, found in zip(titles, texts, near, strict=True)
        ]
        clip = [Words("CLIP", said.made[CLIP][place])] if CLIP in said.made else []
        patch = decode_image(read[int(gallery.row[place])].overhead)
        lon, lat = float(gallery.lon[place]), float(gallery.lat[place])
        return Row(format_lonlat(lon, lat), patch, lon, lat, [*ours, *clip])

    drawn = [row(number, place) for number, place in enumerate(chosen.tolist())]
    where, told = "", "told no time"
    if said.months:
        where, told = ", outside the tropics where there are any", "told noon on the 15th of the month"
    about = (
        f"Places chosen at random{where}: each from above; the captions of its embedding, {told}, under the "
        f"photos nearest to that; of CLIP's embedding; and where it lies among all {len(gallery.lon):,}."
    )
    return [RecordPicture("captions.jpg", about, caption_sheet(drawn, gallery.lon, gallery.lat))]


def _chosen(lat: Floats, count: int, seasons: bool) -> NDArray[np.int64]:
    """Rows at random, from north to south, as many from each half of the Earth as can be."""
    order = np.random.default_rng(1).permutation(len(lat))
    if seasons:
        order = order[np.argsort(np.abs(lat[order]) < _TROPICS, kind="stable")]
    north, south = order[lat[order] >= 0], order[lat[order] < 0]
    few = min(len(south), max(count // 2, count - len(north)))
    some = np.concatenate([north[: count - few], south[:few]])
    return np.asarray(some[np.argsort(-lat[some], kind="stable")], np.int64)


def caption_sheet(rows: Sequence[Row], lon: Floats, lat: Floats) -> bytes:
    """A JPEG of rows below each other, each with its place on a map of all places (degrees, `[N]`)."""
    widths = [max(_WORDS, len(words.photos) * (_PHOTO + _GAP) - _GAP) for words in rows[0].words]
    lefts = np.cumsum([_EDGE + _PHOTO + _EDGE, *(wide + _EDGE for wide in widths)]).tolist()
    overview = _overview(lon, lat)
    deep = max(_deep(words, wide) for row in rows for words, wide in zip(row.words, widths, strict=True))
    high = _LINE + deep + _EDGE
    sheet = _Sheet.of(lefts[-1] + _PHOTO + _EDGE, high * len(rows) + _EDGE)
    for number, row in enumerate(rows):
        top = _EDGE + number * high
        sheet.write(_EDGE, top, row.title, _SOFT)
        sheet.paste(_EDGE, top + _LINE, tile(row.patch, _PHOTO * _SHARP))
        for left, wide, words in zip(lefts[:-1], widths, row.words, strict=True):
            _write(sheet, left, top, wide, words)
        sheet.paste(lefts[-1], top + _LINE, _marked(overview, lon, lat, row))
    return sheet.jpeg()


def _write(sheet: "_Sheet", left: int, top: int, wide: int, words: Words) -> None:
    """Title, photos, and the caption in as many lines as it needs."""
    sheet.write(left, top, words.title, _SOFT)
    for place, photo in enumerate(words.photos):
        sheet.paste(left + place * (_PHOTO + _GAP), top + _LINE, tile(photo, _PHOTO * _SHARP))
    below = top + _LINE + (_PHOTO + _GAP if words.photos else 0)
    for number, line in enumerate(_wrapped(words.caption, wide)):
        sheet.write(left, below + number * _LINE, line, _INK)


def _deep(words: Words, wide: int) -> int:
    """How much room there must be below a title."""
    photos = _PHOTO + _GAP if words.photos else 0
    return max(_PHOTO, photos + len(_wrapped(words.caption, wide)) * _LINE)


def _wrapped(text: str, wide: int) -> list[str]:
    """Text in lines of at most so many units."""
    font, lines = _font(), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= wide * _SHARP:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12 * _SHARP)


@dataclass(frozen=True)
class _Sheet:
    """A picture that is drawn in units of `_SHARP` pixels."""

    image: Image.Image
    pen: ImageDraw.ImageDraw

    @classmethod
    def of(cls, width: int, height: int) -> "_Sheet":
        image = Image.new("RGB", (width * _SHARP, height * _SHARP), "white")
        return cls(image, ImageDraw.Draw(image))

    def write(self, left: int, top: int, text: str, ink: str) -> None:
        self.pen.text((left * _SHARP, top * _SHARP), text, fill=ink, font=_font())

    def paste(self, left: int, top: int, picture: Image.Image) -> None:
        self.image.paste(picture, (left * _SHARP, top * _SHARP))

    def jpeg(self) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
        return buffer.getvalue()


def _overview(lon: Floats, lat: Floats) -> Image.Image:
    """All places as dots, as wide as a photo."""
    west, east, south, north = lon.min(), lon.max(), lat.min(), lat.max()
    high = np.clip((north - south) / max(east - west, 1e-9), 0.3, 1.0)
    image = Image.new("RGB", (_PHOTO * _SHARP, int(high * _PHOTO * _SHARP)), _LAND)
    pen = ImageDraw.Draw(image)
    for x, y in zip(*_on(image, lon, lat, lon, lat), strict=True):
        pen.rectangle((x - 1, y - 1, x, y), fill=_DOT)
    return image


def _marked(overview: Image.Image, lon: Floats, lat: Floats, row: Row) -> Image.Image:
    """The overview with the place of a row."""
    image, size = overview.copy(), 4 * _SHARP
    (x,), (y,) = _on(image, lon, lat, np.array([row.lon]), np.array([row.lat]))
    box = (x - size, y - size, x + size, y + size)
    ImageDraw.Draw(image).ellipse(box, fill=_HERE, outline="white", width=_SHARP)
    return image


def _on(
    image: Image.Image, lon: Floats, lat: Floats, east: Floats, north: Floats
) -> tuple[list[int], list[int]]:
    """Pixels of some places (degrees) on a map that reaches as far as all of them, with a margin."""
    margin = 5 * _SHARP

    def spread(values: Floats, every: Floats, pixels: int) -> list[int]:
        low, high = float(every.min()), float(every.max())
        share = (values - low) / max(high - low, 1e-9)
        return [int(place) for place in margin + share * (pixels - 2 * margin)]

    return spread(east, lon, image.width), spread(-north, -lat, image.height)
