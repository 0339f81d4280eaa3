"""A bucket of an object store, ``s3://``, ``gs://`` or ``az://``, as a store, through `obstore`."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from sat2cap.errors import InputError, StoreError
from sat2cap.stores.failures import explain_failure, is_absent, is_cut_short
from sat2cap.stores.object_connection import connect, stamp_of
from sat2cap.stores.object_writer import ObjectWriter, segment_folder
from sat2cap.stores.protocol import Stamp
from sat2cap.stores.requests import RemoteStore

if TYPE_CHECKING:
    from obstore import GetOptions, PutMode, UpdateVersion
    from obstore.store import ObjectStore as ObstoreStore

Value = TypeVar("Value")

MAX_OBJECT_BYTES = 2**30
"""Largest object that is read as a whole."""
_ATTEMPTS = 3
"""How often an object is read whose bytes do not all arrive; obstore itself repeats other failures."""
_FIRST_BACKOFF_S = 0.2
_MOST_ASKED_FOR = 8
"""Objects whose sizes are asked for one by one."""
_REFUSED_CONDITIONS = ("AlreadyExistsError", "PreconditionError")
"""What obstore raises when a put on a condition finds another object."""


class _CutShortError(Exception):
    """Fewer bytes arrived than the store announced, or than were asked for."""


@dataclass(frozen=True)
class ObjectStore(RemoteStore):
    """The objects below one address; it follows `sat2cap.stores.Store`.

    Credentials, region and endpoint are read from the environment, as obstore reads them:
    ``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL``, ``AWS_SKIP_SIGNATURE`` and so on. One put is atomic.
    """

    retry_s: float = 60.0
    """Seconds after which no further try of a request is made."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the address; connections and credentials are those of the process that opens it."""
        return ObjectStore, (self.address, self.timeout_s, self.retry_s)

    @cached_property
    def _client(self) -> "ObstoreStore":
        return connect(self.address, self.name, timeout_s=self.timeout_s, retry_s=self.retry_s)

    @property
    def parent(self) -> "ObjectStore":
        """The store of the address without its last part."""
        self.require_path()
        return ObjectStore(self.address.rpartition("/")[0], self.timeout_s, self.retry_s)

    def child(self, name: str) -> "ObjectStore":
        """Return the store of the address with one more part."""
        return ObjectStore(f"{self.address}/{name}", self.timeout_s, self.retry_s)

    @property
    def can_list(self) -> bool:
        """True: a bucket is listed, if its permissions allow it."""
        return True

    @property
    def can_write(self) -> bool:
        """True: objects are put, if the bucket's permissions allow it."""
        return True

    @cached_property
    def writer(self) -> ObjectWriter:
        """What a job writes objects by."""
        return ObjectWriter(self)

    def require_path(self) -> None:
        """Raise `InputError` if the address is a bucket alone, which nothing can be written beside."""
        if not urlsplit(self.address).path.strip("/"):
            raise InputError(f"{self.name!r} is all of a bucket; give a path in it, such as /region.zarr")

    def get(self, key: str) -> bytes:
        """Return an object. Raises `FileNotFoundError`, and `StoreError` if it is larger than 1 GiB."""
        return self._read(key, None)

    def read_into(self, key: str, out: memoryview, sha256: str | None = None) -> int:
        """Read an object into `out` and return its size; nothing is transferred if it does not fit."""
        data = self._read(key, len(out))
        if len(data) == len(out):
            out[:] = data
        return len(data)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of an object's bytes. Raises `FileNotFoundError`."""
        import obstore

        def read() -> bytes:
            data = bytes(obstore.get_range(self._client, key, start=start, end=stop))
            if len(data) != stop - start:  # a range beyond the end comes back short
                raise _CutShortError
            return data

        return self._ask(key, read)

    def get_end(self, key: str, count: int) -> bytes:
        """Return the end of an object. Raises `FileNotFoundError`."""
        import obstore

        options: GetOptions = {"range": {"suffix": count}}

        def read() -> bytes:
            try:
                return bytes(obstore.get(self._client, key, options=options).bytes())
            except obstore.exceptions.NotSupportedError:  # Azure has no such ranges
                size = int(obstore.head(self._client, key)["size"])
                start = max(0, size - count)
                return bytes(obstore.get_range(self._client, key, start=start, end=size)) if size else b""

        return self._ask(key, read)

    def get_tagged(self, key: str) -> tuple[bytes, "UpdateVersion"]:
        """Return a small object and what tells its version to `put_if`. Raises `FileNotFoundError`."""
        import obstore

        def read() -> tuple[bytes, "UpdateVersion"]:
            answer = obstore.get(self._client, key)
            tags: UpdateVersion = {"e_tag": answer.meta["e_tag"]}
            if answer.meta["version"] is not None:
                tags["version"] = answer.meta["version"]
            return bytes(answer.bytes()), tags

        return self._ask(key, read)

    def get_lines(self, key: str) -> bytes:
        """Return the object of lines and the segments that were put since."""
        while True:
            with suppress(FileNotFoundError):  # segments that were just made part of the object
                segments = self._get_segments(key)
                # last: it contains whatever segments were made part of it
                return (self.get(key) if self.stamp(key) is not None else b"") + segments

    def _get_segments(self, key: str) -> bytes:
        """Return the lines of all segments of `key`. Raises `FileNotFoundError` if one is gone."""
        lines: dict[str, bytes] = {}

        def get(name: str) -> None:
            lines[name] = self.get(name)

        segments = self.list_segments(key)
        self.map(get, segments)
        return b"".join(lines[name] for name in segments)

    def list_segments(self, key: str) -> tuple[str, ...]:
        """Return the segments of lines of `key`, in order."""
        return tuple(sorted(name for name, _ in self.list(segment_folder(key))))

    def put(self, key: str, data: bytes) -> None:
        """Put or replace an object."""
        self._put(key, data, "overwrite")

    def put_file(self, key: str, file: BinaryIO) -> None:
        """Put or replace an object by the content of a file, which is sent in parts, side by side."""
        self._put(key, file, "overwrite")

    def put_if(self, key: str, data: bytes, version: "UpdateVersion | None") -> None:
        """Put an object if there is none, or one of that version. Raises `FileExistsError` for another."""
        self._put(key, data, version or "create")

    def _put(self, key: str, data: bytes | BinaryIO, mode: "PutMode") -> None:
        """Put bytes or a file. Raises `StoreError` if there is no such bucket."""
        import obstore

        def put() -> None:
            if not isinstance(data, bytes):
                data.seek(0)
            obstore.put(self._client, key, data, mode=mode, use_multipart=not isinstance(data, bytes))

        try:
            self._ask(key, put)
        except FileNotFoundError:
            raise StoreError(f"{self.name!r} has no such bucket; check the address") from None
        finally:
            self._stamps.forget(key)

    def copy(self, source: str, key: str) -> None:
        """Have the server copy an object within the store. Raises `FileNotFoundError`."""
        import obstore

        self._ask(source, lambda: obstore.copy(self._client, source, key))
        self._stamps.forget(key)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of every object below `prefix`."""
        import obstore

        pages = iter(obstore.list(self._client, prefix or None))
        while (page := self._ask(prefix, lambda: next(pages, None))) is not None:
            yield from ((str(entry["path"]), int(entry["size"])) for entry in page)

    def names(self) -> Iterator[str]:
        """Yield the first part of every key."""
        return (key.partition("/")[0] for key, _ in self.list())

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the sizes of those of the objects that there are; of many, from a listing of all."""
        requested = set(keys)
        if len(requested) > _MOST_ASKED_FOR:
            return {key: size for key, size in self.list() if key in requested}
        stamps = {key: self.stamp(key) for key in requested}
        return {key: int(stamp[1]) for key, stamp in stamps.items() if stamp is not None}

    def delete(self, key: str) -> None:
        """Delete an object; no error if there is none."""
        import obstore

        with suppress(FileNotFoundError):
            self._ask(key, lambda: obstore.delete(self._client, key))
        self._stamps.forget(key)

    def stamp(self, key: str) -> Stamp | None:
        """Return entity tag, size and time of an object, at most `STAMP_S` old; None if there is none."""
        import obstore

        def ask() -> Stamp | None:
            try:
                meta = self._ask(key, lambda: obstore.head(self._client, key))
            except FileNotFoundError:
                return None
            return stamp_of(meta)

        return self._stamps.get(key, ask)

    def delete_all(self, keys: Iterable[str]) -> None:
        """Delete objects, many with a request."""
        import obstore

        paths = list(keys)
        if paths:
            with suppress(FileNotFoundError):  # some stores say so of one that is gone already
                self._ask(paths[0], lambda: obstore.delete(self._client, paths))

    def stamp_lines(self, key: str) -> Stamp | None:
        """Return the stamp of the object of lines, and names and sizes of the segments put since."""

        def ask() -> Stamp:
            return tuple(f"{name} {size}" for name, size in sorted(self.list(segment_folder(key))))

        stamps = (*(self.stamp(key) or ()), *(self._stamps.get(segment_folder(key), ask) or ()))
        return stamps or None

    def forget_lines(self, key: str) -> None:
        """Forget the stamp of lines that were just appended or replaced."""
        self._stamps.forget(segment_folder(key))

    def _read(self, key: str, size: int | None) -> bytes:
        """Return an object; if it has not the `size` that is given, as many zeros as it has bytes."""
        import obstore

        def read() -> bytes:
            answer = obstore.get(self._client, key)
            announced = answer.meta["size"]
            if size is not None and announced != size:
                return bytes(min(announced, size + 1))
            if announced > MAX_OBJECT_BYTES:
                rule = f"{key} has {announced} bytes, and at most {MAX_OBJECT_BYTES} are read as a whole"
                raise StoreError(f"{self.name!r}: {rule}; check the address")
            data = bytes(answer.bytes())
            if len(data) != announced:
                raise _CutShortError
            if size is None:
                self._stamps.put(key, stamp_of(answer.meta))
            return data

        return self._ask(key, read)

    def _ask(self, key: str, request: Callable[[], Value]) -> Value:
        """Return what `request` returns, asked again if bytes are missing. Raises as `Store` says."""
        for attempt in range(_ATTEMPTS):
            try:
                return request()
            except StoreError:
                raise
            except Exception as error:  # what obstore raises has no common root but this
                if is_absent(error):
                    raise FileNotFoundError(key) from None
                if type(error).__name__ in _REFUSED_CONDITIONS:
                    raise FileExistsError(key) from None
                if not (isinstance(error, _CutShortError) or is_cut_short(error)):
                    raise explain_failure(error, self.name) from None
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_FIRST_BACKOFF_S * 2**attempt)
        raise StoreError(f"{self.name!r}: {key} arrived in part only, {_ATTEMPTS} times; try again later")
