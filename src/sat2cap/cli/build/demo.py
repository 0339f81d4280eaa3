"""``sat2cap demo``."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.extras import require_extra


def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="The folder to write everything into: demo, or demo-quick."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(help="A smaller demo: an eighth of the photos and of the training, with worse metrics."),
    ] = False,
) -> None:
    """Run everything on the miniature world, and show it on one page.

    Builds pairs, trains, embeds, maps and evaluates; then open DIR/index.html.
    """
    require_extra("demo", "sat2cap demo")
    from sat2cap.cli import console
    from sat2cap.demo import DemoPlan, headline_metrics, quick_plan, run_demo

    plan = quick_plan() if quick else DemoPlan()
    out = out or Path("demo-quick" if quick else "demo")
    with console.show_progress() as progress:
        metrics = run_demo(out, plan=plan, progress=progress)
    console.print_values(headline_metrics(metrics), None)
    print(f"\nall metrics: {out / 'results.json'}\nopen {out / 'index.html'}")
