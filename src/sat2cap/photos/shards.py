"""The photos in webdataset shards of the paper's layout: the authors' own, or a pair set of this package.

A sample is ``KEY.groundlevel.jpg``, ``KEY.overhead.jpg`` and ``KEY.metadata.json`` with ``latitude``,
``longitude`` and ``date_taken`` (appendix of the paper, authors' code). Of these the overhead image is not
read here: a build makes its own.
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

GROUND, METADATA = "groundlevel.jpg", "metadata.json"
UNREADABLE = "unreadable metadata"
_DATES = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class ShardPhotos:
    """A `PhotoSource` over tar files."""

    paths: tuple[Path, ...]
    uri: str

    def photos(self) -> Iterator[Photo]:
        """Every sample that has metadata, in the order of the files. Raises `InputError` for a broken tar."""
        for path in self.paths:
            for key, parts in _samples(path):
                yield _photo(path, key, parts)

    def image(self, photo: Photo) -> bytes:
        """The ground photo. Raises `JobError` when the tar no longer holds it."""
        name, _, where = photo.url.rpartition("#")
        offset, _, size = where.partition("+")
        try:
            with Path(name).open("rb") as file:
                file.seek(int(offset))
                return file.read(int(size))
        except (OSError, ValueError):
            raise JobError(f"photo {photo.key} cannot be read from {photo.url}") from None


def open_shards(spec: str) -> ShardPhotos:
    """Shards in a folder (or its ``shards/``), or those that match a pattern such as ``data/*.tar``."""
    path = Path(spec)
    folders = [path / "shards", path] if path.is_dir() else []
    found = [sorted(folder.glob("*.tar")) for folder in folders] or [sorted(path.parent.glob(path.name))]
    paths = next((each for each in found if each), [])
    if not paths:
        raise InputError(
            f"photos {spec!r}: no .tar there; give a folder of shards or a pattern such as d/*.tar"
        )
    return ShardPhotos(tuple(paths), f"shards:{spec}")


def _samples(path: Path) -> Iterator[tuple[str, dict[str, tuple[int, int] | bytes]]]:
    """Key and parts of each sample: the metadata's bytes, and offset and size of the others."""
    key, parts = "", dict[str, tuple[int, int] | bytes]()
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                name, _, part = member.name.rsplit("/", 1)[-1].partition(".")
                if name != key and parts:
                    yield key, parts
                    parts = {}
                key = name
                file = tar.extractfile(member) if part == METADATA else None
                parts[part] = file.read() if file else (member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"{path} cannot be read as a shard ({error}); fetch it again") from None
    if parts:
        yield key, parts


def _photo(path: Path, key: str, parts: dict[str, Any]) -> Photo:
    key = re.sub(r"[^A-Za-z0-9_-]", "_", key)
    if GROUND not in parts or METADATA not in parts:
        return Photo(key, None, None, None, fault=UNREADABLE)
    offset, size = parts[GROUND]
    where = f"{path}#{offset}+{size}"
    try:
        record = json.loads(parts[METADATA])
        lon, lat = float(record["longitude"]), float(record["latitude"])
    except (ValueError, KeyError, TypeError):
        return Photo(key, None, None, None, url=where, fault=UNREADABLE)
    return Photo(key, lon, lat, _date(str(record.get("date_taken", ""))), source=path.name, url=where)


def _date(text: str) -> datetime | None:
    """None for a date that cannot be read; the authors' code draws a random one instead."""
    for form in _DATES:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None
