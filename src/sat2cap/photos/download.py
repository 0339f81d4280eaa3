"""Photos fetched from where they were published: politely, and so that a stopped run goes on.

Every photo is one file in a folder, published by rename, and one row of ``downloads.sqlite`` beside them. A
failure is a row with its reason; it is tried again only when asked for, and never counted as done.
"""

import asyncio
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sat2cap.errors import JobError
from sat2cap.files import digest, write_bytes
from sat2cap.http import user_agent
from sat2cap.photos.protocol import Photo
from sat2cap.progress import Progress, silent

STAGE = "downloading photos"
_WINDOW = 256  # photos under way or waiting for their site's turn
_LARGEST = 32 * 2**20  # bytes
_GIVEN_UP = 50  # failures to connect in a row: the network is away, not the photos
_SAVED_EVERY_S = 1.0
_CANNOT_CONNECT = "cannot connect"
_TABLE = "create table if not exists photos (name text primary key, url text, reason text, bytes integer)"
_Fetched = tuple[Photo, str, bytes, str]  # URL, and either the image or why there is none


@dataclass(frozen=True)
class Downloads:
    """Photos by their URL, kept in a folder that several builds may share."""

    folder: Path
    mirror: str = ""
    """Where to ask instead of the photo's own URL: ``{path}`` stands for that URL's path without the leading
    slash, ``{key}`` for the photo's key."""
    per_site: int = 4
    """Requests under way to one site, that is, to all hosts of a domain."""
    per_second: float = 8.0
    """Requests begun at one site in a second."""
    tries: int = 3
    """For what may pass: time-outs, a server in trouble (429, 5xx)."""
    timeout_s: float = 30.0

    def image(self, photo: Photo) -> bytes:
        """What was downloaded. Raises `JobError` when it was not."""
        try:
            return self.path(photo).read_bytes()
        except OSError:
            raise JobError(f"photo {photo.key} is not downloaded; build again to fetch it") from None

    def path(self, photo: Photo) -> Path:
        """The file of a photo, downloaded or not: another list may have another photo of the same key."""
        return self._file(_name(photo))

    def _file(self, name: str) -> Path:
        return self.folder / name[-3:] / name  # 4,096 folders, since one of millions is slow

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool = False, progress: Progress = silent
    ) -> dict[str, str]:
        """Download what is neither here nor known to fail (with `retry`, the latter too).

        Returns the keys that cannot be had, with the reason. Raises `JobError` when the network is away.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.folder / "downloads.sqlite")) as db:
            db.execute(_TABLE)
            journal = _Journal(db, total, progress)
            asyncio.run(self._fetch(self._todo(photos, db, journal, retry), journal))
            journal.settle()
            journal.save()
        progress(STAGE, total, total)
        return journal.failed

    def _todo(
        self, photos: Iterable[Photo], db: sqlite3.Connection, journal: "_Journal", retry: bool
    ) -> Iterator[Photo]:
        for photo in photos:
            row = db.execute("select reason from photos where name = ?", (_name(photo),)).fetchone()
            if row is None or (row[0] and retry) or (not row[0] and not self.path(photo).is_file()):
                yield photo
            else:
                journal.known(photo.key, row[0])

    async def _fetch(self, todo: Iterator[Photo], journal: "_Journal") -> None:
        sites: defaultdict[str, _Site] = defaultdict(lambda: _Site(self.per_site, self.per_second))
        limits = httpx.Limits(max_connections=_WINDOW, max_keepalive_connections=64)
        async with httpx.AsyncClient(
            headers={"User-Agent": user_agent()}, timeout=self.timeout_s, limits=limits, follow_redirects=True
        ) as client:

            async def one(photo: Photo) -> _Fetched:
                url = self._url(photo)
                return photo, url, *await _get(client, sites[_site(url)], url, self.tries)

            tasks = {asyncio.ensure_future(one(photo)) for photo in islice(todo, _WINDOW)}
            try:
                while tasks:
                    done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        journal.done(task.result(), self._file)
                    tasks |= {asyncio.ensure_future(one(photo)) for photo in islice(todo, len(done))}
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _url(self, photo: Photo) -> str:
        if not self.mirror:
            return photo.url
        return self.mirror.format(path=urlsplit(photo.url).path.lstrip("/"), key=photo.key)


def _name(photo: Photo) -> str:
    return f"{photo.key}-{digest(photo.key, photo.url)[:12]}"


def _site(url: str) -> str:
    """What is asked politely as one: all hosts of a domain, such as farm1 to farm9 of a photo site."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    return parts.netloc if labels[-1].isdecimal() else ".".join(labels[-2:])


