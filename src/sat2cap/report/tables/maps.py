"""Tables of what was measured on maps: land cover, and months and hours."""

from collections.abc import Mapping, Sequence
from typing import Any

from sat2cap.evaluation import Metric, Record
from sat2cap.report.tables.text import Made, Table, format_metric

Kinds = Sequence[tuple[str, str]]
"""Kinds of map: before the names of their figures, and what a column is headed with."""

_KINDS = (("", "Sat2Cap"), ("clip.", "CLIP"), ("location.", "place and time"), ("lookup.", "look-up"))
_MEASURES = (
    ("auroc.mean", "AUROC"),
    ("average_precision.mean", "average precision"),
    ("f1.mean", "best F1"),
    ("spearman.mean", "rank correlation of score and share"),
    ("confusion.accuracy", "best prompt: cells right"),
    ("confusion.mean_recall", "best prompt: mean recall"),
    ("confusion_standardised.accuracy", "best prompt, standardised: cells right"),
    ("confusion_standardised.mean_recall", "best prompt, standardised: mean recall"),
)


def landcover_tables(record: Record) -> Made:
    """Figures 1 and 5 of the paper as numbers."""
    known, shown = {figure.name: figure for figure in record.metrics}, record.table_data
    kinds = [kind for kind in _KINDS if f"{kind[0]}auroc.mean" in known]
    tables = [_means_table(len(shown["classes"]), kinds, known), _class_table(shown, kinds, known)]
    if "confusion" in shown["confusion"]:
        tables.append(_confusion_table(shown["confusion_classes"], shown["confusion"]["confusion"]))
    about = (
        f"Maps of prompts against {shown['reference']}, over {known['cells'].value:,.0f} cells. The "
        "paper's figures 1 and 5, which show such maps side by side."
    )
    return "Land cover", about, tables


def _means_table(count: int, kinds: Kinds, known: Mapping[str, Metric]) -> Table:
    return Table(
        f"Means over {count} classes",
        ("", *(label for _, label in kinds)),
        tuple(
            (label, *(format_metric(known.get(f"{p}{name}")) for p, _ in kinds)) for name, label in _MEASURES
        ),
        (
            "The range is the middle 95 % of resamples of blocks of land. The look-up sees the reference "
            "itself, and no imagery: each cell's classes, weighted by how near their names are to it.",
        ),
    )


def _class_table(shown: Mapping[str, Any], kinds: Kinds, known: Mapping[str, Metric]) -> Table:
    def cells(name: str) -> tuple[str, ...]:
        return tuple(format_metric(known.get(f"{prefix}auroc.{name}")) for prefix, _ in kinds)

    return Table(
        "AUROC of each class's map",
        ("class", "asked for", *(label for _, label in kinds)),
        tuple((row["name"], " + ".join(row["prompts"]), *cells(row["name"])) for row in shown["classes"]),
        (f"Too rare to be judged: {', '.join(shown['left_out'])}.",) if shown["left_out"] else (),
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


def time_tables(record: Record) -> Made:
    """The measured form of "dynamic" (section 3.3)."""
    known, places = {figure.name: figure for figure in record.metrics}, list(record.table_data["south"])
    judged = any(name.startswith("rank_correlation") for name in known)
    what = ("rank_correlation", "month", "hour") if judged else ("peak_month", "peak_hour", "swing")
    words = {
        "rank_correlation": "month and hour",
        "month": "month",
        "hour": "hour",
        "peak_month": "peak month",
    }
    words |= {"peak_hour": "peak hour", "swing": "swing"}
    apart = any(name.startswith("months_apart.") for name in known)

    def row(text: str) -> tuple[str, ...]:
        cells = tuple(format_metric(known.get(f"{kind}.{place}.{text}")) for place in places for kind in what)
        months = (
            tuple(format_metric(known.get(f"months_apart.{kind}{text}")) for kind in ("", "truth."))
            if apart
            else ()
        )
        return (text, *cells, *months)

    heads = tuple(f"{place}: {words[kind]}" for place in places for kind in what)
    months = ("months apart", "in truth") if apart else ()
    tables = [
        Table(
            "Rank correlation of the mean score with the truth" if judged else "How mean scores move",
            ("prompt", *heads, *months),
            tuple(row(text) for text in record.table_data["curves"]),
            ("A dash under month or hour: the truth does not change with it, or is not known.",)
            if judged
            else (),
        )
    ]
    summary = [(f"{kind}.median", f"median over prompts and regions, {words[kind]}") for kind in what]
    summary.append(("months_apart.mean_error", "hemispheres: mean error of the months apart"))
    found = tuple((label, format_metric(known[name])) for name, label in summary if name in known)
    if found:
        tables.insert(0, Table("In short", ("", "figure"), found))
    about = (
        "The mean score over each region at twelve months and eight hours: what the paper calls dynamic, "
        "and shows by captions (section 3.3, figure 6)."
    )
    return "Months and hours", about, tables
