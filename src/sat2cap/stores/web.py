"""A folder on a web server, ``https://…``, as a store for reading, by the policy of `sat2cap.http`."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlsplit, urlunsplit

from sat2cap.errors import ImageryError, JobError, StoreError
from sat2cap.files import digest
from sat2cap.stores.protocol import Stamp
from sat2cap.stores.requests import SIDE_BY_SIDE, RecentStamps, RemoteStore

if TYPE_CHECKING:
    from sat2cap.http import Fetcher


@dataclass(frozen=True)
class WebStore(RemoteStore):
    """The files below one address of a web server; it follows `sat2cap.stores.Store`, for reading only.

    Failed requests are repeated, and redirects into this machine's own network refused, as
    `sat2cap.http.Fetcher` does. In the address, ``${NAME}`` is read from the environment, and a query such as
    ``?sig=…`` is sent with every request.
    """

    _stamps: RecentStamps = field(
        default_factory=lambda: RecentStamps(math.inf), init=False, repr=False, compare=False
    )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the address, without connections."""
        return WebStore, (self.address, self.timeout_s)

    @cached_property
    def _fetcher(self) -> "Fetcher":
        from sat2cap.http import Fetcher, FetchPolicy

        policy = FetchPolicy(max_concurrent=SIDE_BY_SIDE, timeout_s=self.timeout_s)
        return Fetcher(self.name, policy=policy)

    @property
    def parent(self) -> "WebStore":
        """The store of the address without the last part of its path."""
        parts = urlsplit(self.address)
        above = urlunsplit(parts._replace(path=parts.path.rstrip("/").rpartition("/")[0]))
        return WebStore(above, self.timeout_s)

    def child(self, name: str) -> "WebStore":
        """Return the store of the address with one more part of its path."""
        parts = urlsplit(self.address)
        below = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name)}"))
        return WebStore(below, self.timeout_s)

    @property
    def can_list(self) -> bool:
        """False: a web server lists nothing."""
        return False

    @property
    def can_write(self) -> bool:
        """False: nothing is written to a web server."""
        return False

    @property
    def writer(self) -> NoReturn:
        """Raise `StoreError`: nothing is written to a web server."""
        self._refuse()

    def get(self, key: str) -> bytes:
        """Return a file. Raises `FileNotFoundError`."""
        data = self._fetch(key)
        self._stamps.put(key, (digest(data),))
        return data

    def read_into(self, key: str, out: memoryview, sha256: str | None = None) -> int:
        """Read a file into `out`, and return its size."""
        data = self._fetch(key)
        if len(data) == len(out):
            out[:] = data
        return len(data)

    def get_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a range of a file's bytes, also from a server that sends all of it.

        Raises `StoreError` if the file is shorter.
        """
        data = self._fetch(key, {"Range": f"bytes={start}-{stop - 1}"})
        if len(data) > stop - start:
            data = data[start:stop]
        if len(data) != stop - start:
            raise StoreError(f"{self.name!r}: {key} ends before byte {stop}; check the address")
        return data

    def get_end(self, key: str, count: int) -> bytes:
        """Return the end of a file, also from a server that sends all of it. Raises `FileNotFoundError`."""
        return self._fetch(key, {"Range": f"bytes=-{count}"})[-count:]

    def get_lines(self, key: str) -> bytes:
        """Return the file of lines; segments that a bucket has beside it are not seen by their server."""
        try:
            return self.get(key)
        except FileNotFoundError:
            return b""

    def put(self, key: str, data: bytes) -> None:
        """Raise `StoreError`: nothing is written to a web server."""
        self._refuse()

    def list(self, prefix: str = "") -> Iterator[tuple[str, int]]:
        """Raise `StoreError`: a web server lists nothing."""
        self._refuse()

    def names(self) -> Iterator[str]:
        """Raise `StoreError`: a web server lists nothing."""
        self._refuse()

    def sizes(self, keys: Iterable[str]) -> dict[str, int]:
        """Raise `StoreError`: a web server does not say sizes without sending the files."""
        self._refuse()

    def delete(self, key: str) -> None:
        """Raise `StoreError`: nothing is deleted on a web server."""
        self._refuse()

    def stamp(self, key: str) -> Stamp | None:
        """Return the hash of a file that is read for it; None if there is no file.

        Files of web servers are rarely replaced, and reading one may take long: it is that of the first time,
        until `refresh`.
        """

        def ask() -> Stamp | None:
            try:
                return (digest(self._fetch(key)),)
            except FileNotFoundError:
                return None

        return self._stamps.get(key, ask)

    def stamp_lines(self, key: str) -> Stamp | None:
        """Return the stamp of the file of lines."""
        return self.stamp(key)

    def _fetch(self, key: str, headers: dict[str, str] | None = None) -> bytes:
        """Fetch a file. Raises `FileNotFoundError` if there is none, `StoreError` if that fails."""
        from sat2cap.http import with_secrets

        parts = urlsplit(self.address)
        path = f"{parts.path.rstrip('/')}/{quote(key)}"
        try:
            url = with_secrets(urlunsplit(parts._replace(path=path, fragment="")), self.name)
            data = self._fetcher.get(url, key, bytes, headers)
        except (ImageryError, JobError) as error:
            raise StoreError(str(error)) from None
        if data is None:
            raise FileNotFoundError(key)
        return data

    def _refuse(self) -> NoReturn:
        raise StoreError(f"{self.name!r} is a web server, which is only read; give s3://, gs:// or a folder")
