"""``sat2cap demo``."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.extras import require_extra


def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="The folder to write everything into.")
    ] = Path("demo"),
) -> None:
    """Run everything on the miniature world, and show it on one page.

    Builds pairs, trains, embeds, maps and evaluates; then open DIR/index.html.
    """
    require_extra("demo", "sat2cap demo")
    from sat2cap.cli import console
    from sat2cap.demo import headline_metrics, run_demo

    with console.show_progress() as progress:
        metrics = run_demo(out, progress=progress)
    console.print_values(headline_metrics(metrics), None)
    print(f"\nall metrics: {out / 'results.json'}\nopen {out / 'index.html'}")
