"""How the values of arguments are taken: plain ones as they are, numbers by rules of our own.

typer converts every argument by pydantic, whose import takes longer than to say that a path is wrong. What
is text, an absent option or a default needs no conversion. A number is read here, so that one that cannot be
used is one line with the value and the rule. Everything else is left to typer, and so are its messages.
"""

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from sat2cap.errors import InputError

_NUMBERS = {
    int: ("a whole number", re.compile(r"[+-]?[0-9]{1,18}")),
    float: ("a finite number", re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")),
}
"""What a number is called, and how it is written; a whole one fits in 64 bits."""


def take_plain_values(command: Any) -> None:
    """Let a command of typer, and all below it, take values as they are where that gives the same.

    Commands of a version of typer that works in another way stay as they are.
    """
    for subcommand in getattr(command, "commands", {}).values():
        take_plain_values(subcommand)
    for param in (*command.params, command.get_help_option(typer.Context(command))):
        convert = getattr(param, "get_runtime_param", None)
        if convert is not None and hasattr(param, "type_descriptor"):
            coercion = PlainCoercion(param.type_descriptor.annotation, param.type_descriptor, convert)
            param.get_runtime_param = lambda coercion=coercion: coercion


@dataclass(frozen=True)
class PlainCoercion:
    """What typer calls to convert the value of one parameter."""

    annotation: Any
    """The parameter's type, without None."""
    descriptor: Any
    """What typer knows of the parameter's type."""
    make_coercion: Callable[[], Any]
    """Makes typer's own coercion, which imports pydantic."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the value as the command's function takes it.

        Raises `InputError` for a number that cannot be used, and typer's `BadParameter`.
        """
        is_several = param.multiple or param.nargs == -1
        if value is None:
            return () if is_several else None
        if value == "" and self.annotation is Path:  # as of a variable of the shell that is not set
            raise InputError(f"{max(param.opts, key=len)} is empty; give a path")
        is_plain = self.descriptor.parameter_info.parser is None
        if is_plain and is_several and self.annotation == list[str]:
            if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
                return list(value)
        elif is_plain and self.annotation in (int, float) and isinstance(value, str):
            info, name = self.descriptor.parameter_info, max(param.opts, key=len)
            return _read_number(value, self.annotation, info, name)
        elif is_plain and not is_several:
            converted = self._convert_plain(value, max(param.opts, key=len))
            if converted is not None:
                return converted
        return self.make_coercion().coerce(value, param=param, ctx=ctx)

    def _convert_plain(self, value: Any, name: str) -> Any:
        """Return one value as it is taken; None if that takes a conversion or a check."""
        kind, info = self.annotation, self.descriptor.parameter_info
        if not isinstance(kind, type):
            return None
        if issubclass(kind, Enum):
            return value if isinstance(value, kind) else _read_choice(value, kind, name)
        if kind is Path and _is_unchecked(info) and isinstance(value, str):
            return Path(value) if not os.path.exists(value) or os.access(value, os.R_OK) else None
        return value if type(value) is kind and kind in (str, int, float) else None


def _read_number(text: str, kind: type[int] | type[float], info: Any, name: str) -> int | float:
    """Return the number that a text writes. Raises `InputError` if it is none, infinite or out of range."""
    noun, form = _NUMBERS[kind]
    low, high = info.min, info.max
    if form.fullmatch(text.strip()):
        number = kind(text)
        if math.isfinite(number) and (low is None or low <= number) and (high is None or number <= high):
            return number
    either = "" if low is None else f" of {low:g} or more"
    if high is not None:
        either = f" of {high:g} or less" if low is None else f" from {low:g} to {high:g}"
    raise InputError(f"{name} {text!r} must be {noun}{either}")


def _read_choice(text: Any, kind: type[Enum], name: str) -> Enum:
    """Return the member of a choice that a text names. Raises `InputError` if there is none."""
    choices = {str(choice.value): choice for choice in kind}
    if text not in choices:
        raise InputError(f"{name} {text!r} is unknown; use one of {', '.join(choices)}")
    return choices[text]


def _is_unchecked(info: Any) -> bool:
    """Return whether a path may be anything that is readable, or nothing yet, as typer has it by default."""
    checks = (info.exists, info.resolve_path, info.writable, info.allow_dash, info.path_type)
    return not any(checks) and info.file_okay and info.dir_okay and info.readable
