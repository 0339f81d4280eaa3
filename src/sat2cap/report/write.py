"""Writing a report of evaluations: one HTML file that stands alone, and the same as Markdown."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from sat2cap.arguments import check_path, check_sequence
from sat2cap.evaluation import Record, read_run
from sat2cap.files import write_bytes
from sat2cap.pictures import read_picture_size
from sat2cap.report.claims.claims import judge_claims
from sat2cap.report.page import render_page
from sat2cap.report.pictures import Picture
from sat2cap.report.sections import Section, build_section

KINDS = ("retrieval", "clusters", "captions", "landcover", "maps", "time")
"""Kinds of evaluation in the order of the paper; others come after."""


def write_report(runs: Sequence[Path | str], out: Path | str, title: str = "Evaluation") -> list[Path]:
    """Write `out` (.html), the Markdown beside it and its folder of pictures; return the paths written.

    `runs` are folders that ``sat2cap evaluate -o`` wrote. The HTML holds its pictures and loads nothing from
    elsewhere. Raises `InputError` for a run without evaluations, or with a record that cannot be read.
    """
    check_path(out, "out", "the path of a file")
    check_sequence(runs, "runs", "a list of folders that evaluations were written to")
    for run in runs:
        check_path(run, "one of runs", "a folder that evaluations were written to")
    out = Path(out)
    records = _sort_records([record for run in runs for record in read_run(Path(run))])
    sections = [build_section(record) for record in records]
    values = {
        "title": title,
        "claims": judge_claims(records),
        "sections": sections,
        "version": version("sat2cap"),
    }
    page = out.with_suffix(".html")
    markdown = out.with_suffix(".md")
    pictures = {path: _embed_picture(path, caption) for part in sections for path, caption in part.pictures}
    write_bytes(page, render_page("report.html", {**values, "pictures": pictures}, {}).encode())
    copies = _copy_pictures(sections, out.with_name(f"{out.stem}_files"))
    links = {path: f"{copy.parent.name}/{copy.name}" for path, copy in copies.items()}
    write_bytes(markdown, render_page("report.md", {**values, "links": links}, {}).encode())
    return [page, markdown, *copies.values()]


def _sort_records(records: Sequence[Record]) -> list[Record]:
    """Return the records in the order of the paper, each once however many runs hold it."""
    by_name = {record.folder.name: record for record in records}
    order = {kind: number for number, kind in enumerate(KINDS)}
    return sorted(
        by_name.values(), key=lambda record: (order.get(record.kind, len(KINDS)), record.folder.name)
    )


def _embed_picture(path: Path, caption: str) -> Picture:
    """Return a PNG or JPEG file as a picture that travels inside the page."""
    size = read_picture_size(path)
    data = base64.b64encode(path.read_bytes()).decode()
    kind = "png" if path.suffix == ".png" else "jpeg"
    return Picture(f"data:image/{kind};base64,{data}", *size, caption)


def _copy_pictures(sections: Sequence[Section], folder: Path) -> dict[Path, Path]:
    """Copy the pictures of all records into `folder`, each under its own name; return copies by source."""
    copies = {
        path: folder / f"{path.parent.name}-{path.name}" for part in sections for path, _ in part.pictures
    }
    for path, copy in copies.items():
        write_bytes(copy, path.read_bytes())
    return copies
