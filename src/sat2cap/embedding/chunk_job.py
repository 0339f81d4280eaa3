"""The chunks of an atlas as a job of an engine: in this process, or on workers."""

import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.embedding.chunk_task import (
    AtlasInputs,
    ChunkReceipt,
    ChunkResult,
    ChunkTask,
    do_chunk,
    embed_block,
    read_block,
)
from sat2cap.embedding.machine import describe_machine
from sat2cap.embedding.patches import Block, Patches
from sat2cap.engines import Listener
from sat2cap.errors import JobError
from sat2cap.imagery import FailureRecordingImagery
from sat2cap.lookahead import map_ahead
from sat2cap.model import choose_compute


@dataclass(frozen=True)
class ChunkJob:
    """The chunks of one atlas; it follows `sat2cap.engines.Job`."""

    inputs: AtlasInputs

    @property
    def sources(self) -> str:
        """The imagery's name."""
        return f"imagery {self.inputs.imagery.info.uri}"

    def run_here(self, tasks: Sequence[ChunkTask], listener: Listener) -> Iterator[tuple[int, ChunkReceipt]]:
        """Do chunks one after the other, while a thread reads ahead; progress counts blocks."""
        inputs = self.inputs
        listener.add_machine("", {"host": socket.gethostname(), **describe_machine(inputs.checkpoint)})
        for number, blocks in groupby(_read_ahead(inputs, tasks), key=lambda numbered: numbered[0]):
            task = tasks[number]
            result = ChunkResult(inputs, task)
            for _, block, patches in blocks:
                result.add(block, patches, embed_block(inputs, patches))
                corner = task.chunk.rows.start, task.chunk.cols.start
                rows, cols = (
                    slice(side.start - start, side.stop - start)
                    for side, start in zip(block, corner, strict=True)
                )
                listener.advance(int(task.wanted[rows, cols].sum()))
            yield number, result.write(failure=_failure_of(inputs))

    def for_workers(self, tasks: Sequence[ChunkTask]) -> "ChunkWorker":
        """Return the job without what workers do not need of the model."""
        self.inputs.checkpoint.to("cpu")
        towers = replace(self.inputs.checkpoint, ground=None, text=None, calibration=None)
        return ChunkWorker(replace(self.inputs, checkpoint=towers))


class ChunkWorker:
    """Does the chunks of one atlas on a worker, several at once; it follows `sat2cap.engines.WorkerJob`.

    While the network computes one chunk, the imagery of the next is read, and the files of the one before are
    written. One thread computes, as the kernels of a network keep threads of their own; one reads at a time,
    as imagery is not made for more.
    """

    tasks_at_once = 3
    has_network = True

    def __init__(self, inputs: AtlasInputs) -> None:
        self._inputs = inputs
        self._reading = threading.Lock()
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")

    def __reduce__(self) -> tuple[type["ChunkWorker"], tuple[AtlasInputs]]:
        """Pickle without threads."""
        return ChunkWorker, (self._inputs,)

    def prepare(self) -> dict[str, Any]:
        """Take the model to the device, and return the machine.

        Raises `JobError` if the imagery is another one here, and `ModelError` for a precision that is not to
        be had.
        """
        inputs = self._inputs
        imagery = inputs.imagery
        if not isinstance(imagery, FailureRecordingImagery):
            imagery = FailureRecordingImagery(imagery)
        if imagery.info.identity != inputs.spec.imagery["identity"]:
            host = socket.gethostname()
            raise JobError(f"imagery {imagery.info.uri} is another one on {host}; give every worker the same")
        device = choose_compute(inputs.spec.model["precision"]).device
        self._inputs = replace(inputs, imagery=imagery, checkpoint=inputs.checkpoint.to(device))
        return describe_machine(self._inputs.checkpoint)

    def do(self, task: ChunkTask, worker: str) -> ChunkReceipt:
        """Do one chunk and write its files. Raises `JobError` as `embed_block` does."""
        result = do_chunk(self._inputs, task, self._read, self._embed)
        return result.write(worker, _failure_of(self._inputs))

    def _read(self, inputs: AtlasInputs, task: ChunkTask, block: Block) -> Patches:
        with self._reading:
            return read_block(inputs, task, block)

    def _embed(self, inputs: AtlasInputs, patches: Patches) -> NDArray[np.float32]:
        return self._network.submit(embed_block, inputs, patches).result()


def _failure_of(inputs: AtlasInputs) -> str | None:
    """Return the message of the first failed read, if the imagery records it."""
    return inputs.imagery.failure if isinstance(inputs.imagery, FailureRecordingImagery) else None


def _read_ahead(inputs: AtlasInputs, tasks: Sequence[ChunkTask]) -> Iterator[tuple[int, Block, Patches]]:
    """Yield every block of every task in order, read ahead of its use, after the number of its task."""

    def numbered_blocks() -> Iterator[tuple[int, Block]]:
        for number, task in enumerate(tasks):
            for block in task.blocks(inputs.spec):
                yield number, block

    def read(numbered_block: tuple[int, Block]) -> tuple[int, Block, Patches]:
        number, block = numbered_block
        return number, block, read_block(inputs, tasks[number], block)

    # two reads ahead: one hides the time of a read, the second its variation
    return map_ahead(read, numbered_blocks(), ahead=2)
