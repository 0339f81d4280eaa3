"""``sat2cap evaluate`` of models, on pairs."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.evaluate.shared import BlockKm, Clip, Draws, Run, measured
from sat2cap.cli.options import Json, Model

if TYPE_CHECKING:
    from sat2cap.evaluation import ClusterMap, Evaluation, RecordPicture
    from sat2cap.model import Checkpoint

Pairs = Annotated[Path, typer.Argument(metavar="PAIRS", help="A folder made by: sat2cap pairs build.")]
Split = Annotated[str, typer.Option(metavar="NAME", help="Which pairs: train, val or test.")]
Gallery = Annotated[int, typer.Option(metavar="N", help="How many pairs to choose from.", min=1)]
Seed = Annotated[int, typer.Option(metavar="N", help="Of the choice of the gallery.")]


def retrieval(
    pairs: Pairs,
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A checkpoint folder, a Hugging Face name, or miniclip; repeat it for a table of several.",
        ),
    ],
    clip: Clip = None,
    split: Split = "test",
    gallery: Gallery = 2000,
    metadata: Annotated[
        bool | None,
        typer.Option(
            "--metadata/--no-metadata",
            help="Whether the Dynamic Encoder is told place and time; if left out, both ways are measured.",
            show_default=False,
        ),
    ] = None,
    same_place: Annotated[
        float,
        typer.Option(
            metavar="METRES", help="Pairs no further apart are one place: each is a right answer.", min=0
        ),
    ] = 1.0,
    block_km: BlockKm = 10.0,
    draws: Draws = 1000,
    seed: Seed = 0,
    paper: Annotated[
        bool, typer.Option("--paper", help="Also print table 1 of the paper, and what is wrong with it.")
    ] = False,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure how photos and patches find each other.

    Table 1 of the paper: the rank of each photo among those of other places, for its overhead patch, and
    the other way round; beside CLIP, place and time alone, and chance. With -o also the nine nearest photos
    of figure 3.
    """
    from sat2cap.catalogue import resolve_model
    from sat2cap.evaluation import TableOptions, evaluate_table, retrieval_inputs
    from sat2cap.pairs import open_pairs
    from sat2cap.report import retrieval_sheets

    opened = open_pairs(pairs)
    options = TableOptions(split, gallery, seed, metadata, same_place, block_km, draws)
    models_by_name = _name_models([resolve_model(model) for model in models])
    baseline = None if clip is None else resolve_model(clip)
    cache = None if run is None else run / "embeddings"
    first = next(iter(models_by_name.values()))
    use_metadata = first.dynamic is not None and metadata is not False

    def draw(result: "Evaluation") -> "Sequence[RecordPicture]":
        return retrieval_sheets(opened, split, result.material, first, use_metadata)

    measured(
        run,
        json,
        "retrieval",
        retrieval_inputs(opened, list(models_by_name.values()), baseline, options),
        lambda: evaluate_table(opened, models_by_name, baseline, options, cache),
        draw,
        {"pairs": str(pairs), "model": ", ".join(models), "clip": clip or ""},
    )
    if paper:
        _print_paper()


