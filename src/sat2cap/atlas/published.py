"""Reading a published copy of an atlas: a sharded Zarr group, which has neither plan nor journal.

A shard is one object with many chunks, and at its end an index of where each begins: for every chunk its
offset and length as unsigned 64-bit numbers, both of all ones for a chunk of fill values, then the CRC-32C of
these. The index is fetched once, then only the chunks that are needed. A chunk ends with its own CRC-32C,
too, but not in copies that older versions published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.layout import ROOT, CellStatus, ChunkedArray, cell_arrays
from sat2cap.atlas.plan import MASK, AtlasSpec, spec_from_json
from sat2cap.atlas.plan_files import read_or_none
from sat2cap.errors import AtlasError
from sat2cap.files import parse_json
from sat2cap.stores import Store

PUBLISHED_KEY = "sat2cap:published_from"
"""Attribute of a published group: a hash of the atlas's content and of the options that decide the bytes."""
PARTS_KEY = "sat2cap:parts"
"""Attribute of a published group: the parts of the atlas's identity."""

_CRC_BYTES = 4
_CODINGS: tuple[list[str], ...] = ([], ["zstd"], ["crc32c"], ["zstd", "crc32c"])
_EMPTY = 2**64 - 1
_FIX = "publish the atlas there again"


@dataclass(frozen=True)
class ChunkCoding:
    """How the numbers of a chunk become its bytes."""

    is_compressed: bool
    """Whether they are compressed by Zstandard."""
    has_checksum: bool
    """Whether their CRC-32C follows."""

    def decode(self, data: bytes, size: int, *, compare: bool = True) -> bytes | memoryview:
        """Return the `size` bytes of a chunk's numbers; nothing if `data` is damaged.

        Without `compare` the checksum is not looked at.
        """
        body = memoryview(data)
        if self.has_checksum:
            body, stored = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
            if compare and crc32c(body) != int.from_bytes(stored, "little"):
                return b""
        numbers = _decompress(body, size) if self.is_compressed else body
        return numbers if len(numbers) == size else b""


@dataclass(frozen=True)
class Sharding:
    """How one array of a published copy is stored."""

    side: int
    """Number of chunks along a side of a shard."""
    coding: ChunkCoding
    """That of each chunk."""


