"""Tables of captions: table 2 of the paper beside ours, what is true of them, and how months change them."""

from collections.abc import Mapping, Sequence

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import UNDEFINED, format_percent
from sat2cap.report.paper import TABLE_2, TABLE_2_NOTES, TABLE_2_SOURCE
from sat2cap.report.tables.text import SectionTables, Table, format_metric

LabelledRows = Sequence[tuple[str, str]]
"""Name of each row, which begins the names of its metrics, and its label."""

_MEASURES = {
    "bleu1": "BLEU-1",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "clip_text": "CLIP text cosine",
}
_REFERENCES = {
    "ground": "Agreement with the photo's caption",
    "written": "Agreement with what people wrote",
}
_MARKS = {True: "yes", False: "no", None: UNDEFINED}


def caption_tables(record: Record) -> SectionTables:
    """Return agreement (table 2), truth, months (figure 6), examples, and the paper's own table 2."""
    metrics, table_data = record.metrics_by_name, record.table_data
    rows = [(row["name"], row["label"]) for row in table_data["rows"]]
    tables = _agreement_tables(record, rows)
    tables += [_truth_table(rows, metrics)] if "truth.chance" in metrics else []
    tables += [_month_table(metrics)] if "months.changed" in metrics else []
    tables += _example_tables(record)
    tables.append(_paper_table())
    search = "greedy" if table_data["beams"] == 1 else f"{table_data['beams']} beams"
    about = (
        f"Captions of {metrics['captions'].value:,.0f} places, from overhead embeddings and the photo taken "
        f"there ({search}). The paper's table 2 and figure 6."
    )
    return SectionTables("Captions", about, tables)


def _agreement_tables(record: Record, rows: LabelledRows) -> list[Table]:
    """Return one table for each kind of reference caption that was measured against."""
    metrics, table_data = record.metrics_by_name, record.table_data
    measures = _MEASURES | {name: name for name in table_data["encoders"]}
    measures |= {"bert_score": f"BERTScore, {table_data['bert']}"} if table_data["bert"] else {}
    tables = []
    for reference, title in _REFERENCES.items():
        measured = [row for row in rows if f"{_prefix(row[0])}{reference}.rouge_l" in metrics]
        if measured:
            cells = tuple(
                (label, *(format_metric(metrics.get(f"{_prefix(name)}{reference}.{m}")) for m in measures))
                for name, label in measured
            )
            tables.append(Table(title, ("captions from", *measures.values()), cells))
    return tables


def _prefix(row_name: str) -> str:
    """Return what the names of a row's metrics begin with; the row of our model has no name and no prefix."""
    return f"{row_name}." if row_name else ""


def _truth_table(rows: LabelledRows, metrics: Mapping[str, Metric]) -> Table:
    """Return how much of what captions state is possible and likely at their place and time."""

    def cells(row_name: str) -> tuple[str, ...]:
        truth = {
            kind: metrics.get(f"{_prefix(row_name)}truth.{kind}") for kind in ("possible", "chance", "stated")
        }
        return (
            format_metric(truth["possible"], format_percent),
            format_metric(truth["chance"], format_percent),
            format_metric(truth["stated"]),
        )

    return Table(
        "What captions state, against the truth there and then",
        ("captions from", "possible", "chance that a photo shows it", "concepts a caption"),
        tuple((label, *cells(name)) for name, label in rows),
        ("Possible: at least one photo in twenty from there and then shows it.",),
    )


def _month_table(metrics: Mapping[str, Metric]) -> Table:
    """Return how often captions for January and July have a word of winter, in each hemisphere."""
    rows = tuple(
        (
            f"with a word of winter, {half}",
            *(format_metric(metrics.get(f"winter.{half}.{month}"), format_percent) for month in ("01", "07")),
        )
        for half in ("north", "south")
    )
    changed = format_metric(metrics["months.changed"], format_percent)
    notes = [f"Captions that differ between January and July: {changed}."]
    if "months.truth_lead" in metrics:
        lead = format_metric(metrics["months.truth_lead"], format_percent)
        restated = format_metric(metrics.get("months.restated"), format_percent)
        notes.append(f"That state other concepts: {restated}; likelier in their own month by {lead}.")
    return Table("The same places in January and July", ("", "January", "July"), rows, tuple(notes))


def _example_tables(record: Record) -> list[Table]:
    """Return captions of some places, and some that change with the month, where there are any."""
    months, examples = record.table_data["months"], record.table_data["examples"]
    tables = []
    if examples:
        labels = {row["name"]: row["label"] for row in record.table_data["rows"]}
        keys = tuple(examples[0])
        rows = tuple(tuple(example.get(key, UNDEFINED) for key in keys) for example in examples)
        heads = tuple(labels.get(key, key) for key in keys)
        tables.append(Table("Some captions", heads, rows, words=len(heads)))
    if months.get("rows"):
        rows = tuple(tuple(row) for row in months["rows"])
        tables.append(Table("Some that change with the month", tuple(months["heads"]), rows, words=3))
    return tables


def _paper_table() -> Table:
    """Return table 2 as the paper prints it."""
    rows = tuple(
        (
            row.label,
            *(_MARKS[mark] for mark in (row.meta_training, row.dropout, row.meta_inference)),
            *(f"{value:.4f}" for value in (row.mpnet, row.e5, row.bert_score)),
        )
        for row in TABLE_2
    )
    marks = ("metadata in training", "dropout", "metadata at inference")
    heads = ("", *marks, "MPNet-base-v2", "E5-small", "BERTScore")
    return Table(f"As printed in {TABLE_2_SOURCE}", heads, rows, TABLE_2_NOTES)
