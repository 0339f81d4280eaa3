"""What the commands of ``sat2cap evaluate`` share: keeping what was measured, and printing it."""

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sat2cap.evaluation import DrawPictures, Evaluation

Run = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--out",
        metavar="RUN",
        help="A folder to keep figures and pictures in, for sat2cap report; what it holds is read.",
    ),
]
Draws = Annotated[
    int,
    typer.Option(metavar="N", help="Resamples of land for the intervals; 0 for none.", min=0),
]
BlockKm = Annotated[float, typer.Option(metavar="KM", help="Side of the blocks of land that are resampled.")]
Clip = Annotated[
    str | None,
    typer.Option("--clip", metavar="MODEL", help="The CLIP model to compare with, on the same imagery."),
]


def measured(
    run: Path | None,
    json_file: Path | None,
    kind: str,
    inputs: Mapping[str, Any],
    measure: "Callable[[], Evaluation]",
    draw: "DrawPictures",
    names: Mapping[str, str],
) -> None:
    """Measure, or read what the folder `run` holds, and print the figures."""
    from sat2cap.cli import console
    from sat2cap.evaluation import cached_evaluation

    if run is None:
        figures = measure().metrics
    else:
        command = shlex.join(["sat2cap", *sys.argv[1:]])
        record = cached_evaluation(run, kind, inputs, measure, draw, names=names, command=command)
        figures = record.metrics
    console.measured(figures, json_file)
    if run is not None:
        print(record.folder)
