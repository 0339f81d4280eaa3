"""Captions of places against those of photos taken there (section 4.4, figure 6 and table 2 of the paper)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.captions import agreement
from sat2cap.evaluation.captions.generation import caption_rows, caption_sources
from sat2cap.evaluation.captions.options import CaptionOptions
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.miniworld.captions import (
    CaptionedPairs,
    WeightedMean,
    measure_caption_truth,
    month_metrics,
)
from sat2cap.evaluation.retrieval.gallery import Gallery, embed_gallery
from sat2cap.evaluation.rows import CHANCE, CLIP, GROUND, NO_METADATA, WRITTEN
from sat2cap.files import MAX_TEXT_BYTES, parse_json, read_regular_file
from sat2cap.model import Captioner, Checkpoint, captions_from_json, choose_compute
from sat2cap.pairs import PairSet
from sat2cap.progress import Progress, silent

_LABELS = {
    "": "{name}",
    NO_METADATA: "{name}, without place and time",
    CLIP: "CLIP",
    CHANCE: "captions of other places' photos",
    GROUND: "the photo itself",
    WRITTEN: "what people wrote",
}


def read_captions(path: Path) -> dict[str, list[str]]:
    """Read captions that people wrote, by the key of their pair.

    The file holds JSON lines ``{"key": …, "caption": …}`` or ``{"key": …, "captions": […]}``; the captions
    of several lines with one key are joined. Raises `InputError` if it cannot be read so.
    """
    captions_by_key: dict[str, list[str]] = {}
    try:
        for line in read_regular_file(path, MAX_TEXT_BYTES).decode("utf-8").splitlines():
            if line.strip():
                entry = parse_json(line)
                captions_by_key.setdefault(str(entry["key"]), []).extend(captions_from_json(entry))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f'captions {path} cannot be read ({error!r}); write {{"key": KEY, "caption": TEXT}} a line'
        ) from error
    return captions_by_key


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
    """Compute table 2: captions from overhead embeddings against those from the photo and people's own.

    Rows: the model told place and time (no name), ``no_metadata.``, ``clip.``, and ``chance.``, the caption
    of another pair's photo. ``ground.rouge_l`` is agreement with the photo's caption, ``written.…`` with
    people's, which the miniature world has of itself. There, too, ``truth.…``; and with a Dynamic Encoder
    ``months.…`` and ``winter.…``. Raises `PairsError`, `ModelError`, `InputError`.
    """
    for model in (checkpoint, *([] if clip is None else [clip])):
        captioner.check_model(model)
    captioner.network.to(choose_compute().device)
    texts = None if checkpoint.text is None else agreement.cache_embeddings(checkpoint.embed_text)
    agreements = _open_measures(texts, options)
    gallery = embed_gallery(pairs, checkpoint, options.split, options.gallery, options.seed, cache=cache)
    place = CaptionedPairs.of(pairs, options.split, gallery, written)
    rows = caption_sources(pairs, gallery, checkpoint, clip, captioner, options, cache)
    captions = caption_rows(rows, gallery, checkpoint, captioner, options.beams, progress)
    made = {**captions.made, **({WRITTEN: [some[0] for some in place.written]} if place.written else {})}
    bootstrap = Bootstrap(number_blocks(gallery.lon, gallery.lat, options.block_km), options.draws)
    measures = dict(_measure_agreement(made, place, gallery, texts, agreements))
    measures |= {
        ".".join(filter(None, (row, name))): measure
        for row, row_captions in made.items()
        for name, measure in measure_caption_truth(row_captions, place)
    }
    figures = [Metric("captions", float(len(gallery.lon))), *_with_intervals(measures, bootstrap)]
    figures += _measure_bleu(made, place)
    months: dict[str, Any] = {}
    if captions.months:
        by_month, months = month_metrics(captions.months, place, bootstrap)
        figures += by_month
    return Evaluation(tuple(figures), _table_data(made, months, place, checkpoint, options), captions)


def caption_inputs(
    pairs: PairSet,
    checkpoint: Checkpoint,
    clip: Checkpoint | None,
    captioner: Captioner,
    options: CaptionOptions,
    written: Mapping[str, Sequence[str]] | None,
) -> dict[str, Any]:
    """Return what the metrics depend on, as plain JSON values: equal inputs give equal metrics.

    `cached_evaluation` hashes them to find a kept record. Files are named by their hashes, not by their
    paths.
    """
    return {
        "pairs": pairs.fingerprint,
        "models": [checkpoint.identity, None if clip is None else clip.identity],
        "captioner": captioner.identity,
        "written": None if written is None else sorted((key, list(some)) for key, some in written.items()),
        **asdict(options),
    }


def _measure_agreement(
    made: Mapping[str, Sequence[str]],
    place: CaptionedPairs,
    gallery: Gallery,
    texts: agreement.Embed | None,
    measures: Mapping[str, agreement.Measure],
) -> Iterator[tuple[str, WeightedMean]]:
    """Yield every measure with one number per caption, for every row of the table."""
    for name, measure in measures.items():
        for row, against, references in _pair_with_references(made, place):
            yield _metric_name(row, against, name), WeightedMean.mean(measure(made[row], references))
    if texts is not None:
        for row, captions in made.items():
            cosines = (texts(captions) * gallery.ground).sum(axis=1)
            yield _metric_name(row, "", "clip_photo"), WeightedMean.mean(cosines.astype(np.float64))


def _open_measures(texts: agreement.Embed | None, options: CaptionOptions) -> dict[str, agreement.Measure]:
    """Open every measure that the options ask for.

    This is done before any caption is generated, so that a missing model is reported at once.
    """
    agreement.check_installed()
    measures: dict[str, agreement.Measure] = {"rouge_l": agreement.rouge_l, "cider": agreement.cider}
    if texts is not None:
        measures["clip_text"] = partial(agreement.nearest_cosine, embed=texts)
    for name, encoder in zip(options.encoder_names, options.encoders, strict=True):
        embed = agreement.cache_embeddings(agreement.sentence_encoder(encoder))
        measures[name] = partial(agreement.nearest_cosine, embed=embed)
    if options.bert is not None:
        measures["bert_score"] = agreement.bert_scorer(options.bert, options.bert_layer)
    return measures


def _pair_with_references(
    made: Mapping[str, Sequence[str]], place: CaptionedPairs
) -> Iterator[tuple[str, str, agreement.References]]:
    """Yield each row's name with the name and texts of each reference, never a row with itself."""
    references: dict[str, agreement.References] = {GROUND: [[text] for text in made[GROUND]]}
    if place.written:
        references[WRITTEN] = place.written
    for row in made:
        yield from ((row, against, texts) for against, texts in references.items() if row != against)


