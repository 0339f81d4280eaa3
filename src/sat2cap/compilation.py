"""Compiling loops with numba: one set of options, a cache where one can be written, and saying so once.

numba keeps what it compiled in ``NUMBA_CACHE_DIR`` where that is set, else beside the source file, and where
that is read-only in the user's cache folder. Where none can be written it compiles in each process.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, event
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

# Only the optimisations that preserve NaN: it stands for no data. Division by zero is as in numpy.
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}
CACHE_LINE_BYTES = 64
"""Bytes that memory delivers at once."""
_MESSAGE = "compiling for this processor, once: this takes some seconds"


def compiled(function: Function) -> Function:
    """Return a loop compiled by numba when it is first called, or read from numba's cache."""
    _listen()
    try:
        loop: Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # no folder can be written that numba keeps its cache in
        loop = njit(**_OPTIONS)(function)
    return loop


@intrinsic
def prefetch(_context: Any, array: Any, offset: Any) -> Any:
    """Request the memory `offset` bytes into an array ahead of its use, in a compiled loop.

    Beyond the end of the array this does nothing.
    """

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.pointer_add(builder, made.data, arguments[1])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        read, second_level, data = (ir.Constant(number, value) for value in (0, 2, 1))
        builder.call(function, [address, read, second_level, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), build


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
        """Do nothing: only the beginning of a compilation is announced."""


@lru_cache(maxsize=1)
def _listen() -> _Announcer:
    """Register the announcer with numba, once in a process, and return it."""
    announcer = _Announcer()
    event.register("numba:compile", announcer)
    return announcer
