"""Photos in webdataset shards of the paper's layout: the authors' own, or a pair set of this package.

A sample is ``KEY.groundlevel.jpg``, ``KEY.overhead.jpg`` and ``KEY.metadata.json`` with ``latitude``,
``longitude`` and ``date_taken`` (appendix of the paper, authors' code). The overhead image is not read: a
build of pairs makes its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sat2cap.errors import InputError, JobError
from sat2cap.files import digest, parse_json
from sat2cap.photos.local_time import read_local_time
from sat2cap.photos.protocol import Photo
from sat2cap.photos.tar_members import TarMember, list_members, read_member
from sat2cap.photos.timestamps import RecordFaultError

UNREADABLE_METADATA = "unreadable metadata"
"""Fault of a sample without a photo, or without metadata that can be read."""
REPEATED_MEMBER = "repeated member"
"""Fault of a sample that has two members of the same name."""

_GROUND_PART, _METADATA_PART = "groundlevel.jpg", "metadata.json"
_MAX_KEY_LENGTH = 80
_MAX_METADATA_BYTES = 2**20


@dataclass
class _Sample:
    """The members of one key."""

    key: str
    """Path of the members up to the first dot of the file name, folders included."""
    parts: dict[str, TarMember] = field(default_factory=dict)
    """Member by what follows that dot, such as ``metadata.json``."""
    fault: str = ""

    def add_member(self, part: str, member: TarMember) -> None:
        """Add a member; what is wrong with it becomes the fault of the sample."""
        if part in self.parts:
            self.fault = self.fault or REPEATED_MEMBER
        elif part in (_GROUND_PART, _METADATA_PART):
            self.fault = self.fault or member.fault
        self.parts[part] = member


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
            for sample in _list_samples(path):
                yield _make_photo(path, sample)

    def read_image(self, photo: Photo) -> bytes:
        """Return the encoded ground photo. Raises `JobError` when the tar no longer holds it."""
        path, _, location = photo.url.rpartition("#")
        offset, _, size = location.partition("+")
        try:
            return read_member(Path(path), int(offset), int(size))
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


def _list_samples(path: Path) -> Iterator[_Sample]:
    """Yield the samples of a tar. Raises `InputError` if it is broken.

    Members that follow each other and share their key are one sample; as in webdataset, folders are part of
    the key, so that the first two below are two::

        a/k1.groundlevel.jpg  a/k1.metadata.json  b/k1.groundlevel.jpg  ...
        \\________ sample a/k1 ______________/     \\_ sample b/k1 ...
    """
    sample = _Sample("")
    for member in list_members(path):
        folder, slash, file_name = member.name.rpartition("/")
        stem, _, part = file_name.partition(".")
        key = folder + slash + stem
        if key != sample.key and sample.parts:
            yield sample
            sample = _Sample("")
        sample.key = key
        sample.add_member(part, member)
    if sample.parts:
        yield sample


def _make_key(text: str) -> str:
    """Return a key of the letters that keys may have; a hash tells apart what would become equal.

    A key without a folder, and of these letters, stays as it is.
    """
    key = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    if key == text and len(key) <= _MAX_KEY_LENGTH:
        return key
    return f"{key[-60:]}-{digest(text)[:8]}"


def _make_photo(path: Path, sample: _Sample) -> Photo:
    """Make the record of a sample; `Photo.url` becomes ``TAR#OFFSET+SIZE``, the bytes of the photo."""
    key = _make_key(sample.key)
    ground, metadata = (sample.parts.get(part) for part in (_GROUND_PART, _METADATA_PART))
    if sample.fault or ground is None or metadata is None or metadata.size > _MAX_METADATA_BYTES:
        return Photo(key, None, None, None, fault=sample.fault or UNREADABLE_METADATA)
    location = f"{path}#{ground.offset}+{ground.size}"
    try:
        record = parse_json(read_member(path, metadata.offset, metadata.size))
        lon, lat = float(record["longitude"]), float(record["latitude"])
        date = str(record.get("date_taken") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return Photo(key, None, None, None, url=location, fault=UNREADABLE_METADATA)
    try:
        taken, fault = read_local_time(date, lon, lat), ""
    except RecordFaultError as error:
        taken, fault = None, str(error)
    return Photo(key, lon, lat, taken, source=path.name, url=location, fault=fault)
