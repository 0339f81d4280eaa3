"""Locks on folders: one process at a time works in a folder, and its lock ends with it, however it ends.

The lock is the kernel's (``flock``), on a small file that names the holder. Only the kernel's lock counts:
the file that a killed process leaves behind blocks nobody.
"""

import fcntl
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sat2cap.errors import JobError
from sat2cap.files import parse_json

LOCK_FILE = "lock"
"""File name of the lock inside a folder that has no other name for it."""

_ATTEMPTS = 10
"""How often a folder may vanish, by others that end, before its lock is given up."""


@contextmanager
def folder_lock(folder: Path, subject: str, file: str = LOCK_FILE) -> Iterator[bool]:
    """Hold the lock of a folder, which need not exist yet, for the body of a `with` statement.

    `subject` names the folder's content in the error; `file` is the path of the lock inside the folder.
    Yields whether a process that was killed left its lock behind, and so perhaps temporary files. Folders
    made for the lock are removed again if nothing else was written.

        with folder_lock(Path("pairs"), "pair set"):
            ...

    Raises `JobError` if another process, or another thread of this one, holds the lock.
    """
    path = folder / file
    created = [parent for parent in (path.parent, folder) if not parent.exists()]
    try:
        descriptor, left_behind = _acquire_lock(path, f"{subject} {str(folder)!r}")
        try:
            yield left_behind
        finally:
            path.unlink(
                missing_ok=True
            )  # before the lock is released: afterwards it may be the next holder's
            os.close(descriptor)
    finally:
        for parent in created:
            with suppress(OSError):  # not empty
                parent.rmdir()


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a file for the body of a `with` statement, waiting for the process that has it.

    The file is created, with its folder, and stays. Processes of one machine, and of several on storage that
    passes locks on, take turns: the first computes what the others then read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a folder in the system's temporary folder, and remove it afterwards.

    Folders with the same prefix whose process was killed, and so did not remove them, are removed first. The
    prefix must be used with this function only.
    """
    for abandoned in Path(tempfile.gettempdir()).glob(f"{prefix}*/{LOCK_FILE}"):
        _remove_if_abandoned(abandoned)
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        # Under its name only once it is held: others would take the folder for one of a killed process.
        hidden = folder / f".{LOCK_FILE}"
        descriptor, _ = _acquire_lock(hidden, f"temporary folder {str(folder)!r}")
        hidden.rename(folder / LOCK_FILE)
        try:
            yield folder
        finally:
            os.close(descriptor)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_temporary_files(folder: Path, *patterns: str) -> None:
    """Remove the files and folders in `folder` that killed processes left half written.

    `patterns` are those of `Path.glob`, such as ``shards/.*.tar``: `sat2cap.files.publish` gives temporary
    files names with a leading dot. Call this only while holding the lock of `folder`, so that none of them
    belongs to a running process.
    """
    for pattern in patterns:
        for leftover in list(folder.glob(pattern)):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _acquire_lock(path: Path, subject: str) -> tuple[int, bool]:
    """Lock a file, write who holds it, and return its descriptor and whether it was there before.

    The folder is made if it is missing. Raises `JobError` if the lock is held, and `OSError`, which names the
    file, if it cannot be written.
    """
    while True:
        descriptor, existed = _open_lock(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise JobError(
                f"{subject} is being written by {_describe_holder(path)}; wait until it is done, or stop it"
            ) from None
        if _same_file(descriptor, path):
            break
        os.close(descriptor)  # its holder removed it between opening and locking
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
    except OSError as error:  # a full disk, of which the system says no more
        os.close(descriptor)
        if not existed:
            path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    return descriptor, existed


def _open_lock(path: Path) -> tuple[int, bool]:
    """Open the file of a lock, made with its folder if missing; also return whether it was there before."""
    for attempt in range(1, _ATTEMPTS + 1):
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o644), existed
        except FileNotFoundError:  # another holder has just removed the folder that it had made
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _remove_if_abandoned(lock: Path) -> None:
    """Remove the temporary folder of a lock file if no process holds the lock."""
    with suppress(OSError):  # another process removes it too, or it belongs to another user
        descriptor = os.open(lock, os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)


def find_holder(path: Path) -> str | None:
    """Return who holds the lock of a file, as "process 12 on host"; None if nobody is known to hold it.

    The lock itself is not tried, as a process that wants it just then would be refused. A process of this
    machine that was killed, and so left the file, holds nothing.
    """
    try:
        holder = parse_json(path.read_bytes())
        is_gone = holder["host"] == socket.gethostname() and not _is_running(holder["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if is_gone else _describe_holder(path)


def _is_running(pid: int) -> bool:
    """Return whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it belongs to another user
        return True
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    """Return whether an open descriptor is still the file at this path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _describe_holder(path: Path) -> str:
    """Return who wrote the lock file, as "process 12 on host", or "another process" if it is unreadable."""
    try:
        holder = parse_json(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
