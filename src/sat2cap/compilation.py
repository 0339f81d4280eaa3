"""Compiling loops with numba: one set of options, a cache where one can be written, and saying so once.

numba keeps what it compiled in ``NUMBA_CACHE_DIR`` where that is set, else beside the source file, and where
that is read-only in the user's cache folder. Where none can be written it compiles in each process.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from numba import njit
from numba.core import event

Function = TypeVar("Function", bound=Callable[..., Any])

# Only the optimisations that preserve NaN: it stands for no data. Division by zero is as in numpy.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}
_MESSAGE = "compiling for this processor, once: this takes some seconds"


def compiled(function: Function) -> Function:
    """Return a loop compiled by numba when it is first called, or read from numba's cache."""
    _listen()
    try:
        loop: Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder can be written that numba keeps its cache in
        loop = njit(**_OPTIONS)(function)
    return loop


class _Announcer(event.Listener):  # type: ignore[misc]  # numba has no types
    """Says once that a loop of this package is being compiled; what comes from the cache is not."""

    def __init__(self) -> None:
        self.is_said = False

    def on_start(self, event: Any) -> None:
        """Log the message for the first loop of this package."""
        module = getattr(getattr(event.data.get("dispatcher"), "py_func", None), "__module__", "")
        if not self.is_said and str(module).startswith("sat2cap."):
            self.is_said = True
            logging.getLogger("sat2cap").warning(_MESSAGE)

    def on_end(self, event: Any) -> None:
        """Do nothing: only the beginning is said."""


@lru_cache(maxsize=1)
def _listen() -> _Announcer:
    """Register the announcer with numba, once in a process, and return it."""
    announcer = _Announcer()
    event.register("numba:compile", announcer)
    return announcer
