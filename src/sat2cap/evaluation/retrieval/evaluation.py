"""Retrieval between photos and overhead patches (table 1 of the paper), beside baselines."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.metric import Evaluation, Metric, metric_name
from sat2cap.evaluation.retrieval.gallery import Gallery, embed_gallery, normalise_rows
from sat2cap.evaluation.retrieval.moments import moment_metrics
from sat2cap.evaluation.retrieval.ranks import match_ranks
from sat2cap.evaluation.rows import CHANCE, CLIP, LINEAR, LOCATION, NO_METADATA, OWN_PHOTO
from sat2cap.model import Checkpoint
from sat2cap.pairs import PairSet, chance_metrics, retrieval_metrics

Float32 = NDArray[np.float32]
Weight = NDArray[np.float64]

DIRECTIONS = ("overhead2ground", "ground2overhead")
BASELINES = (CLIP, LINEAR, LOCATION, CHANCE, NO_METADATA, OWN_PHOTO)
"""Names of rows beside the models, and of variants of a model; no model may have such a name."""


@dataclass(frozen=True)
class Row:
    """One row of table 1."""

    name: str
    """Prefix of its metrics' names; empty for the first model with all that it can use."""
    label: str
    meta_training: bool | None
    """Whether the model was trained with place and time; None if it is not ours, or not known."""
    dropout: bool | None
    """Whether the Dynamic Encoder was left out at random in training."""
    meta_inference: bool | None
    """Whether its embeddings are conditioned on place and time here."""


def gallery_metrics(gallery: Gallery, checkpoint: Checkpoint, use_metadata: bool) -> Iterator[Metric]:
    """Yield one row of table 1: ``gallery``, then ``overhead2ground.r1`` and so on, in both directions.

    `checkpoint` is the model that embedded the gallery. With `use_metadata` the overhead embedding of each
    pair has the Dynamic Encoder's offset for the photo's place and time added before it is normalised.
    Raises `ModelError` for a model without what is needed.
    """
    overhead = gallery.conditioned_embeddings(checkpoint) if use_metadata else gallery.unit_overhead
    yield Metric("gallery", float(len(gallery.ground)))
    ranks = both_ranks(overhead, gallery.ground, gallery.places())
    for direction, direction_ranks in ranks.items():
        for name, value in retrieval_metrics(direction_ranks).items():
            yield Metric(f"{direction}.{name}", value)


