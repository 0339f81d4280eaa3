"""Type of the callbacks that long jobs report their progress to, and the one that ignores it.

A job calls ``progress("embedding cells", done, total)`` as it goes, cheaply and often, and does not know
whether the command line draws a bar, a notebook does, or nobody listens.
"""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Callback with ``(stage, done, total)``: name of the stage, units finished, units in all."""


def announce(progress: Progress, text: str) -> None:
    """Report a line that says something once, such as the precision of a run: a stage of a single unit."""
    progress(text, 1, 1)


def silent(stage: str, done: int, total: int) -> None:
    """Ignore the progress; the default of every job."""
