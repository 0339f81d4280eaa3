"""Prompts and dates as file names, names of figures, and people write them."""

import re

from sat2cap.demo.story import Asked
from sat2cap.formatting import format_moment
from sat2cap.geo import When
from sat2cap.miniworld import Prompt, find_concept


def slug(text: str) -> str:
    """Letters, digits and underscores: ``the_bank_of_a_river``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def spoken(when: When | None) -> str:
    """``15 January, 08:00``; empty for no date. The year is left out: the miniature world has none."""
    if when is None:
        return ""
    return format_moment(when.day, when.month, when.hour)


def asked(prompt: Prompt, when: When | None = None) -> Asked:
    """A prompt as the page writes it."""
    hidden = not find_concept(prompt.concept).visible_from_above
    return Asked(prompt.text, spoken(when), slug(prompt.text), prompt.concept, hidden)
