"""Tables of a report as text, and the format of metrics in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sat2cap.evaluation import Metric
from sat2cap.formatting import UNDEFINED, format_value


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column a name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 1
    """How many columns at the left hold words."""


def format_metric(metric: Metric | None, format_one: Callable[[float], str] = format_value) -> str:
    """Return a metric with its interval, ``0.123 (0.100 to 0.150)``; `UNDEFINED` for None.

    `format_one` writes each of the three numbers. Its unit is written once, after the value.
    """
    if metric is None:
        return UNDEFINED
    text = format_one(metric.value)
    if metric.interval is not None:
        low, high = (format_one(end).removesuffix(" %") for end in metric.interval)
        text += f" ({low} to {high})"
    return text


def format_points(metric: Metric) -> str:
    """Return a difference of fractions in percentage points, with its interval if it has one."""
    if metric.interval is None:
        return f"{100 * metric.value:.1f} points"
    low, high = metric.interval
    return f"{100 * metric.value:.1f} ({100 * low:.1f} to {100 * high:.1f}) points"


Made = tuple[str, str, Sequence[Table]]
"""A section's title, what it is about, and its tables."""
