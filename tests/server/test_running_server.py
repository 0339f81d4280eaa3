"""A server among others: keys, proxies, counts, one scan for equal questions, starting and stopping."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from served import NORTH, make_client

import sat2cap
from sat2cap.errors import AtlasError, InputError, JobError
from sat2cap.server import ServerSettings


def test_every_answer_has_security_headers(client):
    for path in ("/api/health", "/api/atlases", "/api/nothing", f"{NORTH}/scores?prompt=x"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_a_page_elsewhere_cannot_name_this_machine(client):
    for host in (
        "evil.example",
        "",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "[::1",
        "[::2]",
        "evil:127.0.0.1",
    ):
        answer = client.get("/api/atlases", headers={"Host": host})
        assert (answer.status_code, answer.headers["cache-control"]) == (400, "no-store")
        assert "names of this machine only" in answer.json()["detail"]
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000"):
        assert client.get("/api/atlases", headers={"Host": host}).status_code == 200


def test_a_key_is_asked_for(folder, checkpoint):
    with make_client(folder, checkpoint, api_key="s3cret") as client:
        assert client.get("/api/health").status_code == 200
        assert client.get("/api/atlases").status_code == 401
        assert client.get("/api/atlases", headers={"X-API-Key": "other"}).status_code == 401
        assert client.get("/api/atlases", headers={"X-API-Key": "s3cret"}).status_code == 200


def test_behind_a_proxy_addresses_are_those_that_people_see(folder, checkpoint):
    with make_client(folder, checkpoint, public_url="https://maps.example/live") as client:
        for path in (
            f"{NORTH}/map/WebMercatorQuad/tilejson.json",
            f"/live{NORTH}/map/WebMercatorQuad/tilejson.json",
        ):
            tiles = client.get(path, params={"prompt": "snow"}).json()["tiles"][0]
            assert tiles.startswith(f"https://maps.example/live{NORTH}/map/tiles/")
        assert (
            b"https://maps.example/live/api/" in client.get(f"{NORTH}/wmts", params={"prompt": "x"}).content
        )


def test_metrics_count_and_hold_nothing_that_people_typed(client):
    client.get(f"{NORTH}/scores", params={"prompt": "a very private prompt"})
    text = client.get("/metrics").text
    assert 'sat2cap_requests_total{route="/api/atlases/{atlas}/scores",status="200"}' in text
    assert "private" not in text


def wait_for(condition):
    """Wait until a condition holds, at most a minute."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_equal_questions_share_one_scan_and_the_queue_is_bounded(folder, checkpoint, monkeypatch):
    scans, release = [], threading.Event()
    from sat2cap.server import scores

    compute = scores._score

    def slow(served, question, photos):
        scans.append(question.prompt)
        release.wait(20)
        return compute(served, question, photos)

    monkeypatch.setattr(scores, "_score", slow)
    limits = {"max_scans": 1, "max_waiting": 1}
    with make_client(folder, checkpoint, **limits) as client, ThreadPoolExecutor(8) as pool:
        equal = [pool.submit(client.get, f"{NORTH}/scores", params={"prompt": "same"}) for _ in range(4)]
        wait_for(lambda: scans)
        waits = pool.submit(client.get, f"{NORTH}/scores", params={"prompt": "waits"})
        wait_for(lambda: len(client.app.state.server.scores._flights) == 2)
        refused = client.get(f"{NORTH}/scores", params={"prompt": "too many"})
        release.set()
        assert {answer.result().status_code for answer in equal} == {200}
        assert waits.result().status_code == 200
    assert refused.headers["retry-after"] == "1"
    assert refused.status_code == 503
    assert scans == ["same", "waits"]


def test_an_atlas_that_changes_is_picked_up(tmp_path, folder, checkpoint):
    import shutil

    shutil.copytree(folder / "The North.zarr", tmp_path / "a.zarr")
    with make_client(tmp_path, checkpoint) as client:
        before = client.get("/api/atlases/a").json()["version"]
        client.get("/api/atlases/a/scores", params={"prompt": "snow"})
        sat2cap.open(tmp_path / "a.zarr", checkpoint).prepare()
        assert client.get("/api/atlases/a").json()["version"] != before
        assert client.get("/api/atlases/a/scores", params={"prompt": "snow"}).status_code == 200


def test_a_handle_serves_in_the_background_and_stops(folder, checkpoint):
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server:
        assert httpx.get(f"{server.url}api/health").json()["status"] == "ok"
        url = server.tile_url("a beach", colormap_name="viridis").replace("{z}/{x}/{y}", "12/0/0")
        assert httpx.get(url).status_code == 204
        address = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}api/health")


def test_the_tiles_of_an_atlas_that_cannot_be_asked_have_no_address(folder, checkpoint, tmp_path):
    """A map widget shows nothing where tiles are refused, so it is said before."""
    with sat2cap.serve(folder / "The North.zarr", model=tmp_path / "gone") as server:
        with pytest.raises(AtlasError, match="gone"):
            server.tile_url("a beach")
        with pytest.raises(AtlasError, match="there is no atlas 'south' here"):
            server.tile_url("a beach", atlas="south")


def test_small_answers_do_not_wait_for_the_acknowledgement_of_their_headers(folder, checkpoint, monkeypatch):
    """Nagle's algorithm holds a body back until its headers are acknowledged, 40 ms where that is delayed."""
    accepted = []
    accept = socket.socket.accept

    def keep(listener):
        connection, address = accept(listener)
        accepted.append(connection)
        return connection, address

    monkeypatch.setattr(socket.socket, "accept", keep)
    with sat2cap.serve(folder / "The North.zarr", model=checkpoint) as server, httpx.Client() as client:
        assert client.get(f"{server.url}api/health").status_code == 200
        assert len(accepted) == 1
        assert accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_opened_atlas_keeps_its_model(opened):
    with sat2cap.serve(opened) as server:
        assert httpx.get(f"{server.url}api/atlases").json()[0]["problem"] is None


def test_settings_and_ports_that_cannot_be(folder, checkpoint):
    for wrong in ({"port": 70000}, {"public_url": "maps.example"}, {"cache_mb": 0}):
        with pytest.raises(InputError):
            ServerSettings(**wrong)
    with sat2cap.serve(folder, model=checkpoint) as server, pytest.raises(JobError, match="cannot listen on"):
        sat2cap.serve(folder, model=checkpoint, port=int(server.url.rsplit(":", 1)[1].strip("/")))
    with pytest.raises(InputError, match="neither an atlas nor a folder"):
        sat2cap.serve(folder / "nothing")
