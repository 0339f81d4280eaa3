"""The page docs/cli.md, made of the commands: ``python -m sat2cap.cli.reference > docs/cli.md``."""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from sat2cap.cli.app import app

_HEAD = """\
# Command line

Made from the commands themselves by `python -m sat2cap.cli.reference > docs/cli.md`; a test compares the two.

Exit status: 0 done, 1 it failed, 2 something given is wrong, 130 interrupted. Results go to standard output;
progress, warnings and errors to standard error. An error is one line: the value, the rule, the next step.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(name, command) for name, command in _commands())])


def _commands() -> Iterator[tuple[str, Any]]:
    """``(name, command)`` of every command that does something, in the order of the help."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        below = getattr(command, "commands", None)
        if below is None:
            yield f"sat2cap {name}", command
        else:
            yield from ((f"sat2cap {name} {inner}", found) for inner, found in below.items())


def _section(name: str, command: Any) -> str:
    """Heading, use, what it does, and a line for each argument and option."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    use = [name, *(_use(p) for p in arguments), *(_use(p) for p in options if p.required), "[OPTIONS]"]
    text = " ".join(command.help.split())
    lines = [f"- `{_names(p)}`: {p.help}{_default(p)}" for p in [*arguments, *options]]
    body = [
        f"## {name}",
        "",
        f"`{' '.join(use)}`",
        "",
        text,
        "",
        *lines,
        "",
    ]
    return "\n".join(body)


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def _use(parameter: Any) -> str:
    if parameter.param_type_name == "option":
        return f"{parameter.opts[0]} {parameter.metavar}"
    text = parameter.metavar + ("..." if parameter.nargs == -1 else "")
    return text if parameter.required else f"[{text}]"


def _default(parameter: Any) -> str:
    if parameter.required or parameter.default is None or parameter.default is False:
        return ""
    return f" Default: `{parameter.default}`."


if __name__ == "__main__":
    sys.stdout.write(reference())
