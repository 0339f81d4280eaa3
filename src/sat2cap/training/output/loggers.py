"""Loggers that a run writes to in addition to ``log.jsonl``: TensorBoard, and Weights & Biases."""

import os
from pathlib import Path
from typing import Any, Protocol

from sat2cap.errors import RunFileError
from sat2cap.training.run import Run


class Logger(Protocol):
    """A destination for one record per step."""

    def write(self, record: dict[str, Any]) -> None:
        """Log the record of one step, such as ``{"step": 12, "loss": 3.4, …}``."""
        ...

    def close(self) -> None:
        """Flush and close; call once, after the last step."""
        ...


class TensorBoard:
    """TensorBoard event files in ``tensorboard/``.

    Events beyond the step that an interrupted run continues from are purged.
    """

    def __init__(self, folder: Path, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(folder / "tensorboard", purge_step=done + 1)

    def write(self, record: dict[str, Any]) -> None:
        """Write each metric of a step as a scalar."""
        for name, value in record.items():
            if name != "step":
                self._writer.add_scalar(name.replace(".", "/", 1), value, record["step"])

    def close(self) -> None:
        """Flush and close the files."""
        self._writer.close()


class WandB:
    """Weights & Biases in ``wandb/``, offline unless the variable ``WANDB_MODE=online`` is set."""

    def __init__(self, folder: Path, identity: str, settings: dict[str, Any]) -> None:
        import wandb

        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._run: Any = wandb.init(
            project="sat2cap",
            name=folder.name,
            id=identity[:16],
            dir=folder,
            mode=mode,
            resume="allow" if mode == "online" else None,
            config=settings,
            settings=wandb.Settings(silent=True, console="off"),
        )

    def write(self, record: dict[str, Any]) -> None:
        """Log all metrics of a step."""
        self._run.log({name: value for name, value in record.items() if name != "step"}, step=record["step"])

    def close(self) -> None:
        """Flush and close the files."""
        self._run.finish()


def open_loggers(run: Run, identity: str, done: int) -> list[Logger]:
    """Open the loggers that a run lists. Raises RunFileError if one is not installed."""
    folder = Path(run.output.folder)
    try:
        return [
            TensorBoard(folder, done) if name == "tensorboard" else WandB(folder, identity, run.settings())
            for name in run.output.loggers
        ]
    except ImportError as error:
        raise RunFileError(
            f"output.loggers {list(run.output.loggers)} needs a package that is not installed ({error}): "
            "pip install 'sat2cap[log]'"
        ) from error
