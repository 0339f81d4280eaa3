"""What a report shows of each record: tables beside the paper's, pictures, and where they come from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sat2cap.evaluation import Record
from sat2cap.report.tables.captions import caption_tables
from sat2cap.report.tables.maps import landcover_tables, time_tables
from sat2cap.report.tables.pairs import cluster_tables, retrieval_tables
from sat2cap.report.tables.text import Made, Table, format_metric


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


def _other(record: Record) -> Made:
    rows = tuple((figure.name, format_metric(figure)) for figure in record.metrics)
    return record.kind.capitalize(), "", [Table("Figures", ("figure", "value"), rows)]


_KINDS: dict[str, Callable[[Record], Made]] = {
    "retrieval": retrieval_tables,
    "clusters": cluster_tables,
    "captions": caption_tables,
    "landcover": landcover_tables,
    "time": time_tables,
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