def clusters(
    pairs: Pairs,
    model: Model,
    clip: Clip = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k", metavar="N", help="Numbers of clusters; 10 to 10,000 as the set allows if left out."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="N", help="How often each k is clustered anew.", min=1)] = 3,
    sample: Annotated[
        int,
        typer.Option(metavar="N", help="Points whose silhouette is worked out, against all others.", min=2),
    ] = 2000,
    split: Split = "test",
    gallery: Gallery = 10_000,
    seed: Seed = 0,
    atlas: Annotated[
        Path | None,
        typer.Option("--map", metavar="X.zarr", help="An atlas of the model, to map clusters of."),
    ] = None,
    map_k: Annotated[int, typer.Option(metavar="N", help="Clusters of the map.", min=2)] = 12,
    phrases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.txt", help="Phrases to name clusters after, one a line; 71 that ship if left out."
        ),
    ] = None,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure how many kinds of place embeddings can tell apart.

    Figure 4 of the paper: silhouettes of k-means clusters of overhead embeddings for growing k, beside
    CLIP's. With --map a region's clusters, each named after the phrases nearest to it.
    """
    from sat2cap import api
    from sat2cap.catalogue import resolve_model
    from sat2cap.cli import console
    from sat2cap.evaluation import (
        CLUSTER_COUNTS,
        DEFAULT_PHRASES,
        ClusterOptions,
        embed_gallery,
        evaluate_clusters,
        read_phrases,
    )
    from sat2cap.evaluation import add_cluster_map as with_map
    from sat2cap.pairs import open_pairs

    opened, checkpoint = open_pairs(pairs), resolve_model(model)
    baseline = None if clip is None else resolve_model(clip)
    options = ClusterOptions(tuple(k) if k else CLUSTER_COUNTS, seeds, sample)
    bank = DEFAULT_PHRASES if phrases is None else read_phrases(phrases)
    region = None if atlas is None else api.open(atlas, model)
    cache = None if run is None else run / "embeddings"

    def measure() -> "Evaluation":
        spaces = {"sat2cap": embed_gallery(opened, checkpoint, split, gallery, seed, cache=cache)}
        if baseline is not None:
            spaces["clip"] = embed_gallery(opened, baseline, split, gallery, seed, cache=cache)
        with console.progress(resumes=False) as progress:
            evaluation = evaluate_clusters({n: g.overhead for n, g in spaces.items()}, options, progress)
        return (
            evaluation
            if region is None
            else with_map(evaluation, region.atlas, region.checkpoint, map_k, bank)
        )

    measured(
        run,
        json,
        "clusters",
        {
            "pairs": [opened.fingerprint, split, gallery, seed],
            "models": [checkpoint.identity, None if baseline is None else baseline.identity],
            "options": [list(options.ks), seeds, sample],
            "map": None if region is None else [region.atlas.fingerprint, map_k, list(bank)],
        },
        measure,
        _cluster_pictures,
        {"pairs": str(pairs), "model": model, "clip": clip or "", "atlas": str(atlas or "")},
    )


def _cluster_pictures(evaluation: "Evaluation") -> "Sequence[RecordPicture]":
    from sat2cap.evaluation import RecordPicture
    from sat2cap.report import cluster_picture, silhouette_plot

    shown = evaluation.table_data
    labels = {"sat2cap": "Sat2Cap", "clip": "CLIP"}
    plot = silhouette_plot(shown["ks"], shown["curves"], labels, shown["points"], shown["sample"])
    about = (
        f"Mean silhouette of k-means clusters of overhead embeddings, {shown['sample']:,} points judged "
        f"against all {shown['points']:,}; the bands are the least and greatest of {shown['seeds']} seeds."
    )
    pictures = [RecordPicture("silhouette.png", about, plot)]
    region: ClusterMap | None = evaluation.material
    if region is not None:
        caption = "Clusters of a region's cells, each named after the phrases that tell it from the others."
        pictures.append(RecordPicture("clusters.png", caption, cluster_picture(region)))
    return pictures


def _name_models(models: "Sequence[Checkpoint]") -> "dict[str, Checkpoint]":
    """Models by what their cards call them; a name that is taken, by a baseline or a model, gets a number."""
    from sat2cap.evaluation import BASELINES

    models_by_name: dict[str, Checkpoint] = {}
    for model in models:
        name = str(model.card.get("name", "model"))
        free = (f"{name} {number}" if number > 1 else name for number in count(1))
        models_by_name[next(label for label in free if label not in (*models_by_name, *BASELINES))] = model
    return models_by_name


def _print_paper() -> None:
    from sat2cap.cli import console
    from sat2cap.report import TABLE_1, TABLE_1_NOTES, TABLE_1_SOURCE

    marks = {True: "yes", False: "no", None: "-"}
    rows = [
        (
            row.label,
            *(marks[mark] for mark in (row.meta_training, row.dropout, row.meta_inference)),
            *(f"{value:g}" for value in (*row.overhead2ground, *row.ground2overhead)),
        )
        for row in TABLE_1
    ]
    heads = ("model", "meta/training", "dropout", "meta/inference")
    print(f"\n{TABLE_1_SOURCE}, as printed; overhead2ground, then ground2overhead:")
    console.table((*heads, "R@5", "R@10", "median", "R@5", "R@10", "median"), rows)
    print(*(f"* {note}" for note in TABLE_1_NOTES), sep="\n")
