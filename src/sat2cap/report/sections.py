"""The sections of a report, one for each record: its tables, its pictures and where they come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sat2cap.evaluation import Record
from sat2cap.report.tables.captions import caption_tables
from sat2cap.report.tables.maps import landcover_tables, time_tables
from sat2cap.report.tables.pairs import cluster_tables, retrieval_tables
from sat2cap.report.tables.text import SectionTables, Table, format_metric


@dataclass(frozen=True)
class Section:
    """One record as a page shows it."""

    title: str
    about: str
    tables: tuple[Table, ...]
    pictures: tuple[tuple[Path, str], ...]
    """File and caption of each picture."""
    record: Record

    @property
    def provenance(self) -> list[tuple[str, str]]:
        """Names and hashes of the inputs, and how long it took: pairs of a name and a value."""
        record = self.record
        inputs = [(name, value) for name, value in record.names.items() if value]
        hashes = [
            (f"hash of {name}", _shorten_hashes(value))
            for name, value in record.inputs.items()
            if _has_hash(value)
        ]
        duration = f"{record.seconds:,.1f} s with sat2cap {record.sat2cap}"
        return [*inputs, *hashes, ("measured in", duration)]


def build_section(record: Record) -> Section:
    """Return a record as a section; a kind without tables of its own lists all its metrics."""
    title, about, tables = _TABLES_BY_KIND.get(record.kind, _metric_list)(record)
    pictures = tuple((record.folder / name, caption) for name, caption in record.pictures)
    return Section(title, about, tuple(tables), pictures, record)


def _metric_list(record: Record) -> SectionTables:
    rows = tuple((metric.name, format_metric(metric)) for metric in record.metrics)
    return SectionTables(record.kind.capitalize(), "", [Table("Metrics", ("metric", "value"), rows)])


_TABLES_BY_KIND: dict[str, Callable[[Record], SectionTables]] = {
    "retrieval": retrieval_tables,
    "clusters": cluster_tables,
    "captions": caption_tables,
    "landcover": landcover_tables,
    "time": time_tables,
}


def _has_hash(value: object) -> bool:
    """Return whether an input is, or holds, a hash; options are not listed, since the command shows them."""
    if isinstance(value, str):
        return len(value) == 64 and all(c in "0123456789abcdef" for c in value)
    return isinstance(value, list) and any(_has_hash(element) for element in value)


def _shorten_hashes(value: object) -> str:
    """Return the first 12 digits of each hash in an input, joined by commas."""
    if isinstance(value, str):
        return value[:12] if _has_hash(value) else ""
    return ", ".join(filter(None, map(_shorten_hashes, value))) if isinstance(value, list) else ""
