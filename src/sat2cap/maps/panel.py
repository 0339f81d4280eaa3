"""One map on matplotlib axes: alone on a page or among others in a figure."""

import math
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo.frame import grid_of
from sat2cap.maps import colours
from sat2cap.maps.furniture import INK, draw_north, draw_places, draw_scale_bar
from sat2cap.maps.layers import Place, maps_of

_MOST_CELLS = 2400  # a side; a picture cannot show more, so they are averaged first
_LETTER = 0.068  # inches that a letter of the colour bar's label takes
_NARROWEST = 2.6  # how many times longer than wide a map is at most


def panel(
    axes: Any,
    score: xr.DataArray,
    *,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    underlay: xr.DataArray | None = None,
    places: Sequence[Place] = (),
    colour_bar: bool = True,
    furniture: bool = True,
) -> ScalarMappable:
    """Draw one map, dims ``(y, x)``, on matplotlib axes; returns what a shared colour bar needs.

    `limits` are the scores of the first and last colour, for maps to be compared; `furniture` is the scale
    bar and the north arrow. The colour bar takes room to the right of the axes, the title above. Raises
    `InputError`.
    """
    grid = grid_of(score)
    values = _thinned(next(maps_of(score))[1])
    norm = colours.normalise(values, colours.scale_of(score), limits)
    palette = colours.COLOURS if underlay is None else colours.veiled_colours()
    axes.patch.set(**colours.NO_DATA)
    if underlay is not None:
        _draw_underlay(axes, underlay, grid)
    axes.imshow(
        np.ma.masked_invalid(values),
        cmap=colours.COLOURS,
        norm=norm,
        alpha=None if underlay is None else colours.veil(np.nan_to_num(norm(values))),
        extent=extent(grid),
        interpolation="nearest",
        origin="upper" if grid.affine.e < 0 else "lower",
        zorder=2,
    )
    _frame_axes(axes, grid)
    if title:
        _draw_title(axes, title)
    boxes = [draw_scale_bar(axes, grid), draw_north(axes, grid)] if furniture else []
    draw_places(axes, grid, places, boxes)
    mappable = ScalarMappable(norm, palette)
    if colour_bar:
        _draw_colour_bar(
            axes, mappable, colours.beyond(values, norm), score, over_imagery=underlay is not None
        )
    return mappable


def extent(grid: GeoBox) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of the grid in CRS units."""
    a = grid.affine
    xs, ys = (a.c, a.c + a.a * grid.shape[1]), (a.f, a.f + a.e * grid.shape[0])
    return min(xs), max(xs), min(ys), max(ys)


def aspect(grid: GeoBox) -> float:
    """How much taller than wide one unit is drawn: degrees of longitude are short away from the equator."""
    if not grid.crs.geographic:
        return 1.0
    _, _, bottom, top = extent(grid)
    return 1 / max(math.cos(math.radians((bottom + top) / 2)), 0.05)


def view(grid: GeoBox) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of what is shown: the grid, and what is around a narrow strip."""
    left, right, bottom, top = extent(grid)
    width, height = right - left, (top - bottom) * aspect(grid)
    wider = max(height / _NARROWEST - width, 0) / 2
    higher = max(width / _NARROWEST - height, 0) / 2 / aspect(grid)
    return left - wider, right + wider, bottom - higher, top + higher


def _thinned(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blocks of cells averaged where there are more than a picture can show; no data only where all is."""
    step = math.ceil(max(values.shape) / _MOST_CELLS)
    if step == 1:
        return values
    height, width = (math.ceil(side / step) * step for side in values.shape)
    padded = np.full((height, width), np.nan, dtype=np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is what should be NaN
        blocks = padded.reshape(height // step, step, width // step, step)
        return np.asarray(np.nanmean(blocks, axis=(1, 3)), dtype=np.float32)


def _draw_underlay(axes: Any, underlay: xr.DataArray, grid: GeoBox) -> None:
    own = grid_of(underlay)
    if own.crs != grid.crs:
        raise InputError(
            f"the underlay is in {own.crs}, the score in {grid.crs}; read imagery on the grid of the score"
        )
    axes.imshow(
        colours.grey(np.asarray(underlay.transpose("y", "x", "band").values)),
        extent=extent(own),
        interpolation="antialiased",
        origin="upper" if own.affine.e < 0 else "lower",
        zorder=1,
    )


def _frame_axes(axes: Any, grid: GeoBox) -> None:
    """The map's edge, without the numbers of a CRS that few can read."""
    left, right, bottom, top = view(grid)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.set_aspect(aspect(grid))
    axes.set_anchor("NW")
    for spine in axes.spines.values():
        spine.set(edgecolor="#9a9aa4", linewidth=0.6)


def _draw_title(axes: Any, title: str) -> None:
    """Above the map, in as many lines as its width asks for."""
    width = axes.get_position().width * axes.figure.get_size_inches()[0]
    lines = textwrap.wrap(" ".join(title.split()), max(int(width / 0.085), 8))[:2]
    axes.set_title(
        "\n".join(lines), loc="left", fontsize=10, weight="bold", color=INK, parse_math=False, pad=5
    )


def _draw_colour_bar(
    axes: Any, mappable: ScalarMappable, extend: str, score: xr.DataArray, *, over_imagery: bool
) -> None:
    """To the right, with the name and unit of the scale, and what is hatched."""
    gaps = bool(np.isnan(score.values).any()) or view(grid_of(score)) != extent(grid_of(score))
    axes.apply_aspect()
    box = axes.get_window_extent()
    inch_x, inch_y = axes.figure.dpi / box.width, axes.figure.dpi / box.height
    foot = 0.4 * inch_y if gaps and 0.4 * inch_y < 0.5 else 0.0
    bar_axes = axes.inset_axes([1 + 0.16 * inch_x, foot, 0.17 * inch_x, 1 - foot])
    bar = axes.figure.colorbar(
        mappable, cax=bar_axes, extend=extend, ticks=MaxNLocator(6, steps=[1, 2, 5, 10])
    )
    label = textwrap.fill(colours.scale_of(score).label, max(int((1 - foot) / inch_y / _LETTER), 12))
    bar.set_label(label, fontsize=8, color=INK, labelpad=5)
    bar.outline.set(edgecolor="#9a9aa4", linewidth=0.5)
    bar_axes.tick_params(labelsize=7.5, length=2.5, width=0.5, color="#9a9aa4", labelcolor=INK)
    swatch: dict[str, Any] = colours.BARE if over_imagery else colours.NO_DATA
    if gaps:
        axes.legend(
            handles=[Patch(**swatch, label="no data", linewidth=0.5)],
            loc="lower left",
            bbox_to_anchor=(1 + 0.16 * inch_x, 0),
            fontsize=7.5,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            handlelength=1.3,
            handleheight=1.0,
            handletextpad=0.5,
            labelcolor=INK,
        )