def both_ranks(overhead: Float32, ground: Float32, place: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """Return the rank of each pair's right answer, int64 `[N]`, by the name of the direction."""
    return dict(
        zip(
            DIRECTIONS,
            (match_ranks(overhead, ground, place), match_ranks(ground, overhead, place)),
            strict=True,
        )
    )


@dataclass(frozen=True)
class TableOptions:
    """Settings that decide the metrics of table 1 beside the pairs and the models, as plain values."""

    split: str = "test"
    gallery: int = 2000
    seed: int = 0
    metadata: bool | None = None
    """True for rows with place and time only, False for rows without only, None for both."""
    same_place_m: float = 1.0
    """Pairs at most this far apart are one place, and right answers to each other."""
    block_km: float = 10.0
    draws: int = 1000


def evaluate_table(
    pairs: PairSet,
    models: Mapping[str, Checkpoint],
    clip: Checkpoint | None = None,
    options: TableOptions | None = None,
    cache: Path | None = None,
    *,
    linear: Checkpoint | None = None,
) -> Evaluation:
    """Compute table 1 for models by name, the first being the one in question, and for the baselines.

    Metrics of the first model have no prefix, without metadata ``no_metadata.``, and with nothing but the
    pair's own photo as a right answer ``own_photo.``; those of the others begin with their names. Then
    ``linear.`` and ``clip.`` (the baselines `linear` and `clip`), ``location.`` (the Dynamic Encoder of the
    first model alone), and ``chance.``; ``times.`` as `moment_metrics` gives. The metric
    ``above_clip.overhead2ground.r10`` is the first model's less CLIP's, its interval paired, and
    ``above_linear.…`` that less the linear model's. `Evaluation.material` is the gallery of the first model.
    Raises `PairsError`, `ModelError`, and `InputError` without scikit-learn.
    """
    if not models:
        raise ModelError("there is no model to measure; name at least one")
    options = options or TableOptions()
    rows, ranks, first = [], {}, None
    baselines = {name: model for name, model in ((LINEAR, linear), (CLIP, clip)) if model is not None}
    for row, overhead, gallery in _embedded_rows(pairs, models, baselines, options, cache):
        place = gallery.places(options.same_place_m)
        rows.append(row)
        ranks[row.name] = both_ranks(overhead, gallery.ground, place)
        if first is None:
            own = replace(row, name=OWN_PHOTO, label=f"{row.label}, only its own photo is right")
            rows.append(own)
            ranks[own.name] = both_ranks(overhead, gallery.ground, np.arange(len(gallery.ground)))
        first = first or gallery
    assert first is not None  # every model has a row
    place = first.places(options.same_place_m)
    bootstrap = Bootstrap(number_blocks(first.lon, first.lat, options.block_km), options.draws)
    metrics = [Metric("gallery", float(len(place))), Metric("places", float(place.max() + 1))]
    metrics += _row_metrics(ranks, bootstrap)
    use_metadata, model = options.metadata is not False, next(iter(models.values()))
    if use_metadata and model.dynamic is not None:
        metrics += moment_metrics(first, model, bootstrap)
    rows.append(Row(CHANCE, "chance", None, None, None))
    metrics += [Metric(f"{CHANCE}.{name}", value) for name, value in chance_metrics(place).items()]
    return Evaluation(tuple(metrics), {"rows": [asdict(row) for row in rows]}, first)


def _embedded_rows(
    pairs: PairSet,
    models: Mapping[str, Checkpoint],
    baselines: Mapping[str, Checkpoint],
    options: TableOptions,
    cache: Path | None,
) -> Iterator[tuple[Row, Float32, Gallery]]:
    """Yield each row with its overhead embeddings `[N, D]` and the gallery that they search."""
    grounds: dict[str, Float32] = {}

    def embed(checkpoint: Checkpoint) -> Gallery:
        ground = grounds.get(checkpoint.ground_identity)
        embedded = embed_gallery(
            pairs, checkpoint, options.split, options.gallery, options.seed, ground=ground, cache=cache
        )
        grounds[checkpoint.ground_identity] = embedded.ground
        return embedded

    for number, (name, checkpoint) in enumerate(models.items()):
        gallery = embed(checkpoint)
        for row in _model_rows("" if number == 0 else name, name, checkpoint, options.metadata):
            overhead = (
                gallery.conditioned_embeddings(checkpoint) if row.meta_inference else gallery.unit_overhead
            )
            yield row, overhead, gallery
        if number == 0 and checkpoint.dynamic is not None and options.metadata is not False:
            alone = Row(LOCATION, "place and time alone", True, None, True)
            yield alone, normalise_rows(gallery.dynamic_offsets(checkpoint)), gallery
    if LINEAR in baselines:
        linear = baselines[LINEAR]
        gallery, use_metadata = embed(linear), linear.dynamic is not None and options.metadata is not False
        overhead = gallery.conditioned_embeddings(linear) if use_metadata else gallery.unit_overhead
        yield Row(LINEAR, "linear", linear.dynamic is not None, None, use_metadata), overhead, gallery
    if CLIP in baselines:
        gallery = embed(baselines[CLIP])
        yield Row(CLIP, "CLIP", None, None, None), gallery.unit_overhead, gallery


def _model_rows(prefix: str, name: str, checkpoint: Checkpoint, metadata: bool | None) -> Iterator[Row]:
    """Yield the rows of one model: with place and time if it can use them, and without."""
    has_dynamic = checkpoint.dynamic is not None
    if metadata and not has_dynamic:
        raise ModelError(
            f"{name} has no Dynamic Encoder, so it cannot use place and time; leave out --metadata"
        )
    card = checkpoint.card.get("training", {}).get("run", {}).get("model", {})
    rate = card.get("dropout")
    dropout = None if not has_dynamic or rate is None else bool(rate > 0)
    with_metadata = has_dynamic and metadata is not False
    if with_metadata:
        yield Row(prefix, name, True, dropout, True)
    if not with_metadata or metadata is None:
        without_name = metric_name(prefix, NO_METADATA) if with_metadata else prefix
        yield Row(
            without_name,
            f"{name}, without place and time" if has_dynamic else name,
            has_dynamic,
            dropout,
            False,
        )


def _row_metrics(
    ranks: Mapping[str, Mapping[str, NDArray[np.int64]]], bootstrap: Bootstrap
) -> Iterator[Metric]:
    """Yield the metrics of every row, and ``above_clip.…``: the first row less CLIP's, from paired draws.

    ``above_linear.…`` likewise.
    """

    def measure(weight: Weight | None) -> dict[str, float]:
        metrics = {
            metric_name(row, direction, name): value
            for row, sides in ranks.items()
            for direction, direction_ranks in sides.items()
            for name, value in retrieval_metrics(direction_ranks, weight).items()
        }
        first = next(iter(ranks))
        for baseline, way in product((CLIP, LINEAR), DIRECTIONS):
            if baseline in ranks:
                ours = metrics[metric_name(first, way, "r10")]
                metrics[f"above_{baseline}.{way}.r10"] = ours - metrics[f"{baseline}.{way}.r10"]
        return metrics

    yield from bootstrap.metrics(measure)


def retrieval_inputs(
    pairs: PairSet,
    models: Sequence[Checkpoint],
    clip: Checkpoint | None,
    options: TableOptions,
    linear: Checkpoint | None = None,
) -> dict[str, Any]:
    """Return what the table depends on, as plain JSON values: equal inputs give equal metrics.

    `cached_evaluation` hashes them to find a kept record. Pairs and models are named by their hashes.
    """
    return {
        "pairs": pairs.fingerprint,
        "models": [model.identity for model in models],
        "clip": None if clip is None else clip.identity,
        "linear": None if linear is None else linear.identity,
        **asdict(options),
    }
