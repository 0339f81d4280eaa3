"""A report of evaluations: one HTML file that stands alone, and the same as Markdown."""

import base64
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from PIL import Image

from sat2cap.evaluation import Record, read_run
from sat2cap.files import write_bytes
from sat2cap.report.claims.claims import claims
from sat2cap.report.page import render_page
from sat2cap.report.pictures import Picture
from sat2cap.report.sections import Section, section

KINDS = ("retrieval", "clusters", "captions", "landcover", "maps", "time")
"""The order of the paper; others come after."""


def write_report(runs: Sequence[Path], out: Path, title: str = "Evaluation") -> list[Path]:
    """Write `out` (.html), the Markdown beside it and its folder of pictures; returns what was written.

    The HTML holds its pictures and asks nobody for anything. Raises `InputError` for a run that has nothing
    to show, or a record that cannot be read.
    """
    records = _ordered([record for run in runs for record in read_run(run)])
    sections = [section(record) for record in records]
    shown = {"title": title, "claims": claims(records), "sections": sections, "version": version("sat2cap")}
    page = out.with_suffix(".html")
    markdown = out.with_suffix(".md")
    pictures = {path: _inside(path, caption) for part in sections for path, caption in part.pictures}
    write_bytes(page, render_page("report.html", {**shown, "pictures": pictures}, {}).encode())
    copies = _copied(sections, out.with_name(f"{out.stem}_files"))
    links = {path: f"{copy.parent.name}/{copy.name}" for path, copy in copies.items()}
    write_bytes(markdown, render_page("report.md", {**shown, "links": links}, {}).encode())
    return [page, markdown, *copies.values()]


def _ordered(records: Sequence[Record]) -> list[Record]:
    """In the order of the paper, each once however many runs hold it."""
    once = {record.folder.name: record for record in records}
    place = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(once.values(), key=lambda record: (place.get(record.kind, len(KINDS)), record.folder.name))


def _inside(path: Path, caption: str) -> Picture:
    with Image.open(path) as image:
        size = image.size
    data = base64.b64encode(path.read_bytes()).decode()
    kind = "png" if path.suffix == ".png" else "jpeg"
    return Picture(f"data:image/{kind};base64,{data}", *size, caption)


def _copied(sections: Sequence[Section], folder: Path) -> dict[Path, Path]:
    """Each picture of the records under a name of its own."""
    copies = {
        path: folder / f"{path.parent.name}-{path.name}" for part in sections for path, _ in part.pictures
    }
    for path, copy in copies.items():
        write_bytes(copy, path.read_bytes())
    return copies
