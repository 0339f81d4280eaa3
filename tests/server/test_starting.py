"""Starting and stopping: atlases are opened before anyone asks, and an interrupt waits for nothing."""

import io
import json
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from made_model import atlas as make_atlas
from made_model import embeddings
from served import HEIGHT, WIDTH, make_client

import sat2cap
from sat2cap import load_model
from sat2cap.atlas import USER_SPEC_KEY
from sat2cap.catalogue import _miniclip_folder
from sat2cap.cli import main
from sat2cap.errors import InputError
from sat2cap.server import AtlasCollection, ServerSettings, collection, running, scores, warming
from sat2cap.server.app import create_app
from sat2cap.server.routes import export
from sat2cap.server.warming import WarmUp

DEADLINE_S = 60


def wait_until_ready(client):
    deadline = time.monotonic() + DEADLINE_S
    while not client.get("/api/health").json()["ready"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_atlases_are_warm_before_the_first_question(folder, checkpoint, monkeypatch):
    asked, finished = [], []
    ask_once = warming._ask_once
    monkeypatch.setattr(warming, "_ask_once", lambda served: (asked.append(served.slug), ask_once(served)))
    collection = AtlasCollection([folder], checkpoint)
    app = create_app(collection, ServerSettings(), WarmUp(collection, lambda *facts: finished.append(facts)))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        assert asked == ["the-north", "the-north-2"], "the broken one keeps no other from it"
        assert set(collection._opened) == {"broken", "the-north", "the-north-2"}
        ((finished_collection, seconds),) = finished
        assert finished_collection is collection
        assert seconds > 0


def test_a_fault_in_one_atlas_does_not_keep_the_others_cold(folder, checkpoint, monkeypatch, caplog):
    ask_once = warming._ask_once

    def fail_for_the_first(served):
        if served.slug == "the-north":
            raise ZeroDivisionError("made up")
        ask_once(served)

    monkeypatch.setattr(warming, "_ask_once", fail_for_the_first)
    collection = AtlasCollection([folder], checkpoint)
    app = create_app(collection, ServerSettings(), WarmUp(collection))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        wait_until_ready(client)
        assert client.get("/api/atlases/the-north/scores?prompt=snow").status_code == 200
    assert "a fault while atlas the-north was warmed up" in caplog.text


@pytest.mark.filterwarnings("ignore:atlas .* is not finished")
def test_an_unfinished_atlas_says_how_much_is_done_until_it_is_finished(half_made, checkpoint):
    path, finish = half_made
    with make_client(path.parent, checkpoint) as client:
        (entry,) = client.get("/api/atlases").json()
        sentence = (
            "atlas 'half.zarr' is not finished (1,021 of 1,960 cells are done): "
            "what is not embedded yet has no data"
        )
        assert (entry["unfinished"], entry["complete"]) == (sentence, False)
        scores = client.get("/api/atlases/half/scores?prompt=snow")
        assert json.loads(scores.headers["x-score"])["unfinished"] == sentence
        assert np.count_nonzero(np.frombuffer(scores.content, np.uint8)) == 1021
        with pytest.warns(UserWarning, match="is not finished") as warned:
            _ = sat2cap.open(path, checkpoint).scan
        assert [str(one.message) for one in warned] == [sentence.replace("half.zarr", str(path))]
        finish()
        (entry,) = client.get("/api/atlases").json()
        assert (entry["unfinished"], entry["complete"]) == (None, True)
        scores = client.get("/api/atlases/half/scores?prompt=snow")
        assert json.loads(scores.headers["x-score"])["unfinished"] is None
        assert np.count_nonzero(np.frombuffer(scores.content, np.uint8)) == 1957


def test_a_model_that_comes_while_the_server_runs_is_found(tmp_path, monkeypatch):
    model = load_model("miniclip")
    card = {**model.card, USER_SPEC_KEY: "models/late"}
    values = embeddings(HEIGHT, WIDTH, model.dim)
    make_atlas(tmp_path / "x.zarr", values, replace(model, card=card), np.zeros(values.shape[:2], bool))
    tried = []
    open_atlas = collection.open_atlas
    monkeypatch.setattr(collection, "open_atlas", lambda *given: (tried.append(given), open_atlas(*given))[1])
    monkeypatch.setattr(collection, "_RETRY_S", 1000.0)
    with make_client(tmp_path, None) as client:
        for _ in range(3):
            (entry,) = client.get("/api/atlases").json()
            assert "which is not at 'models/late'" in entry["problem"]
        assert len(tried) == 1, "a moment has not passed, and nothing has changed"
        shutil.copytree(_miniclip_folder(), tmp_path / "models" / "late")
        client.app.state.server.collection._retry_at_s["x"] -= 1000
        (entry,) = client.get("/api/atlases").json()
        assert entry["problem"] is None
        scores = client.get("/api/atlases/x/scores?prompt=snow")
        assert len(scores.content) == HEIGHT * WIDTH
        assert len(tried) == 2, "an atlas that can be used stays open"


def test_a_listening_socket_takes_whoever_comes_before_the_server_has_started():
    with running._listen(ServerSettings(port=0)) as listener:
        socket.create_connection(listener.getsockname(), timeout=5).close()


def test_the_command_says_what_is_ready_and_what_is_broken_and_stops_at_once(
    tmp_path, checkpoint, monkeypatch, capsys
):
    path = tmp_path / "torn.zarr"
    make_atlas(path, embeddings(HEIGHT, WIDTH, 64), checkpoint, np.zeros((HEIGHT, WIDTH), bool))
    (path / "_sat2cap" / "plan.json").write_text("{")

    def run_until_interrupted(paths, settings, model, text, captioner, started, warmed_up):
        collection = AtlasCollection(paths, model, text, captioner)
        started("http://127.0.0.1:1/", collection)
        warmed_up(collection, 0.25)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run_server", run_until_interrupted)
    monkeypatch.setattr("sat2cap.server.run_server", run_until_interrupted, raising=False)

    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(SystemExit) as ended:
        main(["serve", str(path), "--no-open"])
    assert ended.value.code == 130
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "serving  torn",
        "address  http://127.0.0.1:1/",
        "ready  0 of 1 atlases, in 0.2 s",
    ]
    assert "torn cannot be used: " in printed.err
    assert "Traceback" not in printed.err


