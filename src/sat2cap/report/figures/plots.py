"""Figures of evaluations as PNG: silhouettes, maps of clusters, land cover side by side, months by hours."""

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
from sat2cap.report.pictures import limits_of

_INK, _QUIET = "#1d1a26", "#62626e"
_LINES = ("#a8327d", "#2f6db5", "#e0752d", "#1f8a4c")
_HATCHED = "#efeff1"
CLASSES_SHOWN, PROMPTS_SHOWN = 6, 12
"""How many, the first ones, have a row of their own in `landcover_picture` and `calendar_picture`."""


def silhouette_plot(
    ks: Sequence[int], curves: dict[str, list[list[float]]], labels: dict[str, str], points: int, sample: int
) -> bytes:
    """Figure 4 of the paper: mean silhouette against k, the band from the least to the greatest seed."""
    figure = _figure(6.4, 4.0)
    axes = figure.add_axes((0.11, 0.14, 0.86, 0.8))
    for number, (name, curve) in enumerate(curves.items()):
        tried, colour = np.array(curve), _LINES[number % len(_LINES)]
        axes.fill_between(ks, tried.min(1), tried.max(1), color=colour, alpha=0.2, linewidth=0)
        axes.plot(ks, tried.mean(1), color=colour, marker="o", markersize=4, label=labels.get(name, name))
    axes.set_xscale("log")
    axes.set_xticks(ks, [f"{k:,}" for k in ks], fontsize=8)
    axes.minorticks_off()
    axes.set_xlabel("clusters k", color=_INK)
    axes.set_ylabel(f"mean silhouette of {sample:,} of {points:,} points", color=_INK)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    _quiet(axes)
    return _png(figure)


def cluster_picture(found: ClusterMap) -> bytes:
    """A region's clusters in colours, largest first, each with the phrases that name it."""
    height, width = found.label.shape
    map_height = 5.2 * height / width
    figure = _figure(9.6, max(map_height + 0.3, 0.24 * len(found.names) + 0.4))
    whole = figure.get_figheight()
    axes = figure.add_axes((0.02, 1 - (map_height + 0.15) / whole, 5.2 / 9.6, map_height / whole))
    colours = _distinct(len(found.names))
    shown = np.ma.masked_less(found.label, 0)
    axes.imshow(
        shown, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest"
    )
    _bare(axes)
    handles = [
        Patch(facecolor=colour, label=", ".join(names))
        for colour, names in zip(colours, found.names, strict=True)
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.575, 0.99),
        frameon=False,
        fontsize=8,
        labelcolor=_INK,
    )
    return _png(figure)


def landcover_picture(found: LandMaps) -> bytes:
    """Figures 1 and 5 of the paper: the cover and the best prompt of each cell; each class and its maps."""
    kinds = [(OURS, "Sat2Cap"), *([(CLIP, "CLIP")] if CLIP in found.layers else [])]
    rows = found.classes[:CLASSES_SHOWN]
    _, height, width = found.truth.shape
    wide, high = 2.6, 2.6 * height / width + 0.3
    foot = 0.2 * (1 + (len(found.classes) - 1) // 4) + 0.15
    figure = _figure((1 + len(kinds)) * wide, (len(rows) + 1) * high + foot)
    whole = figure.get_figheight()

    def place(row: int, column: int, title: str) -> Any:
        below = foot if row else 0.0  # the legend stands under the first row
        left, bottom = (column * wide + 0.06) / figure.get_figwidth(), 1 - ((row + 1) * high + below) / whole
        axes = figure.add_axes(
            (left, bottom + 0.02 / whole, (wide - 0.12) / figure.get_figwidth(), (high - 0.3) / whole)
        )
        axes.set_title(title[:46], fontsize=8, loc="left", color=_INK, pad=3)
        return axes

    if any(kind.values for kind in found.classes):
        _categories(figure, place, found, kinds, 1 - (high + foot) / whole)
    embedded = np.isfinite(found.layers[OURS][0])
    for row, kind in enumerate(rows):
        truth = np.where(embedded, found.truth[row], np.nan)
        top = max(float(np.nanmax(truth)), 1e-6)
        _map(place(row + 1, 0, f"{kind.name}: share of the cell"), truth, (0.0, top))
        for column, (name, label) in enumerate(kinds, 1):
            values = found.layers[name][row]
            _map(place(row + 1, column, f"{label}: {' + '.join(kind.prompts)}"), values, limits_of(values))
    return _png(figure)


def _categories(
    figure: Figure,
    place: Callable[[int, int, str], Any],
    found: LandMaps,
    kinds: Sequence[tuple[str, str]],
    bottom: float,
) -> None:
    """The first row: which class covers most of each cell, and which class's prompt is nearest."""
    told = [number for number, kind in enumerate(found.classes) if kind.values]
    colours = _distinct(len(told))
    palette = ListedColormap(colours)
    layers = [
        ("the cover", found.truth),
        *((f"{label}: nearest prompt", found.layers[name]) for name, label in kinds),
    ]
    embedded = np.isfinite(found.layers[OURS][0])
    for column, (title, values) in enumerate(layers):
        axes = place(0, column, title)
        best = np.nan_to_num(values[told], nan=-np.inf).argmax(0)
        shown = np.ma.masked_where(~embedded | (~found.pure & (column == 0)), best)
        axes.imshow(shown, cmap=palette, vmin=-0.5, vmax=len(colours) - 0.5, interpolation="nearest")
        _bare(axes)
    names = [found.classes[number].name for number in told]
    handles = [Patch(facecolor=c, label=name) for c, name in zip(colours, names, strict=True)]
    figure.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, bottom), ncols=4, frameon=False, fontsize=7.5
    )


