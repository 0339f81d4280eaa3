"""An S3 server on loopback behind a proxy that counts what passes, and can be slow, fail or cut it short.

::

    with s3_server() as server:          # the environment then names it, with credentials
        server.upload(folder, "s3://maps-bucket/x.zarr")
        server.faults = lambda method, path: 503 if path.endswith("/c/0/0") else None

A fault is a status, `CUT` (half of the body arrives), `STALL` (half arrives, the rest only after a while, or
not at all if the client leaves) or None. The server itself is moto's.
"""

import http.client
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

from sat2cap.errors import StoreError

BUCKET = "maps-bucket"
KEY_ID, SECRET = "AKIALOOPBACK", "a-secret-of-loopback"
CUT, STALL = "cut", "stall"
STALL_S = 2.0
_CREDENTIAL = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20200101/us-east-1/s3/aws4_request"


@dataclass
class S3Server:
    """The server as tests see it."""

    url: str
    faults: Callable[[str, str], int | str | None] = lambda method, path: None
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request so far."""
    sent_bytes: int = 0
    """Bytes of the bodies of all answers so far."""
    received_bytes: int = 0
    """Bytes of the bodies of all requests so far."""
    side_by_side: int = 0
    """Largest number of requests under way at one time."""

    def upload(self, folder: Path, address: str) -> None:
        """Put every file of a folder below an ``s3://`` address."""
        for file in folder.rglob("*"):
            if file.is_file():
                path = f"{address.removeprefix('s3:/')}/{file.relative_to(folder).as_posix()}"
                self.request("PUT", path, file.read_bytes())

    def request(self, method: str, path: str, body: bytes = b"") -> int:
        """Ask the server itself, past the proxy, and return the status."""
        connection = http.client.HTTPConnection(self._behind, timeout=60)
        connection.request(method, path, body, {"Authorization": _CREDENTIAL})
        status = connection.getresponse().status
        connection.close()
        return status

    def forget(self) -> None:
        """Count from zero again, once what earlier tests asked for is no longer under way."""
        deadline_s = time.monotonic() + 20
        while self._under_way and time.monotonic() < deadline_s:
            time.sleep(0.005)
        assert not self._under_way
        self.requests, self.sent_bytes, self.received_bytes, self.side_by_side = [], 0, 0, 0

    _behind: str = ""
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)


def ended_at_requests(server: S3Server, place: str, every: int, build: Callable[[str], object]) -> list[str]:
    """Build into one address after another: each build is ended at a later request, and then begun again.

    From a request that changes anything on, all are refused: as after a kill, nothing comes. It is the first
    such request, then the one `every` requests later, and so on until a build is not ended at all. Returns
    the addresses, which are `place` with ``{}`` replaced by a number.
    """
    addresses: list[str] = []
    is_ended = True
    while is_ended:
        addresses.append(place.format(len(addresses)))
        server.faults = _refuse_after(every * (len(addresses) - 1))
        try:
            build(addresses[-1])
            is_ended = False
        except StoreError:
            pass
        server.faults = lambda method, path: None
        build(addresses[-1])
    return addresses


def _refuse_after(limit: int) -> Callable[[str, str], int | None]:
    """Return faults that refuse every request after so many that change something."""
    changes = 0

    def fault(method: str, path: str) -> int | None:
        nonlocal changes
        changes += method in ("PUT", "POST", "DELETE")
        return 403 if changes > limit else None

    return fault


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server with one empty bucket, `BUCKET`; the environment names it until the end."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    behind = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    behind.start()
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    proxy.daemon_threads = True
    host, port = behind.get_host_and_port()
    server = S3Server(f"http://127.0.0.1:{proxy.server_port}", _behind=f"{host}:{port}")
    proxy.s3 = server  # type: ignore[attr-defined]
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    settings = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }
    try:
        with mock.patch.dict(os.environ, settings):
            # moto keeps what servers hold by process: an earlier test's objects would still be there
            assert server.request("POST", "/moto-api/reset") == 200
            assert server.request("PUT", f"/{BUCKET}") == 200
            yield server
    finally:
        proxy.shutdown()
        proxy.server_close()
        behind.stop()


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body would wait 40 ms for its headers to be acknowledged

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def _pass_on(self) -> None:
        server: S3Server = self.server.s3  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with server._lock:
            server.requests.append((self.command, self.path))
            server.received_bytes += len(body)
            server._under_way += 1
            server.side_by_side = max(server.side_by_side, server._under_way)
        try:
            self._answer(server, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with server._lock:
                server._under_way -= 1

    def _answer(self, server: S3Server, body: bytes) -> None:
        fault = server.faults(self.command, self.path)
        if isinstance(fault, int):
            text = f"<Error><Code>Made</Code><Message>{SECRET}</Message></Error>".encode()
            self.send_response(fault)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text if self.command != "HEAD" else b"")
            return
        behind = http.client.HTTPConnection(server._behind, timeout=60)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                self.send_header(name, value)
        self.end_headers()
        if fault in (CUT, STALL):
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            if fault == CUT:
                self.close_connection = True
                return
            if select.select([self.connection], [], [], STALL_S)[0]:
                self.close_connection = True  # the client has left
                return
            content = content[len(content) // 2 :]
        self.wfile.write(content)
        server.sent_bytes += len(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on  # noqa: N815
