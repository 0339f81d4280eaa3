"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

AtlasPath = Annotated[Path, typer.Argument(metavar="X.zarr", help="An atlas made by: sat2cap embed.")]
Model = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="A checkpoint folder, a Hugging Face name, or miniclip."),
]
AtlasModel = Annotated[
    str | None,
    typer.Option("--model", metavar="MODEL", help="The atlas's model, if it is no longer where it was."),
]
Text = Annotated[
    str | None,
    typer.Option(
        "--text", metavar="MODEL", help="The CLIP model to read prompts, if the atlas's model cannot."
    ),
]
When = Annotated[
    str | None,
    typer.Option(
        "--when", metavar="DATE", help="Local date and hour: 2024-05-20T08:00, 2024-05-20 or 2024-05."
    ),
]
ImagerySource = Annotated[
    str,
    typer.Option(
        "--imagery", metavar="SRC", help="A GeoTIFF, COG or VRT, by path or URL, or miniworld:SEED."
    ),
]
AtlasImagery = Annotated[
    str | None,
    typer.Option("--imagery", metavar="SRC", help="The atlas's imagery, if it is no longer where it was."),
]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the figures as JSON, name to number."),
]
