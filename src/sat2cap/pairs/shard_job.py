"""The shards of a build as a job of an engine: in processes of this machine, or on workers."""

import multiprocessing
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from sat2cap.engines import Listener, package_versions, processor_name
from sat2cap.errors import JobError
from sat2cap.imagery import Imagery
from sat2cap.locks import temporary_folder
from sat2cap.pairs.plan import PatchSpec, Shard
from sat2cap.pairs.shard import StagedShard, can_be_made, stage_shard
from sat2cap.photos import Photo, PhotoSource
from sat2cap.stores import Store

_PROBES = 3
"""Photos that a worker tries before it begins, all of which could be read where the build was started."""
_PROBES_TRIED = 20


@dataclass(frozen=True)
class ShardTask:
    """A shard to make."""

    shard: Shard
    left_out: Mapping[str, str]
    """Photos that are known to make no pair: reason by key."""

    @property
    def size(self) -> int:
        """Number of photos."""
        return len(self.shard.photos)


@dataclass(frozen=True)
class ShardJob:
    """What every shard of a build is made from; it follows `sat2cap.engines.Job` and `WorkerJob`."""

    photos: PhotoSource
    imagery: Imagery
    patch: PatchSpec
    out: Store
    """Where the pair set is written."""
    processes: int = 1
    """Processes that make shards on this machine."""
    probes: tuple[Photo, ...] = ()
    """Photos of which some must be readable, with the patches around them, wherever shards are made."""

    tasks_at_once = 1
    has_network = False

    @property
    def sources(self) -> str:
        """Names of photos and imagery."""
        return f"photos {self.photos.uri} and imagery {self.imagery.info.uri}"

    def run_here(self, tasks: Sequence[ShardTask], listener: Listener) -> Iterator[tuple[int, StagedShard]]:
        """Make shards one after the other, or several at once in other processes; progress counts photos.

        Raises `JobError` if a process dies.
        """
        listener.add_machine("", {"host": socket.gethostname(), **_describe_machine()})
        is_alone = self.processes == 1 or len(tasks) < 2
        made = map(self._make, tasks) if is_alone else self._run_in_processes(tasks)
        for number, shard in enumerate(made):
            yield number, shard
            listener.advance(tasks[number].size)

    def for_workers(self, tasks: Sequence[ShardTask]) -> "ShardJob":
        """Return the job with photos by which workers find out whether they see what this process does."""
        photos = (photo for task in tasks for photo in task.shard.photos if photo.key not in task.left_out)
        readable = (photo for photo in islice(photos, _PROBES_TRIED) if self._is_readable(photo))
        return replace(self, probes=tuple(islice(readable, _PROBES)))

    def prepare(self) -> dict[str, Any]:
        """Try to read, and return the machine. Raises `JobError` if none of the probes can be read."""
        if self.probes and not any(map(self._is_readable, self.probes)):
            raise JobError(
                f"{self.sources} cannot be read on {socket.gethostname()}; put them where every worker sees "
                "them under the same name"
            )
        return _describe_machine()

    def do(self, task: ShardTask, worker: str) -> StagedShard:
        """Make one shard, and write it under a name that nobody else uses."""
        return self._make(task, worker)

    def _make(self, task: ShardTask, worker: str = "") -> StagedShard:
        sources = self.photos, self.imagery, self.patch
        return stage_shard(task.shard, task.left_out, *sources, self.out, worker)

    def _is_readable(self, photo: Photo) -> bool:
        return can_be_made(photo, self.photos, self.imagery, self.patch)

    def _run_in_processes(self, tasks: Sequence[ShardTask]) -> Iterator[StagedShard]:
        """Yield the shards in their order, made by processes. Raises `JobError` if one dies."""
        with temporary_folder("sat2cap-pairs-") as folder:
            # handed over in a file: a worker that dies before it has read a large argument hangs its parent
            job_file = folder / "job.pickle"
            job_file.write_bytes(pickle.dumps(self))
            # spawn, since forking a process that runs threads (a network was used before) may hang the child
            pool = ProcessPoolExecutor(
                min(self.processes, len(tasks)),
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_process,
                initargs=(job_file,),
            )
            try:
                yield from pool.map(_do_in_process, tasks)
            except BrokenProcessPool as error:
                raise JobError(
                    f"{self.out.name}: a worker process died while making pairs; build again to go on, with "
                    "fewer workers if memory is short (a script must build under "
                    "`if __name__ == '__main__':`)"
                ) from error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _describe_machine() -> dict[str, str]:
    """Return the processor, and the versions of what decodes, resamples and encodes pixels."""
    return {"processor": processor_name(), **package_versions("pillow", "rasterio", "numpy")}


_process_job: list[ShardJob] = []
"""Filled in a process of `run_here` only, once: sending the sources with every shard would cost more."""


def _start_process(job_file: Path) -> None:
    _process_job.append(pickle.loads(job_file.read_bytes()))


def _do_in_process(task: ShardTask) -> StagedShard:
    return _process_job[0]._make(task)
