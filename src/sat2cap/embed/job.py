"""Embedding a region: imagery in, an atlas out; killed at any moment, it goes on where it was."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas.layout import CellStatus, Chunk
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.atlas.store import Atlas, create_or_resume
from sat2cap.embed.patches import Patches, ahead, blocks, read_patches, surely_outside
from sat2cap.errors import ImageryError, JobError, RegionError
from sat2cap.files import digest
from sat2cap.model.checkpoint import Checkpoint, Precision
from sat2cap.progress import Progress, silent
from sat2cap.sources.imagery import Imagery

STAGE = "embedding cells"

Block = tuple[int, slice, slice]
"""Position of its chunk in the list of pending ones, rows, columns."""


def embed_region(
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    out: Path,
    *,
    dtype: Literal["int8", "float16"] = "int8",
    max_missing: float = 0.5,
    precision: Precision = "float32",
    progress: Progress = silent,
) -> Atlas:
    """Embed the `wanted` cells (bool `[y, x]`) of `grid` into the atlas `out`, or go on with one begun.

    A cell whose imagery is missing (more than `max_missing` of it) or cannot be read gets no embedding, and a
    status that says why. Reading runs ahead of the network in one thread. The bytes written do not depend on
    interruptions: what a network sees together is fixed by the chunk.

    Raises `RegionError` or `ImageryError` if there is nothing to embed, `AtlasError` if `out` is something
    else, `JobError` if the network gives numbers that are not finite.
    """
    _check(grid, wanted, imagery, max_missing)
    spec = _spec(grid, wanted, imagery, checkpoint, dtype, max_missing, precision)
    writer = create_or_resume(Path(out), spec)
    pending = writer.pending()
    total = int(wanted.sum())
    done = total - sum(int(wanted[chunk.rows, chunk.cols].sum()) for chunk in pending)
    progress(STAGE, done, total)
    for number, parts in groupby(_read_all(pending, spec, imagery, max_missing), lambda part: part[0][0]):
        chunk = pending[number]
        embeddings, status = _blank(chunk, checkpoint.dim)
        for (_, rows, cols), patches in parts:
            inside = _within(chunk, rows, cols)
            status[inside] = patches.status
            embeddings[inside][patches.status == CellStatus.OK] = _embed(checkpoint, patches, precision)
            done += int(wanted[rows, cols].sum())
            progress(STAGE, done, total)
        writer.write(chunk, embeddings, status)
    return writer.finish()


def _check(grid: GeoBox, wanted: NDArray[np.bool_], imagery: Imagery, max_missing: float) -> None:
    if wanted.shape != tuple(grid.shape):
        raise RegionError(f"wanted cells are {wanted.shape}, the grid {tuple(grid.shape)}; make them equal")
    if not wanted.any():
        raise RegionError("the region has no cells; take a larger one or smaller cells")
    if not 0 <= max_missing < 1:
        raise ImageryError(f"max_missing {max_missing} must be in [0, 1); use 0.5")
    if surely_outside(imagery, grid):
        raise ImageryError(f"{imagery.info.uri} lies outside the region; choose a region that it covers")


def _spec(
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    dtype: Literal["int8", "float16"],
    max_missing: float,
    precision: Precision,
) -> AtlasSpec:
    model = {
        "card": checkpoint.card,
        # whatever decides the numbers is in the identity, so that no run goes on with other settings
        "identity": digest(checkpoint.place_identity, precision, repr(float(max_missing))),
        "place_identity": checkpoint.place_identity,
        "source": str(checkpoint.card.get("source", "")),
        "precision": precision,
        "max_missing": float(max_missing),
    }
    return AtlasSpec(
        grid=grid,
        wanted=wanted,
        dim=checkpoint.dim,
        dtype=dtype,
        model=model,
        imagery=imagery.info.as_dict(),
        patch_m=float(abs(grid.affine.a)),
        patch_pixels=checkpoint.patch_pixels,
    )


def _read_all(
    pending: list[Chunk], spec: AtlasSpec, imagery: Imagery, max_missing: float
) -> Iterator[tuple[Block, Patches]]:
    """Every block of every pending chunk, in order, read ahead."""

    def all_blocks() -> Iterator[Block]:
        for number, chunk in enumerate(pending):
            for rows, cols in blocks(chunk.rows, chunk.cols, spec.patch_pixels):
                yield number, rows, cols

    def read(block: Block) -> tuple[Block, Patches]:
        _, rows, cols = block
        return block, read_patches(
            imagery,
            spec.grid,
            spec.wanted,
            rows,
            cols,
            pixels=spec.patch_pixels,
            max_missing=max_missing,
        )

    return ahead(read, all_blocks())


def _blank(chunk: Chunk, dim: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    empty = np.full((*chunk.shape, dim), np.nan, np.float32)
    return empty, np.full(chunk.shape, CellStatus.NONE, np.uint8)


def _within(chunk: Chunk, rows: slice, cols: slice) -> tuple[slice, slice]:
    top, left = chunk.rows.start, chunk.cols.start
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def _embed(checkpoint: Checkpoint, patches: Patches, precision: Precision) -> NDArray[np.float32]:
    """`[N, D]`, not normalised."""
    embeddings = checkpoint.embed_overhead(patches.rgb, precision=precision)
    if len(embeddings) > 1 and not np.isfinite(embeddings).all(-1).any():
        name = checkpoint.card.get("name", "the model")
        raise JobError(f"{name} gives no embedding that is finite; its weights are broken, load others")
    return embeddings
