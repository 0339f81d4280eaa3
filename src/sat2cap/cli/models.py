"""``sat2cap models``."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Look at models.", no_args_is_help=True)


@app.callback()
def models() -> None:
    """Look at models."""


@app.command()
def info(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A checkpoint folder, a Hugging Face name, or miniclip.")
    ],
) -> None:
    """Say what a model is.

    What it consists of and where it comes from.
    """
    from sat2cap.catalogue import resolve_model
    from sat2cap.cli import show

    found = resolve_model(model)
    card = {name: value for name, value in found.card.items() if isinstance(value, str | int | float)}
    show.facts(
        [
            *card.items(),
            ("embedding", f"{found.dim} numbers"),
            ("overhead patch", f"{found.patch_pixels} px a side"),
            ("ground tower", _presence(found.ground, "photos cannot be embedded")),
            ("text tower", _presence(found.text, "give a CLIP model with --text to map prompts")),
            ("dynamic encoder", _presence(found.dynamic, "dates make no difference")),
            ("place and time encoding", found.encoding),
            ("logit scale", f"{found.logit_scale:.4g}"),
            ("identity", found.identity),
        ]
    )
    metrics = found.card.get("metrics")
    if isinstance(metrics, dict):
        show.facts((f"metrics.{name}", value) for name, value in metrics.items())


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A checkpoint folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The folder to write.")],
) -> None:
    """Write a trained model in Hugging Face's layout.

    Overhead tower, processor and a card with the run's figures; it stays a model that every command reads.
    """
    from sat2cap.catalogue import resolve_model
    from sat2cap.model.export import export_hugging_face

    print(export_hugging_face(resolve_model(model), out))


def _presence(part: object, otherwise: str) -> str:
    return f"none: {otherwise}" if part is None else "yes"
