"""The ground embeddings of a pair set as a job of an engine: in this process, or on workers.

A task is one file of the cache. Whoever computes it writes it under a name of its own beside its place, and
the process that trains renames it, so that a file is there as a whole or not at all.
"""

import copy
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sat2cap.engines import Listener, package_versions, processor_name
from sat2cap.errors import JobError
from sat2cap.files import publish, rename_published
from sat2cap.lookahead import map_ahead
from sat2cap.model import Checkpoint, Precision, choose_compute
from sat2cap.progress import silent
from sat2cap.training.data.patches import PairLocations, Pairs, decode_image


@dataclass(frozen=True)
class GroundPart:
    """One file of the cache, and the task of making it."""

    path: Path
    older_path: Path
    """File in which versions until 2026-11-29 kept the same rows as float32."""
    rows: range
    """Positions of its photos in the split."""

    @property
    def size(self) -> int:
        """Number of photos."""
        return len(self.rows)


@dataclass(frozen=True)
class StagedPart:
    """A file that was written, but is not in its place yet: the receipt for it."""

    part: GroundPart
    written_as: Path
    worker: str = ""
    """Who computed it; empty for this process."""

    def put_in_place(self) -> None:
        """Rename the file, and remove what workers that were taken for dead wrote for the same part.

        Raises `JobError` if it is not here, as when it is on another machine's disk.
        """
        folder = self.part.path.parent
        try:
            rename_published(self.written_as, self.part.path)
        except FileNotFoundError:
            if self.part.path.is_file():  # another run that made the same was quicker, and removed this one
                return
            raise JobError(
                f"{self.part.path.name} was written, but not into {folder} of this machine; give a folder "
                "that every worker shares"
            ) from None
        for abandoned in folder.glob(f".{self.part.path.stem}.*.npy"):
            abandoned.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class GroundJob:
    """What the embeddings of a split are made from; it follows `sat2cap.engines.Job`."""

    pairs: Pairs
    split: str
    cache: Path
    """Folder of the files."""
    checkpoint: Checkpoint
    precision: Precision
    compiled: bool
    """Whether the tower may be compiled; decided by the whole split, as it changes the bytes."""
    chunk: int
    """Photos that the tower sees at once."""
    threads: int
    """Threads that prepare photos in this process."""
    locations: PairLocations | None = None
    """Where the pairs lie, as this process knows it; workers find out themselves."""

    @property
    def sources(self) -> str:
        """Folder or address of the pairs."""
        return f"pairs {self.pairs.name}"

    def run_here(self, tasks: Sequence[GroundPart], listener: Listener) -> Iterator[tuple[int, StagedPart]]:
        """Embed the photos of all parts in one pass; progress counts chunks of photos."""
        assert self.locations is not None
        return enumerate(self._embed(self.locations, tasks, self.threads, listener.advance))

    def for_workers(self, tasks: Sequence[GroundPart]) -> "GroundWorker":
        """Return the job with the ground tower alone."""
        ground: Any = copy.deepcopy(self.checkpoint.ground)
        ground.to("cpu")  # the model of this process stays on its device
        tower = replace(
            self.checkpoint, overhead=ground, ground=ground, text=None, dynamic=None, calibration=None
        )
        return GroundWorker(replace(self, cache=self.cache.absolute(), checkpoint=tower, locations=None))

    def embed_part(self, part: GroundPart) -> StagedPart:
        """Embed the photos of one part on a worker, with as many threads as compute."""
        assert self.locations is not None
        (staged,) = self._embed(self.locations, [part], torch.get_num_threads(), lambda photos: None)
        return staged

    def _embed(
        self,
        locations: PairLocations,
        parts: Sequence[GroundPart],
        threads: int,
        advance: Callable[[int], None],
    ) -> Iterator[StagedPart]:
        """Yield the parts as they are written.

        Threads read, decode, turn and resize the photos; one is as small as the tower's input while it waits.
        """
        embed = partial(
            self.checkpoint.embed_ground, precision=self.precision, prepared=True, compiled=self.compiled
        )

        def prepare_photo(row: int) -> NDArray[np.uint8]:
            photo = decode_image(locations.read_photo(row), locations.key(row))
            pixels: NDArray[np.uint8] = self.checkpoint.ground_preprocess.pixels([photo])[0]
            return pixels

        rows = (row for part in parts for row in part.rows)
        photos = map_ahead(prepare_photo, rows, ahead=2 * self.chunk, threads=threads)
        for part in parts:
            chunks: list[NDArray[np.float16]] = []
            for start in range(0, len(part.rows), self.chunk):
                chunk = np.stack(list(islice(photos, min(self.chunk, len(part.rows) - start))))
                chunks.append(embed(chunk).astype(np.float16))
                advance(len(chunk))
            yield stage_part(part, self.cache, np.concatenate(chunks))


def stage_part(part: GroundPart, folder: Path, embeddings: NDArray[np.float16]) -> StagedPart:
    """Write the rows `[n, D]` of a part to a folder under a name that nobody else uses."""
    path = folder / f".{part.path.stem}.{uuid.uuid4().hex[:12]}.npy"
    with publish(path) as temporary:
        np.save(temporary, embeddings)
    return StagedPart(part, path)


@dataclass(eq=False)
class GroundWorker:
    """Embeds photos on a worker; it follows `sat2cap.engines.WorkerJob`."""

    job: GroundJob

    tasks_at_once: int = field(default=1, init=False)
    has_network: bool = field(default=True, init=False)

    def prepare(self) -> dict[str, Any]:
        """Find the pairs and take the tower to the device, and return the machine.

        Raises `PairsError` if the pairs are not here, and `ModelError` for a precision that is not to be had.
        """
        job = self.job
        device = choose_compute(job.precision).device
        self.job = replace(
            job,
            locations=job.pairs.locate(job.split, job.cache, silent),
            checkpoint=job.checkpoint.to(device),
        )
        name = torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else str(device)
        versions = package_versions("torch", "pillow", "numpy")
        return {"device": name, "processor": processor_name(), **versions}

    def do(self, task: GroundPart, worker: str) -> StagedPart:
        """Embed the photos of one part. Raises `PairsError` if a photo or a shard is broken."""
        return replace(self.job.embed_part(task), worker=worker)
