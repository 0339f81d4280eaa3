"""Printing: results to standard output, progress and warnings to standard error."""

import math
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sat2cap.progress import Progress
from sat2cap.redaction import redact_secrets

if TYPE_CHECKING:
    from sat2cap.evaluation import Metric

_LINE_INTERVAL_S = 30.0
"""Seconds between lines of progress where there is no terminal to draw bars on."""


def print_facts(rows: Iterable[tuple[str, object]], file: TextIO | None = None) -> None:
    """Print names and values in two columns, to standard output unless a `file` is given."""
    lines = [(name, str(value)) for name, value in rows]
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        print(f"{name:<{width}}  {value}".rstrip(), file=file)


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: bool = False) -> None:
    """Print columns under their heads, aligned to the right for numbers, or to the `left` for words."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    side = "<" if left else ">"
    for row in (heads, *rows):
        cells = (f"{cell:{side}{width}}" for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def print_values(values: dict[str, float], json_file: Path | None) -> None:
    """Print numbers by name, and write them to `json_file` if it is given.

    A number that is not defined (NaN) is null in the file.
    """
    print_facts((name, f"{value:.6g}") for name, value in values.items())
    _write_values(values.items(), json_file)


def print_metrics(metrics: "Sequence[Metric]", json_file: Path | None) -> None:
    """Print metrics with their intervals, and write name to number to `json_file` if it is given.

    A metric that is not defined (NaN) is null in the file.
    """
    print_facts((metric.name, _format_metric(metric)) for metric in metrics)
    _write_values(((metric.name, metric.value) for metric in metrics), json_file)


def _write_values(values: Iterable[tuple[str, float]], json_file: Path | None) -> None:
    """Write name to number as JSON, NaN as null; do nothing without a file."""
    if json_file is None:
        return
    from sat2cap.files import write_json

    write_json(json_file, {name: None if math.isnan(value) else value for name, value in values})


def _format_metric(metric: "Metric") -> str:
    """Return a metric's value and, if it has one, its interval: ``0.42  [0.4, 0.44]``."""
    ends = metric.interval
    return f"{metric.value:.6g}" + (f"  [{ends[0]:.6g}, {ends[1]:.6g}]" if ends else "")


def print_released_lock(place: str, holder: str | None) -> None:
    """Print whose lock was released on an atlas or a pair set; None stands for no lock."""
    name = redact_secrets(place)
    print(f"{name}: no lock is left on it" if holder is None else f"{name}: released the lock of {holder}")


def print_warning(message: str) -> None:
    """Print one line to standard error."""
    print(f"warning: {redact_secrets(message)}", file=sys.stderr)


class RateMeter:
    """Rates of a job's stages, each counted from where it began, which is not zero for a resumed job."""

    def __init__(self) -> None:
        self._starts: dict[str, tuple[float, int]] = {}
        """By stage, the clock's seconds and the units that were done when it was first reported."""

    def units_per_s(self, stage: str, done: int) -> float:
        """Return units a second since the stage began, or 0 at its first report."""
        start_s, done_at_start = self._starts.setdefault(stage, (time.monotonic(), done))
        elapsed_s = time.monotonic() - start_s
        return (done - done_at_start) / elapsed_s if elapsed_s > 0 else 0.0

    def elapsed_s(self, stage: str) -> float:
        """Return the seconds since the stage was first reported."""
        return time.monotonic() - self._starts[stage][0]


@contextmanager
def show_progress(resumes: bool = True) -> Iterator[Progress]:
    """Yield a listener that draws bars on a terminal, and elsewhere prints a line now and then.

    With `resumes`, a job that is stopped by ctrl-C says that the same command continues it.
    """
    try:
        if sys.stderr.isatty():
            with _draw_bars() as listener:
                yield listener
        else:
            yield _line_printer()
    except KeyboardInterrupt:
        advice = "; the same command continues where it stopped" if resumes else ""
        print(f"stopped{advice}", file=sys.stderr)
        raise


def _stage_name(text: str) -> str:
    """Return what identifies a stage: the text before a comma, after which a loss may follow."""
    return text.split(",")[0]


@contextmanager
def _draw_bars() -> Iterator[Progress]:
    """Yield a listener that draws one bar for each stage."""
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
    meter = RateMeter()
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def update_bar(text: str, done: int, total: int) -> None:
            stage = _stage_name(text)
            if done == total == 1:  # an announcement
                bars.console.print(text, highlight=False, markup=False)
                return
            if stage not in tasks:
                tasks[stage] = bars.add_task(text, total=total, completed=done, rate="")
            rate = meter.units_per_s(stage, done)
            rate_text = f"{rate:,.{0 if rate >= 10 else 1}f}/s" if rate else ""
            bars.update(tasks[stage], description=text, completed=done, total=total, rate=rate_text)

        yield update_bar


def _line_printer() -> Progress:
    """Return a listener that prints a line when a stage ends, and every `_LINE_INTERVAL_S` before that."""
    meter = RateMeter()
    printed_at_s: dict[str, float] = {}  # by stage; infinity once its end was printed

    def print_line(text: str, done: int, total: int) -> None:
        stage, now_s = _stage_name(text), time.monotonic()
        if done == total == 1:  # an announcement
            print(text, file=sys.stderr)
            return
        rate = meter.units_per_s(stage, done)
        last_s = printed_at_s.setdefault(stage, now_s)
        if done >= total and last_s != math.inf:
            print(f"{text}: {total} done in {meter.elapsed_s(stage):.1f} s", file=sys.stderr)
            printed_at_s[stage] = math.inf
        elif now_s - last_s >= _LINE_INTERVAL_S:
            left = f", {(total - done) / rate:.0f} s left" if rate else ""
            print(f"{text}: {done} of {total}, {rate:,.1f}/s{left}", file=sys.stderr)
            printed_at_s[stage] = now_s

    return print_line
