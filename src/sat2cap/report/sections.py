"""What a report shows of each record: tables beside the paper's, pictures, and where they come from."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sat2cap.evaluate.figures import Figure
from sat2cap.evaluate.record import Record
from sat2cap.report.paper import TABLE_1, TABLE_1_NOTES, TABLE_1_SOURCE, Table1Row

NONE = "–"
_MARKS = {True: "yes", False: "no", None: NONE}
_WAYS = ("overhead2ground", "ground2overhead")


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column a name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 1
    """How many columns at the left hold words."""


@dataclass(frozen=True)
class Section:
    """One record on the page."""

    title: str
    about: str
    tables: tuple[Table, ...]
    pictures: tuple[tuple[Path, str], ...]
    """File and caption."""
    record: Record

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """What it was made of, and how."""
        record = self.record
        given = [(name, value) for name, value in record.names.items() if value]
        hashes = [
            (f"hash of {name}", _short(value)) for name, value in record.inputs.items() if _hashed(value)
        ]
        took = f"{record.seconds:,.1f} s with sat2cap {record.sat2cap}"
        return [*given, *hashes, ("measured in", took)]


def section(record: Record) -> Section:
    """A record as a section; one of a kind that is not known here shows all its figures."""
    title, about, tables = _KINDS.get(record.kind, _other)(record)
    pictures = tuple((record.folder / name, caption) for name, caption in record.pictures)
    return Section(title, about, tuple(tables), pictures, record)


def number(value: float) -> str:
    """Three digits; a dash for what is not defined."""
    if not math.isfinite(value):
        return NONE
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def _share(value: float) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{100 * value:.{1 if abs(value) >= 0.01 or value == 0 else 2}f} %"


def _bare(text: str) -> str:
    """A number without its unit."""
    return text.removesuffix(" %")


def _told(figure: Figure | None, form: Callable[[float], str] = number) -> str:
    """A value and its interval."""
    if figure is None:
        return NONE
    ends = figure.interval
    return form(figure.value) + (f" ({_bare(form(ends[0]))} to {_bare(form(ends[1]))})" if ends else "")


Made = tuple[str, str, Sequence[Table]]


def _retrieval(record: Record) -> Made:
    known = {figure.name: figure for figure in record.figures}

    def cells(prefix: str, way: str) -> tuple[str, ...]:
        mine = ".".join(part for part in (prefix, "" if prefix == "chance" else way) if part)
        shares = tuple(_told(known.get(f"{mine}.{name}"), _share) for name in ("r1", "r5", "r10"))
        return (*shares, *(_told(known.get(f"{mine}.{name}")) for name in ("median_rank", "mean_rank")))

    heads = ("R@1", "R@5", "R@10", "median rank", "mean rank")
    marks = ("metadata in training", "dropout", "metadata at inference")
    titles = ("From overhead patch to ground photo", "From ground photo to overhead patch")
    tables = [
        Table(
            title,
            ("", *marks, *heads),
            tuple((row["label"], *_marked(row), *cells(row["name"], way)) for row in record.shown["rows"]),
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


def _times_table(known: Mapping[str, Figure]) -> Table:
    kinds = ("near", "told_nothing", "gallery")
    asked = (("hour.08", "08:00"), ("hour.23", "23:00"), ("month.01", "January"), ("month.07", "July"))
    return Table(
        "The same place at two times: photos called up that are from near the time asked for",
        ("asked for", "told the time", "told nothing", "of all photos"),
        tuple(
            (label, *(_told(known.get(f"times.{name}.{kind}"), _share) for kind in kinds))
            for name, label in asked
        ),
        ("Near is within three hours, or a month and a half of the same season in either hemisphere.",),
    )


def _clusters(record: Record) -> Made:
    known, shown = {figure.name: figure for figure in record.figures}, record.shown
    names = {"sat2cap": "Sat2Cap", "clip": "CLIP"}
    curves = Table(
        "Mean silhouette (-1 to 1) by number of clusters",
        ("", *(f"k = {k:,}" for k in shown["ks"])),
        tuple(
            (names.get(space, space), *(_told(known.get(f"{space}.silhouette.k{k}")) for k in shown["ks"]))
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


def _landcover(record: Record) -> Made:
    known, shown = {figure.name: figure for figure in record.figures}, record.shown
    kinds = [
        (prefix, label)
        for prefix, label in (
            ("", "Sat2Cap"),
            ("clip.", "CLIP"),
            ("location.", "place and time"),
            ("lookup.", "look-up"),
        )
        if f"{prefix}auroc.mean" in known
    ]
    classes = [row["name"] for row in shown["classes"]]
    each = Table(
        "AUROC of each class's map",
        ("class", "asked for", *(label for _, label in kinds)),
        tuple(
            (
                row["name"],
                " + ".join(row["prompts"]),
                *(_told(known.get(f"{p}auroc.{row['name']}")) for p, _ in kinds),
            )
            for row in shown["classes"]
        ),
        (f"Too rare to be judged: {', '.join(shown['left_out'])}.",) if shown["left_out"] else (),
        words=2,
    )
    measures = (
        ("auroc.mean", "AUROC"), ("average_precision.mean", "average precision"), ("f1.mean", "best F1"),
        ("spearman.mean", "rank correlation of score and share"),
        ("confusion.accuracy", "best prompt: cells right"),
        ("confusion.mean_recall", "best prompt: mean recall"),
        ("confusion_standardised.accuracy", "best prompt, standardised: cells right"),
        ("confusion_standardised.mean_recall", "best prompt, standardised: mean recall"),
    )  # fmt: skip
    means = Table(
        f"Means over {len(classes)} classes",
        ("", *(label for _, label in kinds)),
        tuple((label, *(_told(known.get(f"{p}{name}")) for p, _ in kinds)) for name, label in measures),
        (
            "The range is the middle 95 % of resamples of blocks of land. The look-up sees the reference "
            "itself, and no imagery: each cell's classes, weighted by how near their names are to the "
            "prompt.",
        ),
    )
    tables = [means, each]
    if "confusion" in shown["confusion"]:
        tables.append(_confusion_table(shown["confusion_classes"], shown["confusion"]["confusion"]))
    about = (
        f"Maps of prompts against {shown['reference']}, over {known['cells'].value:,.0f} cells. The "
        "paper's figures 1 and 5, which show such maps side by side."
    )
    return "Land cover", about, tables


def _confusion_table(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> Table:
    return Table(
        "Cells by what covers most of them (rows) and the prompt that is nearest (columns)",
        ("", *classes),
        tuple(
            (name, *(f"{n:,}" if n else "" for n in row)) for name, row in zip(classes, matrix, strict=True)
        ),
    )


def _time(record: Record) -> Made:
    known, places = {figure.name: figure for figure in record.figures}, list(record.shown["south"])
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
        cells = tuple(_told(known.get(f"{kind}.{place}.{text}")) for place in places for kind in what)
        months = (
            tuple(_told(known.get(f"months_apart.{kind}{text}")) for kind in ("", "truth.")) if apart else ()
        )
        return (text, *cells, *months)

    heads = tuple(f"{place}: {words[kind]}" for place in places for kind in what)
    months = ("months apart", "in truth") if apart else ()
    tables = [
        Table(
            "Rank correlation of the mean score with the truth" if judged else "How mean scores move",
            ("prompt", *heads, *months),
            tuple(row(text) for text in record.shown["curves"]),
            ("A dash under month or hour: the truth does not change with it, or is not known.",)
            if judged
            else (),
        )
    ]
    summary = [(f"{kind}.median", f"median over prompts and regions, {words[kind]}") for kind in what]
    summary.append(("months_apart.mean_error", "hemispheres: mean error of the months apart"))
    found = tuple((label, _told(known[name])) for name, label in summary if name in known)
    if found:
        tables.insert(0, Table("In short", ("", "figure"), found))
    about = (
        "The mean score over each region at twelve months and eight hours: what the paper calls dynamic, "
        "and shows by captions (section 3.3, figure 6)."
    )
    return "Months and hours", about, tables


def _other(record: Record) -> Made:
    rows = tuple((figure.name, _told(figure)) for figure in record.figures)
    return record.kind.capitalize(), "", [Table("Figures", ("figure", "value"), rows)]


_KINDS: dict[str, Callable[[Record], Made]] = {
    "retrieval": _retrieval,
    "clusters": _clusters,
    "landcover": _landcover,
    "time": _time,
}


def _hashed(value: object) -> bool:
    """Whether an input is, or holds, a hash; options are in the command."""
    if isinstance(value, str):
        return len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return isinstance(value, list) and any(_hashed(part) for part in value)


def _short(value: object) -> str:
    if isinstance(value, str):
        return value[:12] if _hashed(value) else ""
    return ", ".join(filter(None, (_short(part) for part in value))) if isinstance(value, list) else ""
