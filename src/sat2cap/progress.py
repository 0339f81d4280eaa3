"""How long work says where it is, without knowing who listens.

A job calls ``progress("embedding cells", done, total)`` as it goes, cheaply and often; only the command
line draws it.
"""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""``(stage, done, total)``: what is being done, units finished, units in all."""


def silent(stage: str, done: int, total: int) -> None:
    """The listener that does nothing: the default everywhere."""
