"""Captions of a gallery's places, made from every row's embeddings, for `captions.evaluation` to judge."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.evaluation.captions.options import CaptionOptions
from sat2cap.evaluation.miniworld.captions import JANUARY, JULY, generate_captions_at
from sat2cap.evaluation.retrieval.gallery import Gallery, decode_image, embed_gallery
from sat2cap.evaluation.rows import CHANCE, CLIP, GROUND, NO_METADATA
from sat2cap.geo import When
from sat2cap.lookahead import count_cores, map_ahead
from sat2cap.model import Captioner, Checkpoint
from sat2cap.pairs import Pair, PairSet
from sat2cap.progress import Progress

Float32 = NDArray[np.float32]

_AHEAD = 128
"""Number of photos that threads prepare before they are collected."""


@dataclass(frozen=True, eq=False)
class GalleryCaptions:
    """Captions of the N places of a gallery, from which figure 6 is drawn."""

    gallery: Gallery
    made: Mapping[str, Sequence[str]]
    """N captions for each row of the table, by the row's name."""
    months: Mapping[When, Sequence[str]]
    """N captions for January and for July; empty for a model without a Dynamic Encoder."""


def caption_sources(
    pairs: PairSet,
    gallery: Gallery,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    cache: Path | None,
) -> dict[str, Float32]:
    """Return the embeddings `[N, D]` that each row of the table makes its captions from, by its name.

    Rows are the model with place and time (the empty name), ``no_metadata`` if it has a Dynamic Encoder,
    ``clip`` if `clip` is given, and ``ground``, the photos themselves.
    """
    rows = {"": gallery.overhead}
    if checkpoint.dynamic is not None:
        rows = {"": gallery.overhead + gallery.dynamic_offsets(checkpoint), NO_METADATA: gallery.overhead}
    if clip is not None:
        shared_ground = gallery.ground if clip.ground_identity == checkpoint.ground_identity else None
        clip_gallery = embed_gallery(
            pairs, clip, options.split, options.gallery, options.seed, ground=shared_ground, cache=cache
        )
        rows[CLIP] = clip_gallery.overhead
    rows[GROUND] = (
        gallery.ground if captioner.unit else _embed_photos(pairs, gallery, checkpoint, options.split)
    )
    return rows


def caption_rows(
    rows: Mapping[str, Float32],
    gallery: Gallery,
    checkpoint: Checkpoint,
    captioner: Captioner,
    beams: int,
    progress: Progress,
) -> GalleryCaptions:
    """Generate the captions of every row, and for January and July if the model knows time.

    The row ``chance`` holds for each place the caption of another place's photo: the places are shuffled
    into a ring, and each takes the caption of the one before it.
    """
    moments = () if checkpoint.dynamic is None else (JANUARY, JULY)
    total = (len(rows) + len(moments)) * len(gallery.lon)
    made: dict[str, list[str]] = {}
    for number, (row, embeddings) in enumerate(rows.items()):
        made[row] = captioner.captions(embeddings, beams, progress=_report_part(progress, number, total))
    months = {
        when: generate_captions_at(
            gallery, checkpoint, captioner, when, beams, _report_part(progress, number, total)
        )
        for number, when in enumerate(moments, len(rows))
    }
    order = np.random.default_rng(0).permutation(len(gallery.lon))
    previous_place = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    made[CHANCE] = [made[GROUND][previous_place[number]] for number in range(len(order))]
    return GalleryCaptions(gallery, made, months)


def _report_part(progress: Progress, number: int, total: int) -> Progress:
    """Return a callback for part `number` of several equal parts that reports progress of the whole."""
    return lambda stage, done, count: progress(stage, number * count + done, total)


def _embed_photos(pairs: PairSet, gallery: Gallery, checkpoint: Checkpoint, split: str) -> Float32:
    """Return the photos' embeddings `[N, D]` before normalisation, which a gallery does not hold."""
    samples = (pair for _, pair in pairs.read_rows(split, gallery.row.tolist()))

    def prepare_photo(pair: Pair) -> NDArray[np.uint8]:
        pixels: NDArray[np.uint8] = checkpoint.ground_preprocess.pixels([decode_image(pair.ground)])[0]
        return pixels

    prepared = list(map_ahead(prepare_photo, samples, ahead=_AHEAD, threads=count_cores()))
    return checkpoint.embed_ground(
        np.stack(prepared), precision="auto", unit=False, prepared=True, compiled=False
    )
