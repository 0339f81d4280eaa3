"""Images of listed photos, in a folder or in tar files. Downloads are in `sat2cap.photos.download`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from sat2cap.errors import InputError, JobError
from sat2cap.files import read_regular_file
from sat2cap.photos.columns import RecordReader
from sat2cap.photos.protocol import Photo
from sat2cap.photos.tar_members import TarMember, list_members, read_member
from sat2cap.pictures import MAX_PICTURE_BYTES
from sat2cap.progress import Progress

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jpe", ".jfif", ".mpo"),
    *(".gif", ".bmp"),
)
"""File name endings, in small letters, that are tried for a photo."""


class PhotoFiles(Protocol):
    """Something that holds the images of photos."""

    def read_image(self, photo: Photo) -> bytes:
        """Return the encoded image. Raises `JobError` when it cannot be had."""
        ...


@runtime_checkable
class Fetcher(Protocol):
    """A photo source, or the files of one, that must fetch images before they can be read."""

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool, progress: Progress
    ) -> dict[str, str]:
        """Fetch the images that are not yet stored; with `retry` also those that could not be had before.

        `total` is the number of photos, for `progress`. Returns the keys of unavailable photos, each with the
        reason.
        """
        ...


class Records(RecordReader, Protocol):
    """A list of photos without their images."""

    @property
    def uri(self) -> str:
        """The specification that the user gave, such as ``yfcc:FILE``."""
        ...


@runtime_checkable
class ColumnReader(Protocol):
    """A list of photos whose columns are named by its maker, so that their use is to be explained."""

    def explain_columns(self) -> list[tuple[str, str]]:
        """Return lines, each a name and a text, on which columns are used and which are not."""
        ...


@dataclass(frozen=True)
class ListedPhotos:
    """A `PhotoSource` that takes its records from a list and its images from files."""

    listed: Records
    files: PhotoFiles

    @property
    def uri(self) -> str:
        """The specification of the list."""
        return self.listed.uri

    def records(self) -> Iterator[pa.RecordBatch]:
        """Yield the records of the list as Arrow batches."""
        return self.listed.records()

    def photos(self) -> Iterator[Photo]:
        """Yield the records of the list as `Photo` objects."""
        return iterate_photos(self.listed)

    def read_image(self, photo: Photo) -> bytes:
        """Return the encoded image from the files. Raises `JobError` when it cannot be had."""
        return self.files.read_image(photo)

    def explain_columns(self) -> list[tuple[str, str]]:
        """Return lines, each a name and a text, on which columns of a table are used; none for other lists.

        Raises `InputError` if the table cannot be read or lacks a column.
        """
        return self.listed.explain_columns() if isinstance(self.listed, ColumnReader) else []

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool, progress: Progress
    ) -> dict[str, str]:
        """Fetch the images if the files are a `Fetcher`; otherwise do nothing and return no failures.

        Arguments and result are those of `Fetcher.fetch`.
        """
        if not isinstance(self.files, Fetcher):
            return {}
        return self.files.fetch(photos, total, retry=retry, progress=progress)


def iterate_photos(listed: RecordReader) -> Iterator[Photo]:
    """Yield the records of a list as `Photo` objects."""
    for batch in listed.records():
        for row in batch.to_pylist():
            yield Photo(**row)


def _candidate_names(photo: Photo) -> list[str]:
    """Return the names under which a photo may be filed, the surest first.

    They are its path, the file name of its URL, and its key with every suffix of `IMAGE_SUFFIXES`.
    """
    path = photo.url.split("?")[0]
    relative_path = [] if "://" in path else [path]
    file_name = path.rsplit("/", 1)[-1]
    return [
        name
        for name in (*relative_path, file_name, *(photo.key + suffix for suffix in IMAGE_SUFFIXES))
        if name
    ]


@dataclass(frozen=True)
class FolderFiles:
    """Images in a folder: at the photo's own path, under the file name of its URL, or as ``KEY.jpg``."""

    folder: Path

    def read_image(self, photo: Photo) -> bytes:
        """Return the bytes of the first file that exists. Raises `JobError` when there is none."""
        for name in _candidate_names(photo):
            path = self.folder / name
            try:
                if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                    return read_regular_file(path, MAX_PICTURE_BYTES)
            except (OSError, ValueError) as error:  # a name that no file can have, or a file too large
                reason = getattr(error, "strerror", None) or "no file can have this name"
                raise JobError(
                    f"photo {photo.key} cannot be read ({reason}); it was {name[:100]!r}"
                ) from None
        raise JobError(
            f"photo {photo.key} is not in {self.folder}; it was looked for as {_candidate_names(photo)[0]}"
        )


@dataclass(frozen=True)
class TarFiles:
    """Images in uncompressed tar files, under the same names as in a folder."""

    paths: tuple[Path, ...]

    @cached_property
    def _member_locations(self) -> dict[str, tuple[Path, TarMember] | None]:
        """Archive and member by path, and by file name; None for a file name in several folders."""
        locations: dict[str, tuple[Path, TarMember] | None] = {}
        by_file_name: dict[str, tuple[Path, TarMember] | None] = {}
        for path in self.paths:
            for member in list_members(path):
                if not member.fault:
                    locations.setdefault(member.name, (path, member))
                    folder, _, file_name = member.name.rpartition("/")
                    if folder:
                        by_file_name[file_name] = None if file_name in by_file_name else (path, member)
        return {**by_file_name, **locations}

    def read_image(self, photo: Photo) -> bytes:
        """Return the bytes of the photo's member. Raises `JobError` when there is none, or not only one."""
        for name in _candidate_names(photo):
            if name in self._member_locations:
                location = self._member_locations[name]
                if location is None:
                    raise JobError(
                        f"photo {photo.key}: {name} is in several folders of the tars; give its path"
                    )
                path, member = location
                try:
                    return read_member(path, member.offset, member.size)
                except OSError as error:
                    raise JobError(
                        f"photo {photo.key} cannot be read from {path} ({error}); check it"
                    ) from None
        name = _candidate_names(photo)[0]
        raise JobError(f"photo {photo.key} is in none of the tar files; it was looked for as {name}")


def open_photo_files(spec: str) -> PhotoFiles:
    """Open the images in a folder, in a tar, or in the tars that match a pattern such as ``photos/*.tar``.

    Raises `InputError` if there is no such folder or tar. The tars are read at the first image.
    """
    path = Path(spec)
    if path.is_dir():
        return FolderFiles(path)
    tars = tuple(sorted(path.parent.glob(path.name)))
    if tars and all(tar.suffix == ".tar" for tar in tars):
        return TarFiles(tars)
    raise InputError(f"photo files {spec!r}: no such folder or tar; give one, or a pattern such as x/*.tar")
