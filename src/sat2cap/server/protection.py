"""Around every request: security headers, the key, the limit of bodies, the address behind a proxy."""

import asyncio
import hmac
import time
from urllib.parse import urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sat2cap.server.metrics import Metrics
from sat2cap.server.problems import problem
from sat2cap.server.settings import LOOPBACK, MAX_BODY_BYTES, ServerSettings

_CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; worker-src 'self'; "
    "connect-src {sources}; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
"""The page runs its own scripts only, and talks to this server and the base map, if there is one, only."""


def security_headers(settings: ServerSettings) -> dict[str, str]:
    """Return the headers of every answer."""
    base_map = settings.base_map_origin
    sources = "'self'" if base_map is None else f"'self' {base_map}"
    return {
        "Content-Security-Policy": _CONTENT_SECURITY_POLICY.format(sources=sources),
        "X-Content-Type-Options": "nosniff",
        # tile services want to know which site asks; the prompt is in no address that they see
        "Referrer-Policy": "no-referrer" if base_map is None else "strict-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }


_OPEN_PATHS = ("/api/health", "/api/version")
"""Answered without a key, for the machines that watch a server."""


_STOPPING = "the server is stopping; ask again when it is back"


class Protection:
    """ASGI middleware; it passes bodies on as they come and never buffers an answer."""

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        """Wrap the ASGI application `app`."""
        self._app, self._settings, self._metrics = app, settings, metrics
        self._headers = security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request: refuse it, or pass it on and add the headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._apply_public_url(scope)
        start, status, is_head = time.perf_counter(), 0, scope["method"] == "HEAD"
        # An answer to HEAD is that to GET without its body. Answers are whole: a part of one that is computed
        # anew may not fit to the part that came before. The web server's own record stays as it is.
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        scope = {**scope, "method": "GET" if is_head else scope["method"], "headers": headers}

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        try:
            refusal = self._find_refusal(scope)
            if refusal is not None:
                await problem(*refusal)(scope, receive, send_with_headers)
            else:
                await self._app(scope, _limit_body(receive), send_with_headers)
        except asyncio.CancelledError:  # the server stops, and has waited for this request as long as it does
            if status:
                raise
            await problem(503, _STOPPING)(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.count("requests_total", route=route, status=str(status))
            self._metrics.count("request_seconds_sum", time.perf_counter() - start, route=route)

    def _find_refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and sentence for a request that must not go further; None if it may."""
        headers = Headers(scope=scope)
        if self._settings.is_local and self._settings.public_url is None and not _names_loopback(headers):
            return 400, "this server answers to names of this machine only; ask for 127.0.0.1"
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 20):
            return 400, "the length of the body is not a number; leave it out, or send it right"
        if int(length) > MAX_BODY_BYTES:
            return 413, f"the body is larger than {MAX_BODY_BYTES // 2**20} MB; send less"
        key, path = self._settings.api_key, scope["path"].removeprefix(self._settings.root_path)
        needs_key = key is not None and (path.startswith(("/api", "/metrics"))) and path not in _OPEN_PATHS
        if needs_key and not hmac.compare_digest(
            headers.get("x-api-key", "").encode(), str(self._settings.api_key).encode()
        ):
            return 401, "this server asks for a key; send it in the header X-API-Key"
        return None

    def _apply_public_url(self, scope: Scope) -> None:
        """Let the request look as it did before the proxy, so that addresses in answers are right."""
        if self._settings.public_url is None:
            return
        public = urlsplit(self._settings.public_url)
        scope["scheme"] = public.scheme
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        scope["headers"] = [
            *others,
            (b"host", public.netloc.encode("idna" if not public.netloc.isascii() else "ascii")),
        ]
        root = self._settings.root_path
        scope["root_path"] = root
        if root and not scope["path"].startswith(f"{root}/"):
            scope["path"] = root + scope["path"]  # a proxy may pass the path with its prefix, or without


def _names_loopback(headers: Headers) -> bool:
    """Return whether a request names this machine as its host.

    A page elsewhere cannot reach this machine by a name that it made to point here.
    """
    host = headers.get("host", "").lower()
    name = host[: host.rfind("]") + 1].strip("[]") if host.startswith("[") else host.partition(":")[0]
    return name in LOOPBACK


def _limit_body(receive: Receive) -> Receive:
    """Return a `receive` that raises `HTTPException` once a body of unstated length has grown too large."""
    received = 0

    async def receive_within_limit() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            # of FastAPI's own class: any other becomes "There was an error parsing the body"
            raise HTTPException(413, f"the body is larger than {MAX_BODY_BYTES // 2**20} MB; send less")
        return message

    return receive_within_limit
