"""Pictures of a pair set: the funnel, where and when the photos were taken, and a contact sheet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from sat2cap.files import publish
from sat2cap.geo import parse_region
from sat2cap.pairs.shard_reading import Pair
from sat2cap.pictures import decode_picture, read_picture_size

_BLUE, _GREY, _RED = "#2a6f97", "#b8b8b8", "#c1121f"
_MONTHS = "JFMAMJJASOND"
_PAIRS_PER_ROW = 3  # of the contact sheet


def draw_funnel(funnel: Mapping[str, Any], path: Path) -> None:
    """Draw the number of records left after each rule as bars, with the number that each rule dropped.

    `funnel` is the manifest's: ``records`` and, by reason in the order of the rules, ``dropped``.
    """
    dropped: Mapping[str, int] = funnel["dropped"]
    names, remaining = ["listed"], [int(funnel["records"])]
    for reason, count in dropped.items():
        names.append(reason)
        remaining.append(remaining[-1] - count)
    figure = Figure(figsize=(8, 0.34 * len(names) + 0.9), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(names))
    axes.barh(rows, remaining, color=_BLUE, height=0.72)
    axes.barh(rows[1:], list(dropped.values()), left=remaining[1:], color=_GREY, height=0.72)
    for row, value in enumerate(remaining):
        drop = f"   − {remaining[row - 1] - value:,}" if row else ""
        axes.annotate(f" {value:,}{drop}", (remaining[max(row - 1, 0)], row), va="center", fontsize=8)
    axes.set_yticks(rows, names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(1, remaining[0]) * 1.25)
    axes.set_xlabel("records left (grey: dropped by this rule)")
    axes.spines[["top", "right"]].set_visible(False)
    _save_figure(figure, path)


def draw_density(index: gpd.GeoDataFrame, path: Path, borders: gpd.GeoDataFrame | None = None) -> None:
    """Draw the number of pairs in hexagonal cells of the map, on a logarithmic scale."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    extent = _frame_map(axes, index.lon.to_numpy(), index.lat.to_numpy(), borders)
    cells = axes.hexbin(
        index.lon, index.lat, gridsize=70, extent=extent, mincnt=1, norm=LogNorm(vmin=1), cmap="viridis"
    )
    figure.colorbar(cells, ax=axes, label="pairs in a cell", shrink=0.8)
    _save_figure(figure, path)


def draw_times(index: gpd.GeoDataFrame, path: Path) -> None:
    """Draw the number of pairs by month, by local hour, and by both."""
    month, hour = index.taken.dt.month.to_numpy(), index.taken.dt.hour.to_numpy()
    figure = Figure(figsize=(9, 5), layout="constrained")
    by_month, by_hour, both = figure.subplot_mosaic([["month", "hour"], ["both", "both"]]).values()
    by_month.bar(np.arange(1, 13), np.bincount(month, minlength=13)[1:], color=_BLUE)
    by_month.set_xticks(np.arange(1, 13), list(_MONTHS))
    by_month.set_ylabel("pairs")
    by_hour.bar(np.arange(24), np.bincount(hour, minlength=24), color=_BLUE)
    by_hour.set_xlabel("local hour")
    counts, _, _ = np.histogram2d(month, hour, bins=(np.arange(0.5, 13), np.arange(-0.5, 24)))
    image = both.imshow(np.where(counts, counts, np.nan), aspect="auto", cmap="viridis", norm=LogNorm(vmin=1))
    both.set_yticks(np.arange(12), list(_MONTHS))
    both.set_xlabel("local hour")
    figure.colorbar(image, ax=both, label="pairs")
    _save_figure(figure, path)


def contact_sheet(
    pairs: Sequence[Pair], splits: Sequence[str], path: Path, borders: gpd.GeoDataFrame | None = None
) -> None:
    """Draw each photo beside its patch, with place, local time and split, numbered as on the map above them.

    `splits` has the name of each pair's split.
    """
    row_count = -(-len(pairs) // _PAIRS_PER_ROW)
    figure = Figure(figsize=(12, 3.4 + 2.4 * row_count), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[3.4, 2.4 * row_count])
    above, below = halves
    axes = above.subplots()
    lon, lat = (np.array([getattr(pair, name) for pair in pairs]) for name in ("lon", "lat"))
    _frame_map(axes, lon, lat, borders)
    axes.plot(lon, lat, "o", color=_RED, markersize=4)
    for number, place in enumerate(zip(lon, lat, strict=True), 1):
        axes.annotate(str(number), place, xytext=(3, 3), textcoords="offset points", fontsize=8)
    cells = below.subplots(row_count, 2 * _PAIRS_PER_ROW, squeeze=False).ravel()
    for cell in cells:
        cell.axis("off")
    for number, (pair, split) in enumerate(zip(pairs, splits, strict=True)):
        photo, patch = cells[2 * number : 2 * number + 2]
        photo.imshow(_decode_photo(pair.ground))
        patch.imshow(_decode_photo(pair.overhead))
        side = read_picture_size(pair.overhead)[0]
        patch.plot(side / 2 - 0.5, side / 2 - 0.5, "+", color=_RED, markersize=9)
        photo.set_title(f"{number + 1}  {pair.taken:%Y-%m-%d %H:%M}", fontsize=8, loc="left")
        patch.set_title(f"{pair.lat:.4f}, {pair.lon:.4f}  {split}", fontsize=8, loc="left")
    _save_figure(figure, path)


def read_borders(path: Path | None) -> gpd.GeoDataFrame | None:
    """Read the outlines to draw on a map from a vector file, in EPSG:4326; None if `path` is None.

    Raises `RegionError` for a file without polygons.
    """
    if path is None:
        return None
    return gpd.GeoDataFrame(geometry=[parse_region(str(path)).geometry.geom], crs="EPSG:4326")


def _decode_photo(data: bytes) -> np.ndarray[Any, Any]:
    """Decode an image to RGB, uint8 (H, W, 3); large JPEGs at a fraction of their size."""
    return np.asarray(decode_picture(data, at_least=(480, 480)))


def _frame_map(
    axes: Axes, lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any], borders: gpd.GeoDataFrame | None
) -> tuple[float, float, float, float]:
    """Set the limits of a map around some places and return them in degrees: west, east, south, north."""
    margin = max(0.1 * np.ptp(lon), 0.1 * np.ptp(lat), 0.02)
    extent = (
        max(-180.0, lon.min() - margin),
        min(180.0, lon.max() + margin),
        max(-90.0, lat.min() - margin),
        min(90.0, lat.max() + margin),
    )
    if borders is not None:
        borders.boundary.plot(ax=axes, color=_GREY, linewidth=0.6)
        axes.set_xlabel("")
        axes.set_ylabel("")
    axes.set_xlim(extent[0], extent[1])
    axes.set_ylim(extent[2], extent[3])
    axes.set_aspect(1 / max(0.1, float(np.cos(np.deg2rad((extent[2] + extent[3]) / 2)))))
    axes.tick_params(labelsize=8)
    return extent


def _save_figure(figure: Figure, path: Path) -> None:
    """Publish a figure as PNG, without the version of matplotlib, so that equal figures are equal bytes."""
    with publish(path) as temporary:
        figure.savefig(temporary, dpi=120, metadata={"Software": None})
