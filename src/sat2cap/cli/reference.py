"""The page docs/cli.md, generated from the commands: ``python -m sat2cap.cli.reference > docs/cli.md``."""

import sys
from collections.abc import Iterator
from typing import Any

from sat2cap.cli.app import make_command

_PAGE_HEAD = """\
# Command line

Generated from the commands by `python -m sat2cap.cli.reference > docs/cli.md`; a test compares the two.

Exit status: 0 done, 1 failed, 2 an argument or an input is wrong, 130 interrupted. Results go to standard
output; progress, warnings and errors to standard error. An error is one line: the value, the rule, the next
step.
"""


def render_reference() -> str:
    """Return the page as Markdown: a section for each command, in the order of ``sat2cap --help``."""
    return "\n".join([_PAGE_HEAD, *(_render_section(name, command) for name, command in _list_commands())])


def _list_commands() -> Iterator[tuple[str, Any]]:
    """Yield ``(name, command)`` of every command in the order of the help, subcommands in place of groups."""
    for name, command in make_command().commands.items():
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield f"sat2cap {name}", command
        else:
            yield from ((f"sat2cap {name} {inner}", subcommand) for inner, subcommand in subcommands.items())


def _render_section(name: str, command: Any) -> str:
    """Return the section of a command: heading, usage, description, and a line for each parameter."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    usage = [
        name,
        *(_format_usage(p) for p in arguments),
        *(_format_usage(p) for p in options if p.required),
        "[OPTIONS]",
    ]
    text = " ".join(command.help.split())
    lines = [f"- `{_format_names(p)}`: {p.help}{_format_default(p)}" for p in [*arguments, *options]]
    body = [
        f"## {name}",
        "",
        f"`{' '.join(usage)}`",
        "",
        text,
        "",
        *lines,
        "",
    ]
    return "\n".join(body)


def _format_names(parameter: Any) -> str:
    """Return an argument's metavar, or an option's names and metavar: ``-o, --out FILE``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return f"{names} {parameter.metavar}" if parameter.metavar else names


def _format_usage(parameter: Any) -> str:
    """Return a parameter as it stands in the usage line: ``[REGION]``, ``PROMPT...``, ``-o FILE``."""
    if parameter.param_type_name == "option":
        return f"{parameter.opts[0]} {parameter.metavar}"
    text = parameter.metavar + ("..." if parameter.nargs == -1 else "")
    return text if parameter.required else f"[{text}]"


def _format_default(parameter: Any) -> str:
    """Return the sentence that states a default, or nothing for a flag or an optional value without one."""
    default = parameter.opts[0] if parameter.default is True else parameter.default
    if parameter.required or default is None or default is False or default == "":
        return ""
    return f" Default: `{default}`."


if __name__ == "__main__":
    sys.stdout.write(render_reference())
