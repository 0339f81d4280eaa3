"""Photos with captions for a captioner, from a file of JSON lines or of made-up planets."""

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sat2cap.errors import InputError, PictureError
from sat2cap.files import MAX_TEXT_BYTES, parse_json, read_regular_file
from sat2cap.miniworld import MiniPhotos, World
from sat2cap.model import Checkpoint, captions_from_json
from sat2cap.pictures import MAX_PICTURE_BYTES, decode_picture
from sat2cap.progress import Progress
from sat2cap.training.captioner_run import CaptionData
from sat2cap.training.data.patches import decode_image

_CHUNK = 500
"""Number of photos that are decoded and embedded at once."""

T = TypeVar("T")
PhotosWithCaptions = tuple[list[Image.Image], list[list[str]]]


@dataclass(frozen=True, eq=False)
class CaptionedPhotos:
    """N photos with one or more captions each."""

    embeddings: Tensor
    """Ground embeddings, not normalised: float32, shape (N, D)."""
    captions: list[list[str]]
    """Captions of each photo."""


def embed_captioned_photos(data: CaptionData, clip: Checkpoint, progress: Progress) -> CaptionedPhotos:
    """Return the ground embedding and the captions of every photo that `data` describes.

    A line of a caption file that cannot be used is left out; a warning says how many and why. Raises
    `InputError` if the file cannot be read or no line of it can be used.
    """
    embeddings: list[NDArray[np.float32]] = []
    captions: list[list[str]] = []
    faults: Counter[str] = Counter()
    source = _read_caption_file(data.captions, faults) if data.captions else _render_world_photos(data)
    total = 0 if data.captions else len(data.worlds) * data.photos_per_world
    for images, texts in source:
        embeddings.append(clip.embed_ground(images, precision="auto", unit=False))
        captions += texts
        progress("embedding photos", len(captions), max(total, len(captions)))
    reasons = "; ".join(f"{count} x {reason}" for reason, count in faults.most_common(5))
    if not captions:
        rule = 'write one JSON object a line, {"image": PATH, "caption": TEXT}'
        raise InputError(f"{data.captions} holds no photo with a caption ({reasons or 'no line'}); {rule}")
    if faults:
        warnings.warn(f"{data.captions}: {faults.total()} lines are left out: {reasons}", stacklevel=2)
    return CaptionedPhotos(torch.from_numpy(np.concatenate(embeddings)), captions)


def split_into_batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the rows in lists of `size`, of which the last may be shorter."""
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


def _render_world_photos(data: CaptionData) -> Iterator[PhotosWithCaptions]:
    """Yield photos of made-up planets with six captions each, a few hundred at a time."""
    for number in data.worlds:
        source = MiniPhotos(World(number), data.photos_per_world, eagerness=data.eagerness)
        for records in split_into_batches(source.photos(), _CHUNK):
            images = [decode_image(photo, str(number)) for photo in source.images(records)]
            yield images, source.captions(records, per_photo=6)


def _read_caption_file(path: Path, faults: Counter[str]) -> Iterator[PhotosWithCaptions]:
    """Yield the photos of a caption file with their captions, and count lines that cannot be used by reason.

    Raises `InputError` if the file cannot be read.
    """
    try:
        lines = [line for line in read_regular_file(path, MAX_TEXT_BYTES).splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"captions {path} cannot be read: {error.strerror or error}") from error
    for batch in split_into_batches(lines, _CHUNK):
        usable = [entry for line in batch if (entry := _read_entry(path.parent, line, faults)) is not None]
        if usable:
            yield [image for image, _ in usable], [captions for _, captions in usable]


def _read_entry(folder: Path, line: bytes, faults: Counter[str]) -> tuple[Image.Image, list[str]] | None:
    """Return the photo and the captions of one line, or None after counting why it cannot be used."""
    try:
        entry = parse_json(line)
        if not isinstance(entry, dict):
            raise ValueError("it is no JSON object")
        captions = captions_from_json(entry)
        photo = read_regular_file(folder / str(entry["image"]), MAX_PICTURE_BYTES)
        return decode_picture(photo), captions
    except KeyError as error:
        faults[f"it has no {error}"] += 1
    except PictureError as error:
        faults[f"the photo cannot be decoded: {error}"] += 1
    except OSError as error:
        faults[f"the photo cannot be read: {error.strerror or error}"] += 1
    except ValueError:
        faults["it is no JSON object with captions as texts"] += 1
    return None
