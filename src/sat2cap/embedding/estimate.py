"""What embedding a region will cost, before it begins: pixels to read, time, and space on disk."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sat2cap.atlas import AtlasSpec, Chunk, cell_arrays, iter_chunks, side_arrays
from sat2cap.embedding.patches import area, blocks, planned_reads, read_patches
from sat2cap.embedding.plan import patches_of
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint

_SIDES = (4, 8, 16)  # of squares of cells to measure with
_ENOUGH_S = 0.5
_LEAST = 8  # patches to embed at once: as many as a quicker network is compared with its original on


@dataclass(frozen=True)
class Cost:
    """What is still to be done for an atlas."""

    cells: int
    """To embed."""
    pixels: int
    """To read from the imagery, at the size the network sees; those in the overlaps of reads count twice."""
    disk_bytes: int
    """Of the whole atlas when it is finished, if no chunk is empty."""


@dataclass(frozen=True)
class Rates:
    """As measured on a few cells."""

    read: float
    """Cells a second, imagery to patches."""
    embed: float
    """Cells a second, patches to embeddings."""

    def seconds(self, cells: int) -> float:
        """Reading and the network side by side: the slower of the two decides."""
        return cells / min(self.read, self.embed)


def cost(spec: AtlasSpec, pending: Sequence[Chunk]) -> Cost:
    """Of the chunks that are `pending`."""
    chunks = list(iter_chunks(spec.wanted, spec.chunk))
    arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype).values()
    sides = sum(values.nbytes for _, values in side_arrays(spec) if values is not None)
    patches = patches_of(spec)
    return Cost(
        cells=sum(int(spec.wanted[chunk.rows, chunk.cols].sum()) for chunk in pending),
        pixels=sum(
            area(patches, part)
            for chunk in pending
            for block in blocks(chunk.rows, chunk.cols, spec.patch_pixels)
            for part in planned_reads(patches, spec.wanted, block)
        ),
        disk_bytes=sides + len(chunks) * sum(array.chunk_bytes() for array in arrays),
    )


def measure(spec: AtlasSpec, pending: Sequence[Chunk], imagery: Imagery, checkpoint: Checkpoint) -> Rates:
    """Read and embed some cells of the fullest chunk, about a second each.

    One beforehand, for what is done only once, such as connecting to a server; then a few, and four times as
    many for as long as that is quick. What was read is what is embedded: a network in a quicker precision is
    held against its original on the first patches it sees.
    """
    chunk = max(pending, key=lambda chunk: np.count_nonzero(spec.wanted[chunk.rows, chunk.cols]))
    places = np.argwhere(spec.wanted[chunk.rows, chunk.cols])
    row, col = places[len(places) // 2] + [chunk.rows.start, chunk.cols.start]
    patches, size = patches_of(spec), spec.patch_pixels

    found = np.random.default_rng(0).integers(0, 256, (_LEAST, size, size, 3), np.uint8)

    def read(side: int) -> int:
        nonlocal found
        block = slice(row, min(row + side, chunk.rows.stop)), slice(col, min(col + side, chunk.cols.stop))
        read = read_patches(imagery, patches, spec.wanted, block, max_missing=spec.model["max_missing"])
        found = read.rgb if len(read.rgb) else found
        return int(spec.wanted[block].sum())

    def embed(side: int) -> int:
        sample = np.resize(found, (max(side * side, _LEAST), size, size, 3))
        checkpoint.embed_overhead(sample, precision=spec.model["precision"])
        return len(sample)

    return Rates(_rate(read), _rate(embed))


def _rate(work: Callable[[int], int]) -> float:
    """Cells a second that `work`, given the side of a square of cells, gets done."""
    work(1)
    for side in _SIDES:
        began = time.perf_counter()
        cells = work(side)
        seconds = time.perf_counter() - began
        if seconds > _ENOUGH_S:
            break
    return cells / seconds
