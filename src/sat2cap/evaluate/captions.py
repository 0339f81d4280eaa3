"""Captions of places against those of photos taken there (section 4.4, figure 6 and table 2 of the paper)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.evaluate import agreement
from sat2cap.evaluate.blocks import Bootstrap, blocks_of
from sat2cap.evaluate.captioned import Captioned, Measured, month_figures, truth_measures
from sat2cap.evaluate.figures import Evaluation, Figure
from sat2cap.evaluate.gallery import Gallery, decoded, embed_gallery, read_pairs
from sat2cap.model.captioner import Captioner
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.pairs import PairSet

Float32 = NDArray[np.float32]

CLIP, UNTOLD, CHANCE, GROUND, WRITTEN = "clip", "no_metadata", "chance", "ground", "written"
_LABELS = {
    "": "{name}",
    UNTOLD: "{name}, told nothing",
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


def read_captions(path: Path) -> dict[str, list[str]]:
    """What people wrote, by pairs' keys: JSON lines ``{"key": …, "caption": …}``, or ``"captions": […]``."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {str(line["key"]): list(line.get("captions") or [line["caption"]]) for line in lines}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'captions {path} cannot be read ({error!r}); write {{"key": KEY, "caption": TEXT}} a line'
        ) from error


def evaluate_captions(
    pairs: PairSet,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    written: Mapping[str, Sequence[str]] | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """Table 2: captions from overhead embeddings against those from the photo, and what people wrote.

    Rows: the model told place and time (no name), ``no_metadata.``, ``clip.``, and ``chance.``, the caption
    of another pair's photo. ``ground.rouge_l`` is agreement with the photo's caption, ``written.…`` with
    people's, which the miniature world has of itself. There, too, ``truth.…``; and with a Dynamic Encoder
    ``months.…`` and ``winter.…``. Raises `PairsError`, `ModelError`, `InputError`.
    """
    gallery = embed_gallery(pairs, checkpoint, options.split, options.gallery, options.seed, cache=cache)
    made = _said(pairs, gallery, checkpoint, clip, captioner, options, cache)
    place = Captioned.of(pairs, options.split, gallery, written)
    if place.written:
        made[WRITTEN] = [some[0] for some in place.written]
    bootstrap = Bootstrap(blocks_of(gallery.lon, gallery.lat, options.block_km), options.draws)
    measures = dict(_agreements(made, place, gallery, checkpoint, options))
    measures |= {
        ".".join(filter(None, (row, name))): found
        for row, texts in made.items()
        for name, found in truth_measures(texts, place)
    }
    figures = [Figure("captions", float(len(gallery.lon))), *_figures(measures, bootstrap)]
    figures += _bleus(made, place)
    examples: dict[str, Any] = {}
    if checkpoint.dynamic is not None:
        told, examples = month_figures(gallery, checkpoint, captioner, place, options.beams, bootstrap)
        figures += told
    name = str(checkpoint.card.get("name", "model"))
    rows = [{"name": row, "label": _LABELS[row].format(name=name)} for row in made]
    shown = {"rows": rows, "months": examples, "examples": _examples(made, place), **_words(options)}
    return Evaluation(tuple(figures), shown)


def inputs_of(
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


def _said(
    pairs: PairSet,
    gallery: Gallery,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    cache: Path | None,
) -> dict[str, list[str]]:
    """The captions of each row, one a pair."""
    rows: dict[str, Float32] = {}
    if checkpoint.dynamic is None:
        rows[""] = gallery.overhead
    else:
        rows = {"": gallery.overhead + gallery.offsets(checkpoint), UNTOLD: gallery.overhead}
    if clip is not None:
        same = gallery.ground if clip.ground_identity == checkpoint.ground_identity else None
        theirs = embed_gallery(
            pairs, clip, options.split, options.gallery, options.seed, ground=same, cache=cache
        )
        rows[CLIP] = theirs.overhead
    rows[GROUND] = gallery.ground if captioner.unit else _photos(pairs, gallery, checkpoint, options.split)
    made = {row: captioner.captions(found, options.beams) for row, found in rows.items()}
    order = np.random.default_rng(0).permutation(len(gallery.lon))
    another = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    made[CHANCE] = [made[GROUND][another[number]] for number in range(len(order))]
    return made


def _photos(pairs: PairSet, gallery: Gallery, checkpoint: Checkpoint, split: str) -> Float32:
    """Photos' embeddings `[N, D]` as the tower gives them, which a gallery does not keep."""
    found = read_pairs(pairs, split, gallery.row.tolist())
    images = [decoded(found[row].ground) for row in gallery.row.tolist()]
    return checkpoint.embed_ground(images, unit=False)


def _agreements(
    made: Mapping[str, Sequence[str]],
    place: Captioned,
    gallery: Gallery,
    checkpoint: Checkpoint,
    options: CaptionOptions,
) -> Iterator[tuple[str, Measured]]:
    """Every measure of every row that has one number a caption."""
    measures: dict[str, Callable[[Sequence[str], agreement.References], NDArray[np.float64]]] = {
        "rouge_l": agreement.rouge_l,
        "cider": agreement.cider,
    }
    if checkpoint.text is not None:
        measures["clip_text"] = partial(agreement.clip_text, checkpoint=checkpoint)
    for encoder in options.encoders:
        measures[Path(encoder).name] = partial(agreement.encoder_cosine, model=encoder)
    if (bert := options.bert) is not None:
        measures["bert_score"] = partial(agreement.bert_score, model=bert, layer=options.bert_layer)
    for name, measure in measures.items():  # outermost, so that one network at a time is open
        for row, against, references in _comparisons(made, place):
            yield _name(row, against, name), Measured.mean(measure(made[row], references))
    if checkpoint.text is not None:
        for row, texts in made.items():
            cosines = (checkpoint.embed_text(texts) * gallery.ground).sum(axis=1)
            yield _name(row, "", "clip_photo"), Measured.mean(cosines.astype(np.float64))


def _comparisons(
    made: Mapping[str, Sequence[str]], place: Captioned
) -> Iterator[tuple[str, str, agreement.References]]:
    """Each row with each of the references that it is not itself."""
    references: dict[str, agreement.References] = {GROUND: [[text] for text in made[GROUND]]}
    if place.written:
        references[WRITTEN] = place.written
    yield from ((row, one, found) for row in made for one, found in references.items() if row != one)


def _bleus(made: Mapping[str, Sequence[str]], place: Captioned) -> Iterator[Figure]:
    """BLEU is of all captions together and has no interval."""
    for row, against, references in _comparisons(made, place):
        for order, value in enumerate(agreement.bleu(made[row], references), start=1):
            yield Figure(_name(row, against, f"bleu{order}"), value)


def _figures(measures: Mapping[str, Measured], bootstrap: Bootstrap) -> Iterator[Figure]:
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
        yield Figure(name, value, intervals.get(name))


def _name(row: str, against: str, measure: str) -> str:
    return ".".join(filter(None, (row, against, measure)))


def _examples(made: Mapping[str, Sequence[str]], place: Captioned, count: int = 8) -> list[dict[str, str]]:
    """The captions of a few pairs, evenly picked."""
    step = max(1, len(place.keys) // count)
    return [
        {
            "key": place.keys[number],
            **{row or "sat2cap": texts[number] for row, texts in made.items() if row != CHANCE},
        }
        for number in range(0, len(place.keys), step)
    ][:count]


def _words(options: CaptionOptions) -> dict[str, Any]:
    names = [Path(encoder).name for encoder in options.encoders]
    return {"beams": options.beams, "encoders": names, "bert": options.bert}
