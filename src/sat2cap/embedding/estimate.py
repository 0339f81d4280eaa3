"""Estimate of what embedding a region takes: pixels to read, time, and space on disk."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from sat2cap.atlas import AtlasSpec, Chunk, cell_arrays, iter_chunks, side_arrays
from sat2cap.embedding.fixed_batches import count_computed_patches
from sat2cap.embedding.patches import count_pixels, plan_reads, read_patches, split_into_blocks
from sat2cap.embedding.plan import patch_grid_of
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint

_SQUARE_SIDES = (4, 8, 16)
"""Sides, in cells, of the squares that are timed one after the other."""
_LONG_ENOUGH_S = 0.5
"""A measurement that took this long is precise enough."""
_MIN_EMBEDDED_PATCHES = 8
"""Patches embedded at once, at least: a faster precision is compared with float32 on as many."""


@dataclass(frozen=True)
class RemainingWork:
    """Counts of what is still to be done for an atlas."""

    cells: int
    """Cells to embed."""
    patches: int
    """Patches that the network computes: one a cell, and those that fill up the last batch of a block."""
    pixels: int
    """Pixels to read, at the network's resolution; those where two reads overlap count twice."""
    disk_bytes: int
    """Size of the whole atlas when it is finished, if no chunk is empty."""

    @classmethod
    def total(cls, parts: "Iterable[RemainingWork]") -> "RemainingWork":
        """Return the work of several atlases together, such as those of the UTM zones of a wide one."""
        return cls(*(sum(counts) for counts in zip(*map(astuple, parts), strict=True)))


@dataclass(frozen=True)
class Throughput:
    """Measured speed of the two halves of the job, in cells per second; each cell is one patch."""

    read_cells_per_s: float
    """From imagery to patches."""
    embed_cells_per_s: float
    """From patches to embeddings."""

    def seconds(self, work: RemainingWork) -> float:
        """Return the time that `work` takes; both halves run side by side, so the slower one decides."""
        return max(work.cells / self.read_cells_per_s, work.patches / self.embed_cells_per_s)


def count_remaining_work(spec: AtlasSpec, pending: Sequence[Chunk]) -> RemainingWork:
    """Count cells and pixels of the `pending` chunks, and the bytes of the finished atlas.

    Nothing is read: the counts follow from the plan alone, and are those of the run.
    """
    chunks = list(iter_chunks(spec.wanted, spec.chunk))
    arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype).values()
    side_bytes = sum(values.nbytes for _, values in side_arrays(spec) if values is not None)
    patch_grid = patch_grid_of(spec)
    blocks = [
        block for chunk in pending for block in split_into_blocks(chunk.rows, chunk.cols, spec.patch_pixels)
    ]
    cells_by_block = [int(spec.wanted[block].sum()) for block in blocks]
    return RemainingWork(
        cells=sum(cells_by_block),
        patches=sum(count_computed_patches(spec, cells) for cells in cells_by_block),
        pixels=sum(
            count_pixels(patch_grid, piece)
            for block in blocks
            for piece in plan_reads(patch_grid, spec.wanted, block)
        ),
        disk_bytes=side_bytes + len(chunks) * sum(array.chunk_bytes() for array in arrays),
    )


def measure_throughput(
    spec: AtlasSpec, pending: Sequence[Chunk], imagery: Imagery, checkpoint: Checkpoint
) -> Throughput:
    """Read and embed some cells of the fullest pending chunk, for about a second each.

    One cell first, untimed, for what happens only once (connecting to a server, warming up the network);
    then 16 cells, and four times as many for as long as that takes under half a second. The patches that
    were read are the ones embedded: a network in a faster precision is compared with float32 on the first
    patches it sees, which must therefore be real ones.
    """
    chunk = max(pending, key=lambda chunk: np.count_nonzero(spec.wanted[chunk.rows, chunk.cols]))
    wanted_cells = np.argwhere(spec.wanted[chunk.rows, chunk.cols])
    row, col = wanted_cells[len(wanted_cells) // 2] + [chunk.rows.start, chunk.cols.start]
    patch_grid, size = patch_grid_of(spec), spec.patch_pixels

    # noise, in case no patch of the sample has imagery
    sample_rgb = np.random.default_rng(0).integers(0, 256, (_MIN_EMBEDDED_PATCHES, size, size, 3), np.uint8)

    def read_square(side: int) -> int:
        nonlocal sample_rgb
        block = slice(row, min(row + side, chunk.rows.stop)), slice(col, min(col + side, chunk.cols.stop))
        patches = read_patches(imagery, patch_grid, spec.wanted, block, max_missing=spec.model["max_missing"])
        sample_rgb = patches.rgb if len(patches.rgb) else sample_rgb
        return int(spec.wanted[block].sum())

    def embed_square(side: int) -> int:
        patches = np.resize(sample_rgb, (max(side * side, _MIN_EMBEDDED_PATCHES), size, size, 3))
        checkpoint.embed_overhead(patches, precision=spec.model["precision"])
        return len(patches)

    return Throughput(_cells_per_second(read_square), _cells_per_second(embed_square))


def _cells_per_second(process_square: Callable[[int], int]) -> float:
    """Time `process_square`, which takes the side of a square and returns how many cells it processed."""
    process_square(1)
    for side in _SQUARE_SIDES:
        start = time.perf_counter()
        cells = process_square(side)
        seconds = time.perf_counter() - start
        if seconds > _LONG_ENOUGH_S:
            break
    return cells / seconds
