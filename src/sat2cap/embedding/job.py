"""Embedding a region: imagery in, an atlas out; killed at any moment, it goes on where it was."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, Chunk, create_or_resume, writer_lock
from sat2cap.embedding.patches import Block, Patches, blocks, read_patches
from sat2cap.embedding.plan import patches_of, plan_atlas
from sat2cap.errors import JobError
from sat2cap.imagery import Imagery
from sat2cap.lookahead import map_ahead
from sat2cap.model import Checkpoint, Precision
from sat2cap.progress import Progress, silent

STAGE = "embedding cells"

Embedded = tuple[Chunk, NDArray[np.float32], NDArray[np.uint8]]
"""A chunk, its embeddings `[h, w, D]` and the status of its cells `[h, w]`."""


def embed_region(
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    out: Path,
    *,
    patch_m: float | None = None,
    dtype: Literal["int8", "float16"] = "int8",
    max_missing: float = 0.5,
    precision: Precision = "float32",
    progress: Progress = silent,
) -> Atlas:
    """Embed the `wanted` cells of `grid` into the atlas `out`: `plan_atlas`, then `embed_atlas`."""
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
    spec: AtlasSpec, imagery: Imagery, checkpoint: Checkpoint, out: Path, *, progress: Progress = silent
) -> Atlas:
    """Make the atlas `out` of a plan, or go on with one begun.

    A cell whose imagery is missing (more than the plan's ``max_missing`` of it) or cannot be read gets no
    embedding, and a status that says why. Reading runs ahead of the network in one thread. The bytes written
    do not depend on interruptions: what a network sees together is fixed by the chunk.

    Raises `AtlasError` if `out` is something else, `JobError` if another process is writing it, or if the
    network gives numbers that are not finite.
    """
    with writer_lock(Path(out)):
        writer = create_or_resume(Path(out), spec)
        pending = writer.pending()
        for chunk in embed_chunks(spec, pending, spec.wanted, imagery, checkpoint, progress):
            writer.write(*chunk)
        return writer.finish()


def embed_chunks(
    spec: AtlasSpec,
    chunks: Sequence[Chunk],
    asked: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    progress: Progress,
) -> Iterator[Embedded]:
    """The cells of `chunks` that are `asked` for, bool `[y, x]` of the whole grid; the others have no status.

    Progress counts them among all that are asked for.
    """
    total = int(asked.sum())
    done = total - sum(int(asked[chunk.rows, chunk.cols].sum()) for chunk in chunks)
    progress(STAGE, done, total)
    for number, parts in groupby(_read_all(spec, chunks, asked, imagery), lambda part: part[0]):
        chunk = chunks[number]
        embeddings, status = _blank(chunk, spec.dim)
        for _, block, patches in parts:
            inside = _within(chunk, block)
            status[inside] = patches.status
            embeddings[inside][patches.status == CellStatus.OK] = _embed(spec, checkpoint, patches)
            done += int(asked[block].sum())
            progress(STAGE, done, total)
        yield chunk, embeddings, status


def _read_all(
    spec: AtlasSpec, chunks: Sequence[Chunk], asked: NDArray[np.bool_], imagery: Imagery
) -> Iterator[tuple[int, Block, Patches]]:
    """Every block of every chunk, in order, read ahead; with the chunk's number."""
    grid, max_missing = patches_of(spec), float(spec.model["max_missing"])

    def all_blocks() -> Iterator[tuple[int, Block]]:
        for number, chunk in enumerate(chunks):
            for block in blocks(chunk.rows, chunk.cols, spec.patch_pixels):
                yield number, block

    def read(numbered: tuple[int, Block]) -> tuple[int, Block, Patches]:
        return *numbered, read_patches(imagery, grid, asked, numbered[1], max_missing=max_missing)

    # two reads ahead: one hides the time of a read, the second its variation
    return map_ahead(read, all_blocks(), ahead=2)


def _blank(chunk: Chunk, dim: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    empty = np.full((*chunk.shape, dim), np.nan, np.float32)
    return empty, np.full(chunk.shape, CellStatus.NONE, np.uint8)


def _within(chunk: Chunk, block: Block) -> tuple[slice, slice]:
    (rows, cols), top, left = block, chunk.rows.start, chunk.cols.start
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def _embed(spec: AtlasSpec, checkpoint: Checkpoint, patches: Patches) -> NDArray[np.float32]:
    """`[N, D]`, not normalised."""
    embeddings = checkpoint.embed_overhead(patches.rgb, precision=spec.model["precision"])
    if len(embeddings) > 1 and not np.isfinite(embeddings).all(-1).any():
        name = checkpoint.card.get("name", "the model")
        raise JobError(f"{name} gives no embedding that is finite; its weights are broken, load others")
    return embeddings
