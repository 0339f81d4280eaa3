"""One chunk of an atlas as a task: read its imagery, embed its patches, write its files.

A job is a list of tasks. Whoever does one gives back a receipt. The process that holds the atlas's lock puts
the files of a receipt in place and journals them, and the journal is thereby the job's only checkpoint. A
task may be done twice, by two workers: only the files of a receipt that was taken count.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import AtlasSpec, CellStatus, Chunk, Entry, StagedChunk, stage_chunk, stage_filled_chunk
from sat2cap.embedding.fixed_batches import embed_in_fixed_batches
from sat2cap.embedding.patches import Block, Patches, read_patches, split_into_blocks
from sat2cap.embedding.plan import patch_grid_of
from sat2cap.errors import JobError
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint
from sat2cap.stores import Store


@dataclass(frozen=True)
class AtlasInputs:
    """What every chunk of one atlas is made from, and where it goes."""

    spec: AtlasSpec
    imagery: Imagery
    checkpoint: Checkpoint
    store: Store
    """Where the atlas is written."""


@dataclass(frozen=True)
class ChunkTask:
    """A chunk to do."""

    chunk: Chunk
    wanted: NDArray[np.bool_]
    """Cells to embed, bool `[h, w]` of the chunk."""
    written: Entry | None = None
    """What the journal says of a chunk that is written already, of which only cells that can be read now are
    replaced; None for a chunk to write."""

    @property
    def size(self) -> int:
        """Number of cells to embed."""
        return int(self.wanted.sum())

    def blocks(self, spec: AtlasSpec) -> list[Block]:
        """Return the blocks of the chunk, whose patches fit in memory."""
        return list(split_into_blocks(self.chunk.rows, self.chunk.cols, spec.patch_pixels))

    def mask_on(self, spec: AtlasSpec) -> NDArray[np.bool_]:
        """Return the cells to embed as a mask of the whole grid, bool `[y, x]`."""
        mask = np.zeros(spec.grid.shape, bool)
        mask[self.chunk.rows, self.chunk.cols] = self.wanted
        return mask


@dataclass(frozen=True)
class ChunkReceipt:
    """What doing one chunk gave; small, as it travels between machines."""

    index: tuple[int, int]
    """Row and column of the chunk, counted in chunks."""
    staged: StagedChunk | None
    """Its files, not in place yet; None if no cell of a written chunk could be filled."""
    statuses: Mapping[str, int]
    """Cells that were tried, by the name of their `CellStatus`."""
    seconds: float
    """From the start of reading to files written, waiting for other chunks included."""
    worker: str = ""
    """Who did it; empty for this process."""
    failure: str | None = None
    """First message of imagery that could not be read, if the worker has seen one."""


class ChunkResult:
    """The embeddings of one chunk, gathered block by block."""

    def __init__(self, inputs: AtlasInputs, task: ChunkTask) -> None:
        self._inputs, self._task = inputs, task
        self._embeddings = np.full((*task.chunk.shape, inputs.spec.dim), np.nan, np.float32)
        self._status = np.full(task.chunk.shape, CellStatus.NONE, np.uint8)
        self._start_s = time.perf_counter()

    def add(self, block: Block, patches: Patches, embeddings: NDArray[np.float32]) -> None:
        """Take the embeddings `[N, D]` of the patches of one block."""
        (rows, cols), chunk = block, self._task.chunk
        top, left = chunk.rows.start, chunk.cols.start
        window = np.s_[rows.start - top : rows.stop - top, cols.start - left : cols.stop - left]
        self._status[window] = patches.status
        self._embeddings[window][patches.status == CellStatus.OK] = embeddings

    def write(self, worker: str = "", failure: str | None = None) -> ChunkReceipt:
        """Write the chunk's files and return the receipt. Raises `JobError` as `stage_chunk`."""
        inputs, task, status = self._inputs, self._task, self._status
        staged: StagedChunk | None = None
        if task.written is None:
            staged = stage_chunk(inputs.store, inputs.spec, task.chunk, self._embeddings, status)
        else:
            # NONE leaves a cell as it is: the cells that were not tried, and those that failed again
            changes = np.where(status == CellStatus.IMAGERY_FAILED, CellStatus.NONE, status)
            if changes.any():
                staged = stage_filled_chunk(
                    inputs.store, inputs.spec, task.chunk, self._embeddings, changes, task.written
                )
        statuses = Counter(CellStatus(code).name for code in status[task.wanted].tolist())
        seconds = time.perf_counter() - self._start_s
        return ChunkReceipt(task.chunk.index, staged, dict(statuses), seconds, worker, failure)


def read_block(inputs: AtlasInputs, task: ChunkTask, block: Block) -> Patches:
    """Read the patches of a task's cells in one block."""
    return read_patches(
        inputs.imagery,
        patch_grid_of(inputs.spec),
        task.mask_on(inputs.spec),
        block,
        max_missing=float(inputs.spec.model["max_missing"]),
    )


def embed_block(inputs: AtlasInputs, patches: Patches) -> NDArray[np.float32]:
    """Return embeddings float32 `[N, D]`, not normalised. Raises `JobError` if none of several is finite."""
    embeddings = embed_in_fixed_batches(inputs.spec, inputs.checkpoint, patches.rgb)
    # a single patch may overflow; when all of several do, the weights are at fault
    if len(embeddings) > 1 and not np.isfinite(embeddings).all(-1).any():
        name = inputs.checkpoint.card.get("name", "the model")
        raise JobError(f"{name} gives no embedding that is finite; its weights are broken, load others")
    return embeddings


def do_chunk(
    inputs: AtlasInputs,
    task: ChunkTask,
    read: Callable[[AtlasInputs, ChunkTask, Block], Patches] = read_block,
    embed: Callable[[AtlasInputs, Patches], NDArray[np.float32]] = embed_block,
) -> ChunkResult:
    """Read and embed one chunk, block after block, and return its result, which is not written yet.

    `read` returns the patches of a block with the status of its cells, `embed` their embeddings, float32
    ``(N, D)``; tests replace them. Raises what they raise.
    """
    result = ChunkResult(inputs, task)
    for block in task.blocks(inputs.spec):
        patches = read(inputs, task, block)
        result.add(block, patches, embed(inputs, patches))
    return result
