"""The cache beside a pair set in a bucket: what one run computed, runs elsewhere fetch instead.

Files are mapped into memory, so that each run has its own copy in its folder. A pair set in a folder needs
none of this: its cache lies beside the shards.
"""

import shutil
from pathlib import Path

from sat2cap.errors import StoreError
from sat2cap.files import publish
from sat2cap.progress import Progress, announce
from sat2cap.stores import Store, open_object

CACHE = "cache"
"""Name of the folder in that of a pair set."""
_COPIED_BYTES = 16 * 2**20


class SharedCache:
    """The files of ``cache/`` in the bucket, or on the web server, of one pair set."""

    def __init__(self, pairs: Store, progress: Progress) -> None:
        """Take the store of a pair set, and who is told if nothing can be written there."""
        self._store = pairs.child(CACHE) if pairs.folder is None else None
        self._is_writable = pairs.can_write
        self._progress = progress

    def fetch(self, path: Path) -> None:
        """Copy the file of that name to `path`, if there is one. Raises `StoreError`."""
        if self._store is None:
            return
        try:
            source = open_object(self._store, path.name)
        except FileNotFoundError:
            return
        with source, publish(path) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, _COPIED_BYTES)

    def share(self, path: Path) -> None:
        """Put a file; where none can be put, say so once and go on, as the run has its own copy."""
        if self._store is None or not self._is_writable:
            return
        try:
            self._store.put(path.name, path.read_bytes())
        except StoreError as error:
            self._is_writable = False
            announce(self._progress, f"embeddings are kept in the run's folder alone: {error}")
