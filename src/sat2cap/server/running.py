"""Starting and stopping a server: in a terminal, or in the background of a notebook."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import uvicorn

from sat2cap.api import OpenAtlas
from sat2cap.errors import InputError, JobError
from sat2cap.server.app import create_app
from sat2cap.server.collection import AtlasCollection
from sat2cap.server.settings import ServerSettings
from sat2cap.server.warming import WarmUp
from sat2cap.stores import Store

if TYPE_CHECKING:
    from sat2cap.model import Checkpoint

_STOP_S = 0.1
"""Seconds that open connections get when a server stops: enough for answers on their way, not for a scan."""
_START_S = 30.0
_BACKLOG = 2048


class ServerHandle:
    """A server that runs in the background; leave the block of ``with``, or call `stop`, to end it."""

    def __init__(
        self, server: uvicorn.Server, thread: threading.Thread, url: str, collection: AtlasCollection
    ) -> None:
        """Hold a server that has started."""
        self._server, self._thread, self._collection = server, thread, collection
        self.url = url
        """Address of the page."""
        self.atlases = collection.slugs
        """Names of the atlases in addresses."""

    def tile_url(self, prompt: str, atlas: str | None = None, **parameters: str) -> str:
        """Return the address of a prompt's map tiles, with ``{z}/{x}/{y}``, as map widgets take it.

        `parameters` are those of the server, such as ``when="2024-05"``, ``scale="contrast"`` or
        ``colormap_name="viridis"``. The atlas is opened, as a map widget shows nothing where tiles fail.
        Raises `AtlasError` if it is broken or its model cannot be found, and `UnknownAtlasError` for a name
        that is not served.

        >>> m.add_tile_layer(server.tile_url("a busy street"), name="busy", attribution="sat2cap")
        """
        slug = self._collection.get(atlas or self.atlases[0]).slug
        query = urlencode({"prompt": prompt, **parameters})
        tiles = f"{self.url}api/atlases/{slug}/map/tiles/WebMercatorQuad"
        return f"{tiles}/{{z}}/{{x}}/{{y}}.png?{query}"

    def stop(self) -> None:
        """End the server, within about a second. Calling it again does nothing."""
        self._server.should_exit = True
        self._thread.join(_STOP_S + 4)

    def __enter__(self) -> ServerHandle:
        """Return the handle itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server."""
        self.stop()

    def __repr__(self) -> str:
        """Return where it listens."""
        return f"<sat2cap server at {self.url}>"


def serve(
    atlases: str | Path | OpenAtlas | Sequence[str | Path],
    *,
    port: int = 0,
    model: str | Path | Checkpoint | None = None,
    text: str | Path | None = None,
    settings: ServerSettings | None = None,
    captioner: str | Path | None = None,
) -> ServerHandle:
    """Serve atlases from this process, in the background, and return a handle with their addresses.

    `atlases` is an opened atlas, the path or address of one, a folder of them, or several of these. `port` 0
    takes any that is free. `captioner` is that of `OpenAtlas.caption`. Raises `InputError`, `JobError` if the
    port is taken.

    >>> with sat2cap.serve("region.zarr") as server:
    ...     print(server.url, server.tile_url("a busy street"))
    """
    if isinstance(atlases, OpenAtlas):
        model, text = model or atlases.model, text or atlases.text
    collection = AtlasCollection(_to_paths(atlases), model, text, captioner)
    chosen = settings or ServerSettings(port=port)
    listener = _listen(chosen)
    server = uvicorn.Server(_configure(collection, chosen, WarmUp(collection)))
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, daemon=True, name="sat2cap-server"
    )
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise JobError("the server did not start; its log says why")
        time.sleep(0.01)
    return ServerHandle(server, thread, _address(chosen, listener), collection)


def run_server(
    paths: Sequence[Path | str],
    settings: ServerSettings,
    model: str | None = None,
    text: str | None = None,
    captioner: str | None = None,
    started: Callable[[str, AtlasCollection], None] = lambda url, collection: None,
    warmed_up: Callable[[AtlasCollection, float], None] = lambda collection, seconds: None,
) -> None:
    """Serve atlases until the process is interrupted.

    `started` is called with the address once it listens, `warmed_up` once every atlas is open, with the
    seconds that it took. Raises `InputError`, `JobError` if the port is taken or the server cannot start.
    """
    collection = AtlasCollection(paths, model, text, captioner)
    listener = _listen(settings)
    server = uvicorn.Server(_configure(collection, settings, WarmUp(collection, warmed_up)))
    started(_address(settings, listener), collection)
    server.run(sockets=[listener])
    if not server.started:
        raise JobError("the server did not start; its log says why")


def _to_paths(atlases: str | Path | OpenAtlas | Sequence[str | Path]) -> list[str | Path | Store]:
    """Return atlases as a list of places. Raises `InputError` for what is no path."""
    if isinstance(atlases, OpenAtlas):
        return [atlases.atlas.store]
    if isinstance(atlases, str | Path):
        return [atlases]
    if isinstance(atlases, list | tuple) and atlases:
        return [*atlases]
    raise InputError(
        f"atlases is a {type(atlases).__name__}; give the path of an atlas or of a folder of them"
    )


def _configure(collection: AtlasCollection, settings: ServerSettings, warm_up: WarmUp) -> uvicorn.Config:
    """Return uvicorn's settings: quiet, and stopping within a second."""
    return uvicorn.Config(
        create_app(collection, settings, warm_up),
        log_level="critical",  # faults are logged by the application itself
        access_log=False,  # prompts are what people typed
        server_header=False,
        timeout_graceful_shutdown=_STOP_S,  # type: ignore[arg-type]  # asyncio, which gets it, takes fractions
        timeout_keep_alive=20,
        lifespan="on",
    )


def _listen(settings: ServerSettings) -> socket.socket:
    """Return a socket that is bound. Raises `JobError` if the port is taken or the host is another's."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With its protocol named, asyncio turns Nagle's algorithm off: small answers would wait 40 ms otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)  # whoever opens the address as soon as it is printed is not refused
    except OSError as error:
        listener.close()
        raise JobError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); choose another with --port"
        ) from None
    return listener


def _address(settings: ServerSettings, listener: socket.socket) -> str:
    """Return the address to open in a browser, with a slash at the end."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/") + "/"
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
