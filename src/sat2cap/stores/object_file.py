"""An object of a store opened as a file, for readers that seek: of a bucket only the ranges are fetched."""

import io

from sat2cap.stores.protocol import Store

READ_AHEAD_BYTES = 4 * 2**20
"""Bytes fetched at least, unless told otherwise: what follows is read next."""


class ObjectFile(io.RawIOBase):
    """The bytes of an object whose size is known, fetched by ranges."""

    def __init__(self, store: Store, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, counted from the start, from here or from the end, and return it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, out: memoryview) -> int:  # type: ignore[override]  # any buffer is one
        """Fetch as many bytes as `out` holds, fewer at the end; return how many."""
        stop = min(self._at + len(out), self._size)
        if stop <= self._at:
            return 0
        data = self._store.get_range(self._key, self._at, stop)
        out[: len(data)] = data
        self._at += len(data)
        return len(data)


def open_object(store: Store, key: str, read_ahead_bytes: int = READ_AHEAD_BYTES) -> io.BufferedIOBase:
    """Return an object as a file for reading: the file itself in a folder, ranges of it in a bucket.

    A web server, which does not say sizes, is asked for all of it. Raises `FileNotFoundError`.
    """
    if store.folder is not None:
        return (store.folder / key).open("rb")
    if not store.can_list:
        return io.BytesIO(store.get(key))
    sizes = store.sizes([key])
    if key not in sizes:
        raise FileNotFoundError(key)
    return io.BufferedReader(ObjectFile(store, key, sizes[key]), read_ahead_bytes)
