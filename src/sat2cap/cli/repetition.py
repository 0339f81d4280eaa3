"""An option that takes one value is refused when it is given twice.

By custom the last one would win without a word, and a map would be of one of the two dates asked for.
"""

from collections.abc import Callable
from typing import Any

from sat2cap.errors import InputError


def refuse_repeated_options(command: Any) -> None:
    """Let commands of typer raise `InputError` for an option of one value that is given more than once.

    Switches may be repeated, since that changes nothing; so may options that collect their values.
    """
    for subcommand in getattr(command, "commands", {}).values():
        refuse_repeated_options(subcommand)
    command.make_parser = _make_strict(command.make_parser)


def _make_strict(make_parser: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a maker of parsers that check the order of what was given, which repeats what is repeated."""

    def make_strict_parser(context: Any) -> Any:
        parser = make_parser(context)
        parse = parser.parse_args

        def parse_args(args: list[str]) -> tuple[dict[str, Any], list[str], list[Any]]:
            values, rest, order = parse(args)
            for param in order:
                takes_one = param.param_type_name == "option" and not (param.multiple or param.is_flag)
                if takes_one and order.count(param) > 1:
                    name = max(param.opts, key=len)
                    raise InputError(f"{name} is given {order.count(param)} times; give it once")
            return values, rest, order

        parser.parse_args = parse_args
        return parser

    return make_strict_parser
