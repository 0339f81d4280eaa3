"""``sat2cap report``."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="Folders that: sat2cap evaluate ... -o RUN, wrote.")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="FILE.html", help="The page; the Markdown goes beside it.")
    ] = Path("report.html"),
    title: Annotated[str, typer.Option(metavar="TEXT", help="The heading.")] = "Evaluation",
) -> None:
    """Put evaluations on one page.

    All tables and figures with the paper's beside them, what held and what did not, and the commands: an
    HTML file that stands alone, and the same as Markdown.
    """
    from sat2cap.report import write_report

    for path in write_report(runs, out, title)[:2]:
        print(path)
