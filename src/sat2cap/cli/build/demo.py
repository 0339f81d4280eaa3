"""``sat2cap demo``."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where everything is written.")] = Path(
        "demo"
    ),
) -> None:
    """The whole story on the miniature world.

    Builds pairs, trains, embeds, maps and evaluates; then open DIR/index.html.
    """
    from sat2cap.cli import console
    from sat2cap.demo import headline, run_demo

    with console.progress() as progress:
        figures = run_demo(out, progress=progress)
    console.figures(headline(figures), None)
    print(f"\nall figures: {out / 'results.json'}\nopen {out / 'index.html'}")
