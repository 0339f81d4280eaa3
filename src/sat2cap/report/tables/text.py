"""Tables of a report, as text, and how their numbers are written."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sat2cap.evaluation import Metric

NONE = "–"
"""What stands where nothing was measured."""


@dataclass(frozen=True)
class Table:
    """Cells as text, the first column a name."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    words: int = 1
    """How many columns at the left hold words."""


def number(value: float) -> str:
    """Three digits, and the half of a median; a dash for what is not defined."""
    if not math.isfinite(value):
        return NONE
    if abs(value) >= 1 and value % 1 == 0.5:
        return f"{value:,.1f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:.0f}" if value == round(value) else f"{value:.3g}"


def share(value: float) -> str:
    """As a percentage."""
    if not math.isfinite(value):
        return NONE
    return f"{100 * value:.{1 if abs(value) >= 0.01 or value == 0 else 2}f} %"


def _bare(text: str) -> str:
    """A number without its unit."""
    return text.removesuffix(" %")


def told(figure: Metric | None, form: Callable[[float], str] = number) -> str:
    """A value and its interval."""
    if figure is None:
        return NONE
    ends = figure.interval
    return form(figure.value) + (f" ({_bare(form(ends[0]))} to {_bare(form(ends[1]))})" if ends else "")


Made = tuple[str, str, Sequence[Table]]
"""A section's title, what it is about, and its tables."""
