"""A writer killed at any step resumes to the same bytes, whatever the order of the work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_atlas import build, cells, make_spec, tree

from sat2cap.atlas import create_or_resume, open_atlas, verify_atlas

STEPS = [(os, "replace"), (os, "open"), (Path, "write_bytes"), (Path, "unlink")]
"""Everything that changes files while an atlas is written.

A process that dies before an fsync leaves what one leaves that dies before the step after it.
"""


def few_chunks():
    """Two chunks, the second without an embedding; then also the steps of beginning and finishing are few."""
    wanted = make_spec().wanted.copy()
    wanted[:, 4:] = wanted[8:] = False
    return make_spec(wanted=wanted)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    build(folder / "small.zarr")
    return tree(folder)


def in_a_process_that_dies_at(step, work):
    """Run `work` in a child that exits, without any cleaning up, when about to take its n-th step.

    A write of bytes is torn: half of them are on disk. Returns whether the child got through alive.
    """
    child = os.fork()
    if child == 0:
        try:
            _arm(step)
            work()
        finally:
            os._exit(1)  # only reached without a kill by an error of the work itself
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _arm(step):
    taken = 0

    def deadly(owner, name):
        original = getattr(owner, name)

        def call(*arguments, **options):
            nonlocal taken
            taken += 1
            if taken == step:
                if name == "write_bytes":
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os._exit(9)
            return original(*arguments, **options)

        setattr(owner, name, call)

    for owner, name in STEPS:
        deadly(owner, name)


def test_killed_before_any_step_it_resumes_to_the_same_bytes(tmp_path):
    def work(path):
        build(path, few_chunks())
        os._exit(0)

    build(tmp_path / "calm" / "small.zarr", few_chunks())
    undisturbed = tree(tmp_path / "calm")

    step, statuses = 0, []
    while not statuses or statuses[-1] == 9:
        step += 1
        folder = tmp_path / str(step)
        folder.mkdir()
        statuses.append(in_a_process_that_dies_at(step, lambda folder=folder: work(folder / "small.zarr")))
        build(folder / "small.zarr", few_chunks())
        assert tree(folder) == undisturbed, f"killed at step {step}"
    assert statuses[-1] == 0  # the last one got through: every step before it was tried
    assert len(statuses) > 80


def test_killed_again_and_again_it_gets_there(tmp_path, undisturbed):
    """Each run dies some steps after the last: what is done is never lost, so the end comes."""
    path, statuses = tmp_path / "small.zarr", []
    while not statuses or statuses[-1] == 9:

        def work():
            build(path)
            os._exit(0)

        statuses.append(in_a_process_that_dies_at(45, work))
        assert len(statuses) < 12
    assert statuses[-1] == 0
    assert len(statuses) > 2
    assert tree(tmp_path) == undisturbed


def test_a_kill_loses_at_most_the_chunk_in_hand(tmp_path):
    path = tmp_path / "small.zarr"
    writer = create_or_resume(path, make_spec())
    chunks = writer.pending()
    for chunk in chunks[:3]:
        writer.write(chunk, *cells(chunk))
    journal = path / "_sat2cap/journal.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"chunk":[1,')  # the line that was being written
    assert [chunk.index for chunk in create_or_resume(path, make_spec()).pending()] == [
        chunk.index for chunk in chunks[3:]
    ]


def test_a_torn_journal_line_is_cut_off_and_no_other(tmp_path, undisturbed):
    path = tmp_path / "small.zarr"
    writer = create_or_resume(path, make_spec())
    for chunk in writer.pending()[:2]:
        writer.write(chunk, *cells(chunk))
    journal = path / "_sat2cap/journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-5])
    writer = create_or_resume(path, make_spec())
    chunk = writer.pending()[0]
    assert chunk.index == (0, 1)  # of two written, the second one's line is torn
    writer.write(chunk, *cells(chunk))
    assert journal.read_bytes() == whole
    build(path)
    assert tree(tmp_path) == undisturbed


@pytest.mark.parametrize("order", [lambda chunks: chunks[::-1], lambda chunks: chunks[1::2] + chunks[::2]])
def test_the_order_of_the_work_leaves_no_trace(tmp_path, undisturbed, order):
    build(tmp_path / "small.zarr", order=order)
    assert tree(tmp_path) == undisturbed


def test_building_twice_changes_nothing(tmp_path, undisturbed):
    build(tmp_path / "small.zarr")
    build(tmp_path / "small.zarr")
    assert tree(tmp_path) == undisturbed


SLOW_WRITER = """
import sys, time
from pathlib import Path
from sat2cap.atlas import create_or_resume
from small_atlas import cells, make_spec
writer = create_or_resume(Path(sys.argv[1]), make_spec(chunk=2))
for chunk in writer.pending():
    writer.write(chunk, *cells(chunk))
    time.sleep(0.02)
writer.finish()
"""


def test_a_real_kill(tmp_path):
    calm, path = tmp_path / "calm" / "a.zarr", tmp_path / "killed" / "a.zarr"
    build(calm, make_spec(chunk=2))
    process = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(path)], cwd=Path(__file__).parent)
    journal = path / "_sat2cap/journal.jsonl"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 4):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    unfinished = open_atlas(path)
    assert not unfinished.complete
    assert verify_atlas(unfinished) == []
    done = len(list(unfinished.chunks())) - len(create_or_resume(path, make_spec(chunk=2)).pending())
    assert done >= 4
    build(path, make_spec(chunk=2))
    assert tree(path.parent) == tree(calm.parent)
