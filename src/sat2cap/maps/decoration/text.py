"""The words on a picture: when, from what, by whom; and lines that fit the page."""

import re
import textwrap
from datetime import datetime
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure

from sat2cap.geo import grid_of, ground_metres
from sat2cap.maps.decoration.elements import length_label
from sat2cap.maps.layers import layers_of, provenance

MINUS = " minus "
"""Between the two prompts, or the two dates, of a difference."""

_CREDITS = {"when": "when", "model": "model", "imagery": "imagery", "attribution": "©", "licence": "licence"}


def title_of(score: xr.DataArray) -> str:
    """The heading of a page: the prompt; of several none, since each map has its own."""
    if "categories" in score.attrs:  # which the legend names
        return f"Which of {len(score.attrs['categories'])} prompts fits best"
    prompts = dict.fromkeys(str(layer.attrs.get("prompt", "")) for layer in layers_of(score))
    return next(iter(prompts)) if len(prompts) == 1 else ""


def subtitle_of(score: xr.DataArray) -> str:
    """When, and what it is held against."""
    known = provenance(score)
    when = "" if "time" in score.dims else readable(known.get("when", ""))
    parts = [f"{when} local time" if when else ""]
    if known.get("dynamic", "").startswith(("ignored", "outside")):
        parts.append(f"date {known['dynamic']}")
    if "negatives" in known:
        parts.append(f"not: {known['negatives']}")
    return "   ·   ".join(part for part in parts if part)


def readable(when: str) -> str:
    """``20 May 2024, 08:00``, of two dates both; what is not such a date stays as it is."""
    try:
        return MINUS.join(
            f"{datetime.fromisoformat(moment):%-d %B %Y, %H:%M}" for moment in when.split(MINUS)
        )
    except ValueError:
        return when


def credits_of(score: xr.DataArray) -> str:
    """The line at the bottom."""
    known = provenance(score)
    if "time" in score.dims:  # the maps' own titles say it
        del known["when"]
    if Path(known.get("imagery", "")).is_absolute():  # folders of one machine are nothing to publish
        known["imagery"] = Path(known["imagery"]).name
    parts = [f"{word} {known[name]}" for name, word in _CREDITS.items() if name in known]
    cell = abs(grid_of(score).affine.a) * ground_metres(grid_of(score))
    return "   ·   ".join(
        [
            *parts,
            f"cells of {length_label(float(f'{cell:.3g}'))}".replace(" ", "\N{NO-BREAK SPACE}"),
            "made\N{NO-BREAK SPACE}with\N{NO-BREAK SPACE}sat2cap",
        ]
    )


def wrapped(
    figure: Figure, text: str, inches: float, size: float, weight: str, most: int | None = None
) -> list[str]:
    """`text` in lines that fit a width, by their true widths; cut to `most` lines, it ends in an ellipsis."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    text = re.sub(r"[ \t\r\n]+", " ", text).strip()  # a no-break space stays one

    def width(line: str) -> float:
        probe = figure.text(0, 0, line, fontsize=size, weight=weight, parse_math=False)
        found = float(probe.get_window_extent(renderer).width) / figure.dpi
        probe.remove()
        return found

    characters = len(text)
    lines = [text] if text else []
    while lines and characters > 1 and max(map(width, lines)) > inches:
        characters = min(characters - 1, int(characters * inches / max(map(width, lines))) + 1)
        lines = textwrap.wrap(text, characters, max_lines=most, placeholder=" …")
    return lines
