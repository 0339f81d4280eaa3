"""Plots of evaluations as PNG: silhouettes, cluster maps, land cover beside maps, months by hours."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sat2cap.evaluation import CALENDAR_HOURS, CLIP, OURS, ClusterMap, Curves, LandMaps
from sat2cap.maps import COLOURS
from sat2cap.report.pictures import colour_limits

_TEXT_COLOUR, _TICK_COLOUR = "#1d1a26", "#62626e"
_LINE_COLOURS = ("#a8327d", "#2f6db5", "#e0752d", "#1f8a4c")
_NO_DATA_COLOUR = "#efeff1"
CLASSES_SHOWN, PROMPTS_SHOWN = 6, 12
"""Most rows in `landcover_picture` and `calendar_picture`: the first classes, the first prompts."""


def silhouette_plot(
    ks: Sequence[int], curves: dict[str, list[list[float]]], labels: dict[str, str], points: int, sample: int
) -> bytes:
    """Return figure 4 of the paper: mean silhouette against the number of clusters.

    `curves` holds for each model one list for each of `ks`, with the silhouette of each seed; the line is
    their mean, the band reaches from the least to the greatest. `labels` name the models. `sample` of
    `points` embeddings were judged.
    """
    figure = _new_figure(6.4, 4.0)
    axes = figure.add_axes((0.11, 0.14, 0.86, 0.8))
    for number, (name, curve) in enumerate(curves.items()):
        by_seed, colour = np.array(curve), _LINE_COLOURS[number % len(_LINE_COLOURS)]
        axes.fill_between(ks, by_seed.min(1), by_seed.max(1), color=colour, alpha=0.2, linewidth=0)
        axes.plot(ks, by_seed.mean(1), color=colour, marker="o", markersize=4, label=labels.get(name, name))
    axes.set_xscale("log")
    axes.set_xticks(ks, [f"{k:,}" for k in ks], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("clusters k", color=_TEXT_COLOUR)
    axes.set_ylabel(f"mean silhouette of {sample:,} of {points:,} points", color=_TEXT_COLOUR)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _soften_axes(axes)
    return _encode_png(figure)


def cluster_picture(cluster_map: ClusterMap) -> bytes:
    """Return a PNG of a region's clusters beside a legend of the phrases that name them.

    The largest cluster comes first.
    """
    height, width = cluster_map.label.shape
    map_height = 5.2 * height / width
    figure = _new_figure(9.6, max(map_height + 0.3, 0.24 * len(cluster_map.names) + 0.4))
    figure_height = figure.get_figheight()
    axes = figure.add_axes(
        (0.02, 1 - (map_height + 0.15) / figure_height, 5.2 / 9.6, map_height / figure_height)
    )
    colours = _category_colours(len(cluster_map.names))
    labels = np.ma.masked_less(cluster_map.label, 0)
    axes.imshow(
        labels, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest"
    )
    _hide_ticks(axes)
    handles = [
        Patch(facecolor=colour, label=", ".join(names))
        for colour, names in zip(colours, cluster_map.names, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.575, 0.99),
        frameon=False,
        fontsize=8,
        labelcolor=_TEXT_COLOUR,
    )
    return _encode_png(figure)


def landcover_picture(land_maps: LandMaps) -> bytes:
    """Return figures 1 and 5 of the paper: the truth at the left, the maps of each model beside it.

    The first row shows the class that covers most of each cell, and the class whose prompt is nearest; below
    it each class has a row of its own, its share of each cell and the maps of its prompts.
    """
    kinds = [(OURS, "Sat2Cap"), *([(CLIP, "CLIP")] if CLIP in land_maps.layers else [])]
    classes = land_maps.classes[:CLASSES_SHOWN]
    _, height, width = land_maps.truth.shape
    # inches: one panel with its title, and the legend below the first row
    panel_width, panel_height = 2.6, 2.6 * height / width + 0.3
    legend_height = 0.2 * (1 + (len(land_maps.classes) - 1) // 4) + 0.15
    figure = _new_figure((1 + len(kinds)) * panel_width, (len(classes) + 1) * panel_height + legend_height)
    figure_width, figure_height = figure.get_size_inches()

    def add_panel(row: int, column: int, title: str) -> Any:
        below = legend_height if row else 0.0
        left_inch = column * panel_width + 0.06
        bottom_inch = figure_height - (row + 1) * panel_height - below + 0.02
        axes = figure.add_axes(
            (
                left_inch / figure_width,
                bottom_inch / figure_height,
                (panel_width - 0.12) / figure_width,
                (panel_height - 0.3) / figure_height,
            )
        )
        axes.set_title(title[:46], fontsize=8, loc="left", color=_TEXT_COLOUR, pad=3)
        return axes

    if any(kind.values for kind in land_maps.classes):
        _draw_categories(
            figure, add_panel, land_maps, kinds, 1 - (panel_height + legend_height) / figure_height
        )
    embedded = np.isfinite(land_maps.layers[OURS][0])
    for row, kind in enumerate(classes):
        truth = np.where(embedded, land_maps.truth[row], np.nan)
        top = max(float(np.nanmax(truth)), 1e-6)
        _draw_map(add_panel(row + 1, 0, f"{kind.name}: share of the cell"), truth, (0.0, top))
        for column, (name, label) in enumerate(kinds, 1):
            values = land_maps.layers[name][row]
            _draw_map(
                add_panel(row + 1, column, f"{label}: {' + '.join(kind.prompts)}"),
                values,
                colour_limits(values),
            )
    return _encode_png(figure)


def _draw_categories(
    figure: Figure,
    add_panel: Callable[[int, int, str], Any],
    land_maps: LandMaps,
    kinds: Sequence[tuple[str, str]],
    bottom: float,
) -> None:
    """Draw the first row and its legend, whose lower edge is at `bottom`, as a share of the figure.

    Classes without values in the reference cannot cover a cell and are left out.
    """
    mapped = [number for number, kind in enumerate(land_maps.classes) if kind.values]
    colours = _category_colours(len(mapped))
    palette = ListedColormap(colours)
    layers = [
        ("the cover", land_maps.truth),
        *((f"{label}: nearest prompt", land_maps.layers[name]) for name, label in kinds),
    ]
    embedded = np.isfinite(land_maps.layers[OURS][0])
    for column, (title, values) in enumerate(layers):
        axes = add_panel(0, column, title)
        best = np.nan_to_num(values[mapped], nan=-np.inf).argmax(0)
        visible = np.ma.masked_where(~embedded | (~land_maps.pure & (column == 0)), best)
        axes.imshow(visible, cmap=palette, vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest")
        _hide_ticks(axes)
    names = [land_maps.classes[number].name for number in mapped]
    handles = [Patch(facecolor=c, label=name) for c, name in zip(colours, names, strict=True)]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, bottom), ncols=4, frameon=False, fontsize=7.5
    )


def calendar_picture(curves: Curves) -> bytes:
    """Return the mean score by month (across) and hour (upwards) of each prompt in every region.

    Where the truth is known it stands to the left of the score, with colours of its own.
    """
    first_curves = dict(list(curves.items())[:PROMPTS_SHOWN])
    columns = [
        (region, kind)
        for region in next(iter(first_curves.values()))
        for kind in ("truth", "score")
        if any(kind in regions[region] for regions in first_curves.values())
    ]
    figure = _new_figure(1.9 * len(columns) + 2.0, 1.05 * len(first_curves) + 0.7)
    width, height = figure.get_size_inches()
    grid = figure.subplots(len(first_curves), len(columns), squeeze=False)
    figure.subplots_adjust(2.0 / width, 0.5 / height, 0.99, 1 - 0.3 / height, 0.08, 0.2)
    for row, (prompt, regions) in enumerate(first_curves.items()):
        for column, (region, kind) in enumerate(columns):
            _draw_calendar(grid[row, column], regions[region].get(kind))
        middle = grid[row, 0].get_position()
        middle_y = (middle.y0 + middle.y1) / 2
        figure.text(0.01, middle_y, _wrap_prompt(prompt), fontsize=8, color=_TEXT_COLOUR, va="center")
    hours = [f"{hour:02.0f} h" for hour in (CALENDAR_HOURS[0], CALENDAR_HOURS[-1])]
    for axes in grid[:, 0]:
        axes.set_yticks([0, len(CALENDAR_HOURS) - 1], hours)
    for axes, (region, kind) in zip(grid[0], columns, strict=True):
        axes.set_title(f"{region}: {kind}", fontsize=8.5, color=_TEXT_COLOUR)
    for axes in grid[-1]:
        axes.set_xticks([0, 3, 6, 9], ["Jan", "Apr", "Jul", "Oct"])
    return _encode_png(figure)


def _draw_calendar(axes: Any, series: NDArray[np.float64] | None) -> None:
    """Draw one value for each month (across) and hour (upwards); an empty panel for None."""
    shape = (12, len(CALENDAR_HOURS))
    values = np.full(shape, np.nan) if series is None else series.reshape(shape)
    axes.imshow(values.T, origin="lower", aspect="auto", cmap=COLOURS, interpolation="nearest")
    axes.set(xticks=[], yticks=[], facecolor=_NO_DATA_COLOUR)
    axes.tick_params(labelsize=7, length=2, colors=_TICK_COLOUR)


def _wrap_prompt(text: str) -> str:
    """Return a prompt in at most three lines of about 20 characters."""
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 20 and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:3])


def _draw_map(axes: Any, values: NDArray[np.floating], limits: tuple[float, float]) -> None:
    axes.imshow(
        np.ma.masked_invalid(values), cmap=COLOURS, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    _hide_ticks(axes)


def _hide_ticks(axes: Any) -> None:
    axes.set(xticks=[], yticks=[], facecolor=_NO_DATA_COLOUR)
    for spine in axes.spines.values():
        spine.set(edgecolor="#9a9aa4", linewidth=0.6)


def _soften_axes(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_TICK_COLOUR, labelsize=8)


def _category_colours(count: int) -> list[Any]:
    """Return `count` colours, as different as can be; neighbours in the list differ most."""
    if count <= 20:
        return [colormaps["tab20"](i) for i in range(count)]
    return [colormaps["turbo"](((i * 0.618) % 1) * 0.9 + 0.05) for i in range(count)]


def _new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=140, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _encode_png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "sat2cap"})
    return buffer.getvalue()
