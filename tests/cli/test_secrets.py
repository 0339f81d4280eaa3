"""A token in the address of imagery is sent to its server, and stands in no file and no printed line."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
from affine import Affine
from command import Done, run
from PIL import Image

TOKEN = "s3cr3t-T0ken"
AWKWARD = "s3cr3t#T0&k+e%n"
REGION = "5,52,5.006,52.004"


class Guarded(BaseHTTPRequestHandler):
    """Serves a picture, or a raster, to who has the token in the query or as a password; 403 to others."""

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        values = {value for values in parse_qs(parts.query).values() for value in values}
        kind, _, login = self.headers.get("Authorization", "").partition(" ")
        values.add(base64.b64decode(login).decode().partition(":")[2] if kind == "Basic" else login)
        data = self.server.raster if parts.path.endswith(".tif") else self.server.picture  # type: ignore[attr-defined]
        first, end = 0, len(data)
        if wanted := self.headers.get("Range"):
            low, high = wanted.removeprefix("bytes=").split("-")
            first, end = int(low), min(int(high or end) + 1, end)
        allowed = bool(values & {TOKEN, AWKWARD})
        self.send_response(403 if not allowed else 206 if wanted else 200)
        body = data[first:end] if allowed else b""
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    pixels = (np.random.default_rng(0).random((256, 256, 3)) * 255).astype(np.uint8)
    picture = io.BytesIO()
    Image.fromarray(pixels).save(picture, "PNG")
    profile = {
        "driver": "GTiff",
        "height": 256,
        "width": 256,
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:4326",
    }
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile, transform=Affine(0.0001, 0, 4.99, 0, -0.0001, 52.015)) as file:
            file.write(np.moveaxis(pixels, -1, 0))
        server.raster = memory.read()  # type: ignore[attr-defined]
    server.picture = picture.getvalue()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def embed(folder: Path, model: Path, url: str, *options: object) -> Done:
    words = ("embed", REGION, "--imagery", url, "--model", model, "--patch", "200", *options)
    return run(*words, "-o", folder / "a.zarr")


def imagery_uri(atlas: Path) -> str:
    """Return the address of the imagery that an atlas has stored."""
    return str(json.loads((atlas / "_sat2cap" / "plan.json").read_text())["provenance"]["imagery"]["uri"])


def holders_of(folder: Path, *secrets: str) -> list[str]:
    """Return the files below a folder whose bytes or names hold one of the secrets."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [
        str(path)
        for path in files
        for secret in secrets
        if secret.encode() in path.read_bytes() or secret in str(path.relative_to(folder))
    ]


@pytest.mark.parametrize(
    "address",
    [
        "http://HOST/{z}/{x}/{y}.png?access_token=TOKEN",
        "http://HOST/{z}/{x}/{y}.png?style=a&key=TOKEN",
        "http://HOST/{z}/{x}/{y}.png?X-Amz-Signature=TOKEN",
        "http://user:TOKEN@HOST/{z}/{x}/{y}.png",
        "http://HOST/a.tif?sv=2024&sig=TOKEN",
        "http://user:TOKEN@HOST/a.tif",
    ],
)
def test_no_byte_written_or_printed_holds_the_token(
    host: str, address: str, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url = address.replace("HOST", host).replace("TOKEN", TOKEN)
    out, atlas = tmp_path / "out", tmp_path / "out" / "a.zarr"
    out.mkdir()
    done = [embed(out, model, url, "--cache", out / "tiles")]
    assert done[0].status == 0, done[0].err
    assert "${SAT2CAP_" in imagery_uri(atlas)
    done += [
        *(run("map", atlas, "a forest", "-o", out / name) for name in ("m.tif", "m.html", "m.png")),
        run("search", atlas, "a forest", "-o", out / "s.geojson"),
        run("atlas", "info", atlas),
        run("atlas", "verify", atlas),
        run("imagery", "check", url, "--at", "5.003,52.002", "-o", out / "patch.png"),
        embed(out, model, url),
    ]
    for one in done:
        assert one.status == 0, one.err
    printed = "".join(one.out + one.err for one in done) + "".join(capfd.readouterr())
    assert TOKEN not in printed
    assert holders_of(out, TOKEN) == []


def test_errors_hold_no_token(host: str, model: Path, tmp_path: Path) -> None:
    refused = f"http://{host}/{{z}}/{{x}}/{{y}}.png?style={TOKEN[::-1]}&token=wr0ng-T0ken"
    for url in (refused, f"http://{host}/a.tif?sig=wr0ng-T0ken", "http://127.0.0.1:1/a.tif?sig=wr0ng-T0ken"):
        done = embed(tmp_path, model, url, "--cache", tmp_path / "tiles")
        assert done.status != 0
        assert "wr0ng-T0ken" not in done.out + done.err
        assert "${SAT2CAP_" in done.err


def test_a_named_variable_keeps_the_secret_out_and_resumes(
    host: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", AWKWARD)
    for number, path in enumerate(("{z}/{x}/{y}.png", "a.tif")):
        out = tmp_path / str(number)
        out.mkdir()
        url = f"http://{host}/{path}?key=${{MY_KEY}}"
        done = embed(out, model, url)
        assert done.status == 0, done.err
        assert imagery_uri(out / "a.zarr") == url
        assert holders_of(out, AWKWARD, "s3cr3t%23T0%26k%2Be%25n") == []


def test_an_atlas_goes_on_with_the_secret_in_the_environment(
    host: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://{host}/{{z}}/{{x}}/{{y}}.png?access_token="
    assert embed(tmp_path, model, url + TOKEN).status == 0
    shown = imagery_uri(tmp_path / "a.zarr")
    assert shown == url + "${SAT2CAP_ACCESS_TOKEN}"
    without = embed(tmp_path, model, shown)
    assert without.status == 2
    assert "export SAT2CAP_ACCESS_TOKEN=" in without.err
    monkeypatch.setenv("SAT2CAP_ACCESS_TOKEN", AWKWARD)
    again = embed(tmp_path, model, shown)
    assert again.status == 0, again.err
