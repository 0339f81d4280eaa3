"""How a value shows itself in a notebook: a picture beside a table of facts."""

import base64
import html
from collections.abc import Mapping
from typing import Any


def facts_html(title: str, facts: Mapping[str, str], png: bytes | None = None) -> str:
    """Return an HTML fragment: `title` over names and texts, beside the picture `png`.

    Everything is escaped, so that a file's name cannot become markup.
    """
    rows = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
        f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
        for name, text in facts.items()
    )
    picture = ""
    if png is not None:
        data = base64.b64encode(png).decode()
        picture = f"<img alt='' style='max-height:160px' src='data:image/png;base64,{data}'>"
    table = f"<table><caption>{html.escape(title)}</caption>{rows}</table>"
    return f"<div style='display:flex;gap:1em;align-items:flex-start'>{picture}{table}</div>"


def training_years_text(card: Mapping[str, Any]) -> str:
    """Return the years of a model's training photos from its card, or ``unknown``.

    >>> training_years_text({"training": {"years": [2008, 2024]}})
    '2008 to 2024'
    """
    first, last = card.get("training", {}).get("years") or (None, None)
    return "unknown" if first is None else f"{first} to {last}"
