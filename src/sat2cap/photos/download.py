"""Downloads of photos from where they were published: polite, and resumable after a stop.

Every photo is one file in a folder, published by rename, and one row of ``downloads.sqlite`` beside them. A
failure is a row with its reason; it is tried again only on request, and never counted as done. What is
retried and when requests start is the policy of `sat2cap.http`.
"""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from string import Formatter
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from sat2cap.errors import InputError, JobError
from sat2cap.http import (
    MAX_PAUSE_S,
    TRANSIENT_ERRORS,
    FetchPolicy,
    RetryState,
    ServerPacer,
    is_transient,
    retry_after_s,
    user_agent,
)
from sat2cap.locks import folder_lock, remove_temporary_files
from sat2cap.photos.download_journal import (
    CANNOT_CONNECT,
    CREATE_TABLE,
    STAGE,
    DownloadJournal,
    Outcome,
    photo_file_name,
)
from sat2cap.photos.protocol import Photo
from sat2cap.progress import Progress, silent

T = TypeVar("T")

_MAX_PENDING = 256  # photos under way or waiting for their site's turn
_MAX_PHOTO_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Downloads:
    """Photos downloaded from their URLs into a folder that several builds may share."""

    folder: Path
    mirror: str = ""
    """Address to ask instead of the photo's own URL: ``{path}`` stands for that URL's path without the
    leading slash, ``{key}`` for the photo's key."""
    per_site: int = 4
    """Requests under way to one site, that is, to all hosts of a domain."""
    per_second: float = 8.0
    """Requests begun at one site in a second."""
    max_attempts: int = 3
    """Tries of one photo before it counts as failed; see `sat2cap.http.FetchPolicy`."""
    first_backoff_s: float = 0.5
    """Seconds before the second try of a photo; doubled for the third."""
    timeout_s: float = 30.0
    """Seconds without an answer after which a try has failed."""
    max_photo_s: float = 300.0
    """Seconds after which a try has failed in any case, however many bytes keep coming."""

    def __post_init__(self) -> None:
        """Check the mirror. Raises `InputError` if it has other fields than ``{path}`` and ``{key}``."""
        try:
            fields = {name for _, name, _, _ in Formatter().parse(self.mirror) if name is not None}
            self.mirror.format(path="", key="")
        except (ValueError, LookupError, AttributeError):
            fields = {""}
        if not fields <= {"path", "key"}:
            raise InputError(
                f"mirror {self.mirror!r} has a field that is not filled in; {{path}} and {{key}} are, "
                "as in https://host/{path}"
            )

    @property
    def policy(self) -> FetchPolicy:
        """Retry and rate policy of each site."""
        return FetchPolicy(
            max_concurrent=self.per_site,
            max_attempts=self.max_attempts,
            first_backoff_s=self.first_backoff_s,
            timeout_s=self.timeout_s,
            max_per_s=self.per_second,
        )

    def read_image(self, photo: Photo) -> bytes:
        """Return the downloaded image, encoded. Raises `JobError` if it was not downloaded."""
        try:
            return self.path(photo).read_bytes()
        except OSError:
            raise JobError(f"photo {photo.key} is not downloaded; build again to fetch it") from None

    def path(self, photo: Photo) -> Path:
        """Return the file of a photo, whether downloaded or not.

        Its name depends on key and URL, as another list may have another photo of the same key.
        """
        return self._file_path(photo_file_name(photo))

    def _file_path(self, name: str) -> Path:
        return self.folder / name[-3:] / name  # 4,096 folders, since one of millions is slow

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool = False, progress: Progress = silent
    ) -> dict[str, str]:
        """Download the photos that are neither in the folder nor recorded as failed.

        With `retry`, those recorded as failed are tried again too. `total` is the number of photos, for
        `progress`. Returns the keys of the photos that cannot be had, each with the reason. Raises `JobError`
        if the network is away, or another process downloads into the folder.
        """
        return _call_outside_event_loop(partial(self._fetch, photos, total, retry, progress))

    def _fetch(self, photos: Iterable[Photo], total: int, retry: bool, progress: Progress) -> dict[str, str]:
        """Do what `fetch` does, in a thread without a running event loop."""
        with (
            folder_lock(self.folder, "download folder") as left_behind,
            closing(sqlite3.connect(self.folder / "downloads.sqlite")) as db,
        ):
            if left_behind:  # looking through millions of files takes long, so only after a kill
                remove_temporary_files(self.folder, "*/.*")
            db.execute(CREATE_TABLE)
            journal = DownloadJournal(db, total, progress)
            asyncio.run(self._download_all(self._iter_pending(photos, db, journal, retry), journal))
            journal.record_unreached()
            journal.save()
        progress(STAGE, total, total)
        return journal.failures

    def _iter_pending(
        self, photos: Iterable[Photo], db: sqlite3.Connection, journal: DownloadJournal, retry: bool
    ) -> Iterator[Photo]:
        """Yield the photos that need a request, and count the others in the journal."""
        for photo in photos:
            row = db.execute("select reason from photos where name = ?", (photo_file_name(photo),)).fetchone()
            if row is None or (row[0] and retry) or (not row[0] and not self.path(photo).is_file()):
                yield photo
            else:
                journal.count_photo(photo.key, row[0])

    async def _download_all(self, pending: Iterator[Photo], journal: DownloadJournal) -> None:
        """Download photos, at most `_MAX_PENDING` of them under way or waiting for their site at a time."""
        sites: defaultdict[str, _Site] = defaultdict(lambda: _Site(self.policy))
        limits = httpx.Limits(max_connections=_MAX_PENDING, max_keepalive_connections=64)
        async with httpx.AsyncClient(
            headers={"User-Agent": user_agent()}, timeout=self.timeout_s, limits=limits, follow_redirects=True
        ) as client:

            async def download(photo: Photo) -> Outcome:
                url = photo.url
                try:
                    url = self._download_url(photo)
                    site = sites[_site_name(url)]
                    return photo, url, *await _fetch_image(client, site, url, self.max_photo_s)
                except (ValueError, httpx.InvalidURL):  # UnicodeError of a host name is a ValueError
                    return photo, url, b"", "no valid URL"
                except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict) as error:
                    return photo, url, b"", _describe_error(error)

            tasks = {asyncio.ensure_future(download(photo)) for photo in islice(pending, _MAX_PENDING)}
            try:
                while tasks:
                    done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        journal.record_outcome(task.result(), self._file_path)
                    tasks |= {asyncio.ensure_future(download(photo)) for photo in islice(pending, len(done))}
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def _download_url(self, photo: Photo) -> str:
        if not self.mirror:
            return photo.url
        return self.mirror.format(path=urlsplit(photo.url).path.lstrip("/"), key=photo.key)


