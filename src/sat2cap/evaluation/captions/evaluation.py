"""Captions of places against those of photos taken there (section 4.4, figure 6 and table 2 of the paper)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.captions import agreement
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.miniworld.captions import (
    JANUARY,
    JULY,
    CaptionedPairs,
    WeightedMean,
    generate_captions_at,
    measure_caption_truth,
    month_metrics,
)
from sat2cap.evaluation.retrieval.gallery import Gallery, decode_image, embed_gallery, read_pairs
from sat2cap.evaluation.rows import CHANCE, CLIP, GROUND, NO_METADATA, WRITTEN
from sat2cap.geo import When
from sat2cap.model import Captioner, Checkpoint, captions_from_json
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress, silent

Float32 = NDArray[np.float32]

_OWN = ("rouge_l", "cider", "clip_text", "bert_score")
_LABELS = {
    "": "{name}",
    NO_METADATA: "{name}, told nothing",
    CLIP: "CLIP",
    CHANCE: "captions of other places' photos",
    GROUND: "the photo itself",
    WRITTEN: "what people wrote",
}


@dataclass(frozen=True)
class CaptionOptions:
    """What decides the figures beside the models: plain values."""

    split: str = "test"
    gallery: int = 500
    seed: int = 0
    beams: int = 1
    """1 is greedy, as in table 2."""
    encoders: tuple[str, ...] = ()
    """Sentence encoders, by name or folder."""
    bert: str | None = None
    """BERTScore's model, by name or folder."""
    bert_layer: int | None = None
    block_km: float = 10.0
    draws: int = 1000

    def __post_init__(self) -> None:
        """Raise `InputError` for encoders whose figures would have one name, and a layer of nothing."""
        if self.bert is None and self.bert_layer is not None:
            raise InputError(f"--bert-layer {self.bert_layer} is of a model that --bert names; give both")
        names = [*_OWN, *self.encoder_names]
        twice = [name for name in self.encoder_names if names.count(name) > 1]
        if twice:
            raise InputError(f"figures of sentence encoder {twice[0]!r} would have two meanings; rename it")

    @property
    def encoder_names(self) -> list[str]:
        """What the figures of sentence encoders are called."""
        return [Path(encoder).name for encoder in self.encoders]


@dataclass(frozen=True, eq=False)
class GalleryCaptions:
    """The captions of a gallery's places: what figure 6 is drawn from."""

    gallery: Gallery
    made: Mapping[str, Sequence[str]]
    """Of each row, one a place."""
    months: Mapping[When, Sequence[str]]
    """Told January and July; nothing from a model that knows no time."""


def read_captions(path: Path) -> dict[str, list[str]]:
    """What people wrote, by pairs' keys: JSON lines ``{"key": …, "caption": …}``, or ``"captions": […]``.

    Lines of one key add up. Raises `InputError`.
    """
    found: dict[str, list[str]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                entry = json.loads(line)
                found.setdefault(str(entry["key"]), []).extend(captions_from_json(entry))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'captions {path} cannot be read ({error!r}); write {{"key": KEY, "caption": TEXT}} a line'
        ) from error
    return found


