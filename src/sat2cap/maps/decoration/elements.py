"""Elements drawn on a map: scale bar, north arrow, outlines and labelled places."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from matplotlib.collections import LineCollection
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar  # type: ignore[import-untyped]
from odc.geo.geobox import GeoBox

from sat2cap.geo import LONLAT, ground_metres, north_degrees, transformer
from sat2cap.maps.layers import LabelledPoint

if TYPE_CHECKING:
    import geopandas as gpd

INK = "#1c1c24"
_FRAME = {
    "boxstyle": "round,pad=0,rounding_size=0.35",
    "facecolor": "white",
    "edgecolor": "none",
    "alpha": 0.82,
}
_MAX_BAR_SHARE = 0.3  # of the map's width that the scale bar takes at most
_LABEL_POSITIONS = (  # where a label goes around its point, best first: offset in points, alignment
    ((6, 0), "left", "center"),
    ((-6, 0), "right", "center"),
    ((0, 6), "center", "bottom"),
    ((0, -6), "center", "top"),
    ((5, 5), "left", "bottom"),
    ((-5, 5), "right", "bottom"),
    ((5, -5), "left", "top"),
    ((-5, -5), "right", "top"),
)


def round_length_m(metres: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50, … that does not exceed `metres`."""
    power = 10.0 ** math.floor(math.log10(metres))
    return max(step * power for step in (1, 2, 5) if step * power <= metres * (1 + 1e-9))


def format_length(metres: float) -> str:
    """Format a length: 2000.0 as ``2 km``, 500.0 as ``500 m``."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def draw_scale_bar(axes: Any, grid: GeoBox) -> Any:
    """Draw a scale bar of a round length in the lower left corner; return its box on the axes.

    The bar takes at most 30 % of the width of the map.
    """
    left, right = sorted(axes.get_xlim())
    to_metres = ground_metres(grid)
    metres = round_length_m((right - left) * to_metres * _MAX_BAR_SHARE)
    bottom, top = sorted(axes.get_ylim())
    bar = AnchoredSizeBar(
        axes.transData,
        metres / to_metres,
        format_length(metres),
        loc="lower left",
        pad=0.4,
        borderpad=0.6,
        sep=3,
        color=INK,
        size_vertical=(top - bottom) * 0.006,
        label_top=True,
        fontproperties=FontProperties(size=8),
    )
    return _add_framed(axes, bar)


def draw_north(axes: Any, grid: GeoBox) -> Any:
    """Draw an arrow to true north in the upper right corner; return its box on the axes."""
    side, half = 26.0, 13.0
    area = DrawingArea(side, side)
    turn = math.radians(north_degrees(grid))
    rotate = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    # The needle is drawn pointing up around the middle of the area, the letter on its tail.
    tip, left, right, notch = (np.array(p) @ rotate + half for p in ((0, 12), (-5, -5), (5, -5), (0, -2)))
    letter = np.array((0, -9)) @ rotate + half
    area.add_artist(Polygon([tip, left, notch], facecolor=INK, edgecolor=INK, linewidth=0.6))
    area.add_artist(Polygon([tip, right, notch], facecolor="white", edgecolor=INK, linewidth=0.6))
    area.add_artist(
        Text(letter[0], letter[1], "N", fontsize=7, weight="bold", color=INK, ha="center", va="center")
    )
    box = AnchoredOffsetbox("upper right", child=area, pad=0.25, borderpad=0.6, frameon=True)
    return _add_framed(axes, box)


def draw_outlines(axes: Any, grid: GeoBox, outlines: "gpd.GeoSeries | None") -> None:
    """Draw lines and the edges of polygons, thin with a white halo, to be readable on any colour."""
    if outlines is None:
        return
    shapes = outlines.to_crs(grid.crs.to_wkt()).to_numpy()
    areas = shapely.get_dimensions(shapes) == 2
    shapes[areas] = shapely.boundary(shapes[areas])
    parts = shapely.get_parts(shapely.get_parts(shapes))
    lines = [shapely.get_coordinates(part) for part in parts[shapely.get_dimensions(parts) == 1]]
    halo = withStroke(linewidth=1.8, foreground="white", alpha=0.7)
    collection = LineCollection(lines, colors=INK, linewidths=0.7, zorder=4, path_effects=[halo])
    axes.add_collection(collection, autolim=False)


def draw_places(
    axes: Any, grid: GeoBox, places: Sequence[LabelledPoint], occupied: Sequence[Any] = ()
) -> list[str]:
    """Draw points with their names where there is room, and return the names drawn.

    Earlier places have priority. A name may stand at eight positions around its point. If at all of them it
    would cover another name, an artist in `occupied` or the edge of the map, its point is left out too.
    """
    renderer = axes.figure.canvas.get_renderer()
    axes.apply_aspect()
    inside = axes.get_window_extent(renderer)
    used = [artist.get_window_extent(renderer) for artist in occupied]
    to_map = transformer(LONLAT, grid.crs)
    drawn_names = []
    for name, lon, lat in places:
        x, y = to_map.transform(lon, lat)
        point = axes.transData.transform((x, y))
        if not (np.isfinite(point).all() and inside.contains(*point)):
            continue
        box = _draw_label(axes, renderer, name, (x, y), inside, used)
        if box is None:
            continue
        half = 3 * axes.figure.dpi / 72
        used += [box, Bbox([point - half, point + half])]
        axes.plot(
            x, y, "o", markersize=3.6, color="white", markeredgecolor=INK, markeredgewidth=0.9, zorder=6
        )
        drawn_names.append(name)
    return drawn_names


def _draw_label(
    axes: Any, renderer: Any, name: str, at: tuple[float, float], inside: Bbox, used: Sequence[Bbox]
) -> Bbox | None:
    """Write a name at the first free position; return its box in pixels, or None if no position is free."""
    for offset, across, along in _LABEL_POSITIONS:
        text = axes.annotate(
            name,
            at,
            xytext=offset,
            textcoords="offset points",
            ha=across,
            va=along,
            fontsize=8,
            color="white",
            parse_math=False,
            zorder=7,
            path_effects=[withStroke(linewidth=2.4, foreground=INK)],
        )
        box: Bbox = text.get_window_extent(renderer)
        whole = inside.contains(box.x0 - 2, box.y0 - 2) and inside.contains(box.x1 + 2, box.y1 + 2)
        if whole and not any(box.overlaps(other) for other in used):
            return box
        text.remove()
    return None


def _add_framed(axes: Any, box: Any) -> Any:
    """Add an anchored box to the axes on a light background, so that it can be read on any colour."""
    box.patch.set(**{key: value for key, value in _FRAME.items() if key != "boxstyle"})
    box.patch.set_boxstyle(_FRAME["boxstyle"])
    box.set_zorder(8)
    axes.add_artist(box)
    return box
