"""Clusters of overhead embeddings, and how distinct they are (section 4.2 and figure 4 of the paper)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, CellStatus
from sat2cap.errors import InputError
from sat2cap.evaluation.clusters.silhouette import point_silhouettes
from sat2cap.evaluation.maps.region_cells import RegionCells
from sat2cap.evaluation.metric import Evaluation, Metric
from sat2cap.evaluation.retrieval.gallery import normalise_rows
from sat2cap.model import Checkpoint
from sat2cap.query import DEFAULT_PHRASES, embed_prompts

Float32 = NDArray[np.float32]

CLUSTER_COUNTS = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
"""Numbers of clusters to try. Those are left out that would have fewer than `MIN_POINTS_PER_CLUSTER` points a
cluster in the mean, or more clusters than there are distinct points."""
MIN_POINTS_PER_CLUSTER = 2

_MAX_ITERATIONS = 100


def fit_kmeans(rows: Float32, k: int, seed: int = 0) -> tuple[NDArray[np.int64], Float32]:
    """Return labels, int64 `[N]`, and centres, float32 `[k, D]`, of k-means on `rows` `[N, D]`.

    Lloyd's algorithm from one k-means++ start, at most 100 iterations: the same for every model and every
    k. Raises `InputError` without scikit-learn, or for a k that is not between 1 and the number of
    distinct rows.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise InputError("k-means needs scikit-learn; run: pip install 'sat2cap[evaluate]'") from error
    if not 1 <= k <= (distinct := _count_distinct(rows)):
        raise InputError(f"k {k} must lie between 1 and the number of distinct points, {distinct}")
    fitted = KMeans(k, init="k-means++", n_init=1, max_iter=_MAX_ITERATIONS, random_state=seed).fit(rows)
    return np.asarray(fitted.labels_, np.int64), np.asarray(fitted.cluster_centers_, np.float32)


def _count_distinct(rows: Float32) -> int:
    return len(np.unique(rows, axis=0))


@dataclass(frozen=True)
class ClusterOptions:
    """Settings that decide the metrics beside the embeddings, as plain values."""

    ks: tuple[int, ...] = CLUSTER_COUNTS
    """Numbers of clusters."""
    seeds: int = 3
    """Number of k-means runs for each number of clusters, with seeds 0, 1, …"""
    sample: int = 2000
    """Number of points whose silhouette is computed, against all others."""


def evaluate_clusters(
    spaces: Mapping[str, Float32],
    options: ClusterOptions | None = None,
    progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
) -> Evaluation:
    """Compute figure 4: the mean silhouette of k-means clusters for each number of clusters k.

    `spaces` are embeddings `[N, D]` of the same N places by the name of their model; they are normalised
    first. ``NAME.silhouette.k100`` is the mean over the seeds, its interval the least and greatest;
    ``NAME.fall`` the silhouette at the least k less that at the greatest, ``NAME.kept`` their ratio;
    ``above.k``, with two spaces, the least k from which on the first is above the second (NaN for never).
    Raises `InputError` where not even the least k has enough points.
    """
    options = options or ClusterOptions()
    counts = {len(rows) for rows in spaces.values()}
    if len(counts) != 1:
        raise InputError(
            f"the models have embeddings of {sorted(counts)} places; embed the same places with each"
        )
    total = counts.pop()
    units = {name: normalise_rows(rows) for name, rows in spaces.items()}
    distinct = min(map(_count_distinct, units.values()))
    ks = sorted({k for k in options.ks if 2 <= k <= min(total / MIN_POINTS_PER_CLUSTER, distinct)})
    if not ks:
        raise InputError(
            f"{total} points, {distinct} of them distinct, are too few for {sorted(options.ks)} clusters; "
            "give more pairs, or a smaller --k"
        )
    sample = np.sort(np.random.default_rng(0).permutation(total)[: options.sample])
    curves: dict[str, list[list[float]]] = {}
    done = 0
    for name, unit in units.items():
        curves[name] = []
        for k in ks:
            silhouettes = []
            for seed in range(options.seeds):
                labels, _ = fit_kmeans(unit, k, seed)
                silhouettes.append(float(point_silhouettes(unit, labels, sample).mean()))
                done += 1
                progress("clustering", done, len(spaces) * len(ks) * options.seeds)
            curves[name].append(silhouettes)
    table_data = {"ks": ks, "curves": curves, "points": total, "sample": len(sample), "seeds": options.seeds}
    return Evaluation(tuple(_silhouette_metrics(ks, curves, total, len(sample))), table_data)