def evaluate_captions(
    pairs: PairSet,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    written: Mapping[str, Sequence[str]] | None = None,
    cache: Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Table 2: captions from overhead embeddings against those from the photo, and what people wrote.

    Rows: the model told place and time (no name), ``no_metadata.``, ``clip.``, and ``chance.``, the caption
    of another pair's photo. ``ground.rouge_l`` is agreement with the photo's caption, ``written.…`` with
    people's, which the miniature world has of itself. There, too, ``truth.…``; and with a Dynamic Encoder
    ``months.…`` and ``winter.…``. Raises `PairsError`, `ModelError`, `InputError`.
    """
    for model in (checkpoint, *([] if clip is None else [clip])):
        captioner.check_model(model)
    texts = None if checkpoint.text is None else agreement.cache_embeddings(checkpoint.embed_text)
    agreements = _measures(texts, options)
    gallery = embed_gallery(pairs, checkpoint, options.split, options.gallery, options.seed, cache=cache)
    place = CaptionedPairs.of(pairs, options.split, gallery, written)
    rows = _rows(pairs, gallery, checkpoint, clip, captioner, options, cache)
    said = _said(rows, gallery, checkpoint, captioner, options.beams, progress)
    made = {**said.made, **({WRITTEN: [some[0] for some in place.written]} if place.written else {})}
    bootstrap = Bootstrap(number_blocks(gallery.lon, gallery.lat, options.block_km), options.draws)
    measures = dict(_agreements(made, place, gallery, texts, agreements))
    measures |= {
        ".".join(filter(None, (row, name))): found
        for row, some in made.items()
        for name, found in measure_caption_truth(some, place)
    }
    figures = [Metric("captions", float(len(gallery.lon))), *_figures(measures, bootstrap)]
    figures += _bleus(made, place)
    months: dict[str, Any] = {}
    if said.months:
        told, months = month_metrics(said.months, place, bootstrap)
        figures += told
    return Evaluation(tuple(figures), _shown(made, months, place, checkpoint, options), said)


def caption_inputs(
    pairs: PairSet,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    written: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "pairs": pairs.fingerprint,
        "models": [checkpoint.identity, None if clip is None else clip.identity],
        "captioner": captioner.identity,
        "written": None if written is None else sorted((key, list(some)) for key, some in written.items()),
        **asdict(options),
    }


def _rows(
    pairs: PairSet,
    gallery: Gallery,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    cache: Path | None,
) -> dict[str, Float32]:
    """What each row of the table makes its captions from, `[N, D]` each."""
    rows = {"": gallery.overhead}
    if checkpoint.dynamic is not None:
        rows = {"": gallery.overhead + gallery.dynamic_offsets(checkpoint), NO_METADATA: gallery.overhead}
    if clip is not None:
        same = gallery.ground if clip.ground_identity == checkpoint.ground_identity else None
        theirs = embed_gallery(
            pairs, clip, options.split, options.gallery, options.seed, ground=same, cache=cache
        )
        rows[CLIP] = theirs.overhead
    rows[GROUND] = gallery.ground if captioner.unit else _photos(pairs, gallery, checkpoint, options.split)
    return rows


def _said(
    rows: Mapping[str, Float32],
    gallery: Gallery,
    checkpoint: Checkpoint,
    captioner: Captioner,
    beams: int,
    progress: Progress,
) -> GalleryCaptions:
    """The captions of every row, of other places' photos, and told January and July."""
    moments = () if checkpoint.dynamic is None else (JANUARY, JULY)
    total = (len(rows) + len(moments)) * len(gallery.lon)
    made: dict[str, list[str]] = {}
    for number, (row, embeddings) in enumerate(rows.items()):
        made[row] = captioner.captions(embeddings, beams, progress=_part(progress, number, total))
    months = {
        when: generate_captions_at(
            gallery, checkpoint, captioner, when, beams, _part(progress, number, total)
        )
        for number, when in enumerate(moments, len(rows))
    }
    order = np.random.default_rng(0).permutation(len(gallery.lon))
    another = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    made[CHANCE] = [made[GROUND][another[number]] for number in range(len(order))]
    return GalleryCaptions(gallery, made, months)


def _part(progress: Progress, number: int, total: int) -> Progress:
    """What one of several equal parts tells of its progress, as a piece of the whole."""
    return lambda stage, done, count: progress(stage, number * count + done, total)


def _photos(pairs: PairSet, gallery: Gallery, checkpoint: Checkpoint, split: str) -> Float32:
    """Photos' embeddings `[N, D]` as the tower gives them, which a gallery does not keep."""
    found = read_pairs(pairs, split, gallery.row.tolist())
    images = [decode_image(found[row].ground) for row in gallery.row.tolist()]
    return checkpoint.embed_ground(images, unit=False)


def _agreements(
    made: Mapping[str, Sequence[str]],
    place: CaptionedPairs,
    gallery: Gallery,
    texts: agreement.Embed | None,
    measures: Mapping[str, agreement.Measure],
) -> Iterator[tuple[str, WeightedMean]]:
    """Every measure of every row that has one number a caption."""
    for name, measure in measures.items():
        for row, against, references in _comparisons(made, place):
            yield _name(row, against, name), WeightedMean.mean(measure(made[row], references))
    if texts is not None:
        for row, captions in made.items():
            cosines = (texts(captions) * gallery.ground).sum(axis=1)
            yield _name(row, "", "clip_photo"), WeightedMean.mean(cosines.astype(np.float64))


def _measures(texts: agreement.Embed | None, options: CaptionOptions) -> dict[str, agreement.Measure]:
    """Opened before anything is captioned, so that what is missing costs nobody an hour."""
    agreement.check_installed()
    found: dict[str, agreement.Measure] = {"rouge_l": agreement.rouge_l, "cider": agreement.cider}
    if texts is not None:
        found["clip_text"] = partial(agreement.nearest_cosine, embed=texts)
    for name, encoder in zip(options.encoder_names, options.encoders, strict=True):
        embed = agreement.cache_embeddings(agreement.sentence_encoder(encoder))
        found[name] = partial(agreement.nearest_cosine, embed=embed)
    if options.bert is not None:
        found["bert_score"] = agreement.bert_scorer(options.bert, options.bert_layer)
    return found


def _comparisons(
    made: Mapping[str, Sequence[str]], place: CaptionedPairs
) -> Iterator[tuple[str, str, agreement.References]]:
    """Each row with each of the references that it is not itself."""
    references: dict[str, agreement.References] = {GROUND: [[text] for text in made[GROUND]]}
    if place.written:
        references[WRITTEN] = place.written
    yield from ((row, one, found) for row in made for one, found in references.items() if row != one)


def _bleus(made: Mapping[str, Sequence[str]], place: CaptionedPairs) -> Iterator[Metric]:
    """BLEU is of all captions together and has no interval."""
    for row, against, references in _comparisons(made, place):
        for order, value in enumerate(agreement.bleu(made[row], references), start=1):
            yield Metric(_name(row, against, f"bleu{order}"), value)


def _figures(measures: Mapping[str, WeightedMean], bootstrap: Bootstrap) -> Iterator[Metric]:
    """Each measure, and the first row less CLIP's where both have it, with intervals from the same draws."""

    def measure(weight: NDArray[np.float64] | None) -> dict[str, float]:
        found = {name: one.value(weight) for name, one in measures.items()}
        lead = {
            f"above_clip.{name}": value - found[f"{CLIP}.{name}"]
            for name, value in found.items()
            if f"{CLIP}.{name}" in found
        }
        return found | lead

    intervals = bootstrap.intervals(measure)
    for name, value in measure(None).items():
        yield Metric(name, value, intervals.get(name))


def _name(row: str, against: str, measure: str) -> str:
    return ".".join(filter(None, (row, against, measure)))


def _examples(
    made: Mapping[str, Sequence[str]], place: CaptionedPairs, count: int = 8
) -> list[dict[str, str]]:
    """The captions of a few pairs, evenly picked."""
    step = max(1, len(place.keys) // count)
    return [
        {"key": place.keys[number], **{row: some[number] for row, some in made.items() if row != CHANCE}}
        for number in range(0, len(place.keys), step)
    ][:count]


def _shown(
    made: Mapping[str, Sequence[str]],
    months: Mapping[str, Any],
    place: CaptionedPairs,
    checkpoint: Checkpoint,
    options: CaptionOptions,
) -> dict[str, Any]:
    """What the tables need beside the figures."""
    name = str(checkpoint.card.get("name", "model"))
    return {
        "rows": [{"name": row, "label": _LABELS[row].format(name=name)} for row in made],
        "months": months,
        "examples": _examples(made, place),
        "beams": options.beams,
        "encoders": options.encoder_names,
        "bert": options.bert,
    }
