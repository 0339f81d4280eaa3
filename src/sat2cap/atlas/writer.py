"""Writing an atlas.

A chunk's files are each written under a temporary name, synced and renamed, and only then journalled with
their hashes; the group's metadata is published last. So a kill loses at most the chunk in hand, and what is
resumed ends in the same bytes as what was never interrupted.
"""

import glob
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import journal, stac
from sat2cap.atlas.conventions import group_metadata, side_arrays
from sat2cap.atlas.layout import JOURNAL, PLAN, ROOT, CellStatus, Chunk, cell_arrays, iter_chunks
from sat2cap.atlas.plan import MASK, AtlasSpec, check_free, differing_parts, is_atlas, read_plan
from sat2cap.atlas.reader import Atlas, read_chunk
from sat2cap.errors import AtlasError, JobError
from sat2cap.files import digest_file, write_bytes


class AtlasWriter:
    """Fills an atlas chunk by chunk. One process at a time writes (`writer_lock`); readers may look on."""

    def __init__(self, path: Path, spec: AtlasSpec) -> None:
        self.path = path
        self.spec = spec
        self._arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
        self._entries = journal.read(path / JOURNAL)
        self._ours: set[tuple[int, int]] = set()

    def pending(self) -> list[Chunk]:
        """Chunks still to compute, row by row: with a wanted cell, and not journalled and in place."""
        return [
            chunk
            for chunk in iter_chunks(self.spec.wanted, self.spec.chunk)
            if not self._in_place(chunk.index)
        ]

    def write(self, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]) -> None:
        """Store one chunk.

        `embeddings` float32 [h, w, D], unnormalised; what it holds where `status` (uint8 [h, w],
        `CellStatus`) is not OK is ignored, and cells outside the region are dropped. An OK cell with a number
        that is not finite becomes NOT_FINITE. Raises `JobError` when the shapes are wrong or a wanted cell
        has no status.
        """
        wanted = self.spec.wanted[chunk.rows, chunk.cols]
        if embeddings.shape != (*chunk.shape, self.spec.dim) or status.shape != chunk.shape:
            got = f"embeddings {list(embeddings.shape)} and status {list(status.shape)}"
            raise JobError(f"chunk {chunk.index} got {got}; it needs {[*chunk.shape, self.spec.dim]}")
        if (wanted & (status == CellStatus.NONE)).any():
            raise JobError(
                f"chunk {chunk.index} has wanted cells without a status; say why they have no embedding"
            )
        status = np.where(wanted, status, CellStatus.NONE).astype(np.uint8)
        self._publish(chunk, encode_cells(embeddings, status, self.spec.dtype))

    def fill(self, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]) -> None:
        """Replace the cells of a written chunk that have a `status`; the others keep their bytes.

        As `write`; from here on the atlas is unfinished, until `finish`.
        """
        changed = status != CellStatus.NONE
        h, w = chunk.shape
        blocks = encode_cells(embeddings, status, self.spec.dtype)
        for name, values in blocks.items():
            old = read_chunk(self.path, self._arrays[name], *chunk.index)[None, ..., :h, :w]
            blocks[name] = np.where(changed, values, old)
        (self.path / ROOT).unlink(missing_ok=True)
        self._publish(chunk, blocks)

    def _publish(self, chunk: Chunk, blocks: dict[str, NDArray[Any]]) -> None:
        """Write the files of a chunk, then journal it."""
        hashes = {}
        for name, values in blocks.items():
            array = self._arrays[name]
            file = array.cell_file(*chunk.index)
            if _is_fill(values, array.fill):
                (self.path / file).unlink(missing_ok=True)
                continue
            data = array.encode(values)
            write_bytes(self.path / file, data)
            hashes[file] = hashlib.sha256(data).hexdigest()
        entry = journal.Entry(chunk.index, hashes)
        journal.append(self.path / JOURNAL, entry)
        self._entries[chunk.index] = entry
        self._ours.add(chunk.index)

    def finish(self) -> Atlas:
        """Check what earlier runs wrote, publish journal, STAC item and group metadata, and open the result.

        Raises `JobError` while chunks are pending, and when one written earlier no longer matches its hash.
        """
        if (self.path / ROOT).is_file() and not self._ours:
            return Atlas(self.path, self.spec)
        missing = len(self.pending())
        if missing:
            raise JobError(
                f"atlas {str(self.path)!r} has {missing} chunks to compute; run the same embed again"
            )
        wrong = [index for index in sorted(self._entries.keys() - self._ours) if self._damage(index)]
        if wrong:
            fix = f"run: sat2cap atlas repair {self.path}, then the same embed again"
            raise JobError(
                f"atlas {str(self.path)!r}: chunk {wrong[0]} is damaged, {len(wrong)} in all; {fix}"
            )
        journal.rewrite(self.path / JOURNAL, self._entries)
        _sweep(self.path)
        stac.write_item(self.path, self.spec)
        write_bytes(self.path / ROOT, group_bytes(self.spec))
        return Atlas(self.path, self.spec)

    def _in_place(self, index: tuple[int, int]) -> bool:
        """Journalled, and the files are there in full size; `finish` and `verify` compare their hashes."""
        entry = self._entries.get(index)
        return entry is not None and all(
            (self.path / file).is_file()
            and (self.path / file).stat().st_size == self._arrays[file.split("/")[0]].chunk_bytes()
            for file in entry.files
        )

    def _damage(self, index: tuple[int, int]) -> bool:
        files = self._entries[index].files
        return any(digest_file(self.path / file) != sha for file, sha in files.items())


