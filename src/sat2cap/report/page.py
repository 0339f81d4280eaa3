"""Pages from templates, filled with values, figures and pictures."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from sat2cap.formatting import UNDEFINED, format_lonlat
from sat2cap.report.pictures import Picture

_TEMPLATES = Path(__file__).parent / "templates"


def render_page(
    template: str, values: Mapping[str, Any], figures: Mapping[str, float], *, folder: Path = _TEMPLATES
) -> str:
    """Return the template of that name, such as ``report.md``, filled with `values`; HTML is escaped.

    The template lies in `folder` and may use the shared ``base.html`` and ``style.css`` of this package.

    Beside `values` a template can use these functions and filters:

    - ``fig(name, form)`` writes the figure of that name in `form`, a format such as ``{:.3f}``, and keeps its
      name and full value as attributes for whoever checks the page; a dash if there is no such figure;
    - ``share(name, low, high)`` is the width of a bar for that figure, in percent;
    - ``img(picture, kind)`` shows a `Picture`, with `kind` as its class;
    - ``lonlat(lon, lat)`` writes a place; ``|cell`` fits text into a Markdown table; ``|beside`` puts the
      interval of a metric on a line of its own.

    Raises jinja2's `UndefinedError` if the template uses a name that is not in `values`.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _escape_cell, "beside": _interval_below}
    functions = {
        "fig": _figure_writer(figures),
        "img": _image_tag,
        "share": _bar_width_writer(figures),
        "lonlat": format_lonlat,
    }
    return environment.get_template(template).render({**values, **functions}) + "\n"


def _escape_cell(text: str) -> str:
    """Return text as a cell of a Markdown table: on one line, its bars escaped."""
    return " ".join(str(text).replace("|", "\\|").split())


def _interval_below(text: str) -> Markup:
    """Return ``value (interval)`` as HTML with the interval, without brackets, on a line of its own."""
    value, bracket, rest = text.partition(" (")
    return escape(value) + (Markup("<br><small>{}</small>").format(rest.removesuffix(")")) if bracket else "")


def _figure_writer(figures: Mapping[str, float]) -> Callable[[str, str], Markup]:
    """Return the function ``fig`` of templates, which writes one of `figures`."""

    def write_figure(name: str, form: str = "{:.3f}") -> Markup:
        if name not in figures or math.isnan(figures[name]):
            return Markup(f'<span class="none">{UNDEFINED}</span>')
        value = figures[name]
        return Markup(
            f'<data value="{value!r}" data-figure="{escape(name)}" data-form="{escape(form)}">'
            f"{escape(form.format(value))}</data>"
        )

    return write_figure


def _bar_width_writer(figures: Mapping[str, float]) -> Callable[[str, float, float], str]:
    """Return the function ``share`` of templates, which gives the width of a bar for one of `figures`."""

    def write_width(name: str, low: float = 0.0, high: float = 1.0) -> str:
        """Return the width of a bar, ``0.0%`` to ``100.0%``: where the figure lies from `low` to `high`."""
        value = figures.get(name, low)
        share = 0.0 if math.isnan(value) or high <= low else (value - low) / (high - low)
        return f"{100 * min(max(share, 0.0), 1.0):.1f}%"

    return write_width


def _image_tag(picture: Picture, kind: str = "") -> Markup:
    return Markup(
        f'<img class="{escape(kind)}" src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(picture.alt)}">'
    )
