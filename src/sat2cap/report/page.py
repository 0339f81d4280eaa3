"""Filling a page's template with values, figures and pictures."""

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
    """Return a template such as ``report.md``, filled with `values`; text that goes into HTML is escaped.

    The template lies in `folder`, and may use the shared ``base.html`` and ``style.css`` of this package.

    A template writes a figure as ``fig(name, form)``: the figure of that name in `form`, a format such as
    ``{:.3f}``, with its name and full value beside it for whoever checks; a dash if there is no such figure.
    Raises jinja2's `UndefinedError` if the template uses a name that is not in `values`.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, _TEMPLATES]),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "beside": _beside}
    tools = {"fig": _figure_writer(figures), "img": _image, "share": _share(figures), "lonlat": format_lonlat}
    return environment.get_template(template).render({**values, **tools}) + "\n"


def _cell(text: str) -> str:
    """Return text as a cell of a Markdown table: on one line, its bars escaped."""
    return " ".join(str(text).replace("|", "\\|").split())


def _beside(text: str) -> Markup:
    """Return a value with the text in brackets after it, its interval, on a line of its own."""
    value, bracket, rest = text.partition(" (")
    return escape(value) + (Markup("<br><small>{}</small>").format(rest.removesuffix(")")) if bracket else "")


def _figure_writer(figures: Mapping[str, float]) -> Callable[[str, str], Markup]:
    def write(name: str, form: str = "{:.3f}") -> Markup:
        if name not in figures or math.isnan(figures[name]):
            return Markup(f'<span class="none">{UNDEFINED}</span>')
        value = figures[name]
        return Markup(
            f'<data value="{value!r}" data-figure="{escape(name)}" data-form="{escape(form)}">'
            f"{escape(form.format(value))}</data>"
        )

    return write


def _share(figures: Mapping[str, float]) -> Callable[[str, float, float], str]:
    def write(name: str, low: float = 0.0, high: float = 1.0) -> str:
        """Return the width of a bar, ``0.0%`` to ``100.0%``: where the figure lies from `low` to `high`."""
        value = figures.get(name, low)
        share = 0.0 if math.isnan(value) or high <= low else (value - low) / (high - low)
        return f"{100 * min(max(share, 0.0), 1.0):.1f}%"

    return write


def _image(picture: Picture, kind: str = "") -> Markup:
    return Markup(
        f'<img class="{escape(kind)}" src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(picture.alt)}">'
    )
