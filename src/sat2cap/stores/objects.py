"""A bucket of an object store, ``s3://``, ``gs://`` or ``az://``, as a store, through `obstore`."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from sat2cap.errors import StoreError
from sat2cap.stores.failures import explain_failure, is_absent, is_cut_short
from sat2cap.stores.protocol import Stamp
from sat2cap.stores.requests import RemoteStore

if TYPE_CHECKING:
    from obstore.store import ObjectStore as ObstoreStore

Value = TypeVar("Value")

MAX_OBJECT_BYTES = 2**30
"""Largest object that is read as a whole."""
_ATTEMPTS = 3
"""How often an object is read whose bytes do not all arrive; obstore itself repeats other failures."""
_FIRST_BACKOFF_S = 0.2


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
        from obstore.store import from_url

        timeout = timedelta(seconds=self.timeout_s)
        try:
            return from_url(
                self.address,
                client_options={
                    "timeout": timedelta(seconds=self.timeout_s + self.retry_s),
                    "read_timeout": timeout,
                    "connect_timeout": min(timeout, timedelta(seconds=10)),
                    "allow_http": _allows_http(),
                },
                retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=self.retry_s)},
            )
        except Exception as error:  # what obstore raises has no common root but this
            raise explain_failure(error, self.name) from None

    @property
    def can_list(self) -> bool:
        """True: a bucket is listed, if its permissions allow it."""
        return True

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

    def put(self, key: str, data: bytes) -> None:
        """Put or replace an object."""
        import obstore

        self._ask(key, lambda: obstore.put(self._client, key, data, use_multipart=False))
        self._stamps.forget(key)

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Yield key and size of every object below `prefix`."""
        import obstore

        pages = iter(obstore.list(self._client, prefix or None))
        while (page := self._ask(prefix, lambda: next(pages, None))) is not None:
            yield from ((str(entry["path"]), int(entry["size"])) for entry in page)

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
            return str(meta["e_tag"]), meta["size"], meta["last_modified"].isoformat()

        return self._stamps.get(key, ask)

    def _read(self, key: str, size: int | None) -> bytes:
        """Return an object; if it has not the `size` that is given, as many zeros as it has bytes."""
        import obstore

        def read() -> bytes:
            answer = obstore.get(self._client, key)
            announced = answer.meta["size"]
            if size is not None and announced != size:
                return bytes(min(announced, size + 1))
            if announced > MAX_OBJECT_BYTES:
                rule = f"{announced} bytes, and at most {MAX_OBJECT_BYTES} are read as a whole"
                raise StoreError(f"{self.name!r}: {key} has {rule}; check the address")
            data = bytes(answer.bytes())
            if len(data) != announced:
                raise _CutShortError
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
                if not (isinstance(error, _CutShortError) or is_cut_short(error)):
                    raise explain_failure(error, self.name) from None
            if attempt + 1 < _ATTEMPTS:
                time.sleep(_FIRST_BACKOFF_S * 2**attempt)
        raise StoreError(f"{self.name!r}: {key} arrived in part only, {_ATTEMPTS} times; try again later")


def _allows_http() -> bool:
    """Return whether requests may go without TLS: said so, or the endpoint in the environment has none."""
    endpoints = (os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT"))
    is_meant = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("true", "1")
    return is_meant or any(endpoint.startswith("http://") for endpoint in endpoints)
