"""A folder over HTTP with byte ranges; needs nothing but Python, so it starts at once.

``python file_server.py FOLDER`` prints its port.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that went away is no news."""


@contextmanager
def running(handler: Any) -> Iterator[_Quiet]:
    server = _Quiet(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RangeHandler(SimpleHTTPRequestHandler):
    """Files, with byte ranges, which reading a part of a file needs."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _serve(self, body: bool) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        size, (first, last), status = path.stat().st_size, (0, path.stat().st_size - 1), 200
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            # without a start, so many bytes from the end (RFC 9110, 14.1.2)
            first = int(start) if start else max(0, size - int(end))
            last, status = min(int(end), size - 1) if start and end else size - 1, 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if body:
            with path.open("rb") as file:
                file.seek(first)
                self.server.sent += self.wfile.write(file.read(last - first + 1))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def file_process(folder: Path) -> Iterator[str]:
    """The folder served by another process, as its root.

    GDAL may hold Python's lock while one thread waits for what another fetches: served from the same
    process, several such threads would wait for ever.
    """
    server = subprocess.Popen([sys.executable, __file__, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    with running(partial(RangeHandler, directory=sys.argv[1])) as started:
        started.sent = 0  # type: ignore[attr-defined]
        print(started.server_address[1], flush=True)
        threading.Event().wait()