class _Site:
    """One site's turn: few requests at once, and not too many a second."""

    def __init__(self, at_once: int, per_second: float) -> None:
        self.places = asyncio.Semaphore(at_once)
        self.apart_s = 1 / per_second
        self.next_s = 0.0

    async def turn(self) -> None:
        """Wait until the next request may start."""
        now = time.monotonic()
        self.next_s = max(now, self.next_s) + self.apart_s
        await asyncio.sleep(self.next_s - self.apart_s - now)

    def rest(self, seconds: float) -> None:
        """No request to the site before so many seconds have passed."""
        self.next_s = max(self.next_s, time.monotonic() + seconds)


class _Journal:
    """What became of each photo, saved every second or so."""

    def __init__(self, db: sqlite3.Connection, total: int, progress: Progress) -> None:
        self.failed: dict[str, str] = {}
        self._db, self._total, self._progress = db, total, progress
        self._count = 0
        self._unreached: list[_Fetched] = []  # failures only if the network proves to be there
        self._saved_s = time.monotonic()

    def known(self, key: str, reason: str) -> None:
        """A photo that needs no request."""
        if reason:
            self.failed[key] = reason
        self._count += 1

    def done(self, fetched: _Fetched, path: Callable[[str], Path]) -> None:
        """A photo that was asked for. Raises `JobError` when nothing can be reached any more."""
        photo, url, data, reason = fetched
        if reason == _CANNOT_CONNECT:
            self._unreached.append(fetched)
            if len(self._unreached) >= _GIVEN_UP:
                self._unreached.clear()
                self.save()
                raise JobError(
                    f"{url}: cannot connect, nor to {_GIVEN_UP - 1} others before it; check the network, "
                    "then the same command goes on"
                )
            return
        self.settle()
        if not reason:
            write_bytes(path(_name(photo)), data)
        self._record(fetched)
        if time.monotonic() - self._saved_s > _SAVED_EVERY_S:
            self.save()

    def settle(self) -> None:
        """Record as failed what could not be reached, since something else could, or all is tried."""
        for fetched in self._unreached:
            self._record(fetched)
        self._unreached.clear()

    def _record(self, fetched: _Fetched) -> None:
        photo, url, data, reason = fetched
        row = (_name(photo), url, reason, len(data))
        self._db.execute("insert or replace into photos values (?, ?, ?, ?)", row)
        self.known(photo.key, reason)

    def save(self) -> None:
        """Put it on disk, and say how far it is."""
        self._db.commit()
        self._saved_s = time.monotonic()
        self._progress(STAGE, self._count, self._total)


async def _get(client: httpx.AsyncClient, site: _Site, url: str, tries: int) -> tuple[bytes, str]:
    """The image, or why there is none; exactly one of the two is empty."""
    if urlsplit(url).scheme not in ("http", "https"):
        return b"", "no URL"
    reason = ""
    for attempt in range(tries):
        async with site.places:
            await site.turn()
            try:
                data, reason, wait_s = await _request(client, url)
            except httpx.ConnectError:
                data, reason, wait_s = b"", _CANNOT_CONNECT, 1.0
            except httpx.TimeoutException:
                data, reason, wait_s = b"", "timed out", 1.0
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                data, reason, wait_s = b"", type(error).__name__, None
        if wait_s is None:
            return data, reason
        if attempt + 1 < tries:
            pause_s = wait_s * 2**attempt
            if reason.startswith("HTTP 429"):
                site.rest(pause_s)
            await asyncio.sleep(pause_s)
    return b"", reason


async def _request(client: httpx.AsyncClient, url: str) -> tuple[bytes, str, float | None]:
    """Image, reason, and after how many seconds another try may help; None for never."""
    async with client.stream("GET", url) as answer:
        if answer.status_code == 429 or answer.status_code >= 500:
            after = answer.headers.get("Retry-After", "")
            return b"", f"HTTP {answer.status_code}", min(float(after), 60.0) if after.isdecimal() else 0.5
        if answer.status_code != 200:
            return b"", f"HTTP {answer.status_code}", None
        if "photo_unavailable" in answer.url.path:  # Flickr's picture that says that there is none
            return b"", "removed by its owner", None
        if "noai" in answer.headers.get("X-Robots-Tag", "").lower():
            return b"", "not for machine learning (X-Robots-Tag)", None
        kind = answer.headers.get("Content-Type", "image/").split(";")[0]
        if not kind.startswith(("image/", "application/octet-stream", "binary/")):
            return b"", f"not an image ({kind})", None
        data = bytearray()
        async for part in answer.aiter_bytes():
            data += part
            if len(data) > _LARGEST:
                return b"", f"larger than {_LARGEST >> 20} MB", None
    return (bytes(data), "", None) if data else (b"", "empty", None)
