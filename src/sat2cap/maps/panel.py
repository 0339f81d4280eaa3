"""One map on matplotlib axes: alone on a page or among others in a figure."""

import math
import warnings
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.cm import ScalarMappable
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo import grid_of
from sat2cap.maps import colours
from sat2cap.maps.decoration.elements import INK, draw_north, draw_outlines, draw_places, draw_scale_bar
from sat2cap.maps.decoration.legend import draw_legend
from sat2cap.maps.decoration.text import wrap_text
from sat2cap.maps.layers import one_layer, values_of
from sat2cap.maps.options import DEFAULT_OPTIONS, MapOptions, drawable

_MAX_SIDE_CELLS = 2400
"""Most cells along a side that a picture can show; of more, blocks are averaged first."""
_MAX_ASPECT = 2.6
"""Greatest ratio of the long to the short side of a map; a narrower strip gets a margin."""
_NO_DATA_OPACITY = 0.4
"""Opacity of imagery where there is no data, so that the hatching under it can be seen."""
TITLE_SIZE = 10.0
"""Font size of the title of one map among several, points."""


def draw_map(
    axes: Any,
    score: xr.DataArray,
    options: MapOptions = DEFAULT_OPTIONS,
    *,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    confidence: xr.DataArray | None = None,
    legend: bool = True,
    scale_and_north: bool = True,
) -> ScalarMappable:
    """Draw one map, dims ``(y, x)``, on matplotlib axes; return the mappable of a shared colour bar.

    `limits` are the scores of the first and last colour, for maps to be compared; `confidence` pales the
    cells of a map of categories; `scale_and_north` adds a scale bar and a north arrow. The legend is placed
    to the right of the axes, the title above. Raises `InputError` if `score` holds several maps, if `options`
    still holds names or paths, or if the underlay is in another CRS.
    """
    underlay, outlines, places = drawable(options)
    grid, paint = grid_of(score), colours.paint_of(score, limits)
    cells = values_of(one_layer(score, "a panel shows"))
    values = _reduce_cells(cells, nearest=bool(paint.categories))
    rgba = paint.to_rgba(values)
    if confidence is not None:
        rgba = colours.pale_by_confidence(
            rgba, _reduce_cells(values_of(confidence), nearest=True), len(paint.categories)
        )
    axes.patch.set(**colours.NO_DATA)
    if underlay is not None:
        _draw_underlay(axes, underlay, grid, np.isfinite(cells))
        rgba[..., 3] = np.where(np.isfinite(values), paint.overlay_opacities(values) * 255, 0).astype(
            np.uint8
        )
    _draw_pixels(axes, rgba, grid, "nearest", 2)
    _frame_axes(axes, grid)
    if title:
        _draw_title(axes, title)
    draw_outlines(axes, grid, outlines)
    boxes = [draw_scale_bar(axes, grid), draw_north(axes, grid)] if scale_and_north else []
    draw_places(axes, grid, places, boxes)
    over_imagery = underlay is not None
    if legend:
        gaps = bool(np.isnan(values).any()) or view_extent(grid) != grid_extent(grid)
        pale = confidence is not None
        draw_legend(axes, values, paint, gaps=gaps, over_imagery=over_imagery, pale=pale)
    bar_colours = paint.colours if not over_imagery or paint.categories else paint.blend_with_grey()
    return ScalarMappable(paint.norm, bar_colours)


def grid_extent(grid: GeoBox) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of the grid in CRS units."""
    a = grid.affine
    xs, ys = (a.c, a.c + a.a * grid.shape[1]), (a.f, a.f + a.e * grid.shape[0])
    return min(xs), max(xs), min(ys), max(ys)


def unit_aspect(grid: GeoBox) -> float:
    """Return how much taller than wide a CRS unit is drawn: 1 / cos(latitude) for degrees, else 1.

    The latitude is that of the middle of the grid. At 60 degrees a degree of longitude is half as long as one
    of latitude, so the aspect is 2. Near a pole it is at most 20.
    """
    if not grid.crs.geographic:
        return 1.0
    _, _, bottom, top = grid_extent(grid)
    return 1 / max(math.cos(math.radians((bottom + top) / 2)), 0.05)


def view_extent(grid: GeoBox) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of what is drawn, in CRS units: the grid and any margin around it.

    A strip of which one side is more than 2.6 times the other gets a margin along its long sides.
    """
    left, right, bottom, top = grid_extent(grid)
    width, height = right - left, (top - bottom) * unit_aspect(grid)
    wider = max(height / _MAX_ASPECT - width, 0) / 2
    higher = max(width / _MAX_ASPECT - height, 0) / 2 / unit_aspect(grid)
    return left - wider, right + wider, bottom - higher, top + higher


