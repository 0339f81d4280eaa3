"""``sat2cap evaluate``."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.options import AtlasModel, AtlasPath, Json, Model, Text

app = typer.Typer(help="Measure models and maps.", no_args_is_help=True)


@app.command()
def retrieval(
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="A folder made by: sat2cap pairs build.")],
    model: Model,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which pairs: train, val or test.")] = "test",
    gallery: Annotated[int, typer.Option(metavar="N", help="How many pairs to choose from.", min=1)] = 2000,
    metadata: Annotated[
        bool | None,
        typer.Option(
            "--metadata/--no-metadata",
            help="Whether the Dynamic Encoder is told place and time; if left out, when the model has one.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the choice of the gallery.")] = 0,
    json: Json = None,
) -> None:
    """Measure how photos and patches find each other.

    Table 1 of the paper: the rank of each photo among those of other places, for its overhead patch, and the
    other way round.
    """
    from sat2cap.catalogue import resolve_model
    from sat2cap.cli import show
    from sat2cap.evaluate.retrieval import evaluate_retrieval
    from sat2cap.pairs import open_pairs

    checkpoint = resolve_model(model)
    use = checkpoint.dynamic is not None if metadata is None else metadata
    found = evaluate_retrieval(
        open_pairs(pairs), checkpoint, split=split, gallery=gallery, use_metadata=use, seed=seed
    )
    show.figures(dict(found), json)


@app.command()
def maps(
    atlas: AtlasPath,
    cases: Annotated[
        Path | None,
        typer.Argument(
            metavar="CASES.toml",
            help="Prompts and the truth of each, see docs/evaluate.md; the miniature world needs none.",
        ),
    ] = None,
    json: Json = None,
    model: AtlasModel = None,
    text: Text = None,
) -> None:
    """Measure maps against the truth.

    For prompts whose truth is known: in rasters of yours, or in the miniature world.
    """
    from sat2cap import api
    from sat2cap.cli import show
    from sat2cap.evaluate.cases import evaluate_maps, evaluate_miniworld, load_cases

    opened = api.open(atlas, model, text)
    held = None if cases is None else load_cases(cases)
    if held is None:
        found = evaluate_miniworld(opened.atlas, opened.checkpoint)
    else:
        found = evaluate_maps(opened.atlas, opened.checkpoint, held)
    show.figures(dict(found), json)
