"""Identities of files: hashes that change when the pixels in a file change."""

from pathlib import Path

from sat2cap.files import digest, digest_file

_HASHED_WHOLE = 256 * 2**20  # bytes; a larger file is known by size, time and its two ends
_END = 2**20


def file_identity(file: Path) -> str:
    """Return a hash of a file's bytes, or of a file above 256 MiB that of `file_glance`."""
    return digest_file(file) if file.stat().st_size <= _HASHED_WHOLE else file_glance(file)


def file_glance(file: Path) -> str:
    """Return a hash of a file's size, modification time, and first and last MiB.

    For folders of many files, whose bytes would take minutes to read.
    """
    stat = file.stat()
    with file.open("rb") as handle:
        head = handle.read(_END)
        handle.seek(max(0, stat.st_size - _END))
        return digest(str(stat.st_size), str(stat.st_mtime_ns), head, handle.read())
