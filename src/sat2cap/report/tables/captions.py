"""Tables of captions: table 2 of the paper beside ours, what is true of them, and how months change them."""

from collections.abc import Mapping

from sat2cap.evaluation import Metric, Record
from sat2cap.formatting import UNDEFINED, format_percent
from sat2cap.report.paper import TABLE_2, TABLE_2_NOTES, TABLE_2_SOURCE
from sat2cap.report.tables.text import Made, Table, format_metric

_MEASURES = {
    "bleu1": "BLEU-1",
    "bleu4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "clip_text": "CLIP text cosine",
}
_AGAINST = {
    "ground": "Agreement with the photo's caption",
    "written": "Agreement with what people wrote",
}
_MARKS = {True: "yes", False: "no", None: UNDEFINED}


def caption_tables(record: Record) -> Made:
    """Table 2 and figure 6."""
    known, shown = {figure.name: figure for figure in record.metrics}, record.table_data
    measures = _MEASURES | {name: name for name in shown["encoders"]}
    measures |= {"bert_score": f"BERTScore, {shown['bert']}"} if shown["bert"] else {}
    rows = [(row["name"], row["label"]) for row in shown["rows"]]
    tables = []
    for against, title in _AGAINST.items():
        found = [row for row in rows if f"{_dotted(row[0])}{against}.rouge_l" in known]
        if found:
            cells = tuple(
                (label, *(format_metric(known.get(f"{_dotted(name)}{against}.{one}")) for one in measures))
                for name, label in found
            )
            tables.append(Table(title, ("captions from", *measures.values()), cells))
    tables += [_truth_table(rows, known)] if "truth.chance" in known else []
    tables += [_month_table(known)] if "months.changed" in known else []
    tables += _example_tables(record)
    tables.append(_paper_table())
    about = (
        f"Captions of {known['captions'].value:,.0f} places, from overhead embeddings and the photo taken "
        f"there ({'greedy' if shown['beams'] == 1 else str(shown['beams']) + ' beams'}). The paper's table 2 "
        "and figure 6."
    )
    return "Captions", about, tables


def _dotted(row: str) -> str:
    return f"{row}." if row else ""


def _truth_table(rows: list[tuple[str, str]], known: Mapping[str, Metric]) -> Table:
    kinds = (("possible", format_percent), ("chance", format_percent), ("stated", None))
    return Table(
        "What captions state, against the truth there and then",
        ("captions from", "possible", "chance that a photo shows it", "concepts a caption"),
        tuple(
            (
                label,
                *(
                    format_metric(known.get(f"{_dotted(name)}truth.{kind}"), *([form] if form else []))
                    for kind, form in kinds
                ),
            )
            for name, label in rows
        ),
        ("Possible: at least one photo in twenty from there and then shows it.",),
    )


def _month_table(known: Mapping[str, Metric]) -> Table:
    halves = tuple(
        (
            f"with a word of winter, {half}",
            *(format_metric(known.get(f"winter.{half}.{m}"), format_percent) for m in ("01", "07")),
        )
        for half in ("north", "south")
    )
    changed = format_metric(known["months.changed"], format_percent)
    notes = [f"Captions that differ between January and July: {changed}."]
    if "months.truth_lead" in known:
        lead = format_metric(known["months.truth_lead"], format_percent)
        restated = format_metric(known.get("months.restated"), format_percent)
        notes.append(f"That state other concepts: {restated}; likelier in their own month by {lead}.")
    return Table("The same places in January and July", ("", "January", "July"), halves, tuple(notes))


def _example_tables(record: Record) -> list[Table]:
    months, examples = record.table_data["months"], record.table_data["examples"]
    tables = []
    if examples:
        labels = {row["name"]: row["label"] for row in record.table_data["rows"]}
        heads = tuple(examples[0])
        rows = tuple(tuple(one.get(head, UNDEFINED) for head in heads) for one in examples)
        told_heads = tuple(labels.get(head, head) for head in heads)
        tables.append(Table("Some captions", told_heads, rows, words=len(heads)))
    if months.get("rows"):
        rows = tuple(tuple(row) for row in months["rows"])
        tables.append(Table("Some that change with the month", tuple(months["heads"]), rows, words=3))
    return tables


def _paper_table() -> Table:
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
