"""A Hugging Face hub on loopback: the few addresses that a download asks for, over folders."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from file_server import running


@dataclass
class FakeHub:
    """Folders by ``owner/name`` and commit; a branch is a name of a commit."""

    url: str = ""
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)
    branches: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """Paths in the order in which they were asked for."""

    def add(self, name: str, folder: Path, branch: str = "main") -> str:
        """Put a folder on the hub; its commit."""
        commit = hashlib.sha1(f"{name}{folder}".encode()).hexdigest()
        self.folders[name, commit] = folder
        self.branches[name, branch] = commit
        return commit

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of one request."""
        parts = unquote(path).strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            return self._described("/".join(parts[2:4]), parts[4:])
        name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit = self.branches.get((name, revision), revision)
        found = self.folders.get((name, commit))
        if parts[2] != "resolve" or found is None or not (found / file).is_file():
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        data = (found / file).read_bytes()
        tag = hashlib.sha256(data).hexdigest()
        return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": commit}, data

    def _described(self, name: str, rest: list[str]) -> tuple[int, dict[str, str], bytes]:
        revision = rest[1] if len(rest) > 1 else "main"
        commit = self.branches.get((name, revision), revision)
        folder = self.folders.get((name, commit))
        if folder is None:
            known = any(name == other for other, _ in self.folders)
            return 404, {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"}, b"{}"
        files = sorted(file for file in folder.iterdir() if file.is_file())
        if rest[:1] == ["tree"]:
            listed = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": "0" * 40} for f in files
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(listed).encode()
        siblings = [{"rfilename": file.name} for file in files]
        about = {"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}
        return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub for as long as the block lasts."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(urlsplit(self.path).path)
            hub.asked.append(f"{self.command} {self.path}")
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with running(Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield hub
