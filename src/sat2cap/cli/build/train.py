"""``sat2cap train``."""

from pathlib import Path
from typing import Annotated

import typer

from sat2cap.cli.options import Address, Engine, EngineName, Workers
from sat2cap.extras import require_extra


def train(
    run_file: Annotated[
        Path,
        typer.Argument(metavar="RUN.toml", help="A run file: what to train, on what and how; see runs/."),
    ],
    engine: Engine = EngineName.process,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Train the model that a run file describes.

    The same command continues a run that was stopped. With --engine ray the photos are embedded beforehand by
    the workers of a cluster.
    """
    require_extra("train", "sat2cap train")
    from sat2cap import api
    from sat2cap.cli import console
    from sat2cap.config import read_toml
    from sat2cap.errors import RunFileError

    method = read_toml(run_file, RunFileError, kind="run file").get("method")
    with console.show_progress(resumes=method not in ("clip", "captioner", "linear")) as progress:
        result = api.train(run_file, engine=engine.value, address=address, workers=workers, progress=progress)
    if _is_first_process():
        if result.metrics:
            console.print_values(result.metrics, None)
        print(result.folder)


def _is_first_process() -> bool:
    """Return whether this process prints for its run: rank 0 by the numbers of torchrun or SLURM."""
    import os

    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
