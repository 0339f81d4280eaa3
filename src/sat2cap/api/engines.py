"""Engines by name: where the tasks of a long job are done."""

from typing import Literal, get_args

from sat2cap.arguments import check_number, check_text
from sat2cap.engines import Engine, LocalEngine, RayEngine
from sat2cap.errors import JobError
from sat2cap.extras import require_extra

EngineName = Literal["process", "ray"]


def check_engine(name: EngineName, address: str | None = None, workers: int | None = None) -> None:
    """Raise for what `make_engine` would refuse, before any work.

    Raises `JobError` if there is no such engine or the arguments do not fit each other, and
    `MissingExtraError` if Ray is not installed.
    """
    check_text(name, "engine", "process")
    if name not in get_args(EngineName):
        raise JobError(f"engine {name!r} does not exist; choose one of {', '.join(get_args(EngineName))}")
    if name == "process":
        if address is not None or workers is not None:
            raise JobError("--address and --workers are those of a cluster; add --engine ray")
        return
    if workers is not None:
        check_number(workers, "workers")
        if workers < 1:
            raise JobError(f"{workers} workers cannot do anything; give 1 or more")
    require_extra("cluster", "--engine ray")


def make_engine(name: EngineName, address: str | None = None, workers: int | None = None) -> Engine:
    """Return the engine called `name`: ``process`` is this process, ``ray`` the workers of a Ray cluster.

    `address` and `workers` are those of `RayEngine`. Raises as `check_engine` does.
    """
    check_engine(name, address, workers)
    return LocalEngine() if name == "process" else RayEngine(address, workers)