def calendar_picture(curves: Curves) -> bytes:
    """Mean score by month and hour, beside the truth where it is known, in every region."""
    some = dict(list(curves.items())[:PROMPTS_SHOWN])
    columns = [
        (place, kind)
        for place in next(iter(some.values()))
        for kind in ("truth", "score")
        if any(kind in places[place] for places in some.values())
    ]
    figure = _figure(1.9 * len(columns) + 2.0, 1.05 * len(some) + 0.7)
    grid = figure.subplots(len(some), len(columns), squeeze=False)
    left = 2.0 / figure.get_figwidth()
    figure.subplots_adjust(
        left, 0.5 / figure.get_figheight(), 0.99, 1 - 0.3 / figure.get_figheight(), 0.08, 0.2
    )
    for row, (text, places) in enumerate(some.items()):
        for column, (place, kind) in enumerate(columns):
            axes = grid[row, column]
            series = places[place].get(kind)
            values = (
                np.full((12, len(CALENDAR_HOURS)), np.nan)
                if series is None
                else series.reshape(12, len(CALENDAR_HOURS))
            )
            axes.imshow(values.T, origin="lower", aspect="auto", cmap=COLOURS, interpolation="nearest")
            axes.set_facecolor(_HATCHED)
            axes.set_yticks(
                [0, len(CALENDAR_HOURS) - 1],
                [f"{CALENDAR_HOURS[0]:02.0f} h", f"{CALENDAR_HOURS[-1]:02.0f} h"] if column == 0 else [],
            )
            axes.set_xticks([0, 3, 6, 9], ["Jan", "Apr", "Jul", "Oct"] if row == len(some) - 1 else [])
            axes.tick_params(labelsize=7, length=2, colors=_QUIET)
            if row == 0:
                axes.set_title(f"{place}: {kind}", fontsize=8.5, color=_INK)
        middle = grid[row, 0].get_position()
        figure.text(0.01, (middle.y0 + middle.y1) / 2, _wrapped(text), fontsize=8, color=_INK, va="center")
    return _png(figure)


def _wrapped(text: str) -> str:
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > 20 and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:3])


def _map(axes: Any, values: NDArray[np.floating], limits: tuple[float, float]) -> None:
    axes.imshow(
        np.ma.masked_invalid(values), cmap=COLOURS, vmin=limits[0], vmax=limits[1], interpolation="nearest"
    )
    _bare(axes)


def _bare(axes: Any) -> None:
    axes.set(xticks=[], yticks=[], facecolor=_HATCHED)
    for spine in axes.spines.values():
        spine.set(edgecolor="#9a9aa4", linewidth=0.6)


def _quiet(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=_QUIET, labelsize=8)


def _distinct(count: int) -> list[Any]:
    """Colours that neighbours in the list do not share."""
    if count <= 20:
        return [colormaps["tab20"](i) for i in range(count)]
    return [colormaps["turbo"](((i * 0.618) % 1) * 0.9 + 0.05) for i in range(count)]


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=140, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": "sat2cap"})
    return buffer.getvalue()
