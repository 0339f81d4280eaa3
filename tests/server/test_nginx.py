"""Behind a real nginx, as docs/serve.md configures it: addresses, prefixes, limits and errors."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import morecantile
import pytest

import sat2cap
from sat2cap.server import ServerSettings

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
NORTH = "api/atlases/the-north"
JSON = {"Content-Type": "application/json"}


http = httpx.Client(timeout=120)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def location_of_the_page():
    """The block of nginx's configuration that the page prints."""
    (block,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.S)
    assert "127.0.0.1:8000" in block
    return block


@pytest.fixture(scope="module", params=["with its prefix", "without"])
def public(request, folder, checkpoint, tmp_path_factory):
    """The address of a server as people see it; nginx passes the path with its prefix, or without."""
    home = tmp_path_factory.mktemp("nginx")
    port = free_port()
    address = f"http://127.0.0.1:{port}/sat2cap/"
    settings = ServerSettings(port=0, public_url=address, max_waiting=8)
    with sat2cap.serve(folder, model=checkpoint, settings=settings) as server:
        listening = server._server.servers[0].sockets[0].getsockname()[1]
        location = location_of_the_page().replace("127.0.0.1:8000", f"127.0.0.1:{listening}")
        if request.param == "without":
            location = location.replace(f"{listening};", f"{listening}/;")
        assert f"{listening}" in location
        user = "user root;" if os.geteuid() == 0 else ""  # else its workers may not write in our folder
        (home / "nginx.conf").write_text(
            f"""{user} daemon off; pid {home}/pid; error_log {home}/error.log; worker_processes 1;
            events {{ worker_connections 64; }}
            http {{ access_log off; client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
            fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
            server {{ listen 127.0.0.1:{port}; {location} }} }}"""
        )
        nginx = subprocess.Popen(["nginx", "-p", home, "-c", home / "nginx.conf"], stderr=subprocess.DEVNULL)
        try:
            wait_until_it_answers(f"{address}api/health")
            yield address
        finally:
            nginx.terminate()
            nginx.wait(10)


def wait_until_it_answers(address):
    deadline = time.monotonic() + 60
    while True:
        try:
            if http.get(address).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "nginx does not answer"
        time.sleep(0.05)


def test_addresses_in_answers_lead_through_the_proxy(public):
    tilejson = http.get(
        f"{public}{NORTH}/map/WebMercatorQuad/tilejson.json", params={"prompt": "snow"}
    ).json()
    assert tilejson["tiles"][0].startswith(f"{public}{NORTH}/map/tiles/")
    west, south, east, north = tilejson["bounds"]
    tile = morecantile.tms.get("WebMercatorQuad").tile((west + east) / 2, (south + north) / 2, 10)
    inside = tilejson["tiles"][0].format(z=tile.z, x=tile.x, y=tile.y)
    assert http.get(inside).headers["content-type"] == "image/png"
    wmts = http.get(f"{public}{NORTH}/wmts", params={"prompt": "snow"}).text
    assert set(re.findall(r'template="(.*?)/api/', wmts)) == {public.rstrip("/")}


def test_what_a_client_forwards_changes_no_address(public):
    forged = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "Forwarded": "host=evil.example",
    }
    answer = http.get(
        f"{public}{NORTH}/map/WebMercatorQuad/tilejson.json", params={"prompt": "snow"}, headers=forged
    )
    assert "evil" not in answer.text
    assert urlsplit(answer.json()["tiles"][0]).hostname == "127.0.0.1"


def test_scores_headers_and_errors_pass_through(public):
    answer = http.get(f"{public}{NORTH}/scores", params={"prompt": "snow ☃ <b>"})
    rows, cols = json.loads(answer.headers["x-score"])["shape"]
    assert len(answer.content) == rows * cols
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    bad = http.get(f"{public}{NORTH}/scores", params={"prompt": "photo:/etc/passwd"})
    assert (bad.status_code, bad.headers["cache-control"]) == (400, "no-store")


def test_a_body_as_large_as_the_server_allows_passes(public):
    """nginx refuses bodies above one megabyte unless it is told otherwise."""
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    body = json.dumps({"type": "Feature", "geometry": square, "properties": {"note": "x" * 3 * 2**20}})
    answer = http.post(f"{public}{NORTH}/zones", params={"prompt": "snow"}, content=body, headers=JSON)
    assert answer.status_code == 200, answer.text[:200]
