"""Whether a score was conditioned on the date that was asked for, as data and in words.

A score carries it as data: its attribute `dynamic` is a value of `Conditioning`, and `training_years` comes
with `Conditioning.YEAR_OUT_OF_RANGE`. Files, pictures and warnings say it in words, which are made here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

CONDITIONING_KEY = "dynamic"
"""The attribute of a score with the value of its `Conditioning`; the tag of a file with the same in words."""

TRAINING_YEARS_KEY = "training_years"
"""The attribute of a score with first and last year of the training photos, if the date is outside them."""


class Conditioning(StrEnum):
    """How the date that was asked for entered a score."""

    STATIC = "static"
    """No date was asked for."""
    CONDITIONED = "dynamic"
    """The Dynamic Encoder added its offset for the place and the date to every embedding."""
    NO_DYNAMIC_ENCODER = "no-dynamic-encoder"
    """A date was asked for, but the model has no Dynamic Encoder: the scores are the static ones."""
    YEAR_OUT_OF_RANGE = "year-out-of-range"
    """As `CONDITIONED`, at a year outside those of the training photos: the offset is extrapolated."""


def conditioning_of(attrs: Mapping[Any, Any]) -> Conditioning | None:
    """Return the conditioning in the attributes of a score; None if they do not hold one."""
    value = str(attrs.get(CONDITIONING_KEY, ""))
    return Conditioning(value) if value in set(Conditioning) else None


def date_warning(attrs: Mapping[Any, Any]) -> str:
    """Return what is wrong with the date of a score, to follow "the date is"; empty if nothing is.

    >>> date_warning({"dynamic": "no-dynamic-encoder"})
    'ignored: the model has no Dynamic Encoder'
    """
    match conditioning_of(attrs):
        case Conditioning.NO_DYNAMIC_ENCODER:
            return "ignored: the model has no Dynamic Encoder"
        case Conditioning.YEAR_OUT_OF_RANGE:
            first, last = attrs[TRAINING_YEARS_KEY]
            return f"outside the years of the training photos, {first} to {last}: the model guesses"
        case _:
            return ""


def with_conditioning_words(attrs: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return the attributes as files carry them: the conditioning in words, and no years beside it.

    The words are `static`, `dynamic` or the text of `date_warning`. Other attributes are not changed.
    """
    words = {key: value for key, value in attrs.items() if key != TRAINING_YEARS_KEY}
    warning = date_warning(attrs)
    return words | {CONDITIONING_KEY: warning} if warning else words
