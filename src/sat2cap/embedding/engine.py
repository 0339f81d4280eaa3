"""Where the chunks of an atlas are computed: in this process, or by an engine that has workers elsewhere."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

from sat2cap.embedding.chunk_task import (
    AtlasJob,
    ChunkReceipt,
    ChunkResult,
    ChunkTask,
    embed_block,
    read_block,
)
from sat2cap.embedding.patches import Block, Patches
from sat2cap.embedding.run_log import RunLog
from sat2cap.imagery import FailureRecordingImagery
from sat2cap.lookahead import map_ahead


class Engine(Protocol):
    """Does the chunks of a job, in any order, and gives back a receipt for each."""

    @property
    def name(self) -> str:
        """Name in the record of a run, such as ``ray``."""
        ...

    def run(self, job: AtlasJob, tasks: Sequence[ChunkTask], log: RunLog) -> Iterator[ChunkReceipt]:
        """Do all `tasks`, each to its end, and yield their receipts as they come.

        Progress, workers and retries are told to `log`. Closing the iterator stops the work; what
        has no receipt by then is not in place. Raises `JobError` if a chunk cannot be done at all.
        """
        ...


class LocalEngine:
    """Does chunks in this process, one after the other; one thread reads ahead of the network."""

    name = "process"

    def run(self, job: AtlasJob, tasks: Sequence[ChunkTask], log: RunLog) -> Iterator[ChunkReceipt]:
        """Do `tasks` in order, as `Engine.run` says; progress counts blocks."""
        log.add_worker("", job.checkpoint)
        for number, blocks in groupby(_read_ahead(job, tasks), key=lambda numbered: numbered[0]):
            task = tasks[number]
            result = ChunkResult(job, task)
            for _, block, patches in blocks:
                result.add(block, patches, embed_block(job, patches))
                corner = task.chunk.rows.start, task.chunk.cols.start
                rows, cols = (
                    slice(side.start - start, side.stop - start)
                    for side, start in zip(block, corner, strict=True)
                )
                log.advance(int(task.wanted[rows, cols].sum()))
            yield result.write(failure=failure_of(job))


def failure_of(job: AtlasJob) -> str | None:
    """Return the message of the first failed read, if the imagery of a job records it."""
    return job.imagery.failure if isinstance(job.imagery, FailureRecordingImagery) else None


def _read_ahead(job: AtlasJob, tasks: Sequence[ChunkTask]) -> Iterator[tuple[int, Block, Patches]]:
    """Yield every block of every task in order, read ahead of its use, after the number of its task."""

    def numbered_blocks() -> Iterator[tuple[int, Block]]:
        for number, task in enumerate(tasks):
            for block in task.blocks(job.spec):
                yield number, block

    def read(numbered_block: tuple[int, Block]) -> tuple[int, Block, Patches]:
        number, block = numbered_block
        return number, block, read_block(job, tasks[number], block)

    # two reads ahead: one hides the time of a read, the second its variation
    return map_ahead(read, numbered_blocks(), ahead=2)
