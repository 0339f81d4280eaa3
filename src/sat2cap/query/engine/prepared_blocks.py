"""Blocks of cells from the prepared folder of an atlas, with damage noticed at the first read."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from sat2cap.atlas import Atlas, Chunk
from sat2cap.model import Encoding
from sat2cap.query.engine.blocks import AtlasBlocks, BlockRanges, Cells, Floats
from sat2cap.query.engine.loops import Loops, choose_loops

PREPARED_FOLDER = "_sat2cap/scan"
"""Path of the prepared folder inside an atlas."""
PREPARED_MANIFEST = f"{PREPARED_FOLDER}/manifest.json"
"""Path inside an atlas of the file that is written last into the prepared folder."""


@dataclass(frozen=True)
class PreparedBlocks:
    """The blocks of an atlas from its prepared folder; nothing is read from disk before it is used.

    With `checksums`, blocks are compared with them when they are first read; damaged ones are taken from the
    atlas's chunks instead, with a warning.
    """

    atlas: Atlas
    encoding: Encoding
    arrays: dict[str, NDArray[Any]]
    """Memory-mapped `embeddings` `[N, D, B]`, `scale` and `inverse` `[N, B]`, and `place` `[N, P, B]`."""
    checksums: NDArray[np.uint64] | None = None
    """XXH3-64 of each block of each array, `[N, 4]` in the order of `array_layout`; None to compare
    nothing."""

    @cached_property
    def chunks(self) -> Sequence[Chunk]:
        """The N chunks that hold at least one wanted cell, in the order of the arrays."""
        return list(self.atlas.chunks())

    def read(self, start: int, stop: int, loops: Loops | None = None) -> Cells:
        """Return a view of the blocks from `start` to before `stop`; pages are read when they are used.

        A block whose bytes do not match their checksum is read from the chunks of the atlas instead.
        """
        views = {name: array[start:stop] for name, array in self.arrays.items()}
        source = self._from_chunks

        def load_place() -> Floats:
            if not self._is_sound(("place",), start, stop):
                return source.read(start, stop, loops).place
            return views["place"]

        if not self._is_sound(("embeddings", "scale", "inverse"), start, stop):
            return source.read(start, stop, loops)
        stored, scale, inverse = (views[name] for name in ("embeddings", "scale", "inverse"))
        loops = loops or choose_loops(stored.shape[0] * stored.shape[2])
        return Cells(start, self.chunks[start:stop], stored, scale, inverse, load_place, self._ranges, loops)

    @cached_property
    def _ranges(self) -> BlockRanges:
        return BlockRanges.empty(*self.arrays["place"].shape[:2])

    @cached_property
    def _from_chunks(self) -> AtlasBlocks:
        return AtlasBlocks(self.atlas, self.encoding)

    @cached_property
    def _is_checked(self) -> NDArray[np.bool_]:
        """Which blocks of which arrays have been found sound, `[N, 4]`."""
        return np.zeros((len(self.chunks), len(self.arrays)), bool)

    def _is_sound(self, names: Sequence[str], start: int, stop: int) -> bool:
        """Return whether blocks match their checksums, and warn if they do not."""
        if self.checksums is None:
            return True
        columns = [list(self.arrays).index(name) for name in names]
        for number in range(start, stop):
            for name, column in zip(names, columns, strict=True):
                if self._is_checked[number, column]:
                    continue
                if _checksum(self.arrays[name][number]) != self.checksums[number, column]:
                    warnings.warn(self._describe_damage(name), stacklevel=2)
                    return False
                self._is_checked[number, column] = True
        return True

    def _describe_damage(self, name: str) -> str:
        fix = f"remove it with: sat2cap atlas repair {self.atlas.path}"
        return f"{PREPARED_FOLDER}/{name}.npy is damaged and is not used; {fix}"


def block_checksums(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint64]:
    """Return XXH3-64 of the bytes of each of n blocks of each array, uint64 `[n, arrays]`."""
    rows = [[_checksum(block) for block in array] for array in arrays.values()]
    return np.array(rows, "<u8").T


def _checksum(block: NDArray[Any]) -> int:
    return xxhash.xxh3_64_intdigest(block.data.cast("B") if block.size else b"")
