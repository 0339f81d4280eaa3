"""Where the pairs of a split lie in their shards, so that threads read one picture without the others.

The index has the position in bytes of each pair's first tar header. Sets built before it had them are read by
the headers of their shards: once, by one process while the others wait, and then kept in a file beside them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, parquet

from sat2cap.errors import PairsError
from sat2cap.files import publish
from sat2cap.locks import wait_for_lock
from sat2cap.pairs.shard_file import ShardFile
from sat2cap.pairs.shard_reading import GROUND, OVERHEAD, first_line, locate_pairs, read_member
from sat2cap.progress import Progress
from sat2cap.stores import Store, open_object

INDEX = "index.parquet"
"""File name of the index of a pair set."""

_COLUMNS = ("key", "shard", "split", "lon", "lat", "taken")
_ADVICE = "build the pairs again: only what is broken is redone"


@dataclass(frozen=True, eq=False)
class PairLocations:
    """Positions, places and times of the N pairs of a split, in the order of reading them all.

    Threads may share it.
    """

    shards: Sequence[ShardFile]
    """Shards of the split."""
    keys: Any
    """Keys of the pairs, a `pyarrow.StringArray` of length N: texts of Python would take five times more."""
    shard: NDArray[np.int32]
    """Index in `shards` of each pair's shard: shape (N,)."""
    offset: NDArray[np.int64]
    """Position in bytes of each pair's first tar header in its shard: shape (N,)."""
    lon: NDArray[np.float64]
    """Longitudes in degrees, WGS 84: shape (N,)."""
    lat: NDArray[np.float64]
    """Latitudes in degrees, WGS 84: shape (N,)."""
    taken: NDArray[np.datetime64]
    """Local clock times in microseconds, without a zone: shape (N,)."""

    def __len__(self) -> int:
        """Return the number of pairs, N."""
        return len(self.keys)

    def key(self, row: int) -> str:
        """Return the key of the pair at a position."""
        return str(self.keys[row].as_py())

    def read_photo(self, row: int) -> bytes:
        """Return the encoded photo of the pair at a position. Raises `PairsError` if its shard is broken."""
        return self._read(row, GROUND)

    def read_patch(self, row: int) -> bytes:
        """Return the encoded patch of the pair at a position. Raises `PairsError` if its shard is broken."""
        return self._read(row, OVERHEAD)

    def _read(self, row: int, name: str) -> bytes:
        number, stop = self.shard[row], None
        if row + 1 < len(self) and self.shard[row + 1] == number:
            stop = int(self.offset[row + 1])
        return read_member(self.shards[number], int(self.offset[row]), f"{self.key(row)}.{name}", stop)


def locate_split(
    store: Store, shards: Sequence[ShardFile], split: str, count: int, cached: Path, progress: Progress
) -> PairLocations:
    """Return the locations of the `count` pairs of a split, whose shards are in the order of the index.

    `store` has the pair set; `cached` is the file that keeps the positions of an index that has none. Raises
    `PairsError` if the index cannot be read, or does not fit the shards.
    """
    index = f"{store.name}/{INDEX}"
    try:
        with open_object(store, INDEX) as file:
            names = parquet.read_schema(file).names
            columns = [*_COLUMNS, "offset"] if "offset" in names else [*_COLUMNS]
            table = parquet.read_table(file, columns=columns)
    except (OSError, ValueError, LookupError) as error:
        raise PairsError(f"{index} cannot be read ({first_line(error)}); {_ADVICE}") from error
    table = table.filter(compute.equal(table["split"], split))
    number = compute.index_in(table["shard"], value_set=pa.array([each.name for each in shards], pa.string()))
    if len(table) != count or number.null_count or np.any(np.diff(number.to_numpy()) < 0):
        raise PairsError(f"{index} does not list the pairs of split {split!r} in their shards; {_ADVICE}")
    keys, shard = table["key"].combine_chunks(), number.to_numpy().astype(np.int32)
    if "offset" in columns:
        offset = table["offset"].to_numpy()
    else:
        offset = _read_cached_offsets(keys, shards, cached, progress)
    _check_shards(shards, shard, offset)
    lon, lat, taken = (table[name].to_numpy() for name in ("lon", "lat", "taken"))
    return PairLocations(shards, keys, shard, offset, lon, lat, taken.astype("datetime64[us]"))


def _read_cached_offsets(
    keys: Any, shards: Sequence[ShardFile], cached: Path, progress: Progress
) -> NDArray[np.int64]:
    """Return the positions `[N]` of pairs in their shards, from a file, which is made if it is not there.

    Processes that call this at once share one scan: the first scans, the others wait.
    """
    with wait_for_lock(cached.with_suffix(".lock")):
        try:
            offset: NDArray[np.int64] = np.load(cached)
        except (OSError, ValueError, SyntaxError, TokenError, EOFError):  # missing or damaged
            offset = np.empty(0, np.int64)
        if offset.shape != (len(keys),) or offset.dtype != np.int64:
            offset = np.concatenate([np.empty(0, np.int64), *_scan_shards(keys, shards, progress)])
            with publish(cached) as temporary:
                np.save(temporary, offset)
    return offset


def _scan_shards(keys: Any, shards: Sequence[ShardFile], progress: Progress) -> Iterator[NDArray[np.int64]]:
    """Yield the positions of each shard's pairs by its tar headers. Raises `PairsError` for other pairs."""
    first = 0
    for done, each in enumerate(shards, 1):
        pairs = locate_pairs(each)
        if [key for key, _, _ in pairs] != keys[first : first + len(pairs)].to_pylist():
            raise PairsError(f"{each} has other pairs than the index; {_ADVICE}")
        first += len(pairs)
        yield np.array([start for _, start, _ in pairs], np.int64)
        progress("finding pairs in the shards of an older set, once", done, len(shards))
    if first != len(keys):
        raise PairsError(f"{shards[-1].store.name} has {first} pairs, not {len(keys)}; {_ADVICE}")


def _check_shards(shards: Sequence[ShardFile], shard: NDArray[np.int32], offset: NDArray[np.int64]) -> None:
    """Raise `PairsError` for a shard that is missing, or ends before its last pair begins.

    A web server does not say sizes: there it is found out when the shard is read.
    """
    if not shards or not shards[0].store.can_list:
        return
    sizes = shards[0].store.sizes([each.name for each in shards])
    for number, each in enumerate(shards):
        last = int(np.searchsorted(shard, number, side="right")) - 1
        if each.name not in sizes:
            raise PairsError(f"{each} is missing; {_ADVICE}")
        size = sizes[each.name]
        if last >= 0 and shard[last] == number and size <= offset[last]:
            raise PairsError(f"{each} is broken (cut at byte {size:,}); {_ADVICE}")