def test_the_address_is_in_a_log_while_the_server_runs(folder, monkeypatch):
    """What is printed to a file or a journal stays in a buffer until it is flushed, or the process ends."""
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written))
    logged = []

    def run_for_a_moment(paths, settings, model, text, captioner, started, warmed_up):
        collection = AtlasCollection(paths)
        started("http://127.0.0.1:1/", collection)
        logged.append(written.getvalue().decode())
        warmed_up(collection, 0.25)
        logged.append(written.getvalue().decode())

    monkeypatch.setattr(running, "run_server", run_for_a_moment)
    monkeypatch.setattr("sat2cap.server.run_server", run_for_a_moment, raising=False)
    statuses = []

    def leave(status):
        statuses.append(status)
        raise SystemExit(status)

    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(SystemExit):
        main(["serve", str(folder / "broken.zarr"), "--no-open"])
    assert statuses == [0]
    assert logged[0].splitlines() == ["serving  broken", "address  http://127.0.0.1:1/"]
    assert logged[1].splitlines()[2:] == ["ready  0 of 1 atlases, in 0.2 s"]


def test_a_download_that_is_being_made_when_the_server_stops_is_told_to_come_again(
    folder, checkpoint, monkeypatch
):
    begun, release = threading.Event(), threading.Event()

    def write_slowly(*_):
        begun.set()
        release.wait(30)
        return b""

    monkeypatch.setattr(export, "_write_map", write_slowly)
    with ThreadPoolExecutor(1) as pool:
        server = sat2cap.serve(folder / "The North.zarr", model=checkpoint)
        address = f"{server.url}api/atlases/the-north/export?prompt=snow&format=pmtiles"
        answer = pool.submit(httpx.get, address, timeout=60)
        assert begun.wait(60)
        start = time.monotonic()
        server.stop()
        took_s = time.monotonic() - start
        release.set()
    assert took_s < 20, "it must not wait for a map that takes 30 seconds"
    assert answer.result().status_code == 503
    assert answer.result().json() == {"detail": "the server is stopping; ask again when it is back"}
    assert answer.result().headers["retry-after"] == "1"


def test_scans_that_run_and_wait_when_the_server_stops_are_not_waited_for(folder, checkpoint, monkeypatch):
    asked, begun = threading.Semaphore(0), threading.Semaphore(0)
    release, ended, answer = threading.Event(), [], scores.ScoreService.answer

    async def count_and_answer(*arguments):
        asked.release()
        return await answer(*arguments)

    def scan_slowly(served, question, photos):
        begun.release()
        release.wait(30)
        ended.append(question.prompt)
        raise InputError("made up")

    monkeypatch.setattr(scores.ScoreService, "answer", count_and_answer)
    monkeypatch.setattr(scores, "_score", scan_slowly)
    with ThreadPoolExecutor(6) as pool:
        server = sat2cap.serve(folder / "The North.zarr", model=checkpoint)
        address = f"{server.url}api/atlases/the-north/scores?prompt="
        answers = [pool.submit(httpx.get, f"{address}{word}", timeout=60) for word in "abcdef"]
        assert all(asked.acquire(timeout=60) for _ in range(6))  # one that has not arrived would be refused
        assert all(begun.acquire(timeout=60) for _ in range(2))
        server.stop()
        statuses = [answer.result().status_code for answer in answers]
        assert ended == [], "the two scans go on, and the four others never begin"
        release.set()
    assert statuses == [503] * 6
