"""The photo record and the protocol of photo sources."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Photo:
    """One ground photo as its source describes it, faults included; `pairs` decides what is usable."""

    key: str
    """Unique within the source; letters, digits, ``-`` and ``_``."""
    lon: float | None
    """Degrees east, WGS 84; None when the source has no place."""
    lat: float | None
    """Degrees north, WGS 84."""
    taken: datetime | None
    """Local clock time without zone; None when missing or unreadable."""
    user: str = ""
    licence: str = "unknown"
    source: str = ""
    """Where it was published: a page URL, or the source's own name."""
    author: str = ""
    """The name to credit, where it differs from `user`."""
    title: str = ""
    url: str = ""
    """Where the image is: a URL, or a path in the folder or archive that holds the files."""
    level: int | None = None
    """Flickr's accuracy of the place, 1 (the world) to 16 (a street); None when the source has none."""
    error_m: float | None = None
    """Accuracy of the place in metres; None when the source has none."""
    video: bool = False
    fault: str = ""
    """Short description of what the source found wrong with the record; empty if nothing."""


class PhotoSource(Protocol):
    """A collection of ground photos."""

    @property
    def uri(self) -> str:
        """The specification that the user gave, such as ``yfcc:FILE``."""
        ...

    def photos(self) -> Iterator[Photo]:
        """Yield every record, always in the same order."""
        ...

    def read_image(self, photo: Photo) -> bytes:
        """Return the encoded image, JPEG or PNG. Raises `JobError` when it cannot be had."""
        ...
