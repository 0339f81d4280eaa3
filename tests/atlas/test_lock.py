"""One writer at a time; a writer that is gone holds nobody up, however it went."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from small_atlas import build

from sat2cap.atlas import open_atlas, writer_lock
from sat2cap.atlas.lock import LOCK
from sat2cap.errors import AtlasError, JobError
from sat2cap.publishing import publish_atlas
from sat2cap.query import prepare_atlas

HOLDER = """
import sys, time
from pathlib import Path
from sat2cap.atlas import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``a.zarr``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a.zarr")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("copy", [False, True])
def test_what_waits_for_a_finished_atlas_names_its_writer(tmp_path, holder, copy):
    """A repair opens a finished atlas again; "embed it" would then be the wrong advice."""
    atlas = build(tmp_path / "b.zarr")
    shutil.copytree(atlas.path, tmp_path / "a.zarr", dirs_exist_ok=True)
    (tmp_path / "a.zarr/zarr.json").unlink()
    unfinished = open_atlas(tmp_path / "a.zarr")

    def work():
        publish_atlas(unfinished, tmp_path / "public") if copy else prepare_atlas(unfinished, "cyclic")

    name = re.escape(
        f"is being written by process {holder.pid} on {socket.gethostname()}; wait until it is done"
    )
    with pytest.raises(AtlasError, match=name):
        work()
    holder.kill()
    holder.wait()
    with pytest.raises(AtlasError, match="is not finished; the same embed command continues it"):
        work()


def test_a_second_writer_is_refused_with_the_first_ones_process(tmp_path, holder):
    path = tmp_path / "a.zarr"
    with (
        pytest.raises(JobError, match=rf"is being written by process {holder.pid} on .*; wait"),
        writer_lock(path),
    ):
        pass
    assert json.loads((path / LOCK).read_bytes())["pid"] == holder.pid


def test_a_killed_writer_holds_nobody_up(tmp_path, holder):
    path = tmp_path / "a.zarr"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (path / LOCK).exists()
    with writer_lock(path):
        assert json.loads((path / LOCK).read_bytes())["pid"] == os.getpid()
        build(path)
    assert not (path / LOCK).exists()
    with writer_lock(path):
        pass


def test_a_thread_of_the_same_process_is_refused_too(tmp_path):
    path = tmp_path / "a.zarr"
    with writer_lock(path):
        with pytest.raises(JobError, match=f"process {os.getpid()}"), writer_lock(path):
            pass
        assert (path / LOCK).exists()


def test_nothing_is_left_where_nothing_was_begun(tmp_path):
    with pytest.raises(ZeroDivisionError), writer_lock(tmp_path / "a.zarr"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_atlas_is_not_touched(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "own.txt").write_text("")
    (tmp_path / "file").write_text("")
    for name in ("folder", "file"):
        with pytest.raises(AtlasError, match="not an atlas"), writer_lock(tmp_path / name):
            pass
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["own.txt"]


def test_a_lock_removed_while_it_is_waited_for_is_not_taken_for_ours(tmp_path, monkeypatch):
    """Between our opening the file and locking it, its holder may have removed it."""
    import fcntl

    path, real, taken = tmp_path / "a.zarr", fcntl.flock, []

    def meanwhile(descriptor, operation):
        real(descriptor, operation)
        if not taken:
            (path / LOCK).unlink()
        taken.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(fcntl, "flock", meanwhile)
    with writer_lock(path):
        assert (path / LOCK).stat().st_ino == taken[-1]
    assert len(taken) == 2


def test_the_file_is_where_the_page_says():
    page = Path(__file__).parents[2] / "docs" / "atlas.md"
    assert LOCK in page.read_text()
