"""Parts of a PMTiles archive (version 3): unpacked within limits, and directories parsed from bytes.

Archives come from others. A few bytes of gzip may unpack to gigabytes, and a directory may claim more entries
than there is memory; whatever is wrong with a part is a `ValueError` that says so.

Source: PMTiles specification, version 3, sections 3.1 (header) and 4 (directories).
"""

import zlib

import numpy as np
from numpy.typing import NDArray
from pmtiles.tile import Compression, Entry

MAX_DIRECTORY_BYTES = 16 * 2**20
"""Largest directory, packed or not; writers keep the root under 16 kB and leaves near that."""

MAX_METADATA_BYTES = 16 * 2**20
"""Largest metadata, packed or not, in bytes."""

MAX_TILE_BYTES = 32 * 2**20
"""Largest encoded picture of a tile, packed or not, in bytes."""

MAX_ENTRIES = 2**20
"""Largest number of entries in one directory."""

_MAX_VARINT_BYTES = 10  # of 7 bits each: 64 bits
_WITHIN_INT64 = np.uint64(2**62)  # sums of two such numbers fit in int64
_GZIP = 16 + zlib.MAX_WBITS  # zlib's word for a gzip header


def unpack(data: bytes, compression: Compression, limit_bytes: int) -> bytes:
    """Return a part of an archive without its compression.

    Raises `ValueError` if it is not packed in that way, is cut short, or has more than `limit_bytes`.
    """
    if compression in (Compression.NONE, Compression.UNKNOWN):
        return data
    if compression != Compression.GZIP:
        raise ValueError(f"its parts are packed with {compression.name.lower()}, which is not read")
    inflater = zlib.decompressobj(_GZIP)
    try:
        unpacked = inflater.decompress(data, limit_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"a part is no gzip ({error})") from None
    if len(unpacked) > limit_bytes:
        raise ValueError(f"a part unpacks to more than {limit_bytes} bytes")
    if not inflater.eof:
        raise ValueError("a part is cut short")
    return unpacked


def parse_directory(data: bytes) -> list[Entry]:
    """Return the entries of an unpacked directory, by ascending tile id. Raises `ValueError` for broken ones.

    The bytes are varints: the number N of entries, N differences of tile ids, N run lengths, N lengths, and N
    offsets plus 1, where 0 stands for the end of the entry before.
    """
    numbers = _parse_varints(np.frombuffer(data, np.uint8))
    count = int(numbers[0]) if len(numbers) else 0
    if not 0 < count <= MAX_ENTRIES or len(numbers) < 1 + 4 * count:
        raise ValueError(f"a directory claims {count} entries in {len(data)} bytes")
    steps, runs, lengths, offsets = numbers[1 : 1 + 4 * count].reshape(4, count).tolist()
    entries: list[Entry] = []
    tile_id = end = 0
    for step, run, length, offset in zip(steps, runs, lengths, offsets, strict=True):
        tile_id += step
        if offset == 0 and not entries:
            raise ValueError("the first entry of a directory has no offset")
        start = end if offset == 0 else offset - 1
        entries.append(Entry(tile_id, start, length, run))
        end = start + length
    return entries


def _parse_varints(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the numbers of consecutive varints (7 bits a byte, the lowest first), uint64 of shape (N,)."""
    ends = np.flatnonzero(data < 0x80)
    if len(ends) == 0:
        return np.zeros(0, np.uint64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= _MAX_VARINT_BYTES:
        raise ValueError("a number in a directory has more than 64 bits")
    places = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    digits = (data[: ends[-1] + 1] & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    numbers = np.add.reduceat(digits, starts)
    if (numbers > _WITHIN_INT64).any():
        raise ValueError("a number in a directory is too large")
    return numbers
