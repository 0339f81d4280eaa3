"""``sat2cap report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders written by: sat2cap evaluate ... -o RUN.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="FILE.html",
            help="The page to write; a Markdown version is written beside it.",
        ),
    ] = Path("report.html"),
    title: Annotated[str, typer.Option(metavar="TEXT", help="The heading of the page.")] = "Evaluation",
) -> None:
    """Put evaluations on one page.

    The page has all tables and figures with the paper's beside them, which claims held and which did not, and
    the commands. It is one self-contained HTML file; the same text is written as Markdown.
    """
    from sat2cap.report import write_report

    for path in write_report(runs, out, title)[:2]:
        print(path)
