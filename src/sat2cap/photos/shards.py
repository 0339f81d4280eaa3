"""Photos in webdataset shards of the paper's layout: the authors' own, or a pair set of this package.

A sample is ``KEY.groundlevel.jpg``, ``KEY.overhead.jpg`` and ``KEY.metadata.json`` with ``latitude``,
``longitude`` and ``date_taken`` (appendix of the paper, authors' code). The overhead image is not read: a
build of pairs makes its own.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sat2cap.errors import InputError, JobError
from sat2cap.photos.protocol import Photo

UNREADABLE_METADATA = "unreadable metadata"
"""Fault of a sample without a photo, or without metadata that can be read."""

_GROUND_PART, _METADATA_PART = "groundlevel.jpg", "metadata.json"
_DATE_FORMATS = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class ShardPhotos:
    """A `PhotoSource` over tar files."""

    paths: tuple[Path, ...]
    uri: str

    def photos(self) -> Iterator[Photo]:
        """Yield a record for every sample, in the order of the files.

        Raises `InputError` for a broken tar.
        """
        for path in self.paths:
            for key, parts in _read_samples(path):
                yield _make_photo(path, key, parts)

    def read_image(self, photo: Photo) -> bytes:
        """Return the encoded ground photo. Raises `JobError` when the tar no longer holds it."""
        path, _, location = photo.url.rpartition("#")
        offset, _, size = location.partition("+")
        try:
            with Path(path).open("rb") as file:
                file.seek(int(offset))
                return file.read(int(size))
        except (OSError, ValueError):
            raise JobError(
                f"photo {photo.key} cannot be read from {photo.url}; fetch the tar again"
            ) from None


def open_shards(spec: str) -> ShardPhotos:
    """Open the shards in a folder (or in its ``shards/``), or those that match ``data/*.tar``.

    Raises `InputError` if there are none.
    """
    path = Path(spec)
    if path.is_dir():
        paths = sorted((path / "shards").glob("*.tar")) or sorted(path.glob("*.tar"))
    else:
        paths = sorted(path.parent.glob(path.name))
    if not paths:
        raise InputError(
            f"photos {spec!r}: no .tar there; give a folder of shards or a pattern such as d/*.tar"
        )
    return ShardPhotos(tuple(paths), f"shards:{spec}")


def _read_samples(path: Path) -> Iterator[tuple[str, dict[str, tuple[int, int] | bytes]]]:
    """Yield key and parts of each sample: the bytes of its metadata, offset and size of every other part.

    Members that follow each other and share their key are one sample::

        k1.groundlevel.jpg  k1.metadata.json  k2.groundlevel.jpg  ...
        \\_________ sample k1 ___________/    \\_ sample k2 ...
    """
    key, parts = "", dict[str, tuple[int, int] | bytes]()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                member_key, _, part = member.name.rsplit("/", 1)[-1].partition(".")
                if member_key != key and parts:
                    yield key, parts
                    parts = {}
                key = member_key
                file = tar.extractfile(member) if part == _METADATA_PART else None
                parts[part] = file.read() if file else (member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"{path} cannot be read as a shard ({error}); fetch it again") from None
    if parts:
        yield key, parts


def _make_photo(path: Path, key: str, parts: dict[str, Any]) -> Photo:
    """Make the record of a sample; `Photo.url` becomes ``TAR#OFFSET+SIZE``, the bytes of the photo."""
    key = re.sub(r"[^A-Za-z0-9_-]", "_", key)
    if _GROUND_PART not in parts or _METADATA_PART not in parts:
        return Photo(key, None, None, None, fault=UNREADABLE_METADATA)
    offset, size = parts[_GROUND_PART]
    location = f"{path}#{offset}+{size}"
    try:
        record = json.loads(parts[_METADATA_PART])
        lon, lat = float(record["longitude"]), float(record["latitude"])
    except (ValueError, KeyError, TypeError):
        return Photo(key, None, None, None, url=location, fault=UNREADABLE_METADATA)
    taken = _parse_date(str(record.get("date_taken", "")))
    return Photo(key, lon, lat, taken, source=path.name, url=location)


def _parse_date(text: str) -> datetime | None:
    """Return None for a date that cannot be read; the authors' code draws a random one instead."""
    for date_format in _DATE_FORMATS:
        try:
            return datetime.strptime(text, date_format)
        except ValueError:
            continue
    return None
