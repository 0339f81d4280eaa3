"""``sat2cap evaluate retrieval`` and ``clusters``: models, on pairs."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sat2cap.cli.evaluate.shared import BlockKm, Clip, Draws, Run, run_evaluation
from sat2cap.cli.options import Json, Model, PairsPath
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.evaluation import ClusterMap, ClusterOptions, Evaluation, RecordPicture
    from sat2cap.model import Checkpoint
    from sat2cap.pairs import PairSet

Split = Annotated[str, typer.Option(metavar="NAME", help="The split to use: train, val or test.")]
Gallery = Annotated[int, typer.Option(metavar="N", help="Number of pairs in the gallery.", min=1)]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the choice of the gallery.", min=0)]


def retrieval(
    pairs: PairsPath,
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A checkpoint folder, a Hugging Face name, or miniclip; repeat it for a table.",
        ),
    ],
    clip: Clip = None,
    linear: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The linear model of the same pairs, to compare with; see docs/train.md."
        ),
    ] = None,
    split: Split = "test",
    gallery: Gallery = 2000,
    metadata: Annotated[
        bool | None,
        typer.Option(
            "--metadata/--no-metadata",
            help="Whether the Dynamic Encoder gets place and time; by default both ways are measured.",
            show_default=False,
        ),
    ] = None,
    same_place: Annotated[
        float,
        typer.Option(
            metavar="METRES",
            help="Pairs no further apart than this are one place, and each counts as a right answer.",
            min=0,
        ),
    ] = 1.0,
    block_km: BlockKm = 10.0,
    draws: Draws = 1000,
    seed: Seed = 0,
    paper: Annotated[
        bool, typer.Option("--paper", help="Also print table 1 of the paper, with notes on its errors.")
    ] = False,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure how well photos and patches retrieve each other.

    This is table 1 of the paper: the rank of each photo among those of other places, for its overhead patch,
    and the reverse. CLIP, a linear model, place and time alone, and chance are measured beside the model.
    With -o, figure 3 is drawn: patches and the nine photos nearest to each.
    """
    require_extra("evaluate", "sat2cap evaluate retrieval")
    from sat2cap.catalogue import resolve_model
    from sat2cap.evaluation import TableOptions, evaluate_table, retrieval_inputs
    from sat2cap.pairs import open_pairs
    from sat2cap.report import retrieval_sheets

    opened = open_pairs(pairs)
    options = TableOptions(split, gallery, seed, metadata, same_place, block_km, draws)
    models_by_name = _name_models([resolve_model(model) for model in models])
    baseline = None if clip is None else resolve_model(clip)
    linear_model = None if linear is None else resolve_model(linear)
    cache = None if run is None else run / "embeddings"
    first_model = next(iter(models_by_name.values()))
    use_metadata = first_model.dynamic is not None and metadata is not False

    def draw_pictures(evaluation: "Evaluation") -> "Sequence[RecordPicture]":
        return retrieval_sheets(opened, split, evaluation.material, first_model, use_metadata)

    run_evaluation(
        run,
        json,
        "retrieval",
        retrieval_inputs(opened, list(models_by_name.values()), baseline, options, linear_model),
        lambda: evaluate_table(opened, models_by_name, baseline, options, cache, linear=linear_model),
        draw_pictures,
        {"pairs": opened.name, "model": ", ".join(models), "clip": clip or "", "linear": linear or ""},
    )
    if paper:
        _print_table_1()