def _silhouette_metrics(
    ks: Sequence[int], curves: Mapping[str, Sequence[Sequence[float]]], total: int, sample: int
) -> Iterator[Metric]:
    """Yield the metrics that `evaluate_clusters` describes, from the silhouette of each seed."""
    yield Metric("points", float(total))
    yield Metric("sample", float(sample))
    for name, curve in curves.items():
        for k, by_seed in zip(ks, curve, strict=True):
            yield Metric(f"{name}.silhouette.k{k}", float(np.mean(by_seed)), (min(by_seed), max(by_seed)))
        first, last = float(np.mean(curve[0])), float(np.mean(curve[-1]))
        yield Metric(f"{name}.fall", first - last)
        yield Metric(f"{name}.kept", last / first if first > 0 else float("nan"))
    for first_name, second_name in pairwise(curves):
        above = [
            float(np.mean(a)) > float(np.mean(b))
            for a, b in zip(curves[first_name], curves[second_name], strict=True)
        ]
        start = next((i for i in range(len(ks)) if all(above[i:])), None)
        yield Metric("above.k", float("nan") if start is None else float(ks[start]))


@dataclass(frozen=True)
class ClusterMap:
    """The clusters of a region's cells."""

    label: NDArray[np.int64]
    """Number of each cell's cluster, 0 being the largest; -1 where nothing is embedded: int64 `[y, x]`."""
    names: tuple[tuple[str, ...], ...]
    """Phrases that set each cluster apart from the rest, best first."""
    cells: tuple[int, ...] = ()
    """Number of cells in each cluster, which of several UTM zones is not that of the map's pixels."""


def cluster_map(
    atlas: Atlas,
    checkpoint: Checkpoint,
    k: int,
    phrases: Sequence[str] = DEFAULT_PHRASES,
    *,
    named_by: int = 3,
) -> ClusterMap:
    """Cluster an atlas's cells, without a date, and name each cluster after `named_by` phrases.

    A phrase fits a cluster by how far its cosine with the centre lies above its mean cosine with all
    centres: some phrases are near everything, and would name every cluster. Raises `InputError`,
    `ModelError` without a text tower.
    """
    region = RegionCells(atlas)
    embedded = region.gather(lambda member: member.status) == CellStatus.OK
    vectors = region.gather(lambda member: np.moveaxis(member.read(slice(None), slice(None)), -1, 0))
    labels, centres = fit_kmeans(normalise_rows(vectors.T[embedded]), k)
    sizes = np.bincount(labels, minlength=k)
    largest = np.argsort(-sizes, kind="stable")
    label = np.full(embedded.shape, -1, np.int64)
    label[embedded] = np.argsort(largest)[labels]
    names = tuple(name_clusters(centres[largest], checkpoint, phrases, named_by))
    return ClusterMap(region.on_map(label, -1), names, tuple(sizes[largest].tolist()))


def name_clusters(
    centres: Float32, checkpoint: Checkpoint, phrases: Sequence[str], named_by: int = 3
) -> Iterator[tuple[str, ...]]:
    """Yield the `named_by` phrases that fit each of the centres `[k, D]`, best first; see `cluster_map`."""
    cosines = normalise_rows(centres) @ embed_prompts(checkpoint, phrases).T
    lead = cosines - cosines.mean(0) if len(centres) > 1 else cosines
    for row in lead:
        yield tuple(phrases[i] for i in np.argsort(-row, kind="stable")[:named_by])


def add_cluster_map(
    evaluation: Evaluation,
    atlas: Atlas,
    checkpoint: Checkpoint,
    k: int,
    phrases: Sequence[str] = DEFAULT_PHRASES,
) -> Evaluation:
    """Return `evaluation` with a map of a region's clusters: a table of the clusters, and what draws the map.

    `k` is the number of clusters; each is named after the `phrases` nearest to its centre.
    """
    region = cluster_map(atlas, checkpoint, k, phrases)
    rows = [{"cells": n, "names": list(names)} for n, names in zip(region.cells, region.names, strict=True)]
    return replace(evaluation, table_data={**evaluation.table_data, "map": rows}, material=region)
