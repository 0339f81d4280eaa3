"""``sat2cap train``."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="What to train and how; see runs/.")],
) -> None:
    """Train a model as a run file says.

    The same command goes on where a stopped run was.
    """
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.config import read_toml
    from sat2cap.errors import RunFileError

    method = read_toml(run_file, RunFileError, kind="run file").get("method")
    with console.progress(resumes=method not in ("clip", "captioner")) as progress:
        result = api.train(run_file, progress=progress)
    if _first_process():
        if result.metrics:
            console.figures(result.metrics, None)
        print(result.folder)


def _first_process() -> bool:
    """Return whether this is the process of a run that prints, as torchrun and SLURM number them."""
    import os

    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