def _reduce_cells(values: NDArray[np.float32], *, nearest: bool = False) -> NDArray[np.float32]:
    """Return values averaged over square blocks, if there are more cells than a picture can show.

    A block is NaN only if all its cells are. With `nearest`, one cell represents its block: categories have
    no mean.
    """
    step = math.ceil(max(values.shape) / _MAX_SIDE_CELLS)
    if step == 1:
        return values
    if nearest:
        return values[step // 2 :: step, step // 2 :: step]
    height, width = (math.ceil(side / step) * step for side in values.shape)
    padded = np.full((height, width), np.nan, dtype=np.float32)
    padded[: values.shape[0], : values.shape[1]] = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is what should be NaN
        blocks = padded.reshape(height // step, step, width // step, step)
        return np.asarray(np.nanmean(blocks, axis=(1, 3)), dtype=np.float32)


def _draw_underlay(axes: Any, underlay: xr.DataArray, grid: GeoBox, has_data: NDArray[np.bool_]) -> None:
    """Draw imagery in grey, faint where cells of `grid` have no data (`has_data`, [y, x])."""
    imagery_grid = grid_of(underlay)
    if imagery_grid.crs != grid.crs:
        raise InputError(
            f"the underlay is in {imagery_grid.crs}, the score in {grid.crs}; read imagery on the grid of "
            "the score"
        )
    pixels = colours.grey_underlay(np.asarray(underlay.transpose("y", "x", "band").values))
    row, col = _cells_of(imagery_grid, grid)
    inside = ((row >= 0) & (row < grid.shape[0]))[:, None] & ((col >= 0) & (col < grid.shape[1]))
    over_data = inside & has_data[row.clip(0, grid.shape[0] - 1)][:, col.clip(0, grid.shape[1] - 1)]
    pixels[..., 3] = np.where(over_data, pixels[..., 3], pixels[..., 3] * _NO_DATA_OPACITY).astype(np.uint8)
    _draw_pixels(axes, pixels, imagery_grid, "antialiased", 1)


def _cells_of(pixels: GeoBox, grid: GeoBox) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row of `grid` under each row of `pixels`, and the column under each column.

    Indices may lie outside the grid.
    """
    a, b = pixels.affine, grid.affine
    row = (a.f + a.e * (np.arange(pixels.shape[0]) + 0.5) - b.f) / b.e
    col = (a.c + a.a * (np.arange(pixels.shape[1]) + 0.5) - b.c) / b.a
    return np.floor(row).astype(np.intp), np.floor(col).astype(np.intp)


def _draw_pixels(axes: Any, pixels: NDArray[np.uint8], grid: GeoBox, interpolation: str, zorder: int) -> None:
    axes.imshow(
        pixels,
        extent=grid_extent(grid),
        interpolation=interpolation,
        origin="upper" if grid.affine.e < 0 else "lower",
        zorder=zorder,
    )


def _frame_axes(axes: Any, grid: GeoBox) -> None:
    """Set limits, aspect and edge of the map, without ticks: few readers know the numbers of a CRS."""
    left, right, bottom, top = view_extent(grid)
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    axes.set_aspect(unit_aspect(grid))
    axes.set_anchor("NW")
    for spine in axes.spines.values():
        spine.set(edgecolor="#9a9aa4", linewidth=0.6)


def _draw_title(axes: Any, title: str) -> None:
    """Write the title above the map, in at most two lines."""
    width = axes.get_position().width * axes.figure.get_size_inches()[0]
    lines = wrap_text(axes.figure, title, width, TITLE_SIZE, "bold", max_lines=2)
    style = {"fontsize": TITLE_SIZE, "weight": "bold", "color": INK, "parse_math": False}
    axes.set_title("\n".join(lines), loc="left", pad=5, **style)
