"""A score as a picture for a report: its colours and their scale, what it shows, where it comes from."""

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from odc.geo.geobox import GeoBox

from sat2cap.files import publish
from sat2cap.geo.frame import grid_of, on_grid
from sat2cap.maps.furniture import INK, length_label
from sat2cap.maps.ground import ground_metres
from sat2cap.maps.layers import Place, maps_of, provenance
from sat2cap.maps.panel import aspect, panel, view

__all__ = ["panel", "write_png"]

_QUIET = "#62626e"
_DPI = 160


@dataclass(frozen=True)
class Layout:
    """Where things go on the page, inches."""

    columns: int
    rows: int
    map_width: float
    map_height: float
    left: float = 0.3
    right: float = 1.15
    """Beside each map, for its colour bar."""
    head: float = 0.0
    """Above the first row, for the title of the page."""
    above: float = 0.0
    """Above each map, for its own title."""
    foot: float = 0.6

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the page."""
        width = self.left + self.columns * (self.map_width + self.right)
        return width, self.head + self.rows * (self.above + self.map_height) + self.foot

    def place(self, index: int) -> tuple[float, float, float, float]:
        """Left, bottom, width, height of a map as shares of the page."""
        row, column = divmod(index, self.columns)
        width, height = self.size
        x = self.left + column * (self.map_width + self.right)
        y = height - self.head - (row + 1) * (self.above + self.map_height)
        return x / width, y / height, self.map_width / width, self.map_height / height


def write_png(
    score: xr.DataArray,
    path: Path | str,
    *,
    title: str | None = None,
    underlay: xr.DataArray | None = None,
    places: Sequence[Place] = (),
) -> None:
    """Publish a picture of a score with dims ``(y, x)``, or ``(prompt, y, x)``: then one map for each prompt.

    `title` replaces the prompt in the heading. `underlay` is imagery, uint8 RGBA, in the CRS of the score.
    `places` are ``(name, lon, lat)`` in degrees, most important first. Raises `InputError`.
    """
    grid = grid_of(score)
    layers = [on_grid(values, grid, attrs={**score.attrs, "prompt": p}) for p, values in maps_of(score)]
    single = len(layers) == 1
    heading = (layers[0].attrs["prompt"] if single else "") if title is None else title
    layout = _layout(grid, layers)
    figure = Figure(dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    head = _wrapped(figure, heading, layout.size[0] - 2 * layout.left, 15 if single else 14, "bold")
    subtitle = _subtitle(score)
    foot = _wrapped(figure, _credits(score, grid), layout.size[0] - 2 * layout.left, 6.5, "normal")
    layout = _with_room(layout, len(head), bool(subtitle), len(foot))
    figure.set_size_inches(*layout.size)
    _write_texts(figure, layout, head, subtitle, foot)
    for i, layer in enumerate(layers):
        axes = figure.add_axes(layout.place(i))
        panel(axes, layer, title=None if single else layer.attrs["prompt"], underlay=underlay, places=places)
    about = {"Title": heading, "Description": _credits(score, grid), "Software": "sat2cap"}
    with publish(path) as temporary:
        figure.savefig(temporary, format="png", metadata=about)


def _layout(grid: GeoBox, layers: Sequence[xr.DataArray]) -> Layout:
    """As large as the page allows, in the proportions of the ground."""
    columns = min(len(layers), 2 if len(layers) <= 4 else 3)
    widest, highest = (7.0, 6.2) if len(layers) == 1 else (3.9, 3.9)
    left, right, bottom, top = view(grid)
    ratio = (top - bottom) / (right - left) * aspect(grid)
    width = min(widest, highest / ratio)
    height = width * ratio
    above = 0.0 if len(layers) == 1 else 0.48
    rows = math.ceil(len(layers) / columns)
    return Layout(columns, rows, width, height, above=above)


def _with_room(layout: Layout, head: int, subtitle: bool, foot: int) -> Layout:
    """Room above for `head` lines and a subtitle, below for `foot` lines."""
    above = 0.18 + 0.28 * head + (0.24 if subtitle else 0)
    return replace(layout, head=max(above, 0.3), foot=0.34 + 0.13 * foot)


def _write_texts(figure: Figure, layout: Layout, head: list[str], subtitle: str, foot: list[str]) -> None:
    width, height = layout.size
    x, y = layout.left / width, height - 0.16
    for line in head:
        _text(
            figure, x, y / height, line, 15 if layout.rows * layout.columns == 1 else 14, INK, weight="bold"
        )
        y -= 0.28
    if subtitle:
        _text(figure, x, y / height, subtitle, 9.5, _QUIET)
    for i, line in enumerate(reversed(foot)):
        _text(figure, x, (0.2 + 0.13 * i) / height, line, 6.5, _QUIET, along="baseline")


def _text(
    figure: Figure,
    x: float,
    y: float,
    line: str,
    size: float,
    ink: str,
    weight: str = "normal",
    along: str = "top",
) -> None:
    figure.text(x, y, line, fontsize=size, color=ink, weight=weight, va=along, ha="left", parse_math=False)


def _wrapped(figure: Figure, text: str, inches: float, size: float, weight: str) -> list[str]:
    """`text` in lines that fit a width, by their true widths."""
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
        lines = textwrap.wrap(text, characters)
    return lines


def _subtitle(score: xr.DataArray) -> str:
    """When, and what it is held against."""
    known = provenance(score)
    parts = [_readable(known.get("when", ""))]
    if known.get("dynamic", "").startswith("ignored"):
        parts.append(f"date {known['dynamic']}")
    if "negatives" in known:
        parts.append(f"not: {known['negatives']}")
    return "   ·   ".join(part for part in parts if part)


def _readable(when: str) -> str:
    """``20 May 2024, 08:00``; what is not such a date stays as it is."""
    try:
        return f"{datetime.fromisoformat(when):%-d %B %Y, %H:%M} local time"
    except ValueError:
        return when


def _credits(score: xr.DataArray, grid: GeoBox) -> str:
    """The line at the bottom."""
    known = provenance(score)
    names = {"when": "when", "model": "model", "imagery": "imagery", "attribution": "©", "licence": "licence"}
    parts = [f"{word} {known[name]}" for name, word in names.items() if name in known]
    cell = abs(grid.affine.a) * ground_metres(grid)
    return "   ·   ".join(
        [
            *parts,
            f"cells of {length_label(float(f'{cell:.3g}'))}".replace(" ", "\N{NO-BREAK SPACE}"),
            "made\N{NO-BREAK SPACE}with\N{NO-BREAK SPACE}sat2cap",
        ]
    )
