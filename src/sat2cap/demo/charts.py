"""Small charts as SVG text, drawn from numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from sat2cap.report import hex_colour

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Line:
    """One line of a chart over the year."""

    name: str
    """The CSS class that gives its colour."""
    values: Sequence[float]
    """One a month."""


def month_hour(values: NDArray[np.floating], hours: Sequence[float], label: str) -> Markup:
    """A heat map of `[months, hours]`, months from left to right, hours upwards; its own least to most."""
    wide, high, left, foot = 20, 11, 26, 16
    low, top = float(np.min(values)), float(np.max(values))
    shares = (values - low) / (top - low) if top > low else np.zeros_like(values)
    width, height = left + wide * values.shape[0], high * values.shape[1] + foot
    parts = [_open(width, height, label), '<g shape-rendering="crispEdges">']
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
        parts.append(f'<text x="{middle}" y="{height - 4}" text-anchor="middle">{MONTHS[month]}</text>')
    return Markup("".join([*parts, "</svg>"]))


def year_lines(lines: Sequence[Line], label: str) -> Markup:
    """Lines from January to December over a common scale, without numbers: what counts is when they peak."""
    width, height, left, foot, pad = 300, 120, 6, 18, 8
    everything = np.concatenate([np.asarray(line.values, float) for line in lines])
    low, top = float(everything.min()), float(everything.max())
    span = top - low or 1.0
    step = (width - 2 * left) / 11
    parts = [_open(width, height, label)]
    base = height - foot
    parts.append(f'<line class="axis" x1="{left}" y1="{base}" x2="{width - left}" y2="{base}"/>')
    for month in (0, 3, 6, 9, 11):
        anchor = {0: "start", 11: "end"}.get(month, "middle")
        x = left + month * step
        parts.append(f'<text x="{x:.1f}" y="{height - 4}" text-anchor="{anchor}">{MONTHS[month]}</text>')
    for line in lines:
        points = " ".join(
            f"{left + i * step:.1f},{base - pad - (value - low) / span * (base - 2 * pad):.1f}"
            for i, value in enumerate(line.values)
        )
        parts.append(f'<polyline class="{escape(line.name)}" points="{points}"/>')
    return Markup("".join([*parts, "</svg>"]))


def _open(width: float, height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
