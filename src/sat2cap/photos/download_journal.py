"""The journal of downloads: the outcome of each photo in a SQLite file, saved about every second."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from sat2cap.errors import JobError
from sat2cap.files import digest, write_bytes
from sat2cap.photos.protocol import Photo
from sat2cap.progress import Progress
from sat2cap.redaction import redact_secrets

STAGE = "downloading photos"
"""Name of the stage, for progress."""
_MAX_UNREACHED = 50  # failures to connect in a row: the network is away, not the photos
_SAVE_INTERVAL_S = 1.0
CANNOT_CONNECT = "cannot connect"
"""Reason of a photo whose server could not be reached."""
CREATE_TABLE = (
    "create table if not exists photos (name text primary key, url text, reason text, bytes integer)"
)
Outcome = tuple[Photo, str, bytes, str]
"""Photo, URL, and either the encoded image or the reason why there is none."""


def photo_file_name(photo: Photo) -> str:
    """Return the name of a downloaded photo's file, which is also that of its row: from key and URL."""
    return f"{photo.key}-{digest(photo.key, photo.url)[:12]}"


class DownloadJournal:
    """The outcome of each photo, saved about every second."""

    def __init__(self, db: sqlite3.Connection, total: int, progress: Progress) -> None:
        self.failures: dict[str, str] = {}
        self._db, self._total, self._progress = db, total, progress
        self._count = 0
        self._unreached: list[Outcome] = []  # failures only if the network proves to be there
        self._saved_s = time.monotonic()

    def count_photo(self, key: str, reason: str) -> None:
        """Count a photo as finished; `reason` is why it failed, or empty."""
        if reason:
            self.failures[key] = reason
        self._count += 1

    def record_outcome(self, outcome: Outcome, file_path: Callable[[str], Path]) -> None:
        """Write a downloaded image and its row. Raises `JobError` when no site can be reached any more."""
        photo, url, data, reason = outcome
        if reason == CANNOT_CONNECT:
            self._unreached.append(outcome)
            if len(self._unreached) >= _MAX_UNREACHED:
                self._unreached.clear()
                self.save()
                raise JobError(
                    f"{url}: cannot connect, nor to {_MAX_UNREACHED - 1} others before it; "
                    "check the network, then the same command goes on"
                )
            return
        self.record_unreached()
        if not reason:
            write_bytes(file_path(photo_file_name(photo)), data)
        self._insert_row(outcome)
        if time.monotonic() - self._saved_s > _SAVE_INTERVAL_S:
            self.save()

    def record_unreached(self) -> None:
        """Record as failed the photos whose site could not be reached: another could, or all are tried."""
        for outcome in self._unreached:
            self._insert_row(outcome)
        self._unreached.clear()

    def _insert_row(self, outcome: Outcome) -> None:
        photo, url, data, reason = outcome
        row = (photo_file_name(photo), redact_secrets(url), reason, len(data))
        self._db.execute("insert or replace into photos values (?, ?, ?, ?)", row)
        self.count_photo(photo.key, reason)

    def save(self) -> None:
        """Commit the rows and report progress."""
        self._db.commit()
        self._saved_s = time.monotonic()
        self._progress(STAGE, self._count, self._total)
