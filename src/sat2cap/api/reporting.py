"""How the progress of a long call is reported: silently, by a bar, or to a callable of the caller's."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sat2cap.arguments import type_words
from sat2cap.errors import InputError
from sat2cap.progress import Progress, silent

ProgressLike = Progress | bool | None
"""None or False for silence, True for a progress bar in a terminal or notebook, or a callable ``(stage, done,
total)``."""


@contextmanager
def listening(progress: ProgressLike) -> Iterator[Progress]:
    """Yield the callable that a long job reports its progress to; on exit, close the bar if one was drawn.

    The callable takes ``(stage, done, total)``: the stage's name and two counts. Raises `InputError` if
    `progress` is neither None, a bool nor callable.

    >>> with listening(None) as report:
    ...     report("embed", 1, 36)
    """
    if progress is None or progress is False:
        yield silent
        return
    if progress is not True:
        if not callable(progress):
            raise InputError(
                f"progress is {type_words(progress)}; give None, True or a callable (stage, done, total)"
            )
        yield progress
        return
    from tqdm.auto import tqdm  # draws in a notebook, too

    bar: Any = None

    def draw(stage: str, done: int, total: int) -> None:
        nonlocal bar
        if bar is None or bar.desc != stage:
            if bar is not None:
                bar.close()
            bar = tqdm(total=total, desc=stage)
            bar.desc = stage
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield draw
    finally:
        if bar is not None:
            bar.close()
