"""Reading a published copy of an atlas: a sharded Zarr group, which has neither plan nor journal.

A shard is one object with many chunks, and at its end an index of where each begins: for every chunk its
offset and length as unsigned 64-bit numbers, both of all ones for a chunk of fill values, then the CRC-32C of
these. The index is fetched once, then only the chunks that are needed.
"""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.layout import ROOT, ChunkedArray
from sat2cap.atlas.plan import MASK, AtlasSpec, spec_from_json
from sat2cap.atlas.plan_files import read_or_none
from sat2cap.errors import AtlasError
from sat2cap.files import parse_json
from sat2cap.stores import Store

PUBLISHED_KEY = "sat2cap:published_from"
"""Attribute of a published group: a hash of the atlas's content and of the options that decide the bytes."""
PARTS_KEY = "sat2cap:parts"
"""Attribute of a published group: the parts of the atlas's identity."""

_EMPTY = 2**64 - 1
_BAD_ZARR = "is damaged; publish the atlas there again"


class ShardFiles:
    """The chunks of a published copy, for reading; threads may share it."""

    def __init__(self, store: Store, shard_sides: Mapping[str, int], compressed: frozenset[str]) -> None:
        """`shard_sides` are chunks along a side of a shard by array, `compressed` arrays those with Zstd."""
        self._store, self._shard_sides, self._compressed = store, shard_sides, compressed
        self._indices: dict[str, NDArray[np.uint64] | None] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without what was read."""
        return ShardFiles, (self._store, self._shard_sides, self._compressed)

    def read_together(
        self, arrays: Sequence[ChunkedArray], index: tuple[int, int], outs: Sequence[NDArray[Any]]
    ) -> None:
        """Read the chunk ``(row, column)`` of several arrays into `outs`, which have their shapes.

        Raises `AtlasError` if a shard is damaged, and `StoreError` if the store does not give it.
        """
        for array, out in zip(arrays, outs, strict=True):
            self._read(array, index, out)

    def _read(self, array: ChunkedArray, index: tuple[int, int], out: NDArray[Any]) -> None:
        """Read one chunk of an array from its shard into `out`; fill values if the shard lacks it."""
        side = self._shard_sides[array.name]
        (row, in_row), (col, in_col) = (divmod(number, side) for number in index)
        key = array.cell_chunk_path(row, col)
        places = self._shard_index(key, side)
        offset, length = (_EMPTY, _EMPTY) if places is None else map(int, places[in_row, in_col])
        if (offset, length) == (_EMPTY, _EMPTY):
            out.fill(array.fill)
            return
        try:
            data = self._store.get_range(key, offset, offset + length)
        except (EOFError, FileNotFoundError):
            data = b""
        if array.name in self._compressed:
            data = _decompress(data, array.chunk_bytes())
        if len(data) != array.chunk_bytes():
            raise AtlasError(f"atlas {self._store.name!r}: {key} {_BAD_ZARR}")
        out.data.cast("B")[:] = data

    def _shard_index(self, key: str, side: int) -> NDArray[np.uint64] | None:
        """Return offset and length of the chunks in a shard, `[side, side, 2]`; None if there is no shard."""
        with self._lock:
            lock = self._locks.setdefault(key, Lock())
        with lock:  # so that threads that want one shard fetch its index once
            if key not in self._indices:
                self._indices[key] = self._fetch_index(key, side)
        return self._indices[key]

    def _fetch_index(self, key: str, side: int) -> NDArray[np.uint64] | None:
        """Fetch the index of a shard. Raises `AtlasError` if it is damaged."""
        size = 16 * side * side + 4
        try:
            data = self._store.get_end(key, size)
        except FileNotFoundError:
            return None
        if len(data) != size or crc32c(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise AtlasError(f"atlas {self._store.name!r}: the index of {key} {_BAD_ZARR}")
        return np.frombuffer(data[:-4], "<u8").reshape(side, side, 2)


def read_published(store: Store) -> tuple[AtlasSpec, ShardFiles, str] | None:
    """Return specification, chunks and content hash of the published copy in a store; None if there is none.

    Raises `AtlasError` if its metadata is damaged.
    """
    text = read_or_none(store, ROOT)
    try:
        node = parse_json(text or b"null")
        attributes = node["attributes"]
        if PUBLISHED_KEY not in attributes:
            return None
    except (ValueError, KeyError, TypeError):
        return None
    try:
        members = node["consolidated_metadata"]["metadata"]
        parts = attributes[PARTS_KEY]
        height, width = (int(size) for size in parts["grid"]["shape"])
        mask = store.get(MASK)
        if _is_compressed(members["wanted"]["codecs"]):
            mask = _decompress(mask, height * width)
        provenance = {"model": attributes["sat2cap:model"], "imagery": attributes["sat2cap:imagery"]}
        spec = spec_from_json(mask, parts, provenance)
        sharding = {name: _sharding(members[name], spec) for name in ("embeddings", "scale", "status")
                    if name in members}  # fmt: skip
        is_sound = spec.identity == attributes["sat2cap:identity"]
    except (AtlasError, OSError, ArithmeticError, LookupError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise AtlasError(f"published copy {store.name!r} {_BAD_ZARR}")
    compressed = frozenset(name for name, (_, is_compressed) in sharding.items() if is_compressed)
    sides = {name: side for name, (side, _) in sharding.items()}
    return spec, ShardFiles(store, sides, compressed), str(attributes[PUBLISHED_KEY])


def _sharding(member: Mapping[str, Any], spec: AtlasSpec) -> tuple[int, bool]:
    """Return how many chunks lie along a shard's side, and whether chunks are compressed.

    Raises `ValueError` for any other layout than that of a published copy.
    """
    (codec,) = member["codecs"]
    configuration = codec["configuration"]
    inner, outer = (
        configuration["chunk_shape"],
        member["chunk_grid"]["configuration"]["chunk_shape"],
    )
    side, rest = divmod(int(outer[-1]), spec.chunk)
    is_known = codec["name"] == "sharding_indexed" and configuration.get("index_location", "end") == "end"
    if not is_known or rest or list(inner[-2:]) != [spec.chunk] * 2 or outer[-2] != outer[-1] or side < 1:
        raise ValueError
    return side, _is_compressed(configuration["codecs"])


def _is_compressed(codecs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether chunks are compressed by Zstandard. Raises `ValueError` for any other codec or order."""
    names = [codec["name"] for codec in codecs]
    order = codecs[0].get("configuration", {}).get("endian", "little")
    if names not in (["bytes"], ["bytes", "zstd"]) or order != "little":
        raise ValueError
    return len(names) == 2


def _decompress(data: bytes, size: int) -> bytes:
    """Return what Zstandard compressed to `data`, which is `size` bytes; nothing if it is damaged."""
    import pyarrow

    try:
        return bytes(pyarrow.decompress(data, decompressed_size=size, codec="zstd", asbytes=True))
    except (OSError, ValueError):
        return b""


def crc32c(data: bytes) -> int:
    """Return the CRC-32C (Castagnoli) of bytes, as RFC 3720 defines it; for the few thousand of an index.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0x82F63B78 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF
