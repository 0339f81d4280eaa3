"""``sat2cap serve``."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from sat2cap.cli import console
from sat2cap.cli.ask.caption import CaptionerName
from sat2cap.cli.options import AtlasModel, Text
from sat2cap.errors import InputError

if TYPE_CHECKING:
    from sat2cap.server import AtlasCollection

_API_KEY = "SAT2CAP_API_KEY"
_DEMO_FOLDER = Path("demo")
_INTERRUPTED = 130
"""Exit status of a command that was interrupted, as shells have it."""


def serve(
    atlases: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="X.zarr",
            help="Atlases, also at an address, or folders of them; without one, those of the demo in this "
            "folder.",
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(metavar="N", help="The port; 0 takes any that is free.", min=0, max=65535)
    ] = 8000,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="The address to listen on; the default is this machine only."),
    ] = "127.0.0.1",
    public_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The address that people see, where a proxy stands in front."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Another page that may ask this server; may be repeated."),
    ] = None,
    base_map: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Tiles of a public map, with {z}, {x} and {y}, that the page offers to show underneath.",
        ),
    ] = None,
    base_map_credit: Annotated[
        str, typer.Option(metavar="TEXT", help="Whom to name where the public map is shown.")
    ] = "",
    cache_mb: Annotated[
        int, typer.Option(metavar="MB", help="Memory for maps that were computed.", min=0)
    ] = 512,
    max_scans: Annotated[int, typer.Option(metavar="N", help="Maps computed at once.", min=1)] = 2,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    model: AtlasModel = None,
    text: Text = None,
    captioner: CaptionerName = None,
) -> None:
    """Serve atlases over HTTP: prompts become map layers in a page, in QGIS, in anything that reads tiles.

    Prints the address and runs until it is interrupted. Only this machine can reach it unless --host says
    otherwise. With SAT2CAP_API_KEY set, requests must bring it in the header X-API-Key.
    """
    from sat2cap.server import ServerSettings, run_server

    settings = ServerSettings(
        host,
        port,
        public_url,
        os.environ.get(_API_KEY) or None,
        tuple(allow_origin or ()),
        cache_mb,
        max_scans,
        base_map=base_map,
        base_map_credit=base_map_credit,
    )
    if not settings.is_local:
        _say_what_is_open(settings.api_key is not None)

    def say_address(url: str, collection: "AtlasCollection") -> None:
        console.print_facts([("serving", ", ".join(collection.slugs)), ("address", url)])
        sys.stdout.flush()  # into a log, too, it is wanted now and not when the server ends
        if browser:
            import webbrowser

            webbrowser.open(url)

    paths = atlases or [_find_demo()]
    try:
        run_server(paths, settings, model, text, captioner, say_address, _say_what_is_ready)
    except KeyboardInterrupt:
        _leave_at_once(_INTERRUPTED)
    _leave_at_once(0)  # a signal to stop does not end process 1 of a container by itself


def _say_what_is_ready(collection: "AtlasCollection", seconds: float) -> None:
    """Say in a line how many atlases are open, and in one each which are not."""
    served = [collection.describe(slug) for slug in collection.slugs]
    ready = sum(not one.problem for one in served)
    console.print_facts([("ready", f"{ready} of {len(served)} atlases, in {seconds:.1f} s")])
    sys.stdout.flush()
    for one in served:
        if one.problem:
            console.print_warning(f"{one.slug} cannot be used: {one.problem}")


def _leave_at_once(status: int) -> NoReturn:
    """End the process without waiting for what threads still compute: nobody asks for it any more.

    The interpreter would wait for them, and then take down all that was loaded: seconds on a busy machine.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _find_demo() -> str:
    """Return the folder of the demo's atlases. Raises `InputError` if it has not been made here."""
    if not _DEMO_FOLDER.is_dir():
        raise InputError(
            "no atlas is given, and there is no folder demo here; give an atlas, or make one with: "
            "sat2cap demo --out demo"
        )
    return str(_DEMO_FOLDER)


def _say_what_is_open(has_key: bool) -> None:
    """Print who can reach a server that listens beyond this machine."""
    rule = "only those with the key" if has_key else f"everyone; set {_API_KEY} to ask for a key"
    console.print_warning(f"other machines can reach this server and read its maps and imagery: {rule}")
