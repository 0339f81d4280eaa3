"""Evaluations as calls: ``sat2cap.evaluate.retrieval(pairs, model)`` and its siblings.

Each returns a table with one row a metric, indexed by the metric's name: ``value``, and the ends ``low`` and
``high`` of its 95 % interval from resampled blocks of land (NaN where there is none). docs/evaluate.md
explains the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sat2cap.api import OpenAtlas, load_model, open
from sat2cap.arguments import check_path, check_sequence, check_text
from sat2cap.errors import InputError
from sat2cap.pairs import PairSet, open_pairs

if TYPE_CHECKING:
    from sat2cap.evaluation import Metric
    from sat2cap.model import Checkpoint

__all__ = ["clusters", "landcover", "maps", "retrieval", "time"]


def retrieval(
    pairs: str | Path | PairSet,
    model: str | Path | Checkpoint,
    clip: str | Path | Checkpoint | None = None,
    *,
    linear: str | Path | Checkpoint | None = None,
    split: str = "test",
    gallery: int = 2000,
    same_place_m: float = 1.0,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how photos and overhead patches find each other: table 1 of the paper.

    `gallery` pairs of `split` are chosen from. Rows without a prefix are the model's, ``no_metadata.`` the
    model's without place and time, ``own_photo.`` the model's where only the pair's own photo is right;
    ``clip.``, ``linear.`` (a linear model of the same pairs), ``location.`` and ``chance.`` are baselines.
    Photos no further apart than `same_place_m` are each other's right answer. Raises `PairsError`,
    `ModelError`, and `InputError` without the extra ``evaluate``.
    """
    from sat2cap.evaluation import TableOptions, evaluate_table

    options = TableOptions(split=split, gallery=gallery, seed=seed, same_place_m=same_place_m, draws=draws)
    checkpoint = _model(model)
    baseline = None if clip is None else _model(clip)
    name = str(checkpoint.card.get("name", "model"))
    ridge = None if linear is None else _model(linear)
    table = evaluate_table(_pairs(pairs), {name: checkpoint}, baseline, options, linear=ridge)
    return _table(table.metrics)


