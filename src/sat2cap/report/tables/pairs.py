"""Tables of evaluations of pairs: retrieval (table 1 of the paper) and clusters (figure 4)."""

from collections.abc import Iterator, Mapping
from typing import Any

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import UNDEFINED, format_percent
from sat2cap.report.paper import TABLE_1, TABLE_1_NOTES, TABLE_1_SOURCE, Table1Row
from sat2cap.report.tables.text import SectionTables, Table, format_metric

_MARKS = {True: "yes", False: "no", None: UNDEFINED}
_DIRECTIONS = ("overhead2ground", "ground2overhead")
_MARK_HEADS = ("metadata in training", "dropout", "metadata at inference")


def retrieval_tables(record: Record) -> SectionTables:
    """Return table 1 for our models and baselines, the paper's own, and retrieval at two times."""
    metrics = record.metrics_by_name
    rows = record.table_data["rows"]
    titles = ("From overhead patch to ground photo", "From ground photo to overhead patch")
    tables = [
        _direction_table(title, direction, rows, metrics)
        for title, direction in zip(titles, _DIRECTIONS, strict=True)
    ]
    tables.append(_paper_table())
    if any(name.startswith("times.") for name in metrics):
        tables.append(_times_table(metrics))
    gallery, places = (metrics[name].value for name in ("gallery", "places"))
    about = (
        f"{gallery:,.0f} pairs of {places:,.0f} places: how often the right one is among the first 1, 5 "
        "or 10 of all, and where it stands. The paper's table 1 and figure 3."
    )
    return SectionTables("Finding each other", about, tables)


def _direction_table(
    title: str, direction: str, rows: list[dict[str, Any]], metrics: Mapping[str, Metric]
) -> Table:
    """Return recall and ranks of every row of table 1, for one direction of retrieval."""
    return Table(
        title,
        ("", *_MARK_HEADS, "R@1", "R@5", "R@10", "median rank", "mean rank"),
        tuple(
            (row["label"], *_mark_cells(row), *_rank_cells(row["name"], direction, metrics)) for row in rows
        ),
        ("The range is the middle 95 % of resamples of blocks of land; ties count against the query.",),
    )


def _rank_cells(row_name: str, direction: str, metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Yield R@1, R@5, R@10, median and mean rank of one row. Chance is the same in both directions."""
    prefix = ".".join(part for part in (row_name, "" if row_name == "chance" else direction) if part)
    for name in ("r1", "r5", "r10"):
        yield format_metric(metrics.get(f"{prefix}.{name}"), format_percent)
    for name in ("median_rank", "mean_rank"):
        yield format_metric(metrics.get(f"{prefix}.{name}"))


def _mark_cells(row: Mapping[str, bool | None]) -> tuple[str, ...]:
    return tuple(_MARKS[row[name]] for name in ("meta_training", "dropout", "meta_inference"))


def _paper_table() -> Table:
    """Return table 1 as the paper prints it."""
    heads = tuple(
        f"{name}, {direction}"
        for direction in ("o to g", "g to o")
        for name in ("R@5", "R@10", "median rank")
    )
    rows = tuple((row.label, *_mark_cells(row._asdict()), *_printed_cells(row)) for row in TABLE_1)
    title = f"As printed in {TABLE_1_SOURCE}, gallery of 10,000"
    return Table(title, ("", *_MARK_HEADS, *heads), rows, TABLE_1_NOTES)


def _printed_cells(row: Table1Row) -> Iterator[str]:
    """Yield R@5, R@10 and median rank of both directions."""
    for r5, r10, median in (row.overhead2ground, row.ground2overhead):
        yield from (f"{100 * r5:.1f} %", f"{100 * r10:.1f} %", f"{median:,g}")


def _times_table(metrics: Mapping[str, Metric]) -> Table:
    """Return the share of retrieved photos that were taken near each of the moments asked for."""
    kinds = ("near", "told_nothing", "gallery")
    moments = (("hour.08", "08:00"), ("hour.23", "23:00"), ("month.01", "January"), ("month.07", "July"))
    return Table(
        "The same place at two times: photos retrieved that are from near the time asked for",
        ("asked for", "with that time", "without a time", "of all photos"),
        tuple(
            (label, *(format_metric(metrics.get(f"times.{name}.{kind}"), format_percent) for kind in kinds))
            for name, label in moments
        ),
        ("Near is within three hours, or a month and a half of the same season in either hemisphere.",),
    )


def cluster_tables(record: Record) -> SectionTables:
    """Return silhouettes by number of clusters (figure 4) and, with a map, its named clusters."""
    metrics, table_data = record.metrics_by_name, record.table_data
    labels = {"sat2cap": "Sat2Cap", "clip": "CLIP"}
    cluster_counts = table_data["ks"]
    silhouettes = Table(
        "Mean silhouette (-1 to 1) by number of clusters",
        ("", *(f"k = {k:,}" for k in cluster_counts)),
        tuple(
            (
                labels.get(space, space),
                *(format_metric(metrics.get(f"{space}.silhouette.k{k}")) for k in cluster_counts),
            )
            for space in table_data["curves"]
        ),
        (f"The range is from the least to the greatest of {table_data['seeds']} seeds, the same for both.",),
    )
    tables = [silhouettes]
    if "map" in table_data:
        rows = tuple((", ".join(row["names"]), f"{row['cells']:,}") for row in table_data["map"])
        tables.append(Table("Clusters of the map, largest first", ("nearest phrases", "cells"), rows))
    about = (
        f"How many kinds of place the overhead embeddings of {table_data['points']:,} places tell apart; the "
        f"silhouettes are of {table_data['sample']:,} of them, exact against all. The paper's figure 4 "
        "prints no numbers: there CLIP is ahead for few clusters, Sat2Cap for many."
    )
    return SectionTables("Kinds of place", about, tables)