def _measure_bleu(made: Mapping[str, Sequence[str]], place: CaptionedPairs) -> Iterator[Metric]:
    """Yield BLEU-1 to BLEU-4 of every comparison; they are over all captions, so have no interval."""
    for row, against, references in _pair_with_references(made, place):
        for order, value in enumerate(agreement.bleu(made[row], references), start=1):
            yield Metric(_metric_name(row, against, f"bleu{order}"), value)


def _with_intervals(measures: Mapping[str, WeightedMean], bootstrap: Bootstrap) -> Iterator[Metric]:
    """Yield each measure, and ``above_clip.…``: the first row less CLIP's, its interval from paired draws."""

    def measure(weight: NDArray[np.float64] | None) -> dict[str, float]:
        values = {name: ratio.value(weight) for name, ratio in measures.items()}
        lead = {
            f"above_clip.{name}": value - values[f"{CLIP}.{name}"]
            for name, value in values.items()
            if f"{CLIP}.{name}" in values
        }
        return values | lead

    yield from bootstrap.metrics(measure)


def _metric_name(row: str, against: str, measure: str) -> str:
    return ".".join(filter(None, (row, against, measure)))


def _pick_examples(
    made: Mapping[str, Sequence[str]], place: CaptionedPairs, count: int = 8
) -> list[dict[str, str]]:
    """Return the captions of about `count` pairs, evenly spaced over the gallery."""
    step = max(1, len(place.keys) // count)
    return [
        {"key": place.keys[number], **{row: some[number] for row, some in made.items() if row != CHANCE}}
        for number in range(0, len(place.keys), step)
    ][:count]


def _table_data(
    made: Mapping[str, Sequence[str]],
    months: Mapping[str, Any],
    place: CaptionedPairs,
    checkpoint: Checkpoint,
    options: CaptionOptions,
) -> dict[str, Any]:
    """Return what the report's tables need beside the metrics, as plain values."""
    name = str(checkpoint.card.get("name", "model"))
    return {
        "rows": [{"name": row, "label": _LABELS[row].format(name=name)} for row in made],
        "months": months,
        "examples": _pick_examples(made, place),
        "beams": options.beams,
        "encoders": options.encoder_names,
        "bert": options.bert,
    }
