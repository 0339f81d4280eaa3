"""Printing: results to standard output, progress and warnings to standard error."""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sat2cap.progress import Progress

if TYPE_CHECKING:
    from sat2cap.evaluation import Metric

_EVERY_S = 30.0  # between lines of progress where there is no terminal to draw on


def facts(rows: Iterable[tuple[str, object]], file: TextIO | None = None) -> None:
    """Names and values in two columns, on standard output unless a file is given."""
    known = [(name, str(value)) for name, value in rows]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        print(f"{name:<{width}}  {value}".rstrip(), file=file)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: bool = False) -> None:
    """Columns under their heads, aligned to the right, or to the left for words."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    side = "<" if left else ">"
    for row in (heads, *rows):
        cells = (f"{cell:{side}{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def figures(values: dict[str, float], json_file: Path | None) -> None:
    """Figures on standard output, and in a file if one is asked for; what is not defined is null there."""
    from sat2cap.files import write_json

    facts((name, f"{value:.6g}") for name, value in values.items())
    if json_file is not None:
        write_json(json_file, {name: None if math.isnan(value) else value for name, value in values.items()})


def measured(found: "Sequence[Metric]", json_file: Path | None) -> None:
    """Figures with their intervals on standard output; in a file, if one is asked for, name to number."""
    from sat2cap.files import write_json

    facts((figure.name, _with_interval(figure)) for figure in found)
    if json_file is not None:
        write_json(json_file, {f.name: None if math.isnan(f.value) else f.value for f in found})


def _with_interval(figure: "Metric") -> str:
    ends = figure.interval
    return f"{figure.value:.6g}" + (f"  [{ends[0]:.6g}, {ends[1]:.6g}]" if ends else "")


def warn(message: str) -> None:
    """One line on standard error."""
    print(f"warning: {message}", file=sys.stderr)


class Meter:
    """Rates of stages, counted from where each began, which for a resumed job is not zero."""

    def __init__(self) -> None:
        self._began: dict[str, tuple[float, int]] = {}

    def rate(self, stage: str, done: int) -> float:
        """Units a second so far; 0 before that can be known."""
        began, first = self._began.setdefault(stage, (time.monotonic(), done))
        seconds = time.monotonic() - began
        return (done - first) / seconds if seconds > 0 else 0.0

    def seconds(self, stage: str) -> float:
        """Since the stage began."""
        return time.monotonic() - self._began[stage][0]


@contextmanager
def progress(resumes: bool = True) -> Iterator[Progress]:
    """A listener that draws bars on a terminal, and otherwise writes a line now and then.

    With `resumes`, a job stopped by ctrl-C is said to go on by the same command.
    """
    try:
        if sys.stderr.isatty():
            with _bars() as listener:
                yield listener
        else:
            yield _lines()
    except KeyboardInterrupt:
        again = "; the same command goes on where it was" if resumes else ""
        print(f"stopped{again}", file=sys.stderr)
        raise


def _stage(text: str) -> str:
    """A stage may tell more after a comma, such as a loss; it is still the same stage."""
    return text.split(",")[0]


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="cyan"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    meter = Meter()
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def listen(text: str, done: int, total: int) -> None:
            stage = _stage(text)
            if stage not in tasks:
                tasks[stage] = bars.add_task(text, total=total, completed=done, rate="")
            rate = meter.rate(stage, done)
            shown = f"{rate:,.{0 if rate >= 10 else 1}f}/s" if rate else ""
            bars.update(tasks[stage], description=text, completed=done, total=total, rate=shown)

        yield listen


def _lines() -> Progress:
    meter = Meter()
    written: dict[str, float] = {}

    def listen(text: str, done: int, total: int) -> None:
        stage, now = _stage(text), time.monotonic()
        rate = meter.rate(stage, done)
        last = written.setdefault(stage, now)
        if done >= total and last != math.inf:
            print(f"{text}: {total} done in {meter.seconds(stage):.1f} s", file=sys.stderr)
            written[stage] = math.inf
        elif now - last >= _EVERY_S:
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            print(f"{text}: {done} of {total}, {rate:,.1f}/s{left}", file=sys.stderr)
            written[stage] = now

    return listen
