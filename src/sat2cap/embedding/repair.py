"""Filling what an atlas lacks and could have: damaged chunks, and cells whose imagery failed."""

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
    """Compute the chunks that `atlas` lacks, and try again the cells whose imagery failed; finish it.

    All other cells keep their bytes. Cells that fail again stay as they are. Raises `AtlasError` when the
    imagery or the model is not what the atlas was made from, and `JobError` as `embed_atlas` does.
    """
    spec = _same_plan(atlas, imagery, checkpoint)
    if spec.identity != atlas.identity:
        other = ", ".join(differing_parts(atlas.spec, spec))
        rule = f"was made from something else (it differs in {other})"
        fix = "name what it was made from, with the same options as then"
        raise AtlasError(f"atlas {str(atlas.path)!r} {rule}; {fix}")
    with writer_lock(Path(atlas.path)):
        writer = create_or_resume(atlas.path, spec)
        pending = {chunk.index for chunk in writer.pending()}
        asked = atlas.status == CellStatus.IMAGERY_FAILED
        for chunk in atlas.chunks():
            if chunk.index in pending:
                asked[chunk.rows, chunk.cols] = spec.wanted[chunk.rows, chunk.cols]
        todo = [chunk for chunk in atlas.chunks() if asked[chunk.rows, chunk.cols].any()]
        for chunk, embeddings, status in embed_chunks(spec, todo, asked, imagery, checkpoint, progress):
            if chunk.index in pending:
                writer.write(chunk, embeddings, status)
            elif (tried := np.where(status == CellStatus.IMAGERY_FAILED, CellStatus.NONE, status)).any():
                writer.fill_cells(chunk, embeddings, tried)
        return writer.finish()


def _same_plan(atlas: Atlas, imagery: Imagery, checkpoint: Checkpoint) -> AtlasSpec:
    """The plan with these sources."""
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