def create_or_resume(path: Path | str, spec: AtlasSpec) -> AtlasWriter:
    """Begin the atlas at `path`, or go on with it where it stopped.

    Raises `AtlasError` when there is something else at `path`, or an atlas of another identity: another
    model, imagery, grid or region is never mixed in.
    """
    path = Path(path)
    begun = _begun(path, spec)
    if begun is None:
        write_bytes(path / MASK, spec.wanted.tobytes())
        write_bytes(path / PLAN, _json_bytes(spec.as_json()))
    spec = begun or spec
    for file, data in static_files(spec).items():
        if not ((path / file).is_file() and (path / file).read_bytes() == data):
            write_bytes(path / file, data)
    return AtlasWriter(path, spec)


def pending_chunks(path: Path | str, spec: AtlasSpec) -> list[Chunk]:
    """What `create_or_resume` would find to compute; raises as it does, and writes nothing."""
    return AtlasWriter(Path(path), _begun(Path(path), spec) or spec).pending()


def _begun(path: Path, spec: AtlasSpec) -> AtlasSpec | None:
    """The plan at `path` if there is one, which must be the same."""
    if not is_atlas(path):
        check_free(path)
        return None
    old = read_plan(path)
    if old.identity != spec.identity:
        other = ", ".join(differing_parts(old, spec))
        fix = "choose another path, or remove it first"
        raise AtlasError(f"atlas {str(path)!r} was made from something else (it differs in {other}); {fix}")
    return old


def static_files(spec: AtlasSpec) -> dict[str, bytes]:
    """What does not depend on the embeddings: the arrays' metadata, and the small arrays whole."""
    files = {}
    for array in cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype).values():
        files[f"{array.name}/zarr.json"] = _json_bytes(array.metadata())
    for array, values in side_arrays(spec):
        files[f"{array.name}/zarr.json"] = _json_bytes(array.metadata())
        if values is not None:
            files[array.file(*[0] * values.ndim)] = array.encode(values)
    return files


def group_bytes(spec: AtlasSpec) -> bytes:
    """The group's zarr.json."""
    return _json_bytes(group_metadata(spec))


def encode_cells(
    embeddings: NDArray[np.float32], status: NDArray[np.uint8], dtype: str
) -> dict[str, NDArray[Any]]:
    """One chunk's arrays by name: embeddings [1, D, h, w], scale [1, h, w] (int8 only), status [1, h, w].

    int8 is rounded to the nearest 1/127 of the cell's largest magnitude, so the error of each number is at
    most half a step: largest / 254.
    """
    largest = np.abs(embeddings).max(axis=-1, initial=0)
    limit = np.finfo(np.float16 if dtype == "float16" else np.float32).max
    ok = status == CellStatus.OK
    good = ok & (largest <= limit)  # false for NaN too
    status = np.where(ok & ~good, CellStatus.NOT_FINITE, status).astype(np.uint8)
    values = np.where(good[..., None], embeddings, np.float32(0))
    if dtype == "float16":
        half = np.where(good[..., None], values, np.nan).astype(np.float16)
        return {"embeddings": np.moveaxis(half, -1, 0)[None], "status": status[None]}
    scale = np.where(good, largest / np.float32(127), np.nan).astype(np.float32)
    step = np.where(good & (scale > 0), scale, np.float32(1))
    quantised = np.clip(np.rint(values / step[..., None]), -127, 127).astype(np.int8)
    return {"embeddings": np.moveaxis(quantised, -1, 0)[None], "scale": scale[None], "status": status[None]}


def _sweep(path: Path) -> None:
    """Remove the temporary files of writers that were killed, in the atlas and of the item beside it."""
    item = stac.item_path(path)
    for leftover in [*path.rglob(".*"), *path.parent.glob(f".{glob.escape(item.stem)}.*{item.suffix}")]:
        if leftover.is_file():
            leftover.unlink()


def _is_fill(values: NDArray[Any], fill: float) -> bool:
    return bool(np.isnan(values).all() if np.isnan(fill) else (values == fill).all())


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
