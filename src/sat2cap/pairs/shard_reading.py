"""Reading the pairs of a shard, a webdataset tar: all of them in turn, or some by their position in bytes."""

import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sat2cap.errors import PairsError
from sat2cap.files import parse_json
from sat2cap.pairs.shard_file import ShardFile
from sat2cap.pictures import MAX_PICTURE_BYTES

GROUND, OVERHEAD = "groundlevel.jpg", "overhead.jpg"
"""Names of a pair's photo and patch in a shard, after its key and a dot."""

_MEMBERS = (GROUND, OVERHEAD, "metadata.json")
_ADVICE = "build the pairs again: only what is broken is redone"
_PAIR_BYTES = 512 * 2**10
"""Bytes fetched at a time of a bucket for pairs that lie apart: about what a pair takes."""


@dataclass(frozen=True)
class Pair:
    """A ground photo and the overhead patch centred on the place where it was taken."""

    key: str
    ground: bytes
    """Photo, encoded as JPEG."""
    overhead: bytes
    """Patch, encoded as JPEG, north up, centred on the photo."""
    lon: float
    """Longitude in degrees, WGS 84."""
    lat: float
    """Latitude in degrees, WGS 84."""
    taken: datetime
    """Local clock time, without a zone."""


def read_shard(shard: ShardFile, expected: int) -> Iterator[Pair]:
    """Yield the pairs of a shard. Raises `PairsError` if it is broken or lacks some of the expected pairs."""
    count = 0
    with _named_errors(shard), shard.open() as file:
        while (pair := _next_pair(file)) is not None:
            yield pair
            count += 1
    if count != expected:  # a cut between two members leaves a tar that reads without complaint
        raise PairsError(f"{shard} is broken ({count} pairs of {expected}); {_ADVICE}")


def read_pairs_at(shard: ShardFile, offsets: Sequence[int]) -> Iterator[Pair]:
    """Yield the pairs of a shard whose first tar headers lie at some positions in bytes, in that order.

    Raises `PairsError` if the shard is broken, or holds no pair there.
    """
    with _named_errors(shard), shard.open(_PAIR_BYTES) as file:
        for offset in offsets:
            file.seek(offset)
            pair = _next_pair(file)
            if pair is None:
                raise PairsError(f"{shard} is broken (no pair at byte {offset}); {_ADVICE}")
            yield pair


def read_member(shard: ShardFile, offset: int, name: str, stop: int | None = None) -> bytes:
    """Return the file `name` of the pair of a shard whose first tar header lies at a position in bytes.

    In a folder only the headers before it and its own bytes are read; of a bucket all of the pair, if it is
    known where it ends (`stop`), as one request is quicker than three. Threads may read side by side. Raises
    `PairsError` if the shard is broken, or the pair there has no such file.
    """
    key, end = name.split(".", 1)[0], 0
    with _named_errors(shard), shard.reader(offset, stop) as read:
        for _ in _MEMBERS:
            block = read(offset, tarfile.BLOCKSIZE)
            header = _parse_header(block)
            if header.name == name:
                data = read(offset + tarfile.BLOCKSIZE, header.size)
                if len(data) == header.size:
                    return data
                end = offset + tarfile.BLOCKSIZE + len(data)
            if end or header.name.split(".", 1)[0] != key:
                break
            offset += tarfile.BLOCKSIZE * (1 + -(-header.size // tarfile.BLOCKSIZE))
    reason = f"cut at byte {end:,}" if end else f"no {name} where the index says"
    raise PairsError(f"{shard} is broken ({reason}); {_ADVICE}")


def locate_pairs(shard: ShardFile) -> list[tuple[str, int, int]]:
    """Return the key of each pair of a shard with its range of bytes, headers and padding included.

    Only the headers are read. Raises `PairsError` if the shard is broken.
    """
    ranges: dict[str, tuple[int, int]] = {}
    with _named_errors(shard), shard.open() as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            key = member.name.split(".", 1)[0]
            blocks = -(-member.size // tarfile.BLOCKSIZE)
            end = member.offset_data + blocks * tarfile.BLOCKSIZE
            ranges[key] = (ranges.get(key, (member.offset, 0))[0], end)
    return [(key, *span) for key, span in ranges.items()]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type if it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _next_pair(file: io.BufferedIOBase) -> Pair | None:
    """Return the pair whose three members come next in a tar; None at its end.

    The headers are walked through here, since `tarfile` asks the system for the position in the file before
    each of them and opens each member as a file, which takes twice the processor time (docs/RESULTS.md).
    """
    members: dict[str, bytes] = {}
    while (header := _next_header(file)) is not None:
        key, suffix = header.name.split(".", 1)
        members[suffix] = file.read(header.size)
        if len(members[suffix]) < header.size:
            raise tarfile.ReadError("unexpected end of data")
        file.read(-header.size % tarfile.BLOCKSIZE)
        if suffix == _MEMBERS[-1]:
            return _make_pair(key, members)
    return None


def _next_header(file: io.BufferedIOBase) -> tarfile.TarInfo | None:
    """Return the header that comes next in a tar; None at its end, where there are zeros or nothing."""
    block = file.read(tarfile.BLOCKSIZE)
    return _parse_header(block) if block.strip(b"\0") else None


def _parse_header(block: bytes) -> tarfile.TarInfo:
    """Return the header in a block of a tar. Raises `tarfile.TarError` if it is none of a pair's member."""
    header = tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    if not 0 <= header.size <= MAX_PICTURE_BYTES:
        raise tarfile.ReadError(f"a member of {header.size:,} bytes")
    return header


def _make_pair(key: str, members: dict[str, bytes]) -> Pair:
    """Return a pair from the bytes of its three members, by suffix."""
    ground, overhead, metadata = (members[name] for name in _MEMBERS)
    record = parse_json(metadata)
    lon, lat = float(record["longitude"]), float(record["latitude"])
    return Pair(key, ground, overhead, lon, lat, _parse_date_taken(record["date_taken"]))


def _parse_date_taken(text: str) -> datetime:
    """Return a pair's date and time. Raises `ValueError` if it is not whole, or has a time zone.

    ``strptime`` would take several times as long.
    """
    taken = datetime.fromisoformat(text)
    if len(text) < len("2000-01-01 00:00:00") or taken.tzinfo is not None:
        raise ValueError(f"date_taken {text!r} is no date and time of a local clock")
    return taken


@contextmanager
def _named_errors(shard: ShardFile) -> Iterator[None]:
    """Turn what a missing or broken shard raises into a `PairsError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise PairsError(f"{shard} is missing; {_ADVICE}") from error
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError) as error:
        raise PairsError(f"{shard} is broken ({first_line(error)}); {_ADVICE}") from error
