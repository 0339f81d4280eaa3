"""A worker of the Ray engine: an actor that holds the model and does a few chunks at once.

While the network computes one chunk, the imagery of the next is read, and the files of the one before are
written. One thread computes, as the kernels of a network keep threads of their own; one reads at a time, as
imagery is not made for more.
"""

import os
import pickle
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from sat2cap.errors import JobError, Sat2CapError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sat2cap.embedding.chunk_task import AtlasJob, ChunkReceipt, ChunkTask
    from sat2cap.embedding.patches import Block, Patches

TASKS_AT_ONCE = 3
"""Chunks that a worker has in hand: one is read, one embedded, one written. This bounds its memory."""
_PARENT_POLL_S = 2.0


class Worker:
    """Does the chunks of one job; `do` is called from several threads.

    What is raised on purpose is returned as text beside the result, as an error of ours need not be readable
    where it goes.
    """

    def __init__(self, job: bytes, name: str) -> None:
        """Take the packed job of `sat2cap.embedding.ray_engine`, and a name.

        As many threads compute as ``OMP_NUM_THREADS`` says, which Ray sets to the worker's processors unless
        it is set: more than there are cores free would wait for each other.
        """
        self._packed, self._name = job, name
        self._reading = threading.Lock()
        self._network = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._job: AtlasJob | None = None

    def end_with_parent(self) -> None:
        """From now on, end this process when the one that started it has died, even while it computes."""
        threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()

    def prepare(self) -> tuple[dict[str, Any] | None, str | None]:
        """Unpack the job, and return the machine of this worker, or why it cannot work."""
        try:
            self._job = self._unpack()
        except Sat2CapError as error:
            return None, str(error)
        from sat2cap.embedding.machine import describe_machine

        here = {"host": socket.gethostname(), "pid": os.getpid()}
        return {**here, **describe_machine(self._job.checkpoint)}, None

    def do(self, packed_task: bytes) -> tuple[bytes | None, str | None]:
        """Do one chunk and return its packed receipt, or why it cannot be done."""
        try:
            return pickle.dumps(self._do(pickle.loads(packed_task))), None
        except Sat2CapError as error:
            return None, str(error)

    def _unpack(self) -> "AtlasJob":
        """Return the job. Raises `JobError` if the imagery is another here, `ModelError` for a precision."""
        from sat2cap.embedding.chunk_task import AtlasJob
        from sat2cap.imagery import FailureRecordingImagery
        from sat2cap.model import choose_compute

        spec, source, model, store = pickle.loads(self._packed)
        self._packed = b""
        opened = source() if callable(source) else source
        imagery = opened if isinstance(opened, FailureRecordingImagery) else FailureRecordingImagery(opened)
        if imagery.info.identity != spec.imagery["identity"]:
            host = socket.gethostname()
            raise JobError(f"imagery {imagery.info.uri} is another one on {host}; give every worker the same")
        return AtlasJob(spec, imagery, model.to(choose_compute(spec.model["precision"]).device), store)

    def _do(self, task: "ChunkTask") -> "ChunkReceipt":
        from sat2cap.embedding.chunk_task import do_chunk
        from sat2cap.embedding.engine import failure_of

        assert self._job is not None
        result = do_chunk(self._job, task, self._read, self._embed)
        return result.write(self._name, failure_of(self._job))

    def _read(self, job: "AtlasJob", task: "ChunkTask", block: "Block") -> "Patches":
        from sat2cap.embedding.chunk_task import read_block

        with self._reading:
            return read_block(job, task, block)

    def _embed(self, job: "AtlasJob", patches: "Patches") -> "NDArray[np.float32]":
        from sat2cap.embedding.chunk_task import embed_block

        return self._network.submit(embed_block, job, patches).result()


def _end_with_parent(parent: int) -> None:
    """End this process once its parent is no longer `parent`."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
