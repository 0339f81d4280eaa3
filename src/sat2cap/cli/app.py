"""The tree of commands, and the conversion of errors to one line and an exit status."""

import gc
import os
import re
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any, TextIO

import typer

from sat2cap.cli import console
from sat2cap.cli.coercion import take_plain_values
from sat2cap.cli.deferred import defer_import
from sat2cap.cli.options import ACCEPT_OLD_STRETCH
from sat2cap.cli.repetition import refuse_repeated_options
from sat2cap.errors import Sat2CapError
from sat2cap.extras import explain_missing_module
from sat2cap.lookahead import count_cores
from sat2cap.redaction import redact_secrets

_NEGATIVE_NUMBERS = re.compile(r"-(\d|\.\d)[^\s]*,.*")

_FEW_CORES = 4
"""Most cores on which threads that wait for each other sleep."""

_OBJECTS_BEFORE_COLLECTION = 50_000
"""Objects that are made before Python looks for cycles of unused ones, instead of 700.

Importing makes hundreds of thousands that stay: looking through them again and again took a seventh of the
time of a command's imports (docs/RESULTS.md).
"""

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser of typer raises for a command line that it cannot read."""

COMMANDS = {
    "demo": "build.demo:demo",
    "pairs": "build.pairs:app",
    "train": "build.train:train",
    "embed": "build.embed:embed",
    "map": "ask.map:map_prompts",
    "difference": "ask.difference:difference",
    "classify": "ask.classify:classify",
    "search": "ask.map:search",
    "zones": "ask.zones:zones",
    "serve": "ask.serve:serve",
    "caption": "ask.caption:caption",
    "concepts": "ask.caption:concepts",
    "atlas": "manage.atlas:app",
    "evaluate": "evaluate.group:app",
    "report": "evaluate.report:report",
    "models": "manage.models:app",
    "imagery": "manage.imagery:app",
}
"""Module in `sat2cap.cli` and name of every command or group of commands; in the order of the help, but that
groups come last."""


def make_command(*names: str) -> Any:
    """Return the tree of commands with those of `COMMANDS` that are named, or all without names.

    Only the modules of these are imported, and only their options are made: with all, that takes as long as
    the import of numpy.
    """
    app = typer.Typer(
        name="sat2cap",
        help="Type a sentence, get a map: text-prompted maps from overhead imagery.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(top_level)
    for name in names or COMMANDS:
        module, _, attribute = COMMANDS[name].partition(":")
        command = getattr(import_module(f"sat2cap.cli.{module}"), attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            settings = ACCEPT_OLD_STRETCH if name == "embed" else None
            app.command(name, context_settings=settings)(command)
    tree = typer.main.get_command(app)
    take_plain_values(tree)
    refuse_repeated_options(tree)
    return tree


def print_version(requested: bool) -> None:
    """Print the name and version of the installed package and exit, if `requested`."""
    if requested:
        from importlib import metadata  # costs as much as all of typer, and no other command needs it

        print(f"sat2cap {metadata.version('sat2cap')}")
        raise typer.Exit


def top_level(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Type a sentence, get a map: text-prompted maps from overhead imagery."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line and exit with its status.

    0: it is done. 1: it failed. 2: an argument or an input is wrong. 130: it was interrupted by ctrl-C.
    `argv` is the command line without the program's name, that of the process if left out.
    """
    defer_import("boto3")
    _let_waiting_threads_sleep()
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    arguments = [_protect_negative_numbers(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    try:
        _require_local_outputs(arguments)
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", category)  # these address programmers
            # About damaged photos, one line each: what cannot be read of them is counted as a fault.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            command = make_command(*[name for name in arguments[:1] if name in COMMANDS])
            raise SystemExit(command(args=arguments, prog_name="sat2cap", standalone_mode=False))
    except _USAGE_ERROR as error:
        print(redact_secrets(_describe_usage(error)), file=sys.stderr)
        raise SystemExit(2) from None
    except typer.Abort:  # what typer makes of an EOFError
        print("error: the input ended too early", file=sys.stderr)
        raise SystemExit(1) from None
    except Sat2CapError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None
    except ModuleNotFoundError as error:
        explanation = explain_missing_module(error.name)
        if explanation is None:
            raise
        print(f"error: {explanation}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        print(
            f"error: {redact_secrets(str(error))}; check the path, the permissions and the disk",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _let_waiting_threads_sleep() -> None:
    """Set how threads of a network wait for each other, where there are few cores and nobody has set it.

    By default they keep their cores busy meanwhile, on which other threads could decode pictures: with two
    cores, embedding photos then takes a quarter longer (docs/RESULTS.md). It is not measured with many cores.
    OpenMP reads the variable when PyTorch is imported.
    """
    if count_cores() <= _FEW_CORES:
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _describe_usage(error: Any) -> str:
    """Return one line that names the argument which the parser refused, and the page of help to read.

    Without any argument, a command answers with that page itself.
    """
    message = str(error.format_message())
    if error.ctx is not None and message == error.ctx.get_help():
        return message
    message = " ".join(message.rstrip(".? \n").replace(". Did you mean", ", did you mean").split())
    command = "sat2cap" if error.ctx is None else error.ctx.command_path
    return f"error: {message[:1].lower()}{message[1:]}; see: {command} --help"


def _require_local_outputs(arguments: Sequence[str]) -> None:
    """Raise `InputError` before any work if the value of an option that names an output is an address.

    Atlases and pair sets are what is written to one.
    """
    command = next(iter(arguments), "")
    options = {"--sheet", "--download", "--cache"}
    options |= set() if command in ("embed", "pairs") else {"-o", "--out"}
    options |= set() if command in ("caption", "concepts") else {"--json"}  # a flag there, without a value
    values = [value for option, value in pairwise(arguments) if option in options]
    values += [text.partition("=")[2] for text in arguments if text.partition("=")[0] in options]
    if "-o" in options:
        values += [text[2:].removeprefix("=") for text in arguments if text.startswith("-o")]
    if any(":/" in value for value in values):
        from sat2cap.stores import require_local

        for value in values:
            require_local(value)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of a library on one line, as our own are printed, without the line of code it names."""
    console.print_warning(" ".join(str(message).split()))


def _protect_negative_numbers(argument: str) -> str:
    """Return the argument, with a space before a list of numbers that starts with a minus.

    ``-71.2,42.3,-71.0,42.4`` is a region, which would be read as an option; numbers with a space are parsed
    as well as without.
    """
    return f" {argument}" if _NEGATIVE_NUMBERS.fullmatch(argument) else argument
