"""The files of one chunk: encoded and written by whoever computed it, in this process or another.

They are staged under names of their own, and put in place by the one process that holds the atlas's lock
(`AtlasWriter.record`). So a chunk may be done twice, by two workers of which one was taken for dead: what is
in place is what the journal says, whoever of the two writes last.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas.journal import Entry, checksum
from sat2cap.atlas.layout import CellStatus, Chunk, ChunkedArray, cell_arrays
from sat2cap.atlas.plan import AtlasSpec
from sat2cap.atlas.presence import how_to_repair
from sat2cap.errors import AtlasError, JobError
from sat2cap.stores import Store


@dataclass(frozen=True)
class StagedChunk:
    """A chunk whose files are written and synced, but not in place yet."""

    entry: Entry
    """What the journal will say of it."""
    written_as: Mapping[str, str]
    """Name that a file was written as, by its name in `entry`; both are paths inside the atlas."""


def stage_chunk(
    store: Store, spec: AtlasSpec, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]
) -> StagedChunk:
    """Write one chunk of the atlas in `store`, not in place yet; return what `AtlasWriter.record` takes.

    `embeddings` is float32 `[h, w, D]`, unnormalised; `status` is uint8 `[h, w]`, of `CellStatus`.
    Embeddings of cells whose status is not OK, or that are outside the region, are ignored. An OK cell
    with a value that is not finite becomes NOT_FINITE. Raises `JobError` if a shape is wrong or a wanted
    cell has no status.
    """
    wanted = spec.wanted[chunk.rows, chunk.cols]
    if embeddings.shape != (*chunk.shape, spec.dim) or status.shape != chunk.shape:
        shapes = f"embeddings {list(embeddings.shape)} and status {list(status.shape)}"
        raise JobError(f"chunk {chunk.index} got {shapes}; it needs {[*chunk.shape, spec.dim]}")
    if (wanted & (status == CellStatus.NONE)).any():
        raise JobError(
            f"chunk {chunk.index} has wanted cells without a status; say why they have no embedding"
        )
    status = np.where(wanted, status, CellStatus.NONE).astype(np.uint8)
    return _stage_arrays(store, spec, chunk, encode_cells(embeddings, status, spec.dtype))


def stage_filled_chunk(
    store: Store,
    spec: AtlasSpec,
    chunk: Chunk,
    embeddings: NDArray[np.float32],
    status: NDArray[np.uint8],
    written: Entry,
) -> StagedChunk:
    """Write a chunk anew with those cells replaced whose `status` is not NONE; all others keep their bytes.

    Arguments and result are those of `stage_chunk`: embeddings float32 ``(rows, columns, D)``, status
    uint8 ``(rows, columns)``. `written` is what the journal says of the chunk, so that the journal, which
    grows with every chunk, is not read for each of them; what is in place is only read. Raises `AtlasError`
    if a file is not what `written` says, and what `stage_chunk` raises.
    """
    changed = status != CellStatus.NONE
    h, w = chunk.shape
    arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
    values_by_array = encode_cells(embeddings, status, spec.dtype)
    for name, values in values_by_array.items():
        old = _read_written(store, arrays[name], written)[0]
        values_by_array[name] = np.where(changed, values, old[None, ..., :h, :w])
    return _stage_arrays(store, spec, chunk, values_by_array)


def encode_cells(
    embeddings: NDArray[np.float32], status: NDArray[np.uint8], dtype: str
) -> dict[str, NDArray[Any]]:
    """Return one chunk's arrays by name: embeddings `[1, D, h, w]`, scale `[1, h, w]` and status `[1, h, w]`.

    int8 values are multiples of 1/127 of the cell's largest magnitude, so each is off by at most half a step,
    largest / 254. A cell of (0.5, -1.27, 0.004) has scale 0.01 and is stored as (50, -127, 0). float16 has no
    scale.
    """
    largest = np.abs(embeddings).max(axis=-1, initial=0)
    limit = np.finfo(np.float16 if dtype == "float16" else np.float32).max
    ok = status == CellStatus.OK
    storable = ok & (largest <= limit)  # false for NaN too
    status = np.where(ok & ~storable, CellStatus.NOT_FINITE, status).astype(np.uint8)
    values = np.where(storable[..., None], embeddings, np.float32(0))
    if dtype == "float16":
        half = np.where(storable[..., None], values, np.nan).astype(np.float16)
        return {"embeddings": np.moveaxis(half, -1, 0)[None], "status": status[None]}
    scale = np.where(storable, largest / np.float32(127), np.nan).astype(np.float32)
    step = np.where(storable & (scale > 0), scale, np.float32(1))
    quantised = np.clip(np.rint(values / step[..., None]), -127, 127).astype(np.int8)
    return {"embeddings": np.moveaxis(quantised, -1, 0)[None], "scale": scale[None], "status": status[None]}


def _stage_arrays(
    store: Store, spec: AtlasSpec, chunk: Chunk, values_by_array: dict[str, NDArray[Any]]
) -> StagedChunk:
    """Write the files of a chunk under new names; a file of only fill values is left out."""
    arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
    data_by_file = {
        arrays[name].cell_chunk_path(*chunk.index): arrays[name].encode_chunk(values)
        for name, values in values_by_array.items()
        if not _is_all_fill(values, arrays[name].fill)
    }
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in data_by_file.items()}
    checksums = {file: checksum(data) for file, data in data_by_file.items()}
    written_as: dict[str, str] = {}

    def stage(file: str) -> None:
        written_as[file] = store.writer.stage(file, data_by_file[file])

    store.map(stage, data_by_file)
    return StagedChunk(Entry(chunk.index, hashes, checksums), written_as)


def _read_written(store: Store, array: ChunkedArray, written: Entry) -> NDArray[Any]:
    """Return a written chunk of an array in full size. Raises `AtlasError` if its file is damaged."""
    file = array.cell_chunk_path(*written.index)
    if file not in written.files:
        return np.full(array.chunk, array.fill, array.dtype)
    try:
        data = store.get(file)
    except (FileNotFoundError, IsADirectoryError):
        data = b""
    if hashlib.sha256(data).hexdigest() != written.files[file]:
        raise AtlasError(f"atlas {store.name!r}: {file} does not match its hash; {how_to_repair(store)}")
    return np.frombuffer(data, array.dtype.newbyteorder("<")).reshape(array.chunk)


def _is_all_fill(values: NDArray[Any], fill: float) -> bool:
    """Return whether every value is the fill value, which may be NaN."""
    return bool(np.isnan(values).all() if np.isnan(fill) else (values == fill).all())