def clusters(
    pairs: PairsPath,
    model: Model,
    clip: Clip = None,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k",
            metavar="N",
            help="A number of clusters, may be repeated; by default 10 to 10,000, as the set allows.",
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="Number of clusterings of each k, from different starts.", min=1)
    ] = 3,
    sample: Annotated[
        int,
        typer.Option(
            metavar="N", help="Number of points whose silhouette is computed, each against all others.", min=2
        ),
    ] = 2000,
    split: Split = "test",
    gallery: Gallery = 10_000,
    seed: Seed = 0,
    atlas: Annotated[
        Path | None,
        typer.Option(
            "--map", metavar="X.zarr", help="An atlas of the model, whose cells are clustered and mapped."
        ),
    ] = None,
    map_k: Annotated[int, typer.Option(metavar="N", help="Number of clusters of the map.", min=2)] = 12,
    phrases: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.txt",
            help="A file of phrases that name the clusters, one on each line; by default 71 that ship.",
        ),
    ] = None,
    run: Run = None,
    json: Json = None,
) -> None:
    """Measure how many kinds of place embeddings tell apart.

    This is figure 4 of the paper: silhouettes of k-means clusters of overhead embeddings for growing k,
    beside those of CLIP. With --map, the clusters of a region are mapped, each named after the phrases
    nearest to it.
    """
    require_extra("evaluate", "sat2cap evaluate clusters")
    from sat2cap import api
    from sat2cap.catalogue import resolve_model
    from sat2cap.evaluation import (
        CLUSTER_COUNTS,
        ClusterOptions,
        add_cluster_map,
    )
    from sat2cap.pairs import open_pairs
    from sat2cap.query import DEFAULT_PHRASES, read_phrases

    opened, checkpoint = open_pairs(pairs), resolve_model(model)
    baseline = None if clip is None else resolve_model(clip)
    options = ClusterOptions(tuple(k) if k else CLUSTER_COUNTS, seeds, sample)
    bank = DEFAULT_PHRASES if phrases is None else read_phrases(phrases)
    region = None if atlas is None else api.open(atlas, model)
    cache = None if run is None else run / "embeddings"

    def compute_metrics() -> "Evaluation":
        models = {"sat2cap": checkpoint} | ({} if baseline is None else {"clip": baseline})
        evaluation = _cluster_pairs(opened, models, (split, gallery, seed), options, cache)
        if region is None:
            return evaluation
        return add_cluster_map(evaluation, region.atlas, region.checkpoint, map_k, bank)

    run_evaluation(
        run,
        json,
        "clusters",
        {
            "pairs": [opened.fingerprint, split, gallery, seed],
            "models": [checkpoint.identity, None if baseline is None else baseline.identity],
            "options": [list(options.ks), seeds, sample],
            "map": None if region is None else [region.atlas.fingerprint, map_k, list(bank)],
        },
        compute_metrics,
        _draw_cluster_pictures,
        {"pairs": opened.name, "model": model, "clip": clip or "", "atlas": str(atlas or "")},
    )


def _cluster_pairs(
    pairs: "PairSet",
    models: "Mapping[str, Checkpoint]",
    chosen_pairs: tuple[str, int, int],
    options: "ClusterOptions",
    cache: Path | None,
) -> "Evaluation":
    """Return the silhouettes of each model's overhead embeddings, by the model's name in the metrics.

    `chosen_pairs` are the split, the number of pairs and the seed that `embed_gallery` chooses them by.
    """
    from sat2cap.cli import console
    from sat2cap.evaluation import embed_gallery, evaluate_clusters

    embeddings = {
        name: embed_gallery(pairs, checkpoint, *chosen_pairs, cache=cache).overhead
        for name, checkpoint in models.items()
    }
    with console.show_progress(resumes=False) as progress:
        return evaluate_clusters(embeddings, options, progress)


def _draw_cluster_pictures(evaluation: "Evaluation") -> "Sequence[RecordPicture]":
    """Return the plot of silhouettes and, if a region was clustered, its map."""
    from sat2cap.evaluation import RecordPicture
    from sat2cap.report import cluster_picture, silhouette_plot

    curves = evaluation.table_data
    labels = {"sat2cap": "Sat2Cap", "clip": "CLIP"}
    plot = silhouette_plot(curves["ks"], curves["curves"], labels, curves["points"], curves["sample"])
    caption = (
        f"Mean silhouette of k-means clusters of overhead embeddings, {curves['sample']:,} points judged "
        f"against all {curves['points']:,}; the bands are the least and greatest of {curves['seeds']} seeds."
    )
    pictures = [RecordPicture("silhouette.png", caption, plot)]
    region: ClusterMap | None = evaluation.material
    if region is not None:
        caption = "Clusters of a region's cells, each named after the phrases that tell it from the others."
        pictures.append(RecordPicture("clusters.png", caption, cluster_picture(region)))
    return pictures


def _name_models(models: "Sequence[Checkpoint]") -> "dict[str, Checkpoint]":
    """Return models by the names on their cards; a name that is taken already gets a number."""
    from sat2cap.evaluation import BASELINES

    models_by_name: dict[str, Checkpoint] = {}
    for model in models:
        name = str(model.card.get("name", "model"))
        candidates = (f"{name} {number}" if number > 1 else name for number in count(1))
        models_by_name[next(label for label in candidates if label not in (*models_by_name, *BASELINES))] = (
            model
        )
    return models_by_name


def _print_table_1() -> None:
    """Print table 1 of the paper as it is printed there, and notes on its errors."""
    from sat2cap.cli import console
    from sat2cap.report import TABLE_1, TABLE_1_NOTES, TABLE_1_SOURCE

    answers = {True: "yes", False: "no", None: "-"}
    rows = [
        (
            row.label,
            *(answers[flag] for flag in (row.meta_training, row.dropout, row.meta_inference)),
            *(f"{value:g}" for value in (*row.overhead2ground, *row.ground2overhead)),
        )
        for row in TABLE_1
    ]
    heads = ("model", "meta/training", "dropout", "meta/inference")
    print(f"\n{TABLE_1_SOURCE}, as printed; overhead2ground, then ground2overhead:")
    console.print_table((*heads, "R@5", "R@10", "median", "R@5", "R@10", "median"), rows)
    print(*(f"* {note}" for note in TABLE_1_NOTES), sep="\n")
