"""Embedding a region: reads imagery and writes an atlas; a killed job continues where it stopped."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import Atlas, AtlasSpec, CellStatus, Chunk, create_or_resume, writer_lock
from sat2cap.embedding.patches import Block, Patches, read_patches, split_into_blocks
from sat2cap.embedding.plan import patch_grid_of, plan_atlas
from sat2cap.errors import JobError
from sat2cap.imagery import Imagery
from sat2cap.lookahead import map_ahead
from sat2cap.model import Checkpoint, Precision
from sat2cap.progress import Progress, silent

STAGE = "embedding cells"
"""Name of the stage that progress is reported under."""

EmbeddedChunk = tuple[Chunk, NDArray[np.float32], NDArray[np.uint8]]
"""A chunk, its embeddings float32 `[h, w, D]`, not normalised, and the status of its cells uint8 `[h, w]`."""


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
    spec: AtlasSpec, imagery: Imagery, checkpoint: Checkpoint, out: Path, *, progress: Progress = silent
) -> Atlas:
    """Write the atlas `out` as planned, or continue one that was begun, and return it.

    A cell whose imagery is missing (more than the plan's ``max_missing`` of it) or cannot be read gets no
    embedding, and a status that says why. One thread reads ahead of the network. The bytes written do not
    depend on interruptions: which patches a network sees together is fixed by the chunk.

    Raises `AtlasError` if `out` is something else, `JobError` if another process is writing it, or if the
    network gives numbers that are not finite.
    """
    with writer_lock(Path(out)):
        writer = create_or_resume(Path(out), spec)
        pending = writer.pending()
        for embedded_chunk in embed_chunks(spec, pending, spec.wanted, imagery, checkpoint, progress):
            writer.write(*embedded_chunk)
        return writer.finish()


def embed_chunks(
    spec: AtlasSpec,
    chunks: Sequence[Chunk],
    wanted_cells: NDArray[np.bool_],
    imagery: Imagery,
    checkpoint: Checkpoint,
    progress: Progress,
) -> Iterator[EmbeddedChunk]:
    """Yield each of `chunks` with the embeddings and the status of its wanted cells.

    `wanted_cells` is bool `[y, x]` of the whole grid; other cells have NaN and the status NONE. Progress
    counts the wanted cells of the whole grid; those outside `chunks` count as done.
    """
    total = int(wanted_cells.sum())
    done = total - sum(int(wanted_cells[chunk.rows, chunk.cols].sum()) for chunk in chunks)
    progress(STAGE, done, total)
    blocks = _read_blocks(spec, chunks, wanted_cells, imagery)
    for number, chunk_blocks in groupby(blocks, key=lambda numbered_block: numbered_block[0]):
        chunk = chunks[number]
        embeddings = np.full((*chunk.shape, spec.dim), np.nan, np.float32)
        status = np.full(chunk.shape, CellStatus.NONE, np.uint8)
        for _, block, patches in chunk_blocks:
            window = _window_in_chunk(chunk, block)
            status[window] = patches.status
            embeddings[window][patches.status == CellStatus.OK] = _embed_patches(spec, checkpoint, patches)
            done += int(wanted_cells[block].sum())
            progress(STAGE, done, total)
        yield chunk, embeddings, status


def _read_blocks(
    spec: AtlasSpec, chunks: Sequence[Chunk], wanted_cells: NDArray[np.bool_], imagery: Imagery
) -> Iterator[tuple[int, Block, Patches]]:
    """Yield every block of every chunk in order, read ahead of its use, after the index of its chunk."""
    patch_grid, max_missing = patch_grid_of(spec), float(spec.model["max_missing"])

    def numbered_blocks() -> Iterator[tuple[int, Block]]:
        for number, chunk in enumerate(chunks):
            for block in split_into_blocks(chunk.rows, chunk.cols, spec.patch_pixels):
                yield number, block

    def read_block(numbered_block: tuple[int, Block]) -> tuple[int, Block, Patches]:
        number, block = numbered_block
        return number, block, read_patches(imagery, patch_grid, wanted_cells, block, max_missing=max_missing)

    # two reads ahead: one hides the time of a read, the second its variation
    return map_ahead(read_block, numbered_blocks(), ahead=2)


def _window_in_chunk(chunk: Chunk, block: Block) -> tuple[slice, slice]:
    """Return the rows and columns of a block, counted from the corner of its chunk."""
    (rows, cols), top, left = block, chunk.rows.start, chunk.cols.start
    return slice(rows.start - top, rows.stop - top), slice(cols.start - left, cols.stop - left)


def _embed_patches(spec: AtlasSpec, checkpoint: Checkpoint, patches: Patches) -> NDArray[np.float32]:
    """Return embeddings float32 `[N, D]`, not normalised. Raises `JobError` if none is finite."""
    embeddings = checkpoint.embed_overhead(patches.rgb, precision=spec.model["precision"])
    # a single patch may overflow; when all of several do, the weights are at fault
    if len(embeddings) > 1 and not np.isfinite(embeddings).all(-1).any():
        name = checkpoint.card.get("name", "the model")
        raise JobError(f"{name} gives no embedding that is finite; its weights are broken, load others")
    return embeddings
