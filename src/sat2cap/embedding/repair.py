"""Filling the gaps of an atlas: chunks that are missing or damaged, and cells whose imagery failed."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, create_or_resume, differing_parts, writer_lock
from sat2cap.embedding.job import embed_chunks
from sat2cap.embedding.plan import plan_atlas
from sat2cap.errors import AtlasError
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint
from sat2cap.progress import Progress, silent


def fill_atlas(
    atlas: Atlas, imagery: Imagery, checkpoint: Checkpoint, *, progress: Progress = silent
) -> Atlas:
    """Compute the chunks that `atlas` lacks and the cells whose imagery failed, and return it finished.

    All other cells keep their bytes. Cells that fail again stay as they are. Raises `AtlasError` if the
    imagery or the model is not what the atlas was made from, and `JobError` as `embed_atlas` does.
    """
    spec = _plan_again(atlas, imagery, checkpoint)
    if spec.identity != atlas.identity:
        parts = ", ".join(differing_parts(atlas.spec, spec))
        raise AtlasError(
            f"atlas {str(atlas.path)!r} was made from something else (it differs in {parts}); "
            "name what it was made from, with the same options as then"
        )
    with writer_lock(Path(atlas.path)):
        writer = create_or_resume(atlas.path, spec)
        pending = {chunk.index for chunk in writer.pending()}
        wanted_cells = atlas.status == CellStatus.IMAGERY_FAILED
        for chunk in atlas.chunks():
            if chunk.index in pending:
                wanted_cells[chunk.rows, chunk.cols] = spec.wanted[chunk.rows, chunk.cols]
        chunks = [chunk for chunk in atlas.chunks() if wanted_cells[chunk.rows, chunk.cols].any()]
        for chunk, embeddings, status in embed_chunks(
            spec, chunks, wanted_cells, imagery, checkpoint, progress
        ):
            if chunk.index in pending:
                writer.write(chunk, embeddings, status)
                continue
            # NONE leaves a cell as it is: the cells that were not tried, and those that failed again
            new_status = np.where(status == CellStatus.IMAGERY_FAILED, CellStatus.NONE, status)
            if new_status.any():
                writer.fill_cells(chunk, embeddings, new_status)
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
    )
    return replace(spec, chunk=old.chunk)
