"""Members of tar files from strangers: regular ones by offset and size, and why others cannot be read."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sat2cap.errors import InputError
from sat2cap.files import open_regular_file
from sat2cap.pictures import MAX_PICTURE_BYTES

NOT_REGULAR = "member is not a regular file"
TOO_LARGE = "member is too large"
_MAX_HEADER_BYTES = 2**20  # of a member's long name and attributes, which tarfile reads whole


@dataclass(frozen=True)
class TarMember:
    """A file in an uncompressed tar."""

    name: str
    """Path within the tar, without ``./`` in front."""
    offset: int
    """Position of its first byte in the tar file."""
    size: int
    """Bytes."""
    fault: str = ""
    """Why it must not be read: `NOT_REGULAR` (a link, a device, a sparse file) or `TOO_LARGE`; or empty."""


def list_members(path: Path) -> Iterator[TarMember]:
    """Yield the members of an uncompressed tar in their order, folders left out; no member is read.

    Raises `InputError` if the file is no tar, is torn, or claims to hold more than it does.
    """
    try:
        with open_regular_file(path) as file, tarfile.open(fileobj=_HeaderReader(file), mode="r:") as tar:  # type: ignore[call-overload]
            position = -1
            while (member := tar.next()) is not None:
                if member.size < 0 or member.offset <= position:  # a crafted size would lead back, for ever
                    raise tarfile.ReadError("a member has a negative size")
                position = member.offset
                if not member.isdir():
                    name = member.name.removeprefix("./")
                    yield TarMember(name, member.offset_data, member.size, _find_fault(member))
                tar.members = []  # tarfile would keep every one in memory
    except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:100]
        raise InputError(
            f"{path} cannot be read as a tar ({reason}); it must not be compressed: fetch it again"
        ) from None


def _find_fault(member: tarfile.TarInfo) -> str:
    if not member.isreg() or member.issparse():
        return NOT_REGULAR
    return TOO_LARGE if member.size > MAX_PICTURE_BYTES else ""


def read_member(path: Path, offset: int, size: int) -> bytes:
    """Return the bytes of a member. Raises `OSError` if they are not there, or too many."""
    if not 0 <= size <= MAX_PICTURE_BYTES or offset < 0:
        raise OSError(f"member of {size} bytes at {offset}")
    with open_regular_file(path) as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise OSError("the tar is shorter than it was")
    return data


class _HeaderReader:
    """A file of which only headers are read: a crafted one may claim to be terabytes long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
