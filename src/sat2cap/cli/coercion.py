"""Arguments that need no conversion, taken as they are, without the import of pydantic.

typer converts every argument by pydantic, whose import takes longer than to say that a path is wrong. What
is text, an absent option or a default needs no conversion; everything else is left to typer, and so are all
its messages.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import typer

_NUMBERS = {int: re.compile(r"-?[0-9]{1,9}"), float: re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")}
"""Numbers that everybody reads alike."""


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
        """Return the value as the command's function takes it. Raises typer's `BadParameter`."""
        is_several = param.multiple or param.nargs == -1
        if value is None:
            return () if is_several else None
        is_plain = self.descriptor.parameter_info.parser is None
        if is_plain and is_several and self.annotation == list[str]:
            if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
                return list(value)
        elif is_plain and not is_several:
            converted = self._convert_plain(value)
            if converted is not None:
                return converted
        return self.make_coercion().coerce(value, param=param, ctx=ctx)

    def _convert_plain(self, value: Any) -> Any:
        """Return one value as it is taken; None if that takes a conversion or a check."""
        kind, info = self.annotation, self.descriptor.parameter_info
        if not isinstance(kind, type):
            return None
        if issubclass(kind, Enum):
            names = {choice.value: choice for choice in kind}
            return value if isinstance(value, kind) else names.get(value)
        if kind is Path and _is_unchecked(info) and isinstance(value, str):
            return Path(value) if not os.path.exists(value) or os.access(value, os.R_OK) else None
        if kind in (int, float) and isinstance(value, str) and _NUMBERS[kind].fullmatch(value):
            value = kind(value)
            is_within = (info.min is None or info.min <= value) and (info.max is None or value <= info.max)
            return value if is_within else None
        return value if type(value) is kind and kind in (str, int, float) else None


def _is_unchecked(info: Any) -> bool:
    """Return whether a path may be anything that is readable, or nothing yet, as typer has it by default."""
    checks = (info.exists, info.resolve_path, info.writable, info.allow_dash, info.path_type)
    return not any(checks) and info.file_okay and info.dir_okay and info.readable
