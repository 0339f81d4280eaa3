"""How photos and patches find each other (table 1 of the paper), beside what does without the method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.retrieval.gallery import Gallery, embed_gallery, normalise_rows
from sat2cap.evaluation.retrieval.moments import moment_metrics
from sat2cap.evaluation.retrieval.ranks import match_ranks
from sat2cap.evaluation.retrieval.recall import Weight, chance_metrics, retrieval_metrics
from sat2cap.evaluation.rows import CHANCE, CLIP, LOCATION, NO_METADATA
from sat2cap.model import Checkpoint
from sat2cap.pairs import PairSet

Float32 = NDArray[np.float32]

DIRECTIONS = ("overhead2ground", "ground2overhead")
BASELINES = (CLIP, LOCATION, CHANCE, NO_METADATA)
"""Rows of the table beside the models, and what a model that is told nothing is called; no model's name."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """Before the names of its figures; empty for the first model as it is meant to be used."""
    label: str
    meta_training: bool | None
    """Whether the model was trained with place and time; None where it is not a trained one or not known."""
    dropout: bool | None
    """Whether the Dynamic Encoder was left out at random in training."""
    meta_inference: bool | None
    """Whether it is told place and time here."""


def gallery_metrics(gallery: Gallery, checkpoint: Checkpoint, use_metadata: bool) -> Iterator[Metric]:
    """Yield one row of table 1: ``gallery``, then ``overhead2ground.r1`` and so on, in both directions.

    `checkpoint` is the model that embedded the gallery. With `use_metadata` the overhead embedding of each
    pair has the Dynamic Encoder's offset for the photo's place and time added before it is normalised.
    Raises `ModelError` for a model without what is needed.
    """
    overhead = gallery.conditioned_embeddings(checkpoint) if use_metadata else gallery.unit_overhead
    yield Metric("gallery", float(len(gallery.ground)))
    found = both_ranks(overhead, gallery.ground, gallery.places())
    for direction, mine in found.items():
        for name, value in retrieval_metrics(mine).items():
            yield Metric(f"{direction}.{name}", value)


