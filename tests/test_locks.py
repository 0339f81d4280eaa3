"""One process at a time works in a folder; what killed processes leave is ignored or removed."""

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from made_up import Album, build_small

from sat2cap.errors import JobError
from sat2cap.files import publish, publish_folder
from sat2cap.locks import LOCK_FILE, folder_lock, remove_temporary_files, temporary_folder
from sat2cap.pairs import SplitPlan, open_pairs, resplit_pairs
from sat2cap.photos.download import Downloads

HOLDER = """
import sys, time
from pathlib import Path
from sat2cap.locks import folder_lock, temporary_folder
with folder_lock(Path(sys.argv[1]), "folder"), temporary_folder("sat2cap-test-locks-") as scratch:
    (scratch / "large").write_text("x")
    print(scratch, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Another process that holds the lock of ``work`` and has a temporary folder, which it names."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "work")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.scratch = Path(process.stdout.readline().strip())  # type: ignore[attr-defined]
    yield process
    process.kill()
    process.wait()


def test_the_second_is_refused_and_told_who_the_first_is(tmp_path, holder):
    message = rf"training folder '.*work' is being written by process {holder.pid} on \S+; wait"
    with pytest.raises(JobError, match=message), folder_lock(tmp_path / "work", "training folder"):
        pass
    assert (tmp_path / "work" / LOCK_FILE).exists()


def test_a_lock_ends_with_its_process_and_says_that_it_was_killed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with folder_lock(tmp_path / "work", "folder") as left_behind:
        assert left_behind
    with folder_lock(tmp_path / "work", "folder") as left_behind:
        assert not left_behind


def test_the_temporary_folder_of_a_killed_process_is_removed_and_a_running_ones_is_not(tmp_path, holder):
    scratch = holder.scratch
    assert scratch.parent == tmp_path
    with temporary_folder("sat2cap-test-locks-") as own:
        assert own.is_dir()
        assert (scratch / "large").exists()
    assert not own.exists()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with temporary_folder("sat2cap-test-locks-"):
        assert not scratch.exists()


def before_the_lock_is_taken(monkeypatch, happens):
    """Let something happen once, between the opening of a lock's file and its locking."""
    flock = fcntl.flock

    def happens_first(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", flock)
        happens()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", happens_first)


def test_a_temporary_folder_that_is_being_made_is_not_taken_for_a_killed_processs(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def another_begins():
        with temporary_folder("sat2cap-test-locks-"):
            pass

    before_the_lock_is_taken(monkeypatch, another_begins)
    with temporary_folder("sat2cap-test-locks-") as own:
        assert [path.name for path in own.iterdir()] == [LOCK_FILE]
    assert not list(tmp_path.iterdir())


def test_a_folder_that_its_last_holder_removes_meanwhile_is_made_again(tmp_path, monkeypatch):
    before_the_lock_is_taken(monkeypatch, lambda: shutil.rmtree(tmp_path / "work"))
    with folder_lock(tmp_path / "work", "folder") as left_behind:
        assert (tmp_path / "work" / LOCK_FILE).exists()
        assert not left_behind
    assert not (tmp_path / "work").exists()


def test_a_folder_that_was_there_stays_and_one_made_for_the_lock_goes(tmp_path):
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with folder_lock(tmp_path / name, "folder"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_only_what_matches_is_removed(tmp_path):
    for name in ("shards/.train-00000.ab.tar", ".index.cd.parquet", ".git/config", ".hidden", "a.tar"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    remove_temporary_files(tmp_path, "shards/.*.tar", ".index.*.parquet")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".git/config", ".hidden", "a.tar"}


def test_two_builds_in_one_folder(tmp_path):
    """The second is refused before it screens a photo, and the first ends as if it had been alone."""
    refusals = []

    def build_again(stage, done, total):
        if not refusals and stage == "building pairs":
            with pytest.raises(JobError, match=f"pair set .* is being written by process {os.getpid()} on"):
                build_small(tmp_path / "pairs")
            refusals.append(stage)

    made = build_small(tmp_path / "pairs", progress=build_again)
    assert refusals
    assert made.find_problems() == []
    assert not (made.path / LOCK_FILE).exists()
    with folder_lock(tmp_path / "copy", "pair set"), pytest.raises(JobError, match="is being written"):
        resplit_pairs(made, tmp_path / "copy", SplitPlan("random"))


def test_the_next_build_removes_what_a_killed_one_left(tmp_path):
    leftovers = ["shards/.train-00009.x_1.tar", "looks/.abc.x_1.npy", ".index.x_1.parquet", ".pairs.x_1.json"]
    build_small(tmp_path / "pairs", Album(20))
    for name in leftovers:
        (tmp_path / "pairs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pairs" / name).write_bytes(b"half")
    (tmp_path / "pairs" / ".own").write_text("not ours")
    assert (
        build_small(tmp_path / "pairs", Album(20)).fingerprint == open_pairs(tmp_path / "pairs").fingerprint
    )
    assert not any((tmp_path / "pairs" / name).exists() for name in leftovers)
    assert (tmp_path / "pairs" / ".own").exists()


def test_two_downloads_into_one_folder(tmp_path):
    photos = list(Album(3).photos())
    with (
        folder_lock(tmp_path / "photos", "download folder"),
        pytest.raises(JobError, match=rf"download folder '.*' is being written by process {os.getpid()} on"),
    ):
        Downloads(tmp_path / "photos").fetch(photos, 3)
    failures = Downloads(tmp_path / "photos").fetch(photos, 3)
    assert len(failures) == 3, "no URL"
    assert not (tmp_path / "photos" / LOCK_FILE).exists()


@pytest.mark.parametrize("publisher", [publish, publish_folder])
def test_a_full_disk_is_an_error_of_the_system_whatever_wrote(publisher, tmp_path):
    """/dev/full refuses every byte with ENOSPC; safetensors and tokenizers say it in words."""
    with (
        pytest.raises(OSError, match="No space left") as torch_error,
        publisher(tmp_path / "a"),
        Path("/dev/full").open("wb") as full,
    ):
        torch.save({"weights": torch.zeros(100_000)}, full)
    with pytest.raises(OSError, match="No space left") as rust_error, publisher(tmp_path / "a"):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    for error in (torch_error, rust_error):
        assert error.value.errno == errno.ENOSPC
        assert error.value.filename == str(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_full_disk_names_its_file_and_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left") as error, folder_lock(tmp_path / "new", "pairs"):
        pass
    monkeypatch.undo()
    assert error.value.filename == str(tmp_path / "new" / "lock")
    assert not (tmp_path / "new").exists()


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (RuntimeError("shapes differ"), JobError("a worker died")):
        with pytest.raises(type(error), match=str(error)), publish(tmp_path / "a"):
            raise error from OSError(errno.ENOENT, "no such file", "other.tif")
    with pytest.raises(FileNotFoundError, match=r"other\.tif"), publish(tmp_path / "a"):
        Path(tmp_path / "other.tif").read_bytes()