def clusters(
    pairs: str | Path | PairSet,
    model: str | Path | Checkpoint,
    clip: str | Path | Checkpoint | None = None,
    *,
    counts: Sequence[int] = (10, 50, 100),
    split: str = "test",
    gallery: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure how many kinds of place embeddings tell apart, as mean silhouettes: figure 4 of the paper.

    `counts` are the numbers of clusters of k-means, made of `gallery` overhead embeddings of `split`. A
    silhouette is from -1 to 1, higher where clusters are further apart. Returns a row for each metric. Raises
    `PairsError`, `ModelError`, and `InputError` without the extra ``evaluate``.
    """
    from sat2cap.evaluation import ClusterOptions, embed_gallery, evaluate_clusters

    opened, checkpoint = _pairs(pairs), _model(model)
    galleries = {"sat2cap": embed_gallery(opened, checkpoint, split, gallery, seed).overhead}
    if clip is not None:
        galleries["clip"] = embed_gallery(opened, _model(clip), split, gallery, seed).overhead
    return _table(evaluate_clusters(galleries, ClusterOptions(ks=tuple(counts))).metrics)


def maps(
    atlas: str | Path | OpenAtlas, cases: str | Path | None = None, *, draws: int = 1000
) -> pd.DataFrame:
    """Measure maps against what is true of each cell.

    `cases` is a file of prompts with the raster of each one's truth, see docs/evaluate.md; the miniature
    world needs none. `draws` is the number of resamples of land behind each interval, 0 for none. Returns a
    row for each metric, such as ``auroc.mean``. Raises `InputError`, `AtlasError`, `ModelError`.
    """
    from sat2cap.evaluation import evaluate_maps, evaluate_miniworld, load_cases

    opened = _atlas(atlas)
    if cases is None:
        return _table(tuple(evaluate_miniworld(opened.atlas, opened.checkpoint)))
    held = load_cases(cases)
    return _table(tuple(evaluate_maps(opened.atlas, opened.checkpoint, held, draws=draws)))


def landcover(
    atlas: str | Path | OpenAtlas,
    classes: str,
    reference: str | None = None,
    clip: str | Path | OpenAtlas | None = None,
    *,
    linear: str | Path | OpenAtlas | None = None,
    draws: int = 1000,
) -> pd.DataFrame:
    """Measure maps of prompts against a land cover: figures 1 and 5 of the paper, as numbers.

    `classes` is ``worldcover``, ``esri``, ``corine``, ``miniworld`` or a file of classes; `reference` the
    land cover's raster or polygons; `clip` and `linear` are atlases of the same cells by CLIP and by a linear
    model. Returns a row for each metric with its interval; docs/evaluate.md explains their names. Raises
    `InputError`, `AtlasError`.
    """
    from sat2cap.evaluation import CLIP, LINEAR, evaluate_landcover, load_classes

    opened = _atlas(atlas)
    named = {name: _atlas(one) for name, one in ((LINEAR, linear), (CLIP, clip)) if one is not None}
    baselines = {name: (baseline.atlas, baseline.checkpoint) for name, baseline in named.items()}
    land_classes = load_classes(classes, reference)
    return _table(
        evaluate_landcover(opened.atlas, opened.checkpoint, land_classes, baselines, draws=draws).metrics
    )


def time(
    atlases: Sequence[str | Path | OpenAtlas], prompts: Sequence[str] | None = None, *, draws: int = 1000
) -> pd.DataFrame:
    """Measure how maps follow the months and the hours, for a model with a Dynamic Encoder.

    `prompts` None follows those that ship. `draws` is the number of resamples behind each interval, 0 for
    none. Returns a row for each metric with its interval; docs/evaluate.md explains their names. Raises
    `InputError` for a model that knows no time.

    >>> sat2cap.evaluate.time(["north.zarr", "south.zarr"]).loc["months_apart.mean_error", "value"]
    """
    from sat2cap.evaluation import TrackedPrompt, TrackedRegion, evaluate_time
    from sat2cap.miniworld import SEASONAL_PROMPTS

    check_sequence(atlases, "atlases", "a list of atlases")
    if prompts is not None:
        check_sequence(prompts, "prompts", "a list of texts")
        for text in prompts:
            check_text(text, "one of prompts", "a beach")
    opened = [_atlas(atlas) for atlas in atlases]
    if not opened:
        raise InputError("atlases is empty; give one or more")
    regions = [TrackedRegion(Path(one.atlas.store.base_name).stem, one.atlas) for one in opened]
    followed = [TrackedPrompt(text) for text in prompts or ()] or [
        TrackedPrompt(prompt.text, prompt.concept) for prompt in SEASONAL_PROMPTS
    ]
    return _table(evaluate_time(regions, opened[0].checkpoint, followed, draws=draws).metrics)


def _table(metrics: Sequence[Metric]) -> pd.DataFrame:
    ends = [metric.interval or (np.nan, np.nan) for metric in metrics]
    columns = {
        "value": [metric.value for metric in metrics],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
    }
    return pd.DataFrame(columns, index=pd.Index([metric.name for metric in metrics], name="metric"))


def _pairs(pairs: str | Path | PairSet) -> PairSet:
    return pairs if isinstance(pairs, PairSet) else open_pairs(pairs)


def _model(model: str | Path | Checkpoint) -> Checkpoint:
    check_path(model, "model", "a name or path, or a model that was loaded", opened="embed_overhead")
    return load_model(model) if isinstance(model, str | Path) else model


def _atlas(atlas: str | Path | OpenAtlas) -> OpenAtlas:
    return atlas if isinstance(atlas, OpenAtlas) else open(atlas)
