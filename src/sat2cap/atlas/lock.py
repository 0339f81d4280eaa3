"""A lock that lets one process write an atlas at a time, and that ends with the process, however it ends."""

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
"""Path of the lock file, which names the writer.

Only the kernel's lock on it counts: a file that a killed process leaves behind is ignored.
"""


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the atlas at `path`, which need not exist yet, for the body of a `with` statement.

    Raises `JobError` if another process, or another thread of this one, holds it, and `AtlasError` if `path`
    is something else than an atlas.

        with writer_lock(path):
            create_or_resume(path, spec).write(chunk, embeddings, status)
    """
    check_free(path)
    file = path / LOCK
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire_lock(path, file)
    try:
        yield
    finally:
        file.unlink(
            missing_ok=True
        )  # before the lock is released: afterwards the file may be the next writer's
        os.close(descriptor)
        for folder in (file.parent, path):  # removed if empty, when nothing was begun
            with suppress(OSError):
                folder.rmdir()


def _acquire_lock(path: Path, file: Path) -> int:
    """Lock the file, write who holds it, and return its descriptor. Raises `JobError` if it is held."""
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            fix = "wait until it is done, or stop it"
            raise JobError(
                f"atlas {str(path)!r} is being written by {_describe_holder(file)}; {fix}"
            ) from None
        if _same_file(descriptor, file):
            break
        os.close(descriptor)  # its holder removed it between opening and locking
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    return descriptor


def _same_file(descriptor: int, file: Path) -> bool:
    """Return whether an open descriptor is still the file at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def _describe_holder(file: Path) -> str:
    """Return who wrote the lock file, as "process 12 on host", or "another process" if it is unreadable."""
    try:
        holder = json.loads(file.read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
