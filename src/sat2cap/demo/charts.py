"""Small charts of months and hours, drawn as SVG text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from sat2cap.formatting import format_month
from sat2cap.report import hex_colour

_MONTHS = tuple(format_month(month, short=True) for month in range(1, 13))


@dataclass(frozen=True)
class Line:
    """One line of a chart over the year."""

    name: str
    """The CSS class that gives its colour: ``north`` or ``south``."""
    values: Sequence[float]
    """Twelve values, January to December."""


def draw_calendar(values: NDArray[np.floating], hours: Sequence[float], label: str) -> Markup:
    """Return a heat map of `values` ``(months, hours)``, months from left to right, hours up.

    Colours run from the least of the values to the greatest. `hours` are those of the columns of `values`,
    `label` is the text for screen readers.
    """
    wide, high, left, foot = 20, 11, 26, 16
    low, top = float(np.min(values)), float(np.max(values))
    shares = (values - low) / (top - low) if top > low else np.zeros_like(values)
    width, height = left + wide * values.shape[0], high * values.shape[1] + foot
    parts = [_open_svg(width, height, label), '<g shape-rendering="crispEdges">']
    for month, row in enumerate(shares):
        for hour, share in enumerate(row):
            x, y = left + month * wide, (len(hours) - 1 - hour) * high
            parts.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="{hex_colour(share)}"/>')
    parts.append("</g>")
    for hour, value in enumerate(hours):
        if hour % 2 == 1:
            base = (len(hours) - 1 - hour) * high + high * 0.78
            parts.append(f'<text x="{left - 4}" y="{base:.1f}" text-anchor="end">{value:02.0f}h</text>')
    for month in range(0, values.shape[0], 3):
        middle = left + (month + 0.5) * wide
        parts.append(f'<text x="{middle}" y="{height - 4}" text-anchor="middle">{_MONTHS[month]}</text>')
    return Markup("".join([*parts, "</svg>"]))


def draw_year(lines: Sequence[Line], label: str) -> Markup:
    """Return a chart of lines from January to December on a common scale.

    The scale has no numbers, as the chart shows when each line peaks, not how high.
    """
    width, height, left, foot, pad = 300, 120, 6, 18, 8
    all_values = np.concatenate([np.asarray(line.values, float) for line in lines])
    low, top = float(all_values.min()), float(all_values.max())
    span = top - low or 1.0
    step = (width - 2 * left) / 11
    parts = [_open_svg(width, height, label)]
    base = height - foot
    parts.append(f'<line class="axis" x1="{left}" y1="{base}" x2="{width - left}" y2="{base}"/>')
    for month in (0, 3, 6, 9, 11):
        anchor = {0: "start", 11: "end"}.get(month, "middle")
        x = left + month * step
        parts.append(f'<text x="{x:.1f}" y="{height - 4}" text-anchor="{anchor}">{_MONTHS[month]}</text>')
    for line in lines:
        points = " ".join(
            f"{left + i * step:.1f},{base - pad - (value - low) / span * (base - 2 * pad):.1f}"
            for i, value in enumerate(line.values)
        )
        parts.append(f'<polyline class="{escape(line.name)}" points="{points}"/>')
    return Markup("".join([*parts, "</svg>"]))


def _open_svg(width: float, height: float, label: str) -> str:
    """Return the opening tag of an SVG picture."""
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
