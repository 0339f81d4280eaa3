"""Every option that takes a number refuses what is no number, or none that it can use, in one line."""

from collections.abc import Iterator
from typing import Any

import pytest
from command import run

from sat2cap.cli.app import make_command
from sat2cap.cli.coercion import PlainCoercion
from sat2cap.errors import InputError

NO_NUMBERS = ["nan", "NaN", "inf", "-inf", "infinity", "1e999", "x", "", "1_0", "0x10", "1,5", "\u0663"]
ALSO_NOT_WHOLE = ["1.5", "1e3", "9" * 20]
ENDLESS = {"embed --cell", "embed --patch", "map --above", "difference --above"}
"""Options of any number, or whose range depends on others: what computes with them says what is wrong."""


def numeric_options(command: Any, names: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every parameter of the commands that takes a number, by its command's name and its own."""
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from numeric_options(subcommand, (*names, name))
    for param in command.params:
        coercion = param.get_runtime_param()
        if not isinstance(coercion, PlainCoercion):
            pytest.skip("this version of typer converts in another way", allow_module_level=True)
        if coercion.annotation in (int, float):
            yield " ".join((*names, param.opts[0])), param


OPTIONS = dict(numeric_options(make_command()))


def test_every_command_was_looked_at() -> None:
    assert len(OPTIONS) > 50
    assert {"embed --cell", "pairs build --error", "search --apart", "map --above"} <= set(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_no_usable_number_is_refused_in_one_line_that_names_it(option: str) -> None:
    param = OPTIONS[option]
    coercion = param.get_runtime_param()
    info, is_whole = coercion.descriptor.parameter_info, coercion.annotation is int
    bad = [*NO_NUMBERS, *(ALSO_NOT_WHOLE if is_whole else [])]
    bad += [] if info.min is None else [str(info.min - 1)]
    bad += [] if info.max is None else [str(info.max + 1)]
    for text in bad:
        with pytest.raises(InputError) as error:
            coercion.coerce(text, param=param, ctx=None)
        assert str(error.value).startswith(f"{option.rpartition(' ')[2]} {text!r} must be ")
    for end in (info.min, info.max):
        assert end is None or coercion.coerce(str(end), param=param, ctx=None) == end
    assert info.min is not None or option in ENDLESS


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("embed", "--cell", "nan"), "error: --cell 'nan' must be a finite number"),
        (
            ("pairs", "build", "--accuracy", "17"),
            "error: --accuracy '17' must be a whole number from 1 to 16",
        ),
        (("search", "--apart", "-1"), "error: --apart '-1' must be a finite number of 0 or more"),
        (("serve", "--max-scans", "0"), "error: --max-scans '0' must be a whole number of 1 or more"),
    ],
)
def test_the_line_is_all_that_is_printed(words: tuple[str, ...], line: str) -> None:
    done = run(*words)
    assert (done.status, done.err.strip(), done.out) == (2, line, "")
