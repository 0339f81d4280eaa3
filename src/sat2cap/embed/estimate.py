"""What embedding a region will cost, before it begins: pixels to read, time, and space on disk."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sat2cap.atlas.conventions import side_arrays
from sat2cap.atlas.layout import Chunk, cell_arrays, chunks_of
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.embed.patches import area, blocks, planned_reads, read_patches
from sat2cap.embed.plan import patches_of
from sat2cap.model.checkpoint import Checkpoint
from sat2cap.sources.imagery import Imagery

SAMPLE_CELLS = 16
"""Read and embedded to measure both; large enough for a steady rate, small enough for seconds."""


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
    chunks = list(chunks_of(spec.wanted, spec.chunk))
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
    """Read and embed a few cells of the chunk in the middle; the network is run once before it is timed."""
    chunk = pending[len(pending) // 2]
    asked = np.zeros_like(spec.wanted)
    inside = asked[chunk.rows, chunk.cols]
    rows, cols = np.nonzero(spec.wanted[chunk.rows, chunk.cols])
    inside[rows[:SAMPLE_CELLS], cols[:SAMPLE_CELLS]] = True
    count, pixels = int(asked.sum()), spec.patch_pixels
    began = time.perf_counter()
    block = (chunk.rows, chunk.cols)
    read_patches(imagery, patches_of(spec), asked, block, max_missing=spec.model["max_missing"])
    read = count / (time.perf_counter() - began)
    sample = np.zeros((count, pixels, pixels, 3), np.uint8)
    seconds = math.inf
    for _ in range(2):
        began = time.perf_counter()
        checkpoint.embed_overhead(sample, precision=spec.model["precision"])
        seconds = min(seconds, time.perf_counter() - began)
    return Rates(read, count / seconds)
