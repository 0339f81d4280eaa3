"""Maps of prompts against the classes of a land cover (section 4.3, figures 1 and 5 of the paper)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import InputError
from sat2cap.evaluation.bootstrap import Bootstrap, number_blocks
from sat2cap.evaluation.maps.agreement import Agreement
from sat2cap.evaluation.maps.cases import Case, read_truth
from sat2cap.evaluation.maps.class_shares import class_shares
from sat2cap.evaluation.maps.classes import Classes, LandClass
from sat2cap.evaluation.maps.land_layers import EmbeddedAtlas, score_layers
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.metric import Evaluation, Metric, metric_name
from sat2cap.evaluation.rows import CLIP, LINEAR
from sat2cap.model import Checkpoint

Float32 = NDArray[np.float32]
Weight = NDArray[np.float64]

MIN_CELLS = 12
"""Least number of positive cells, and of negative cells, for a class to be judged."""
MIN_PURE_SHARE = 0.5
"""Share of a cell that one class must cover for the cell to enter the confusion matrix."""


@dataclass(frozen=True)
class LandMaps:
    """The layers that the metrics are computed from, for drawing."""

    classes: tuple[LandClass, ...]
    """The classes that were judged."""
    truth: Float32
    """Share of each class in a cell, or its probability, 0 to 1: `[classes, y, x]`."""
    layers: Mapping[str, Float32]
    """Scores of each kind of map by its row's name, `[classes, y, x]` each."""
    pure: NDArray[np.bool_]
    """Cells that enter the confusion matrix, bool `[y, x]`."""


def evaluate_landcover(
    atlas: Atlas,
    checkpoint: Checkpoint,
    land_classes: Classes,
    baselines: Mapping[str, EmbeddedAtlas] | None = None,
    *,
    block_km: float = 5.0,
    draws: int = 1000,
) -> Evaluation:
    """Compare the map of each class's prompts with where the class is, beside baseline maps.

    Metrics: ``auroc.CLASS``, ``average_precision.…``, ``f1.…`` (the best of all thresholds) and
    ``spearman.…`` (of score and share), their means over the classes as ``….mean``, and
    ``confusion.accuracy`` and ``confusion.mean_recall`` of the map of the best prompt. The same with the
    names of the `baselines` before them (``clip``, ``linear``; atlases of the same cells with their models),
    ``clip_aerial.`` (CLIP asked for aerial views), ``location.`` (place and time without imagery) and
    ``lookup.`` (the reference's own shares, weighted by the cosine of the texts of prompt and class; no
    imagery). Intervals resample blocks of `block_km`, `draws` times. Raises `InputError` for grids that
    differ, or if no class can be judged.
    """
    cells = RegionCells(atlas)
    truth = cells.gather(lambda member: _class_truths(land_classes, member))
    layers = dict(score_layers(cells, checkpoint, land_classes, truth, baselines or {}))
    comparable = np.isfinite(truth).all(0) & np.logical_and.reduce(
        [np.isfinite(v).all(0) for v in layers.values()]
    )
    judged = [
        i for i, kind in enumerate(land_classes.classes) if _can_judge(truth[i][comparable], kind.threshold)
    ]
    if not judged:
        raise InputError(
            f"no class of {land_classes.reference} has {MIN_CELLS} positive and {MIN_CELLS} negative cells "
            f"in {atlas.name}; take a larger region, or lower the thresholds"
        )
    classes = tuple(land_classes.classes[i] for i in judged)
    lon, lat = (side[comparable] for side in cells.lonlat)
    bootstrap = Bootstrap(number_blocks(lon, lat, block_km), draws)
    metrics = [Metric("cells", float(comparable.sum())), Metric("classes", float(len(judged)))]
    metrics += _agreement_metrics(
        classes, truth[judged], {n: v[judged] for n, v in layers.items()}, comparable, bootstrap
    )
    pure, confusion_metrics, confusions = _compare_best_prompts(
        land_classes, judged, truth, layers, comparable, bootstrap
    )
    covering = _covering_classes(land_classes, judged)
    table_data = {
        "reference": land_classes.reference,
        "classes": [{"name": kind.name, "prompts": list(kind.prompts)} for kind in classes],
        "left_out": [kind.name for i, kind in enumerate(land_classes.classes) if i not in judged],
        "confusion_classes": [land_classes.classes[i].name for i in covering],
        "confusion": confusions,
    }
    drawn_layers = {name: cells.on_map(values[judged], np.nan) for name, values in layers.items()}
    drawn = LandMaps(classes, cells.on_map(truth[judged], np.nan), drawn_layers, cells.on_map(pure, False))
    return Evaluation((*metrics, *confusion_metrics), table_data, drawn)


def _covering_classes(land_classes: Classes, judged: Sequence[int]) -> list[int]:
    """Return those of the judged classes that are values of the reference, and so cover ground."""
    return [i for i in judged if land_classes.classes[i].values]


