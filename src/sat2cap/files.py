"""Files published by rename, so that a reader sees the old or the whole new one; hashes of content."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def _sync_folder(folder: Path) -> None:
    """Flush a folder to disk: until then, a rename in it does not survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_DISK_FAILURES = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextmanager
def publish(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`, else remove it.

    The temporary name keeps the suffix of `path`, since writers such as GDAL choose their format by it.
    Raises `OSError`, which names `path`, if nothing can be written there.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _free_name(target.parent, target.stem, target.suffix)
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    os.close(descriptor)
    try:
        with _disk_failures_named(target, temporary):
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(mode)  # some writers make a file of their own in its place, and private
            os.replace(temporary, target)
            _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def publish_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success sync its files and rename it to `path`, else remove it.

    A folder that was there is moved out of the way first, and only then removed. Raises `OSError` if nothing
    can be written there.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _free_name(target.parent, target.name)
    temporary.mkdir()  # not by tempfile, whose folders are private
    mode = stat.S_IMODE(temporary.stat().st_mode) & 0o666
    try:
        with _disk_failures_named(target, temporary):
            yield temporary
            for file in sorted(entry for entry in temporary.rglob("*") if entry.is_file()):
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
                file.chmod(mode)  # safetensors makes its files private
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            if target.exists():
                os.replace(target, old / "old")
            os.replace(temporary, target)
            shutil.rmtree(old)
            _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _free_name(folder: Path, stem: str, suffix: str = "") -> Path:
    """Return a path for something temporary in a folder, which nothing else will choose."""
    return folder / f".{stem}.{secrets.token_urlsafe(6)}{suffix}"


@contextmanager
def _disk_failures_named(target: Path, temporary: Path) -> Iterator[None]:
    """Turn a failure to write below `temporary`, such as a full disk, into an `OSError` that names `target`.

    A full disk names no file, and a temporary name would tell nobody anything.
    """
    try:
        yield
    except Exception as error:
        number = _disk_errno(error, temporary)
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(target)) from error


def _disk_errno(error: Exception, temporary: Path) -> int | None:
    """Return the system's error number if writing below `temporary` failed, on a full disk for example.

    None for every other error. Writers that are not Python raise errors of their own: those of safetensors
    and tokenizers end in ``(os error 28)``, and PyTorch's zip writer raises a `RuntimeError` while the
    `OSError` of the file is handled.
    """
    if isinstance(error, OSError):
        is_named = error.filename is not None and not Path(str(error.filename)).is_relative_to(temporary)
        return None if is_named else error.errno
    number = re.search(r"\(os error (\d+)\)$", str(error).strip())
    if number is not None:
        return int(number[1])
    cause = error.__cause__ or error.__context__
    if type(error) is RuntimeError and isinstance(cause, OSError) and cause.errno in _DISK_FAILURES:
        return cause.errno
    return None


MAX_TEXT_BYTES = 2**30
"""Largest file of texts, such as captions, that is read as a whole."""


def open_regular_file(path: Path | str) -> BinaryIO:
    """Open a regular file, or a link to one, for reading.

    Raises `OSError` for anything else: reading a pipe or a device may block for ever, or never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)  # never waits
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: Path | str, max_bytes: int) -> bytes:
    """Return the bytes of a regular file. Raises `OSError`, also if it has more than `max_bytes`."""
    with open_regular_file(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"larger than {max_bytes >> 20} MB", str(path))
    return data


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write `data` to `path` by `publish`."""
    with publish(path) as temporary:
        temporary.write_bytes(data)


def rename_published(path: Path | str, target: Path | str) -> None:
    """Rename a file that `publish` wrote, within its folder, and sync the folder."""
    os.replace(path, target)
    _sync_folder(Path(target).parent)


def parse_json(text: bytes | str) -> Any:
    """Return the value that a JSON text holds.

    Raises `ValueError` for anything that cannot be read, also for values nested so deep that the parser of
    the standard library gives up with a `RecursionError`.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def parse_own_json(text: bytes | str) -> Any:
    """Return the value that a JSON text of this package holds.

    Raises `ValueError` as `parse_json` does, and for what nothing here writes: numbers that are not finite,
    and halves of surrogate pairs.
    """
    value = parse_json(text)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return value


def canonical_json(value: Any) -> str:
    """Return JSON that is equal for equal values: sorted keys, no spaces. Raises `ValueError` for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def indented_json(value: Any) -> bytes:
    """Return `value` as indented JSON with a newline at its end. Raises `ValueError` for NaN."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` to `path` as indented JSON, by `publish`. Raises `ValueError` for NaN."""
    write_bytes(path, indented_json(value))


def digest(*parts: bytes | str) -> str:
    """Return the SHA-256, as 64 hex digits, of the parts in order.

    Halves of surrogate pairs, which stand for bytes of file names that are no text, are hashed as they are.
    The length of each part is hashed before it, so that ``digest("ab", "c")`` is not ``digest("a", "bc")``.
    """
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()


def digest_pieces(pieces: Callable[[], Iterator[str]]) -> str:
    """Return `digest` of one text that is too long for memory.

    `pieces` makes an iterator over its pieces. It is called twice, as the length is hashed first.
    """
    sha = hashlib.sha256(sum(len(piece.encode()) for piece in pieces()).to_bytes(8, "little"))
    for piece in pieces():
        sha.update(piece.encode())
    return sha.hexdigest()


def digest_file(path: Path | str) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
