"""The lock that lets one process write an atlas at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sat2cap.atlas.plan import check_free
from sat2cap.atlas.plan_files import read_or_none
from sat2cap.atlas.wide_manifest import read_wide_manifest
from sat2cap.errors import AtlasError
from sat2cap.locks import find_holder
from sat2cap.stores import Store, open_store, read_holder

LOCK = "_sat2cap/lock"
"""Path of the lock file, which names the writer."""
PUBLISH_LOCK = ".publish.lock"
"""Path of the lock of a folder that an atlas is published into."""
UNLOCK = "sat2cap atlas unlock"
"""The command that releases the lock of an atlas in a bucket whose process is gone."""


@contextmanager
def writer_lock(place: Path | str | Store) -> Iterator[Store]:
    """Hold the lock of an atlas, which need not exist yet, for the body of a `with` statement.

    Yields the store of the atlas, by which it is to be written: it knows of the lock. Raises `JobError` if
    another process, or another thread of this one, holds it, and `AtlasError` if there is something else
    than an atlas.

        with writer_lock(path) as store:
            create_or_resume(store, spec).write(chunk, embeddings, status)
    """
    store = open_store(place)
    check_free(store)
    _ = store.parent  # which all of a bucket has not: an atlas has files beside it
    with store.writer.lock(LOCK, "atlas", UNLOCK):
        yield store


@contextmanager
def wide_lock(place: Path | str | Store) -> Iterator[Store]:
    """Hold the lock of a wide atlas for the body of a `with` statement, and yield its store.

    The parts have locks of their own, which whoever writes them holds as well. Raises `JobError` if another
    process, or another thread of this one, holds it.
    """
    store = open_store(place)
    with store.writer.lock(LOCK, "atlas", UNLOCK):
        yield store


def unfinished_error(store: Store) -> AtlasError:
    """Return the error for an atlas that is not finished, with who is writing it, if anyone is."""
    if store.folder is not None:
        writer = find_holder(store.folder / LOCK)
    else:
        held = read_or_none(store, LOCK)
        writer = None if held is None else str(read_holder(held))
    if writer is not None:
        rule = f"is not finished, and is being written by {writer}"
        return AtlasError(f"atlas {store.name!r} {rule}; wait until it is done, or stop it")
    return AtlasError(f"atlas {store.name!r} is not finished; the same embed command continues it")


def break_lock(place: Path | str | Store) -> str | None:
    """Release the locks that a process left on an atlas in a bucket and its parts, or where one is published.

    Returns who that was; None if there is none, and for a folder, whose lock ends with its process. Raises
    `JobError` if the process is known to be running, and `StoreError`.
    """
    store = open_store(place)
    stores = [store, *(store.child(zone.name) for zone in read_wide_manifest(store) or ())]
    holders = [each.writer.break_lock(key) for each in stores for key in (LOCK, PUBLISH_LOCK)]
    return next(filter(None, holders), None)
