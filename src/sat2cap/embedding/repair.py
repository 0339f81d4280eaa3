"""Filling the gaps of an atlas: chunks that are missing or damaged, and cells whose imagery failed."""

from dataclasses import replace

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, create_or_resume, differing_parts, writer_lock
from sat2cap.embedding.chunk_task import AtlasInputs, ChunkTask
from sat2cap.embedding.job import run_tasks
from sat2cap.embedding.plan import plan_atlas
from sat2cap.engines import Engine, LocalEngine
from sat2cap.errors import AtlasError
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint
from sat2cap.progress import Progress, silent


def fill_atlas(
    atlas: Atlas,
    imagery: Imagery,
    checkpoint: Checkpoint,
    *,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Atlas:
    """Compute the chunks that `atlas` lacks and the cells whose imagery failed, and return it finished.

    All other cells keep their bytes. Cells that fail again stay as they are. `engine` is that of
    `embed_atlas`. Raises `AtlasError` if the
    imagery or the model is not what the atlas was made from, and `JobError` as `embed_atlas` does.
    """
    spec = _plan_again(atlas, imagery, checkpoint)
    if spec.identity != atlas.identity:
        parts = ", ".join(differing_parts(atlas.spec, spec))
        raise AtlasError(
            f"atlas {atlas.name!r} was made from something else (it differs in {parts}); "
            "name what it was made from, with the same options as then"
        )
    with writer_lock(atlas.store) as store:
        writer = create_or_resume(store, spec)
        pending = {chunk.index for chunk in writer.pending()}
        failed = atlas.status == CellStatus.IMAGERY_FAILED
        tasks = []
        for chunk in atlas.chunks():
            written = None if chunk.index in pending else writer.entry(chunk.index)
            cells = (failed if written else spec.wanted)[chunk.rows, chunk.cols]
            if cells.any():
                tasks.append(ChunkTask(chunk, cells, written))
        if any(task.written for task in tasks):
            writer.reopen()
        inputs = AtlasInputs(writer.spec, imagery, checkpoint, store)
        total = sum(task.size for task in tasks)
        run_tasks(inputs, tasks, writer.record, engine or LocalEngine(), total, progress)
        return writer.finish()


def _plan_again(atlas: Atlas, imagery: Imagery, checkpoint: Checkpoint) -> AtlasSpec:
    """Return the plan of `atlas` with these sources: the same as its own if it was made from them."""
    old = atlas.spec
    spec = plan_atlas(
        old.grid,
        old.wanted,
        imagery,
        checkpoint,
        patch_m=old.patch_m,
        dtype=old.dtype,
        max_missing=old.model["max_missing"],
        precision=old.model["precision"],
        numbers_version=old.model.get("numbers", 1),
    )
    return replace(spec, chunk=old.chunk)
