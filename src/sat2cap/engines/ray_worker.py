"""A worker of the Ray engine: an actor that holds a job and does a few of its tasks at once."""

import os
import pickle
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from sat2cap.engines.protocol import WorkerJob
from sat2cap.errors import Sat2CapError

_PARENT_POLL_S = 2.0


class Worker:
    """Does tasks of one job; `do` is called from several threads.

    What is raised on purpose is returned as text beside the result, as an error of ours need not be readable
    where it goes.
    """

    def __init__(self, job: bytes, name: str, directory: str) -> None:
        """Take a pickled `WorkerJob`, a name, and the working directory of the command, if it is here.

        As many threads compute as ``OMP_NUM_THREADS`` says, which Ray sets to the worker's processors unless
        it is set: more than there are cores free would wait for each other.
        """
        self._packed, self._name = job, name
        self._job: WorkerJob[Any, Any] | None = None
        with suppress(OSError):  # relative paths mean nothing on another machine
            os.chdir(directory)

    def end_with_parent(self) -> None:
        """End this process, from now on, when the one that started it has died, even while it computes."""
        threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()

    def prepare(self) -> tuple[dict[str, Any] | None, str | None]:
        """Unpack the job, and return the machine of this worker, or why it cannot work."""
        try:
            self._job = pickle.loads(self._packed)
            self._packed = b""
            facts = self._job.prepare()
        except Sat2CapError as error:
            return None, str(error)
        return {"host": socket.gethostname(), "pid": os.getpid(), **facts}, None

    def do(self, packed_task: bytes) -> tuple[bytes | None, str | None]:
        """Do one task and return its packed receipt, or why it cannot be done."""
        assert self._job is not None
        try:
            return pickle.dumps(self._job.do(pickle.loads(packed_task), self._name)), None
        except Sat2CapError as error:
            return None, str(error)


def _end_with_parent(parent: int) -> None:
    """End this process once its parent is no longer `parent`."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_S)
    os._exit(1)
