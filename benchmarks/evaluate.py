"""What evaluations cost: time at 10,000 pairs beside what a careful user would write, memory at 100,000.

    python benchmarks/evaluate.py OUT.json [ranks] [large] [clusters] [maps]

Embeddings are made up, 512 numbers each, right pairs nearer than wrong ones; `maps` embeds 10,000 cells of
the miniature world with the miniature CLIP and a Dynamic Encoder of random weights. Each part runs in a
process of its own, so that its peak memory is its own.
"""

import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from sat2cap.files import write_json

Figures = dict[str, float]


def make_embeddings(count: int, dim: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Return unit queries and gallery, float32 (count, dim) each, made in place without a third copy."""
    random = np.random.default_rng(0)
    query = random.standard_normal((count, dim), np.float32)
    gallery = random.standard_normal((count, dim), np.float32)
    gallery *= 3
    gallery += query
    for rows in (query, gallery):
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return query, gallery


def time_call(work: Callable[[], object]) -> float:
    """Return the wall seconds of one call."""
    start = perf_counter()
    work()
    return perf_counter() - start


def measure_ranks() -> Figures:
    """Time ranks and the intervals of table 1 at 10,000 pairs, beside sorting the whole matrix."""
    from sat2cap.evaluation import Bootstrap
    from sat2cap.evaluation.retrieval.ranks import match_ranks
    from sat2cap.pairs import retrieval_metrics

    query, gallery = make_embeddings(10_000)

    def by_sorting() -> np.ndarray:
        order = np.argsort(-(query @ gallery.T), axis=1)
        return np.asarray(np.argmax(order == np.arange(len(query))[:, None], axis=1) + 1)

    start_s = process_time()
    our_seconds = time_call(lambda: match_ranks(query, gallery))
    processor, sorting = process_time() - start_s, time_call(by_sorting)
    ranks = match_ranks(query, gallery)
    assert (ranks == by_sorting()).mean() > 0.999  # float32 sorting may swap near ties
    draws = time_call(lambda: Bootstrap(np.arange(10_000)).intervals(lambda w: retrieval_metrics(ranks, w)))
    return {
        "ranks.10k.seconds": our_seconds,
        "ranks.10k.processor_seconds": processor,
        "ranks.10k.times_faster_than_sorting": sorting / our_seconds,
        "ranks.10k.intervals.seconds": draws,
    }


def measure_large_gallery() -> Figures:
    """Time the ranks of 100,000 queries among 100,000 embeddings, in one direction."""
    from sat2cap.evaluation.retrieval.ranks import match_ranks

    query, gallery = make_embeddings(100_000)
    return {"ranks.100k.seconds": time_call(lambda: match_ranks(query, gallery))}


def measure_clusters() -> Figures:
    """Time figure 4 for one model and seed at 10,000 points, and silhouettes beside scikit-learn's."""
    from sklearn.metrics import silhouette_samples

    from sat2cap.evaluation import ClusterOptions, evaluate_clusters
    from sat2cap.evaluation.clusters.evaluation import fit_kmeans
    from sat2cap.evaluation.clusters.silhouette import point_silhouettes

    rows, _ = make_embeddings(10_000)
    labels, _ = fit_kmeans(rows, 100)
    expected: list[np.ndarray] = []
    our_seconds = time_call(lambda: point_silhouettes(rows, labels))
    sklearn = time_call(lambda: expected.append(silhouette_samples(rows.astype(np.float64), labels)))
    assert np.allclose(point_silhouettes(rows, labels), expected[0], atol=1e-9)
    figure_4 = time_call(
        lambda: evaluate_clusters({"made up": rows}, ClusterOptions((10, 100, 1000), seeds=1))
    )
    return {
        "silhouettes.10k.seconds": our_seconds,
        "silhouettes.10k.times_faster_than_sklearn": sklearn / our_seconds,
        "clusters.10k.k10_100_1000.seconds": figure_4,
    }


def measure_maps() -> Figures:
    """Time the evaluations of land cover and of months and hours on 10,000 cells."""
    import torch

    from sat2cap.catalogue import open_imagery, resolve_model
    from sat2cap.embedding import embed_region
    from sat2cap.evaluation import (
        TrackedPrompt,
        TrackedRegion,
        evaluate_landcover,
        evaluate_time,
        load_classes,
    )
    from sat2cap.geo import cell_grid, cell_mask, parse_region
    from sat2cap.miniworld import SEASONAL_PROMPTS
    from sat2cap.model import DynamicEncoder

    static_model = resolve_model("miniclip")
    torch.manual_seed(0)
    model = replace(static_model, dynamic=DynamicEncoder(static_model.dim).eval(), encoding="cyclic")
    region = parse_region("-70,46,-69.38,46.43")
    grid = cell_grid(region)
    with tempfile.TemporaryDirectory() as folder:
        atlas = embed_region(
            grid, cell_mask(grid, region), open_imagery("miniworld:2"), model, Path(folder) / "a.zarr"
        )
        classes = load_classes("miniworld", "miniworld:2")
        cover = time_call(lambda: evaluate_landcover(atlas, model, classes))
        prompts = [TrackedPrompt(prompt.text, prompt.concept) for prompt in SEASONAL_PROMPTS]
        time = time_call(lambda: evaluate_time([TrackedRegion("north", atlas)], model, prompts))
        return {
            "maps.cells": float(atlas.wanted.sum()),
            "landcover.seconds": cover,
            "time.22_prompts.seconds": time,
        }


PARTS = {
    "ranks": measure_ranks,
    "large": measure_large_gallery,
    "clusters": measure_clusters,
    "maps": measure_maps,
}


def run_part(part: str) -> Figures:
    """Return the figures of one part, with the peak memory of this process."""
    figures = PARTS[part]()
    return figures | {f"{part}.peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    out, parts = Path(sys.argv[1]), sys.argv[2:] or list(PARTS)
    figures: Figures = {}
    for name in parts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures |= pool.apply(run_part, (name,))
        for key, value in figures.items():
            print(f"{key}: {value:.4g}", flush=True)
    write_json(out, figures)
