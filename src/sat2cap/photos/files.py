"""Where the images of listed photos are: in a folder or in tar files. Downloads are in `download`."""

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from sat2cap.errors import InputError, JobError
from sat2cap.photos.columns import RecordReader
from sat2cap.photos.protocol import Photo
from sat2cap.progress import Progress

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")


class PhotoFiles(Protocol):
    """Something that holds the images of photos."""

    def image(self, photo: Photo) -> bytes:
        """Return the encoded image. Raises `JobError` when it cannot be had."""
        ...


@runtime_checkable
class Fetcher(Protocol):
    """A photo source, or the files of one, that must fetch images before they can be read."""

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool, progress: Progress
    ) -> dict[str, str]:
        """Fetch the images not yet stored. Returns the keys of unavailable photos, each with the reason."""
        ...


class Records(RecordReader, Protocol):
    """A list of photos without their images."""

    @property
    def uri(self) -> str:
        """The specification that the user gave, such as ``yfcc:FILE``."""
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

    def image(self, photo: Photo) -> bytes:
        """Return the encoded image from the files. Raises `JobError` when it cannot be had."""
        return self.files.image(photo)

    def fetch(
        self, photos: Iterable[Photo], total: int, *, retry: bool, progress: Progress
    ) -> dict[str, str]:
        """Fetch the images if the files are a `Fetcher`; otherwise do nothing and return no failures."""
        if not isinstance(self.files, Fetcher):
            return {}
        return self.files.fetch(photos, total, retry=retry, progress=progress)


def iterate_photos(listed: RecordReader) -> Iterator[Photo]:
    """Yield the records of a list as `Photo` objects."""
    for batch in listed.records():
        for row in batch.to_pylist():
            yield Photo(**row)


def _names(photo: Photo) -> list[str]:
    """Under what names a photo may be filed, the surest first: its path, the file of its URL, its key."""
    path = photo.url.split("?")[0]
    below = [] if "://" in path else [path]
    last = path.rsplit("/", 1)[-1]
    return [name for name in (*below, last, *(photo.key + suffix for suffix in SUFFIXES)) if name]


@dataclass(frozen=True)
class FolderFiles:
    """Images in a folder: at the photo's own path, under the file name of its URL, or as ``KEY.jpg``."""

    folder: Path

    def image(self, photo: Photo) -> bytes:
        """The bytes of the first such file. Raises `JobError` when there is none."""
        for name in _names(photo):
            path = self.folder / name
            if path.is_file() and path.resolve().is_relative_to(self.folder.resolve()):
                return path.read_bytes()
        raise JobError(f"photo {photo.key} is not in {self.folder}; it was looked for as {_names(photo)[0]}")


@dataclass(frozen=True)
class TarFiles:
    """Images in uncompressed tar files, under the same names as in a folder."""

    paths: tuple[Path, ...]

    @cached_property
    def _places(self) -> dict[str, tuple[Path, int, int]]:
        """Member name to archive, offset and size."""
        found: dict[str, tuple[Path, int, int]] = {}
        for path in self.paths:
            try:
                with tarfile.open(path, "r:") as tar:
                    for member in tar:
                        if member.isfile():
                            place = (path, member.offset_data, member.size)
                            name = member.name.removeprefix("./")
                            found.setdefault(name, place)
                            found.setdefault(name.rsplit("/", 1)[-1], place)
            except (tarfile.TarError, OSError) as error:
                raise InputError(
                    f"{path} cannot be read as a tar ({error}); it must not be compressed"
                ) from None
        return found

    def image(self, photo: Photo) -> bytes:
        """The bytes of the photo's member. Raises `JobError` when there is none."""
        for name in _names(photo):
            if name in self._places:
                path, offset, size = self._places[name]
                with path.open("rb") as file:
                    file.seek(offset)
                    return file.read(size)
        raise JobError(f"photo {photo.key} is in none of the tar files; looked for as {_names(photo)[0]}")


def open_files(spec: str) -> PhotoFiles:
    """Images in a folder, or in one tar or several (a pattern such as ``photos/*.tar``). `InputError`."""
    path = Path(spec)
    if path.is_dir():
        return FolderFiles(path)
    tars = tuple(sorted(path.parent.glob(path.name)))
    if tars and all(tar.suffix == ".tar" for tar in tars):
        return TarFiles(tars)
    raise InputError(
        f"photo files {spec!r}: there is no such folder or tar; give one, or a pattern such as x/*.tar"
    )
