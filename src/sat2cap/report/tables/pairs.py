"""Tables of what was measured on pairs: finding each other, and kinds of place."""

from collections.abc import Iterator, Mapping

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import UNDEFINED, format_percent
from sat2cap.report.paper import TABLE_1, TABLE_1_NOTES, TABLE_1_SOURCE, Table1Row
from sat2cap.report.tables.text import Made, Table, format_metric

_MARKS = {True: "yes", False: "no", None: UNDEFINED}
_WAYS = ("overhead2ground", "ground2overhead")


def retrieval_tables(record: Record) -> Made:
    """Table 1 of the paper beside ours, and the same place at two times."""
    known = {figure.name: figure for figure in record.metrics}

    def cells(prefix: str, way: str) -> tuple[str, ...]:
        mine = ".".join(part for part in (prefix, "" if prefix == "chance" else way) if part)
        shares = tuple(
            format_metric(known.get(f"{mine}.{name}"), format_percent) for name in ("r1", "r5", "r10")
        )
        return (
            *shares,
            *(format_metric(known.get(f"{mine}.{name}")) for name in ("median_rank", "mean_rank")),
        )

    heads = ("R@1", "R@5", "R@10", "median rank", "mean rank")
    marks = ("metadata in training", "dropout", "metadata at inference")
    titles = ("From overhead patch to ground photo", "From ground photo to overhead patch")
    tables = [
        Table(
            title,
            ("", *marks, *heads),
            tuple(
                (row["label"], *_marked(row), *cells(row["name"], way)) for row in record.table_data["rows"]
            ),
            ("The range is the middle 95 % of resamples of blocks of land; ties count against the query.",),
        )
        for title, way in zip(titles, _WAYS, strict=True)
    ]
    tables.append(_paper_table())
    if any(name.startswith("times.") for name in known):
        tables.append(_times_table(known))
    gallery, places = (known[name].value for name in ("gallery", "places"))
    about = (
        f"{gallery:,.0f} pairs of {places:,.0f} places: how often the right one is among the first 1, 5 "
        "or 10 of all, and where it stands. The paper's table 1 and figure 3."
    )
    return "Finding each other", about, tables


def _marked(row: Mapping[str, bool | None]) -> tuple[str, ...]:
    return tuple(_MARKS[row[name]] for name in ("meta_training", "dropout", "meta_inference"))


def _paper_table() -> Table:
    def cells(row: Table1Row) -> Iterator[str]:
        for r5, r10, median in (row.overhead2ground, row.ground2overhead):
            yield from (f"{100 * r5:.1f} %", f"{100 * r10:.1f} %", f"{median:,g}")

    heads = tuple(f"{name}, {way}" for way in ("o to g", "g to o") for name in ("R@5", "R@10", "median rank"))
    rows = tuple(
        (row.label, *(_MARKS[m] for m in (row.meta_training, row.dropout, row.meta_inference)), *cells(row))
        for row in TABLE_1
    )
    marks = ("metadata in training", "dropout", "metadata at inference")
    return Table(
        f"As printed in {TABLE_1_SOURCE}, gallery of 10,000", ("", *marks, *heads), rows, TABLE_1_NOTES
    )


def _times_table(known: Mapping[str, Metric]) -> Table:
    kinds = ("near", "told_nothing", "gallery")
    asked = (("hour.08", "08:00"), ("hour.23", "23:00"), ("month.01", "January"), ("month.07", "July"))
    return Table(
        "The same place at two times: photos called up that are from near the time asked for",
        ("asked for", "told the time", "told nothing", "of all photos"),
        tuple(
            (label, *(format_metric(known.get(f"times.{name}.{kind}"), format_percent) for kind in kinds))
            for name, label in asked
        ),
        ("Near is within three hours, or a month and a half of the same season in either hemisphere.",),
    )


def cluster_tables(record: Record) -> Made:
    """Figure 4 of the paper as numbers, and the clusters of a map."""
    known, shown = {figure.name: figure for figure in record.metrics}, record.table_data
    names = {"sat2cap": "Sat2Cap", "clip": "CLIP"}
    curves = Table(
        "Mean silhouette (-1 to 1) by number of clusters",
        ("", *(f"k = {k:,}" for k in shown["ks"])),
        tuple(
            (
                names.get(space, space),
                *(format_metric(known.get(f"{space}.silhouette.k{k}")) for k in shown["ks"]),
            )
            for space in shown["curves"]
        ),
        (f"The range is from the least to the greatest of {shown['seeds']} seeds, the same for both.",),
    )
    tables = [curves]
    if "map" in shown:
        rows = tuple((", ".join(row["names"]), f"{row['cells']:,}") for row in shown["map"])
        tables.append(Table("Clusters of the map, largest first", ("nearest phrases", "cells"), rows))
    about = (
        f"How many kinds of place the overhead embeddings of {shown['points']:,} places tell apart; the "
        f"silhouettes are of {shown['sample']:,} of them, exact against all. The paper's figure 4, which "
        "prints no numbers: there CLIP is ahead for few clusters, Sat2Cap for many."
    )
    return "Kinds of place", about, tables