class ShardFiles:
    """The chunks of a published copy, for reading; threads may share it.

    A chunk is compared with its checksum when it is first read in this process, and one that comes over a
    network each time.
    """

    def __init__(self, store: Store, spec: AtlasSpec, sharding: Mapping[str, Sharding]) -> None:
        """`spec` is that of the copy, `sharding` is by name of array; nothing is read yet."""
        self._store, self._spec, self._sharding = store, spec, sharding
        self._status = cell_arrays(spec.plain_grid.shape, spec.chunk, spec.dim, spec.dtype)["status"]
        self._indices: dict[str, NDArray[np.uint64] | None] = {}
        self._compared: set[tuple[str, int]] = set()
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without what was read."""
        return ShardFiles, (self._store, self._spec, self._sharding)

    def read_together(
        self, arrays: Sequence[ChunkedArray], index: tuple[int, int], outs: Sequence[NDArray[Any]]
    ) -> None:
        """Read the chunk ``(row, column)`` of several arrays into `outs`, which have their shapes.

        Raises `AtlasError` if a chunk is damaged or missing, and `StoreError` if the store does not give it.
        """
        for array, out in zip(arrays, outs, strict=True):
            if not self._read(array, index, out):
                out.fill(array.fill)
                if self._should_exist(array, index):
                    raise self._damage(array.cell_chunk_path(*self._locate(array, index)[0]), "missing")

    def _should_exist(self, array: ChunkedArray, index: tuple[int, int]) -> bool:
        """Return whether a chunk has values other than fill values, so that its absence is damage."""
        rows, cols = (slice(number * self._spec.chunk, (number + 1) * self._spec.chunk) for number in index)
        if array.name == self._status.name:
            return bool(self._spec.wanted[rows, cols].any())
        status = np.empty(self._status.chunk[1:], self._status.dtype)
        self.read_together([self._status], index, [status])
        return bool((status == CellStatus.OK).any())

    def _locate(self, array: ChunkedArray, index: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return row and column of a chunk's shard, and those of the chunk within it."""
        side = self._sharding[array.name].side
        (row, in_row), (col, in_col) = (divmod(number, side) for number in index)
        return (row, col), (in_row, in_col)

    def _read(self, array: ChunkedArray, index: tuple[int, int], out: NDArray[Any]) -> bool:
        """Read one chunk of an array from its shard into `out`, and return whether it is there."""
        sharding = self._sharding[array.name]
        shard, within = self._locate(array, index)
        key = array.cell_chunk_path(*shard)
        places = self._shard_index(key, sharding.side)
        offset, length = (_EMPTY, _EMPTY) if places is None else map(int, places[within])
        if (offset, length) == (_EMPTY, _EMPTY):
            return False
        try:
            data = self._store.get_range(key, offset, offset + length)
        except (EOFError, FileNotFoundError):
            data = b""
        is_new = self._store.folder is None or (key, offset) not in self._compared
        numbers = sharding.coding.decode(data, array.chunk_bytes(), compare=is_new)
        if not numbers:
            raise self._damage(key)
        self._compared.add((key, offset))
        out.data.cast("B")[:] = numbers
        return True

    def _damage(self, key: str, state: str = "damaged") -> AtlasError:
        return AtlasError(f"atlas {self._store.name!r}: {key} is {state}; {_FIX}")

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
        size = 16 * side * side + _CRC_BYTES
        try:
            data = self._store.get_end(key, size)
        except FileNotFoundError:
            return None
        if len(data) != size or crc32c(data[:-_CRC_BYTES]) != int.from_bytes(data[-_CRC_BYTES:], "little"):
            raise self._damage(f"the index of {key}")
        return np.frombuffer(data[:-_CRC_BYTES], "<u8").reshape(side, side, 2)


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
        mask = bytes(_chunk_coding(members["wanted"]["codecs"]).decode(store.get(MASK), height * width))
        provenance = {"model": attributes["sat2cap:model"], "imagery": attributes["sat2cap:imagery"]}
        spec = spec_from_json(mask, parts, provenance)
        sharding = {name: _sharding(members[name], spec) for name in ("embeddings", "scale", "status")
                    if name in members}  # fmt: skip
        is_sound = spec.identity == attributes["sat2cap:identity"]
    except (AtlasError, OSError, ArithmeticError, LookupError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise AtlasError(f"published copy {store.name!r} is damaged; {_FIX}")
    return spec, ShardFiles(store, spec, sharding), str(attributes[PUBLISHED_KEY])


def _sharding(member: Mapping[str, Any], spec: AtlasSpec) -> Sharding:
    """Return how an array is stored. Raises `ValueError` for any layout but that of a published copy."""
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
    return Sharding(side, _chunk_coding(configuration["codecs"]))


def _chunk_coding(codecs: Sequence[Mapping[str, Any]]) -> ChunkCoding:
    """Return how Zarr's `codecs` code chunks. Raises `ValueError` for any other codecs or order."""
    first, *others = (codec["name"] for codec in codecs)
    order = codecs[0].get("configuration", {}).get("endian", "little")
    if first != "bytes" or order != "little" or others not in _CODINGS:
        raise ValueError
    return ChunkCoding("zstd" in others, "crc32c" in others)


def _decompress(data: bytes | memoryview, size: int) -> bytes:
    """Return what Zstandard compressed to `data`, which is `size` bytes; nothing if it is damaged."""
    import pyarrow

    try:
        return bytes(pyarrow.decompress(data, decompressed_size=size, codec="zstd", asbytes=True))
    except (OSError, ValueError):
        return b""


def crc32c(data: bytes | memoryview) -> int:
    """Return the CRC-32C (Castagnoli) of bytes, as RFC 3720 defines it.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    import google_crc32c

    return int(google_crc32c.value(np.frombuffer(data, np.uint8)))  # which takes no memoryview