def _site_name(url: str) -> str:
    """Return the domain that is treated as one server, e.g. flickr.com for farm1.flickr.com to farm9."""
    parts = urlsplit(url)
    labels = (parts.hostname or "").split(".")
    return parts.netloc if labels[-1].isdecimal() else ".".join(labels[-2:])


class _Site:
    """The requests to one site: few at once, and started by its pacer."""

    def __init__(self, policy: FetchPolicy) -> None:
        self.policy = policy
        self.pacer = ServerPacer(policy)
        self.slots = asyncio.Semaphore(policy.max_concurrent)

    async def wait_for_start(self) -> None:
        """Wait until the pacer lets the next request start."""
        while (delay_s := self.pacer.claim_start()) > 0:
            await asyncio.sleep(delay_s)


async def _fetch_image(
    client: httpx.AsyncClient, site: _Site, url: str, max_photo_s: float
) -> tuple[bytes, str]:
    """Return the image, or the reason why there is none; exactly one of the two is empty."""
    if urlsplit(url).scheme not in ("http", "https"):
        return b"", "no URL"
    reason = ""
    retry = RetryState(site.policy, site.pacer)
    while not retry.exhausted:
        await asyncio.sleep(retry.backoff_s)
        async with site.slots:
            await site.wait_for_start()
            try:
                async with asyncio.timeout(max_photo_s):
                    data, reason, pause_s = await _request_image(client, url)
            except TimeoutError:
                reason = "timed out"
                retry.record_failure()
                continue
            except TRANSIENT_ERRORS as error:
                reason = _describe_error(error)
                retry.record_failure()
                continue
        if pause_s is None:
            site.pacer.record_answer()
            return data, reason
        if pause_s > MAX_PAUSE_S:  # the photo has failed, and the others do not rush in meanwhile
            site.pacer.record_pause(MAX_PAUSE_S)
        retry.record_status(pause_s)
    return b"", reason


def _describe_error(error: Exception) -> str:
    if isinstance(error, httpx.ConnectError):
        return CANNOT_CONNECT
    return "timed out" if isinstance(error, httpx.TimeoutException) else type(error).__name__


async def _request_image(client: httpx.AsyncClient, url: str) -> tuple[bytes, str, float | None]:
    """Return image, reason, and the pause in seconds before a retry (0: none asked for); None if final."""
    async with client.stream("GET", url) as answer:
        if is_transient(answer.status_code):
            return b"", f"HTTP {answer.status_code}", retry_after_s(answer.headers.get("Retry-After"))
        if answer.status_code != 200:
            return b"", f"HTTP {answer.status_code}", None
        if "photo_unavailable" in answer.url.path:  # Flickr's picture that says that there is none
            return b"", "removed by its owner", None
        if "noai" in answer.headers.get("X-Robots-Tag", "").lower():
            return b"", "not for machine learning (X-Robots-Tag)", None
        kind = answer.headers.get("Content-Type", "image/").split(";")[0].strip().lower()
        if not kind.startswith(("image/", "application/octet-stream", "binary/")):
            return b"", f"not an image ({kind})", None
        data = bytearray()
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > _MAX_PHOTO_BYTES:
                return b"", f"larger than {_MAX_PHOTO_BYTES >> 20} MB", None
    return (bytes(data), "", None) if data else (b"", "empty", None)


def _call_outside_event_loop(work: Callable[[], T]) -> T:
    """Return what `work` returns, which starts an event loop of its own.

    A notebook runs a loop in the thread of its cells, and a thread has one at most: there `work` is called in
    another thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
