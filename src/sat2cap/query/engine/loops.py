"""The choice between compiled loops and those in numpy: the one place where it is made.

numba takes about a second of CPU to be imported with compiled loops from its cache, as long as numpy takes
for some millions of cells. A scan that has more than that before it, or behind it, takes the compiled ones.
So does every scan of a process in which the compiled loops are loaded already: there they cost nothing.
"""

import sys
from typing import Any, Protocol

from sat2cap.query.engine import kernel_numpy

COMPILED_FROM_CELLS = 2_000_000
"""Cells that a scan has scored or is about to score, from which on compiled loops pay."""
_COMPILED_LOOPS = "sat2cap.query.engine.kernel"


class Loops(Protocol):
    """The functions of `kernel`, which explains them, and of `kernel_numpy`."""

    @property
    def inverse_lengths(self) -> Any:
        """See `kernel.inverse_lengths`."""
        ...

    @property
    def static_cosines(self) -> Any:
        """See `kernel.static_cosines`."""
        ...

    @property
    def dynamic_cosines(self) -> Any:
        """See `kernel.dynamic_cosines`."""
        ...


def choose_loops(cells: float) -> Loops:
    """Return the loops for a scan of so many cells in all, those that it has scored before included.

    Results of the two are equal within 1e-6.
    """
    if cells < COMPILED_FROM_CELLS and _COMPILED_LOOPS not in sys.modules:
        return kernel_numpy
    from sat2cap.query.engine import kernel

    return kernel
