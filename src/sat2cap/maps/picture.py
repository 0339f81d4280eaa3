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
from sat2cap.maps.panel import TITLE_SIZE, draw_map, unit_aspect, view_extent

DPI = 160
"""Resolution of a PNG, pixels per inch."""
_COMPRESS_LEVEL = 4
"""Level of zlib: half the time of the usual 6, for 8 % more bytes; that was half the time of a picture."""
_SECONDARY_INK = "#62626e"
_BAR_IN = 1.15
"""Space beside a map for a colour bar, inches."""
_CATEGORY_LIST_IN = 2.25
"""Space beside a map for a list of categories, inches."""
_GAP_IN = 0.25
"""Space between two maps that share a colour bar, inches."""


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
    between: float = _BAR_IN
    """Space between two maps in a row, for a legend."""
    right: float = _BAR_IN
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

    def axes_box(self, index: int) -> tuple[float, float, float, float]:
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
    """Publish a PNG of a score at 160 pixels per inch, one map for each of its prompts and dates.

    The dates of a prompt share their colours and one colour bar, prompts do not. `confidence` pales the cells
    of a map of categories. Title, credits and the name of this package are in the PNG's text chunks. Raises
    `InputError` if `options` still hold names or paths, or if the underlay is in another CRS.
    """
    about = {
        "Title": provenance(score).get("prompt", "") if options.title is None else options.title,
        "Description": credits_of(score),
        "Software": "sat2cap",
    }
    buffer, encoding = io.BytesIO(), {"compress_level": _COMPRESS_LEVEL}
    with fonts_for(page_words(score, options)):
        draw_page(score, options, confidence=confidence).savefig(
            buffer, format="png", metadata=about, pil_kwargs=encoding
        )
    write_bytes(path, buffer.getvalue())


def page_words(score: xr.DataArray, options: MapOptions) -> list[str]:
    """Return every text that a page may contain, for choosing fonts."""
    names = [name for name, _, _ in drawable(options)[2]]
    return [options.title or "", *provenance(score).values(), *score.attrs.get("categories", ()), *names]


def draw_page(
    score: xr.DataArray,
    options: MapOptions = DEFAULT_OPTIONS,
    *,
    confidence: xr.DataArray | None = None,
    limits: tuple[float, float] | None = None,
    dpi: int = DPI,
) -> Figure:
    """Return the picture that `write_png` saves as a matplotlib figure at `dpi` pixels per inch.

    `limits` are the scores of the first and the last colour; without them the colours span the scores of each
    prompt. Raises `InputError` if `options` still hold names or paths, or if the underlay is in another CRS.
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
        draw_map(
            figure.add_axes(layout.axes_box(i)),
            layer,
            options,
            title=titles[i],
            limits=limits,
            confidence=confidence,
            legend=not shared or within == min(layout.columns, layout.group) - 1,
            scale_and_north=not shared or i == 0,
        )
    return figure


def _panel_titles(score: xr.DataArray) -> list[str | None]:
    """Return the title of each map among several: its prompt, its date, or both."""
    titles: list[str | None] = []
    for layer in layers_of(score):
        parts = [layer.attrs["prompt"]] if "prompt" in score.dims else []
        parts += [format_dates(layer.attrs["when"])] if "time" in score.dims else []
        titles.append(", ".join(parts))
    return titles


def _choose_layout(score: xr.DataArray, shared: bool) -> Layout:
    """Return the layout with maps as large as the page allows, in the proportions of the ground.

    With `shared`, the dates of one prompt fill rows of their own and the last map of a row has the colour
    bar; otherwise every map has a legend.
    """
    grid, count = grid_of(score), len(layers_of(score))
    group = score.sizes["time"] if shared else count
    columns = min(group, 2 if count <= 4 else 3 if count <= 9 else 4)
    widest, highest = (7.0, 6.2) if count == 1 else (3.9, 3.9) if count <= 9 else (2.6, 2.6)
    left, right, bottom, top = view_extent(grid)
    ratio = (top - bottom) / (right - left) * unit_aspect(grid)
    width = min(widest, highest / ratio)
    beside = _CATEGORY_LIST_IN if score.attrs.get("scale") == CATEGORY else _BAR_IN
    return Layout(
        columns,
        count // group * math.ceil(group / columns),
        width,
        width * ratio,
        group,
        between=_GAP_IN if shared else beside,
        right=beside,
    )


def _write_texts(
    figure: Figure, layout: Layout, score: xr.DataArray, options: MapOptions, titles: Sequence[str | None]
) -> Layout:
    """Write heading, subtitle and credits, and set the size of the page.

    Returns the layout with space for these lines and for the title above each map.
    """
    heading = title_of(score) if options.title is None else options.title
    room, size = layout.size[0] - 2 * layout.left, 15 if layout.rows * layout.columns == 1 else 14
    head = wrap_text(figure, heading, room, size, "bold")
    subtitle = subtitle_of(score)
    foot = wrap_text(figure, credits_of(score), room, 6.5, "normal")
    above = 0.18 + 0.28 * len(head) + (0.24 if subtitle else 0)
    lines = max(len(wrap_text(figure, t or "", layout.map_width, TITLE_SIZE, "bold", 2)) for t in titles)
    title_in = 0.14 + 0.17 * lines if lines else 0.0
    layout = replace(
        layout, head=max(above, 0.2 if title_in else 0.3), above=title_in, foot=0.34 + 0.13 * len(foot)
    )
    width, height = layout.size
    figure.set_size_inches(width, height)
    x, y = layout.left / width, height - 0.16
    for line in head:
        _write_line(figure, x, y / height, line, size, INK, weight="bold")
        y -= 0.28
    if subtitle:
        _write_line(figure, x, y / height, subtitle, 9.5, _SECONDARY_INK)
    for i, line in enumerate(reversed(foot)):
        _write_line(figure, x, (0.2 + 0.13 * i) / height, line, 6.5, _SECONDARY_INK, along="baseline")
    return layout


def _write_line(
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
