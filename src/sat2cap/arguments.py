"""Arguments that callers of the library pass, checked in one line that names the argument."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path

from sat2cap.errors import InputError

NumbersLike = str | Sequence[float]
"""Numbers as text with commas, as on the command line (``"4,3,2"``), or as a sequence or array."""


def type_words(value: object) -> str:
    """Return the type of a value as a message says it: an article and a name, or None.

    >>> type_words(7), type_words((1, 2)), type_words(None)
    ('an int', 'a tuple', 'None')
    """
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def check_path(
    value: object, argument: str, forms: str = "the path of a folder", opened: str | None = None
) -> None:
    """Raise `InputError` if an argument is neither a path nor text, or empty; `forms` is what to give.

    `opened` is an attribute of what is taken as it is, such as an imagery that was opened before.

    >>> check_path(7, "out")
    Traceback (most recent call last):
    sat2cap.errors.InputError: out is an int; give the path of a folder
    """
    if not isinstance(value, str | Path) and (opened is None or not hasattr(value, opened)):
        raise InputError(f"{argument} is {type_words(value)}; give {forms}")
    if isinstance(value, str) and not value.strip():  # as of a variable that is not set
        raise InputError(f"{argument} is empty; give {forms}")
    if isinstance(value, str | Path) and "\0" in str(value):  # which no file system stores
        raise InputError(f"{argument} {str(value)!r} holds a null character; give {forms}")


def check_text(value: object, argument: str, example: str) -> None:
    """Raise `InputError` if an argument is no text; what it may say is checked where it is used.

    >>> check_text(7, "scale", "cosine")
    Traceback (most recent call last):
    sat2cap.errors.InputError: scale is an int; give text, such as 'cosine'
    """
    if not isinstance(value, str):
        raise InputError(f"{argument} is {type_words(value)}; give text, such as {example!r}")


def check_sequence(value: object, argument: str, forms: str) -> None:
    """Raise `InputError` if an argument is no list, tuple or the like of values; one text is none."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise InputError(f"{argument} is {type_words(value)}; give {forms}")


def numbers_text(value: NumbersLike | None, argument: str, example: str) -> str | None:
    """Return numbers as text with commas; text and None stay as they are. Raises `InputError`.

    >>> numbers_text((0, 0.25), "stretch", "0,3000")
    '0,0.25'
    """
    if value is None or isinstance(value, str):
        return value
    forms = f"text such as {example!r}, or a tuple of numbers"
    check_sequence(value, argument, forms)
    numbers = list(value)
    if not numbers:
        raise InputError(f"{argument} is empty; give {forms}")
    for number in numbers:
        check_number(number, f"a number of {argument}")
    return ",".join(f"{float(number):.15g}" for number in numbers)


def check_count(value: object, argument: str) -> None:
    """Raise `InputError` if an argument is no whole number from 1 on; numpy's integers are whole numbers."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        shown = value if isinstance(value, Real) else type_words(value)
        raise InputError(f"{argument} is {shown}; give a whole number from 1 on")


def check_metres(value: object, argument: str) -> None:
    """Raise `InputError` if an argument is no finite number from 0 on, such as a distance in metres."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < math.inf:
        shown = value if isinstance(value, Real) else type_words(value)
        raise InputError(f"{argument} is {shown}; give a number of metres from 0 on")


def check_number(value: object, argument: str) -> None:
    """Raise `InputError` if an argument is no number; its range is checked where it is used."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise InputError(f"{argument} is {type_words(value)}; give a number")
