"""Embedding a region: reads imagery and writes an atlas; a killed job continues where it stopped."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import Atlas, AtlasSpec, StagedChunk, create_or_resume, writer_lock
from sat2cap.embedding.chunk_job import ChunkJob
from sat2cap.embedding.chunk_task import AtlasInputs, ChunkTask
from sat2cap.embedding.plan import plan_atlas
from sat2cap.engines import Engine, LocalEngine, RunLog
from sat2cap.imagery import FailureRecordingImagery, Imagery
from sat2cap.model import Checkpoint, Precision
from sat2cap.progress import Progress, silent
from sat2cap.stores import Store, append_record

STAGE = "embedding cells"
"""Name of the stage that progress is reported under."""


def embed_region(
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    out: Path | str | Store,
    *,
    patch_m: float | None = None,
    dtype: Literal["int8", "float16"] = "int8",
    max_missing: float = 0.5,
    precision: Precision = "float32",
    progress: Progress = silent,
) -> Atlas:
    """Embed the `wanted` cells (bool `[y, x]`) of `grid` into the atlas `out`, and return it.

    The same as `plan_atlas`, which explains the arguments, followed by `embed_atlas`; raises what they raise.
    For example, one row of five cells of 480 m::

        grid = GeoBox((1, 5), Affine(480, 0, 614_400, 0, -480, 5_808_000), "EPSG:32631")
        atlas = embed_region(grid, np.ones((1, 5), bool), imagery, checkpoint, Path("row.zarr"))
    """
    spec = plan_atlas(
        grid,
        wanted,
        imagery,
        checkpoint,
        patch_m=patch_m,
        dtype=dtype,
        max_missing=max_missing,
        precision=precision,
    )
    return embed_atlas(spec, imagery, checkpoint, out, progress=progress)


def embed_atlas(
    spec: AtlasSpec,
    imagery: Imagery,
    checkpoint: Checkpoint,
    out: Path | str | Store,
    *,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Atlas:
    """Write the atlas `out` as planned, or continue one that was begun, and return it.

    `out` is a folder, an address such as ``s3://bucket/region.zarr``, or a store. A cell whose imagery is
    missing (more than the plan's ``max_missing`` of it) or cannot be read gets no embedding, and a status
    that says why. `engine` says where chunks are computed: in this process if None. On one kind of processor,
    the bytes written depend neither on it nor on interruptions.

    Raises `AtlasError` if `out` is something else, `JobError` if another process is writing it, or if the
    network gives numbers that are not finite, and `StoreError` if a bucket refuses or fails.
    """
    with writer_lock(out) as store:
        writer = create_or_resume(store, spec)
        tasks = [ChunkTask(chunk, spec.wanted[chunk.rows, chunk.cols]) for chunk in writer.pending()]
        inputs = AtlasInputs(writer.spec, imagery, checkpoint, store)
        run_tasks(inputs, tasks, writer.record, engine or LocalEngine(), int(spec.wanted.sum()), progress)
        return writer.finish()


def run_tasks(
    inputs: AtlasInputs,
    tasks: Sequence[ChunkTask],
    record: Callable[[StagedChunk], None],
    engine: Engine,
    total: int,
    progress: Progress,
) -> None:
    """Have `engine` do `tasks`, and record what it did: receipts in the journal, the run beside the atlas.

    `total` is the number of cells that progress counts to; those that no task has count as done.
    """
    log = RunLog(STAGE, "cells", "chunks", sum(task.size for task in tasks), total, progress)
    with log.recorded(partial(append_record, inputs.store), inputs.spec.identity, engine.name):
        for _, receipt in engine.run(ChunkJob(inputs), tasks, log) if tasks else ():
            if receipt.staged is not None:
                record(receipt.staged)
            log.add_done(receipt.worker, receipt.statuses, receipt.failure)
    if isinstance(inputs.imagery, FailureRecordingImagery):
        inputs.imagery.failure = inputs.imagery.failure or log.failure
