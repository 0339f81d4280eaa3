"""Arguments and options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

AtlasPath = Annotated[
    str,
    typer.Argument(
        metavar="X.zarr",
        help="An atlas, made by: sat2cap embed; a folder, or an address: s3://, gs://, az://, https://.",
    ),
]
PairsPath = Annotated[
    str,
    typer.Argument(
        metavar="PAIRS",
        help="A pair set, made by: sat2cap pairs build; a folder, or an address: s3://, gs://, az://.",
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", metavar="MODEL", help="A checkpoint folder, a Hugging Face name, or miniclip."),
]
AtlasModel = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="MODEL", help="The model that made the atlas, if it is no longer where it was."
    ),
]
Text = Annotated[
    str | None,
    typer.Option(
        "--text",
        metavar="MODEL",
        help="The CLIP model whose text tower reads prompts, if the atlas's model has none.",
    ),
]
When = Annotated[
    str | None,
    typer.Option(
        "--when", metavar="DATE", help="Local date and hour: 2024-05-20T08:00, 2024-05-20 or 2024-05."
    ),
]
Within = Annotated[
    str | None,
    typer.Option(
        "--within",
        metavar="REGION",
        help="Only cells in this region: west,south,east,north, lon,lat,radius or a file.",
    ),
]
ImagerySource = Annotated[
    str,
    typer.Option(
        "--imagery",
        metavar="SRC",
        help="A raster by path or URL, a folder of them, .mbtiles, .pmtiles, a tile URL with {z}, {x}, {y}, "
        "stac:URL, a name of `sat2cap imagery list`, a source file (.toml), or miniworld:SEED.",
    ),
]
AtlasImagery = Annotated[
    str | None,
    typer.Option(
        "--imagery",
        metavar="SRC",
        help="The imagery that the atlas was made from, if it is no longer where it was.",
    ),
]
Bands = Annotated[
    str | None,
    typer.Option("--bands", metavar="R,G,B", help="Numbers of the imagery's bands to show, such as 4,3,2."),
]
Stretch = Annotated[
    str | None,
    typer.Option(
        "--stretch",
        metavar="LOW,HIGH",
        help="The values of the imagery that are shown as black and as white, such as 0,3000.",
    ),
]
ACCEPT_OLD_STRETCH = {"token_normalize_func": lambda name: "stretch" if name == "scale" else name}
"""Context settings for commands that take `Stretch`: its former name, ``--scale``, still works, unlisted."""

Recipe = Annotated[
    str | None,
    typer.Option(
        "--recipe", metavar="NAME", help="Bands and stretch by name: sentinel2, landsat, rgbn or bgrn."
    ),
]
TileCache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Folder in which fetched tiles are kept for other runs."),
]


class EngineName(StrEnum):
    """Where the tasks of a long job are done."""

    process = "process"
    ray = "ray"


Engine = Annotated[
    EngineName,
    typer.Option(
        "--engine", metavar="process|ray", help="Compute in this process, or by the workers of a Ray cluster."
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        help="Head of the Ray cluster, or auto; by default that of RAY_ADDRESS, or else this machine alone.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Workers of the cluster; by default one a GPU, or without GPUs one for every four processors.",
        min=1,
    ),
]
Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Also write the metrics as JSON, name to number."),
]
