"""Options of the commands of ``sat2cap evaluate``, and running an evaluation or reading a kept one."""

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
        help="A folder to keep metrics and pictures in, for sat2cap report; what it holds already is read.",
    ),
]
Draws = Annotated[
    int,
    typer.Option(
        metavar="N", help="Number of resamples of land for the intervals; 0 for no intervals.", min=0
    ),
]
BlockKm = Annotated[
    float, typer.Option(metavar="KM", help="Side of the blocks of land that are resampled.", min=0.001)
]
Clip = Annotated[
    str | None,
    typer.Option("--clip", metavar="MODEL", help="The CLIP model to compare with, on the same imagery."),
]


def run_evaluation(
    run: Path | None,
    json_file: Path | None,
    kind: str,
    inputs: Mapping[str, Any],
    compute_metrics: "Callable[[], Evaluation]",
    draw_pictures: "DrawPictures",
    names: Mapping[str, str],
) -> None:
    """Print the metrics of an evaluation, computed or, if the folder `run` holds it already, read from there.

    `kind` and `inputs` identify an evaluation in `run`: a metric depends on nothing else. `names` are what a
    report calls its inputs. With a `run`, the pictures are drawn and kept there too.
    """
    from sat2cap.cli import console
    from sat2cap.evaluation import cached_evaluation

    if run is None:
        metrics = compute_metrics().metrics
    else:
        command = shlex.join(["sat2cap", *sys.argv[1:]])
        record = cached_evaluation(
            run, kind, inputs, compute_metrics, draw_pictures, names=names, command=command
        )
        metrics = record.metrics
    console.print_metrics(metrics, json_file)
    if run is not None:
        print(record.folder)
