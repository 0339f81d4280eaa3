"""Engines by name: where the chunks of an atlas are computed."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from sat2cap.errors import JobError
from sat2cap.extras import require_extra

if TYPE_CHECKING:
    from sat2cap.embedding import Engine
    from sat2cap.imagery import Imagery

EngineName = Literal["process", "ray"]


def check_engine(name: EngineName, address: str | None = None, workers: int | None = None) -> None:
    """Raise for what `make_engine` would refuse, before any work.

    Raises `JobError` if the arguments do not fit each other, `MissingExtraError` if Ray is not installed.
    """
    if name == "process":
        if address is not None or workers is not None:
            raise JobError("--address and --workers are those of a cluster; add --engine ray")
        return
    if workers is not None and workers < 1:
        raise JobError(f"{workers} workers cannot do anything; give 1 or more")
    require_extra("cluster", "--engine ray")


def make_engine(
    name: EngineName,
    address: str | None = None,
    workers: int | None = None,
    open_imagery: "Callable[[], Imagery] | None" = None,
) -> "Engine":
    """Return the engine called `name`: ``process`` is this process, ``ray`` the workers of a Ray cluster.

    `address` and `workers` are those of `RayEngine`; `open_imagery` opens the imagery on a worker, if it
    cannot be sent. Raises as `check_engine` does.
    """
    check_engine(name, address, workers)
    from sat2cap.embedding import LocalEngine, RayEngine

    if name == "process":
        return LocalEngine()
    return RayEngine(address, workers, open_imagery=open_imagery)
