"""Tables of a report as text, and the format of metrics in their cells."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sat2cap.evaluation import Metric
from sat2cap.formatting import UNDEFINED, format_value


@dataclass(frozen=True)
class Table:
    """A table whose cells are text. The first column names the row."""

    title: str
    heads: tuple[str, ...]
    """Headings, one for each column."""
    rows: tuple[tuple[str, ...], ...]
    """Cells by row; every row has as many cells as there are headings."""
    notes: tuple[str, ...] = ()
    """Sentences that stand below the table."""
    words: int = 1
    """Number of columns at the left that hold words and not numbers; these are aligned to the left."""


class SectionTables(NamedTuple):
    """The written part of one section of a report."""

    title: str
    about: str
    """One or two sentences on what was measured, and which table or figure of the paper it repeats."""
    tables: Sequence[Table]


def format_metric(metric: Metric | None, format_number: Callable[[float], str] = format_value) -> str:
    """Return a metric with its interval as text; `UNDEFINED` for None.

    `format_number` writes the value and both ends of the interval; a percent sign is written once, after the
    value.

        format_metric(Metric("r10", 0.123, (0.1, 0.15)))  # "0.123 (0.100 to 0.150)"
        format_metric(Metric("r10", 0.123, (0.1, 0.15)), format_percent)  # "12.3 % (10.0 to 15.0)"
    """
    if metric is None:
        return UNDEFINED
    text = format_number(metric.value)
    if metric.interval is not None:
        low, high = (format_number(end).removesuffix(" %") for end in metric.interval)
        text += f" ({low} to {high})"
    return text


def format_points(metric: Metric) -> str:
    """Return a difference of two fractions in percentage points, with its interval if it has one.

    format_points(Metric("above_clip.r10", 0.2, (0.1, 0.3)))  # "20.0 (10.0 to 30.0) points"
    """
    if metric.interval is None:
        return f"{100 * metric.value:.1f} points"
    low, high = metric.interval
    return f"{100 * metric.value:.1f} ({100 * low:.1f} to {100 * high:.1f}) points"