def _compare_best_prompts(
    land_classes: Classes,
    judged: Sequence[int],
    truth: Float32,
    layers: Mapping[str, Float32],
    comparable: NDArray[np.bool_],
    bootstrap: Bootstrap,
) -> tuple[NDArray[np.bool_], list[Metric], dict[str, Any]]:
    """Return the cells that one class mostly covers, and metrics and matrices of their best prompts.

    There are no metrics where fewer than two classes cover ground.
    """
    covering = _covering_classes(land_classes, judged)
    if not covering:
        return np.zeros_like(comparable), [], {}
    pure = comparable & (truth[covering].max(0) >= MIN_PURE_SHARE)
    if len(covering) < 2 or not pure.any():
        return pure, [], {}
    matrices: dict[str, Any] = {}
    covering_layers = {name: values[covering] for name, values in layers.items()}
    restricted = bootstrap.restrict_to(pure[comparable])
    metrics = list(_confusion_metrics(truth[covering], covering_layers, pure, restricted, matrices))
    return pure, metrics, matrices


def _can_judge(truth: Float32, threshold: float) -> bool:
    """Return whether a class has enough positive and enough negative cells."""
    positive = int((truth >= threshold).sum())
    return MIN_CELLS <= positive <= truth.size - MIN_CELLS


def _class_truths(land_classes: Classes, atlas: Atlas) -> Float32:
    """Return the share, or the probability, of every class: float32 `[classes, y, x]`, NaN where unknown."""
    shares = iter(class_shares(land_classes, atlas.grid))
    return np.stack(
        [
            next(shares)
            if kind.values
            else read_truth(Case(kind.name, kind.truth, kind.when, kind.threshold), atlas.grid)
            for kind in land_classes.classes
        ]
    ).astype(np.float32)


def _agreement_metrics(
    classes: Sequence[LandClass],
    truth: Float32,
    layers: Mapping[str, Float32],
    comparable: NDArray[np.bool_],
    bootstrap: Bootstrap,
) -> Iterator[Metric]:
    """Yield the metrics of every class and kind of map, with intervals from the same draws."""
    agreements = {
        (kind, land_class.name): Agreement.from_cells(
            values[i][comparable], truth[i][comparable], truth[i][comparable] >= land_class.threshold
        )
        for kind, values in layers.items()
        for i, land_class in enumerate(classes)
    }

    def measure(weight: Weight | None) -> dict[str, float]:
        metrics: dict[str, float] = {}
        totals: dict[str, list[float]] = {}
        for (kind, name), agreement in agreements.items():
            for metric, value in agreement.weighted_metrics(weight).items():
                metrics[metric_name(kind, metric, name)] = value
                totals.setdefault(metric_name(kind, metric, "mean"), []).append(value)
        # a draw may miss a class altogether: the mean is over those that it holds
        metrics |= {name: float(np.nanmean(v)) for name, v in totals.items() if np.isfinite(v).any()}
        for baseline in (CLIP, LINEAR):
            if baseline in layers:
                lead = metrics["auroc.mean"] - metrics[f"{baseline}.auroc.mean"]
                metrics[f"above_{baseline}.auroc.mean"] = lead
        return metrics

    yield from bootstrap.metrics(measure)


def _confusion_metrics(
    truth: Float32,
    layers: Mapping[str, Float32],
    pure: NDArray[np.bool_],
    bootstrap: Bootstrap,
    matrices: dict[str, Any],
) -> Iterator[Metric]:
    """Yield accuracy and mean recall of each cell's best prompt; the matrices are added to `matrices`.

    ``confusion`` takes the prompt of the highest score; ``confusion_standardised`` that of the score which is
    the most standard deviations above its mean over the region, since some prompts are near to everything.
    """
    true_class = truth.argmax(0)[pure]
    count = len(truth)
    guesses = {}
    for kind, values in layers.items():
        cells = values[:, pure]
        spread = np.maximum(cells.std(1, keepdims=True), 1e-12)
        guesses[metric_name(kind, "confusion")] = cells.argmax(0)
        guesses[metric_name(kind, "confusion_standardised")] = (
            (cells - cells.mean(1, keepdims=True)) / spread
        ).argmax(0)

    def measure(weight: Weight | None) -> dict[str, float]:
        metrics = {}
        for name, guess in guesses.items():
            matrix = _confusion_matrix(true_class, guess, count, weight)
            rows = matrix.sum(1)
            metrics[f"{name}.accuracy"] = float(np.trace(matrix) / matrix.sum())
            metrics[f"{name}.mean_recall"] = float((np.diag(matrix)[rows > 0] / rows[rows > 0]).mean())
        return metrics

    matrices.update(
        {
            n: _confusion_matrix(true_class, guess, count, None).astype(int).tolist()
            for n, guess in guesses.items()
        }
    )
    yield from bootstrap.metrics(measure)


def _confusion_matrix(
    true_class: NDArray[np.intp], guess: NDArray[np.intp], count: int, weight: Weight | None
) -> NDArray[np.float64]:
    """Return the weights of cells by true class (rows) and guessed class (columns)."""
    return (
        np.bincount(true_class * count + guess, weight, count * count)
        .reshape(count, count)
        .astype(np.float64)
    )
