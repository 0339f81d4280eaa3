"""The lock that lets one process write an atlas at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2cap.atlas.plan import check_free
from sat2cap.locks import folder_lock

LOCK = "_sat2cap/lock"
"""Path of the lock file, which names the writer."""


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the lock of the atlas at `path`, which need not exist yet, for the body of a `with` statement.

    Raises `JobError` if another process, or another thread of this one, holds it, and `AtlasError` if `path`
    is something else than an atlas.

        with writer_lock(path):
            create_or_resume(path, spec).write(chunk, embeddings, status)
    """
    check_free(path)
    with folder_lock(path, "atlas", LOCK):
        yield
