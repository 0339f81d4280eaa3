"""The legend beside a map: a colour bar or a list of categories, and the swatch for no data."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sat2cap.maps import colours
from sat2cap.maps.colours import Paint
from sat2cap.maps.decoration.elements import INK

_LETTER_IN = 0.068
"""Width of a letter in the label of a colour bar, inches, nearly."""
_LINE_LETTERS = 26
"""Number of letters after which the name of a category is wrapped."""
_LEGEND_STYLE: dict[str, Any] = {
    "fontsize": 7.5,
    "frameon": False,
    "borderpad": 0,
    "borderaxespad": 0,
    "handlelength": 1.3,
    "handleheight": 1.0,
    "handletextpad": 0.5,
    "labelcolor": INK,
}


def draw_legend(
    axes: Any, values: NDArray[np.float32], paint: Paint, *, gaps: bool, over_imagery: bool, pale: bool
) -> None:
    """Draw the legend to the right of a map of `values` ``(rows, columns)``.

    A map of scores gets a colour bar, a map of categories a swatch for each. With `gaps`, a hatched swatch
    explains cells without data; with `pale`, a note explains that less confident categories are paler.
    """
    axes.apply_aspect()
    box = axes.get_window_extent()
    inch = axes.figure.dpi / box.width, axes.figure.dpi / box.height
    swatch: dict[str, Any] = colours.NO_DATA
    no_data = [Patch(**swatch, label="no data", linewidth=0.5)] if gaps else []
    if paint.categories:
        handles = _category_swatches(values, paint, pale)
        corner = (1 + 0.16 * inch[0], 1)
        axes.legend(handles=[*handles, *no_data], loc="upper left", bbox_to_anchor=corner, **_LEGEND_STYLE)
        return
    foot = 0.4 * inch[1] if gaps and 0.4 * inch[1] < 0.5 else 0.0
    _draw_colour_bar(axes, values, paint, inch, foot, over_imagery)
    if no_data:
        axes.legend(
            handles=no_data, loc="lower left", bbox_to_anchor=(1 + 0.16 * inch[0], 0), **_LEGEND_STYLE
        )


def _category_swatches(values: NDArray[np.float32], paint: Paint, pale: bool) -> list[Patch]:
    """Return a swatch for each category, labelled with its share of the cells that have data."""
    codes = values[np.isfinite(values)].astype(int)
    counts = np.bincount(codes, minlength=len(paint.categories) + 1)
    handles = []
    for code, colour, name in paint.colour_stops():
        share = f"{counts[int(code)] / max(codes.size, 1):.0%}".replace("%", " %")
        label = _escape_dollars(textwrap.fill(f"{name}, {share}", _LINE_LETTERS))
        handles.append(Patch(facecolor=colour, label=label))
    note = Patch(facecolor="none", label=textwrap.fill("the paler, the less sure", _LINE_LETTERS))
    return [*handles, note] if pale else handles


def _escape_dollars(text: str) -> str:
    """Escape dollar signs: matplotlib would read them as formulas, and a legend cannot switch that off."""
    return text.replace("$", r"\$")


def _draw_colour_bar(
    axes: Any,
    values: NDArray[np.float32],
    paint: Paint,
    inch: tuple[float, float],
    foot: float,
    over_imagery: bool,
) -> None:
    """Draw a colour bar with the name and unit of the scale.

    `inch` is the length of an inch and `foot` the space below the bar, both as shares of the axes.
    """
    bar_axes = axes.inset_axes([1 + 0.16 * inch[0], foot, 0.17 * inch[0], 1 - foot])
    bar = axes.figure.colorbar(
        ScalarMappable(paint.norm, paint.blend_with_grey() if over_imagery else paint.colours),
        cax=bar_axes,
        extend=colours.clipped_ends(values, paint.norm),
        ticks=MaxNLocator(6, steps=[1, 2, 5, 10]),
    )
    label = textwrap.fill(paint.scale.label, max(int((1 - foot) / inch[1] / _LETTER_IN), 12))
    bar.set_label(label, fontsize=8, color=INK, labelpad=5)
    bar.outline.set(edgecolor="#9a9aa4", linewidth=0.5)
    bar_axes.tick_params(labelsize=7.5, length=2.5, width=0.5, color="#9a9aa4", labelcolor=INK)
