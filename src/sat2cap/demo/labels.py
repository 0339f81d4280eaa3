"""Prompts and dates as text: in file names, in names of metrics, and on the page."""

import re

from sat2cap.demo.story import PromptLabel
from sat2cap.formatting import format_moment
from sat2cap.geo import When
from sat2cap.miniworld import Prompt, find_concept


def to_slug(text: str) -> str:
    """Return a text as lower-case letters, digits and underscores: ``the_bank_of_a_river``."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def format_when(when: When | None) -> str:
    """Return a date as ``15 January, 08:00``, or nothing for no date.

    The year is left out, as nothing in the miniature world depends on it.
    """
    if when is None:
        return ""
    return format_moment(when.day, when.month, when.hour)


def label_prompt(prompt: Prompt, when: When | None = None) -> PromptLabel:
    """Return a prompt, at a date if one is given, as the page prints it."""
    hidden = not find_concept(prompt.concept).visible_from_above
    return PromptLabel(prompt.text, format_when(when), to_slug(prompt.text), prompt.concept, hidden)