def both_ranks(overhead: Float32, ground: Float32, place: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Ranks in both directions, by the name of the direction."""
    return dict(
        zip(
            DIRECTIONS,
            (match_ranks(overhead, ground, place), match_ranks(ground, overhead, place)),
            strict=True,
        )
    )


@dataclass(frozen=True)
class TableOptions:
    """What decides the figures of the table beside the pairs and the models: plain values."""

    split: str = "test"
    gallery: int = 2000
    seed: int = 0
    metadata: bool | None = None
    """Only the rows that are told place and time, only those that are not, or both."""
    same_place_m: float = 1.0
    """Pairs no further apart are one place, and each other's right answer."""
    block_km: float = 10.0
    draws: int = 1000


def evaluate_table(
    pairs: PairSet,
    models: Mapping[str, Checkpoint],
    clip: Checkpoint | None = None,
    options: TableOptions | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """Table 1 for any number of models by name, the first being the one in question, and the baselines.

    Figures of the first model have no prefix, without metadata ``no_metadata.``; those of the others begin
    with their names. Then ``clip.``, ``location.`` (the Dynamic Encoder of the first model alone), and
    ``chance.``; ``times.`` as `moment_metrics` gives; ``above_clip.overhead2ground.r10`` is the first
    model's less CLIP's, its interval paired. `Evaluation.material` is the gallery of the first model.
    Raises `PairsError`, `ModelError`.
    """
    if not models:
        raise ModelError("no model is given to measure; give at least one")
    options = options or TableOptions()
    rows, found, first = [], {}, None
    for row, overhead, gallery in _sides(pairs, models, clip, options, cache):
        first = first or gallery
        place = gallery.places(options.same_place_m)
        rows.append(row)
        found[row.name] = both_ranks(overhead, gallery.ground, place)
    assert first is not None  # every model has a row
    place = first.places(options.same_place_m)
    bootstrap = Bootstrap(number_blocks(first.lon, first.lat, options.block_km), options.draws)
    figures = [Metric("gallery", float(len(place))), Metric("places", float(place.max() + 1))]
    figures += _row_figures(found, bootstrap)
    told, model = options.metadata is not False, next(iter(models.values()))
    if told and model.dynamic is not None:
        figures += moment_metrics(first, model, bootstrap)
    rows.append(Row(CHANCE, "chance", None, None, None))
    figures += [Metric(f"{CHANCE}.{name}", value) for name, value in chance_metrics(place).items()]
    return Evaluation(tuple(figures), {"rows": [asdict(row) for row in rows]}, first)


def _sides(
    pairs: PairSet,
    models: Mapping[str, Checkpoint],
    clip: Checkpoint | None,
    options: TableOptions,
    cache: Path | None,
) -> Iterator[tuple[Row, Float32, Gallery]]:
    """Each row with its overhead embeddings `[N, D]` and the gallery that they are asked of."""
    grounds: dict[str, Float32] = {}

    def embed(checkpoint: Checkpoint) -> Gallery:
        known = grounds.get(checkpoint.ground_identity)
        found = embed_gallery(
            pairs, checkpoint, options.split, options.gallery, options.seed, ground=known, cache=cache
        )
        grounds[checkpoint.ground_identity] = found.ground
        return found

    for number, (name, checkpoint) in enumerate(models.items()):
        gallery = embed(checkpoint)
        for row in _rows_of("" if number == 0 else name, name, checkpoint, options.metadata):
            overhead = (
                gallery.conditioned_embeddings(checkpoint) if row.meta_inference else gallery.unit_overhead
            )
            yield row, overhead, gallery
        if number == 0 and checkpoint.dynamic is not None and options.metadata is not False:
            alone = Row(LOCATION, "place and time alone", True, None, True)
            yield alone, normalise_rows(gallery.dynamic_offsets(checkpoint)), gallery
    if clip is not None:
        gallery = embed(clip)
        yield Row(CLIP, "CLIP", None, None, None), gallery.unit_overhead, gallery


def _rows_of(prefix: str, name: str, checkpoint: Checkpoint, metadata: bool | None) -> Iterator[Row]:
    """How one model is asked: told place and time if it can be, and not told."""
    knows = checkpoint.dynamic is not None
    if metadata and not knows:
        raise ModelError(
            f"{name} has no Dynamic Encoder, so it cannot be told place and time; leave that out"
        )
    card = checkpoint.card.get("training", {}).get("run", {}).get("model", {})
    rate = card.get("dropout")
    dropout = None if not knows or rate is None else bool(rate > 0)
    told = knows and metadata is not False
    if told:
        yield Row(prefix, name, True, dropout, True)
    if not told or metadata is None:
        untold = ".".join(filter(None, (prefix, NO_METADATA))) if told else prefix
        yield Row(untold, f"{name}, told nothing" if knows else name, knows, dropout, False)


def _row_figures(
    found: Mapping[str, Mapping[str, NDArray[np.int64]]], bootstrap: Bootstrap
) -> Iterator[Metric]:
    """The figures of every row, and of the first beside CLIP's, with intervals from the same draws."""

    def measure(weight: Weight | None) -> dict[str, float]:
        figures = {
            ".".join(filter(None, (row, direction, name))): value
            for row, sides in found.items()
            for direction, mine in sides.items()
            for name, value in retrieval_metrics(mine, weight).items()
        }
        if CLIP in found:
            first = next(iter(found))
            for way in DIRECTIONS:
                ours = figures[".".join(filter(None, (first, way, "r10")))]
                figures[f"above_clip.{way}.r10"] = ours - figures[f"{CLIP}.{way}.r10"]
        return figures

    intervals = bootstrap.intervals(measure)
    for name, value in measure(None).items():
        yield Metric(name, value, intervals.get(name))


def retrieval_inputs(
    pairs: PairSet, models: Sequence[Checkpoint], clip: Checkpoint | None, options: TableOptions
) -> dict[str, Any]:
    """What the table depends on: equal inputs give equal figures."""
    return {
        "pairs": pairs.fingerprint,
        "models": [model.identity for model in models],
        "clip": None if clip is None else clip.identity,
        **asdict(options),
    }
