"""One writer at a time: a lock on an atlas that ends with the process that holds it, however that ends."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sat2cap.atlas.plan import check_free
from sat2cap.errors import JobError

LOCK = "_sat2cap/lock"
"""Says who writes. The kernel's lock on it is what counts: a file that a kill left behind holds nobody up."""


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Write the atlas at `path` alone, which need not be there yet.

    Raises `JobError` when another process, or another thread of this one, is writing it, and `AtlasError`
    when `path` is taken by something else.
    """
    check_free(path)
    file = path / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _take(path, file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)  # while it is ours: a moment later it may be the next one's
        os.close(descriptor)
        for folder in (file.parent, path):  # nothing was begun: leave no trace
            with suppress(OSError):
                folder.rmdir()


def _take(path: Path, file: Path) -> int:
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            fix = "wait until it is done, or stop it"
            raise JobError(f"atlas {str(path)!r} is being written by {_holder(file)}; {fix}") from None
        if _same_file(descriptor, file):
            break
        os.close(descriptor)  # its holder removed it between opening and locking
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    return descriptor


def _same_file(descriptor: int, file: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _holder(file: Path) -> str:
    try:
        holder = json.loads(file.read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
