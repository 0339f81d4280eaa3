"""PNG pictures of a score for reports: maps with legend, heading and credits on one page."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sat2cap.files import write_bytes
from sat2cap.geo import grid_of
from sat2cap.maps.colours import paint_of
from sat2cap.maps.decoration.elements import INK
from sat2cap.maps.decoration.fonts import fonts_for
from sat2cap.maps.decoration.text import credits_of, format_dates, subtitle_of, title_of, wrap_text
from sat2cap.maps.layers import CATEGORY, layers_of, provenance
from sat2cap.maps.options import DEFAULT_OPTIONS, MapOptions, drawable
from sat2cap.maps.panel import TITLE_SIZE, aspect, panel, view

DPI = 160
_QUIET = "#62626e"
_BAR, _CATEGORIES, _GAP = 1.15, 2.25, 0.25


@dataclass(frozen=True)
class Layout:
    """Sizes and positions on the page, inches."""

    columns: int
    rows: int
    map_width: float
    map_height: float
    group: int
    """Number of maps after which a new row begins: the dates of one prompt, or all maps."""
    left: float = 0.3
    between: float = _BAR
    """Space between two maps in a row, for a legend."""
    right: float = _BAR
    """Space to the right of the last map of a row."""
    head: float = 0.0
    """Space above the first row, for the heading of the page."""
    above: float = 0.0
    """Space above each map, for its title."""
    foot: float = 0.6
    """Space below the last row, for the credits."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the page, inches."""
        width = self.left + self.columns * (self.map_width + self.between) - self.between + self.right
        return width, self.head + self.rows * (self.above + self.map_height) + self.foot

    def place(self, index: int) -> tuple[float, float, float, float]:
        """Return left, bottom, width and height of a map as shares of the page, 0 to 1."""
        group, within = divmod(index, self.group)
        row, column = divmod(within, self.columns)
        row += group * math.ceil(self.group / self.columns)
        width, height = self.size
        x = self.left + column * (self.map_width + self.between)
        y = height - self.head - (row + 1) * (self.above + self.map_height)
        return x / width, y / height, self.map_width / width, self.map_height / height


def write_png(
    score: xr.DataArray,
    path: Path | str,
    options: MapOptions = DEFAULT_OPTIONS,
    confidence: xr.DataArray | None = None,
) -> None:
    """Publish a picture of a score, one map for each of its prompts and dates.

    The dates of a prompt share their colours and one colour bar, prompts do not. `confidence` pales the cells
    of a map of categories. Raises `InputError`.
    """
    about = {
        "Title": provenance(score).get("prompt", "") if options.title is None else options.title,
        "Description": credits_of(score),
        "Software": "sat2cap",
    }
    buffer = io.BytesIO()
    with fonts_for(words_of(score, options)):
        page(score, options, confidence=confidence).savefig(buffer, format="png", metadata=about)
    write_bytes(path, buffer.getvalue())


def words_of(score: xr.DataArray, options: MapOptions) -> list[str]:
    """Return every text that a page may contain, for choosing fonts."""
    names = [name for name, _, _ in drawable(options)[2]]
    return [options.title or "", *provenance(score).values(), *score.attrs.get("categories", ()), *names]


def page(
    score: xr.DataArray,
    options: MapOptions = DEFAULT_OPTIONS,
    *,
    confidence: xr.DataArray | None = None,
    limits: tuple[float, float] | None = None,
    dpi: int = DPI,
) -> Figure:
    """Return the picture as a matplotlib figure.

    `limits` are the scores of the first and the last colour; without it the colours span the scores of each
    prompt. Raises `InputError`.
    """
    score = score.transpose(..., "time", "y", "x") if "time" in score.dims else score
    layers = layers_of(score)
    shared = "time" in score.dims and limits is None
    figure = Figure(dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    layout = _choose_layout(score, shared)
    titles = _panel_titles(score) if len(layers) > 1 else [None]
    layout = _write_texts(figure, layout, score, options, titles)
    for i, layer in enumerate(layers):
        group, within = divmod(i, layout.group)
        if shared and within == 0:
            norm = paint_of(score.isel(prompt=group) if "prompt" in score.dims else score).norm
            limits = float(norm.vmin or 0), float(norm.vmax or 0)
        panel(
            figure.add_axes(layout.place(i)),
            layer,
            options,
            title=titles[i],
            limits=limits,
            confidence=confidence,
            legend=not shared or within == min(layout.columns, layout.group) - 1,
            furniture=not shared or i == 0,
        )
    return figure


def _panel_titles(score: xr.DataArray) -> list[str | None]:
    """Return the title of each map among several: its prompt, its date, or both."""
    titles: list[str | None] = []
    for layer in layers_of(score):
        own = [layer.attrs["prompt"]] if "prompt" in score.dims else []
        own += [format_dates(layer.attrs["when"])] if "time" in score.dims else []
        titles.append(", ".join(own))
    return titles


def _choose_layout(score: xr.DataArray, shared: bool) -> Layout:
    """Return the layout with maps as large as the page allows, in the proportions of the ground."""
    grid, count = grid_of(score), len(layers_of(score))
    group = score.sizes["time"] if shared else count
    columns = min(group, 2 if count <= 4 else 3 if count <= 9 else 4)
    widest, highest = (7.0, 6.2) if count == 1 else (3.9, 3.9) if count <= 9 else (2.6, 2.6)
    left, right, bottom, top = view(grid)
    ratio = (top - bottom) / (right - left) * aspect(grid)
    width = min(widest, highest / ratio)
    beside = _CATEGORIES if score.attrs.get("scale") == CATEGORY else _BAR
    return Layout(
        columns,
        count // group * math.ceil(group / columns),
        width,
        width * ratio,
        group,
        between=_GAP if shared else beside,
        right=beside,
    )


def _write_texts(
    figure: Figure, layout: Layout, score: xr.DataArray, options: MapOptions, titles: Sequence[str | None]
) -> Layout:
    """Heading, subtitle and credits; gives the layout with room for them and for the maps' own titles."""
    heading = title_of(score) if options.title is None else options.title
    room, size = layout.size[0] - 2 * layout.left, 15 if layout.rows * layout.columns == 1 else 14
    head = wrap_text(figure, heading, room, size, "bold")
    subtitle = subtitle_of(score)
    foot = wrap_text(figure, credits_of(score), room, 6.5, "normal")
    above = 0.18 + 0.28 * len(head) + (0.24 if subtitle else 0)
    lines = max(len(wrap_text(figure, t or "", layout.map_width, TITLE_SIZE, "bold", 2)) for t in titles)
    own = 0.14 + 0.17 * lines if lines else 0.0
    layout = replace(layout, head=max(above, 0.2 if own else 0.3), above=own, foot=0.34 + 0.13 * len(foot))
    width, height = layout.size
    figure.set_size_inches(width, height)
    x, y = layout.left / width, height - 0.16
    for line in head:
        _text(figure, x, y / height, line, size, INK, weight="bold")
        y -= 0.28
    if subtitle:
        _text(figure, x, y / height, subtitle, 9.5, _QUIET)
    for i, line in enumerate(reversed(foot)):
        _text(figure, x, (0.2 + 0.13 * i) / height, line, 6.5, _QUIET, along="baseline")
    return layout


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
