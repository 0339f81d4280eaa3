"""Tables of evaluations of maps: land cover (figures 1 and 5 of the paper), and months and hours."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sat2cap.evaluation import Metric, Record
from sat2cap.report.tables.text import SectionTables, Table, format_metric

MapKinds = Sequence[tuple[str, str]]
"""Kinds of map that are compared: the prefix of their metrics' names, and the heading of their column."""

_MAP_KINDS: MapKinds = (
    ("", "Sat2Cap"),
    ("linear.", "linear"),
    ("clip.", "CLIP"),
    ("clip_aerial.", "CLIP, “aerial view of …”"),
    ("location.", "place and time"),
    ("lookup.", "look-up"),
)
_MEAN_METRICS = (
    ("auroc.mean", "AUROC"),
    ("average_precision.mean", "average precision"),
    ("f1.mean", "best F1"),
    ("spearman.mean", "rank correlation of score and share"),
    ("confusion.accuracy", "best prompt: cells right"),
    ("confusion.mean_recall", "best prompt: mean recall"),
    ("confusion_standardised.accuracy", "best prompt, standardised: cells right"),
    ("confusion_standardised.mean_recall", "best prompt, standardised: mean recall"),
)
_SERIES_HEADS = {
    "rank_correlation": "month and hour",
    "month": "month",
    "hour": "hour",
    "peak_month": "peak month",
    "peak_hour": "peak hour",
    "swing": "swing",
}


def landcover_tables(record: Record) -> SectionTables:
    """Return mean and single metrics of the maps of land-cover classes, and what is taken for what."""
    metrics, table_data = record.metrics_by_name, record.table_data
    kinds = [kind for kind in _MAP_KINDS if f"{kind[0]}auroc.mean" in metrics]
    tables = [
        _means_table(len(table_data["classes"]), kinds, metrics),
        _class_table(table_data, kinds, metrics),
    ]
    if "confusion" in table_data["confusion"]:
        tables.append(_confusion_table(table_data["confusion_classes"], table_data["confusion"]["confusion"]))
    about = (
        f"Maps of prompts against {table_data['reference']}, over {metrics['cells'].value:,.0f} cells. The "
        "paper's figures 1 and 5, which show such maps side by side."
    )
    return SectionTables("Land cover", about, tables)


def _means_table(class_count: int, kinds: MapKinds, metrics: Mapping[str, Metric]) -> Table:
    """Return the table of means over the classes, with a column for each kind of map."""
    return Table(
        f"Means over {class_count} classes",
        ("", *(label for _, label in kinds)),
        tuple(
            (label, *(format_metric(metrics.get(f"{prefix}{name}")) for prefix, _ in kinds))
            for name, label in _MEAN_METRICS
        ),
        (
            "The range is the middle 95 % of resamples of blocks of land. The look-up sees the reference "
            "itself, and no imagery: each cell's classes, weighted by how near their names are to it.",
        ),
    )


def _class_table(table_data: Mapping[str, Any], kinds: MapKinds, metrics: Mapping[str, Metric]) -> Table:
    """Return the table of the AUROC of each class, with a column for each kind of map."""

    def auroc_cells(class_name: str) -> Iterator[str]:
        for prefix, _ in kinds:
            yield format_metric(metrics.get(f"{prefix}auroc.{class_name}"))

    skipped = table_data["left_out"]
    return Table(
        "AUROC of each class's map",
        ("class", "prompts", *(label for _, label in kinds)),
        tuple(
            (row["name"], " + ".join(row["prompts"]), *auroc_cells(row["name"]))
            for row in table_data["classes"]
        ),
        (f"Too rare to be judged: {', '.join(skipped)}.",) if skipped else (),
        words=2,
    )


def _confusion_table(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> Table:
    return Table(
        "Cells by what covers most of them (rows) and the prompt that is nearest (columns)",
        ("", *classes),
        tuple(
            (name, *(f"{n:,}" if n else "" for n in row)) for name, row in zip(classes, matrix, strict=True)
        ),
    )


def time_tables(record: Record) -> SectionTables:
    """Return how mean scores move with month and hour: the measured form of "dynamic" (section 3.3).

    Where the truth is known the cells are rank correlations with it; elsewhere they are the month and the
    hour of the greatest mean score, and how far the scores swing.
    """
    metrics = record.metrics_by_name
    has_truth = any(name.startswith("rank_correlation") for name in metrics)
    series = ("rank_correlation", "month", "hour") if has_truth else ("peak_month", "peak_hour", "swing")
    tables = [*_time_summary(series, metrics), _prompt_table(record, series, has_truth)]
    about = (
        "The mean score over each region at twelve months and eight hours: what the paper calls dynamic, "
        "and shows by captions (section 3.3, figure 6)."
    )
    return SectionTables("Months and hours", about, tables)


def _time_summary(series: Sequence[str], metrics: Mapping[str, Metric]) -> list[Table]:
    """Return the medians over prompts and regions as one table, or no table if there are none."""
    summary = [
        (f"{name}.median", f"median over prompts and regions, {_SERIES_HEADS[name]}") for name in series
    ]
    summary.append(("months_apart.mean_error", "hemispheres: mean error of the months apart"))
    rows = tuple((label, format_metric(metrics[name])) for name, label in summary if name in metrics)
    return [Table("In short", ("", "value"), rows)] if rows else []


def _prompt_table(record: Record, series: Sequence[str], has_truth: bool) -> Table:
    """Return one row for each prompt, with the metrics of every region side by side."""
    metrics, regions = record.metrics_by_name, list(record.table_data["south"])
    has_hemispheres = any(name.startswith("months_apart.") for name in metrics)

    def row(prompt: str) -> Iterator[str]:
        yield prompt
        for region in regions:
            for name in series:
                yield format_metric(metrics.get(f"{name}.{region}.{prompt}"))
        if has_hemispheres:
            yield format_metric(metrics.get(f"months_apart.{prompt}"))
            yield format_metric(metrics.get(f"months_apart.truth.{prompt}"))

    heads = tuple(f"{region}: {_SERIES_HEADS[name]}" for region in regions for name in series)
    hemisphere_heads = ("months apart", "in truth") if has_hemispheres else ()
    dash_note = "A dash under month or hour: the truth does not change with it, or is not known."
    return Table(
        "Rank correlation of the mean score with the truth" if has_truth else "How mean scores move",
        ("prompt", *heads, *hemisphere_heads),
        tuple(tuple(row(prompt)) for prompt in record.table_data["curves"]),
        (dash_note,) if has_truth else (),
    )
