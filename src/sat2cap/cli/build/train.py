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
    from sat2cap.cli import console

    method = _method(run_file)
    if method in ("clip", "captioner"):
        (_train_clip if method == "clip" else _train_captioner)(run_file)
        return
    from sat2cap.catalogue import resolve_model
    from sat2cap.training import load_run, train

    run = load_run(run_file)
    with console.progress() as progress:
        folder = train(run, resolve=resolve_model, progress=progress)
    if _first_process():
        print(folder)


def _first_process() -> bool:
    """Whether this is the one of a run's processes that speaks, as torchrun and SLURM number them."""
    import os

    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0


def _method(run_file: Path) -> object:
    """Return the run file's ``method``, None if it names none. Raises `RunFileError` if it is not TOML."""
    from sat2cap.config import read_toml
    from sat2cap.errors import RunFileError

    return read_toml(run_file, RunFileError, kind="run file").get("method")


def _train_clip(run_file: Path) -> None:
    from sat2cap.cli import console
    from sat2cap.evaluation import evaluate_zero_shot
    from sat2cap.miniworld import load_clip_run, train_clip
    from sat2cap.model import load_model

    run = load_clip_run(run_file)
    with console.progress(resumes=False) as progress:
        figures = train_clip(run, progress)
    console.figures(figures | dict(evaluate_zero_shot(load_model(run.out))), None)
    print(run.out)


def _train_captioner(run_file: Path) -> None:
    from sat2cap.catalogue import resolve_model
    from sat2cap.cli import console
    from sat2cap.training import load_caption_run, train_captioner

    run = load_caption_run(run_file)
    with console.progress(resumes=False) as progress:
        figures = train_captioner(run, resolve_model, progress)
    console.figures(figures, None)
    print(run.output.folder)
