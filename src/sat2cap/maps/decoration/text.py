"""Texts of a page (heading, subtitle, credits) and their wrapping to its width."""

import re
import textwrap
from datetime import datetime
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from sat2cap.formatting import format_moment
from sat2cap.geo import grid_of, ground_metres
from sat2cap.maps.conditioning import date_warning
from sat2cap.maps.decoration.elements import format_length
from sat2cap.maps.layers import layers_of, provenance

MINUS = " minus "
"""Between the two prompts, or the two dates, of a difference."""

_CREDITS = {"when": "when", "model": "model", "imagery": "imagery", "attribution": "©", "licence": "licence"}


def title_of(score: xr.DataArray) -> str:
    """Return the heading of a page: the prompt, or nothing if each map has a prompt of its own.

    A map of categories is headed by their number; the legend names them.
    """
    if "categories" in score.attrs:
        return f"Which of {len(score.attrs['categories'])} prompts fits best"
    prompts = dict.fromkeys(str(layer.attrs.get("prompt", "")) for layer in layers_of(score))
    return next(iter(prompts)) if len(prompts) == 1 else ""


def subtitle_of(score: xr.DataArray) -> str:
    """Return the line under the heading: the date, a warning about it, and the negative prompts.

    Maps of several dates have them in their own titles instead.
    """
    texts = provenance(score)
    when = "" if "time" in score.dims else format_dates(texts.get("when", ""))
    parts = [f"{when} local time" if when else ""]
    warning = date_warning(score.attrs)
    if warning:
        parts.append(f"date {warning}")
    if "few_photos" in texts:
        parts.append(f"few photos fit: {texts['few_photos']}")
    if "negatives" in texts:
        parts.append(f"not: {texts['negatives']}")
    return "   ·   ".join(part for part in parts if part)


def format_dates(when: str) -> str:
    """Format ISO dates for reading, e.g. ``20 May 2024, 08:00``; return any other text unchanged."""
    try:
        moments = [datetime.fromisoformat(iso) for iso in when.split(MINUS)]
    except ValueError:
        return when
    return MINUS.join(format_moment(m.day, m.month, m.hour + m.minute / 60, m.year) for m in moments)


def credits_of(score: xr.DataArray) -> str:
    """Return the line at the foot of a page: date, model, imagery, credits, licence and cell size.

    Of imagery that is a file or a folder of this machine, only its name is given.
    """
    texts = provenance(score)
    if "time" in score.dims:  # the maps' own titles say it
        del texts["when"]
    if "imagery" in texts:  # folders of one machine are nothing to publish
        sides = texts["imagery"].split(MINUS)
        texts["imagery"] = MINUS.join(Path(side).name if Path(side).is_absolute() else side for side in sides)
    parts = [f"{word} {texts[name]}" for name, word in _CREDITS.items() if name in texts]
    grid = grid_of(score)
    cell = float(score.attrs.get("cell_m") or abs(grid.affine.a) * ground_metres(grid))
    return "   ·   ".join(
        [
            *parts,
            f"cells of {format_length(float(f'{cell:.3g}'))}".replace(" ", "\N{NO-BREAK SPACE}"),
            "made\N{NO-BREAK SPACE}with\N{NO-BREAK SPACE}sat2cap",
        ]
    )


def wrap_text(
    figure: Figure, text: str, inches: float, size: float, weight: str, max_lines: int | None = None
) -> list[str]:
    """Wrap `text` into lines of at most `inches`, as measured in the font.

    With `max_lines`, longer text is cut and ends in an ellipsis.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    text = re.sub(r"[ \t\r\n]+", " ", text).strip()  # a no-break space stays one

    def width(line: str) -> float:
        probe = figure.text(0, 0, line, fontsize=size, weight=weight, parse_math=False)
        line_inches = float(probe.get_window_extent(renderer).width) / figure.dpi
        probe.remove()
        return line_inches

    characters = len(text)
    lines = [text] if text else []
    while lines and characters > 1 and max(map(width, lines)) > inches:
        characters = min(characters - 1, int(characters * inches / max(map(width, lines))) + 1)
        lines = textwrap.wrap(text, characters, max_lines=max_lines, placeholder=" …")
    return lines
