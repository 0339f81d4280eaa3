"""Writing an atlas, chunk by chunk, so that it may be interrupted at any moment.

The files of a chunk are written under names of their own, synced and renamed. Then the chunk is journalled
with the hashes of its files. The group's metadata is published last. A kill therefore loses at most the chunk
being written, and resumed work ends in the same bytes as uninterrupted work.
"""

import glob
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import journal, stac
from sat2cap.atlas.chunk_writing import StagedChunk, stage_chunk, stage_filled_chunk
from sat2cap.atlas.conventions import group_metadata, side_arrays
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk, cell_arrays, iter_chunks
from sat2cap.atlas.plan import MASK, AtlasSpec, check_free, differing_parts, read_plan
from sat2cap.atlas.plan_files import read_plan_bytes, write_plan_files
from sat2cap.atlas.presence import is_atlas
from sat2cap.atlas.reader import Atlas
from sat2cap.errors import AtlasError, JobError
from sat2cap.files import digest_file, rename_published, write_bytes
from sat2cap.stores import LocalStore


class AtlasWriter:
    """Writes the chunks of an atlas. One process at a time writes (`writer_lock`); readers may look on."""

    def __init__(self, path: Path, spec: AtlasSpec) -> None:
        self.path = path
        self.spec = spec
        self._arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
        self._entries = journal.read_journal(path / JOURNAL, self._arrays.values())
        self._written_here: set[tuple[int, int]] = set()

    def pending(self) -> list[Chunk]:
        """Return the chunks still to compute, row by row.

        These contain a wanted cell, and are not journalled or lack one of their files.
        """
        return [
            chunk
            for chunk in iter_chunks(self.spec.wanted, self.spec.chunk)
            if not self._is_in_place(chunk.index)
        ]

    def write(self, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]) -> None:
        """Write one chunk and journal it; arguments and errors are those of `stage_chunk`."""
        self.record(stage_chunk(self.path, self.spec, chunk, embeddings, status))

    def fill_cells(self, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]) -> None:
        """Replace those cells of a written chunk whose `status` is not NONE; all others keep their bytes.

        Arguments are those of `write`. The atlas is unfinished from here on, until `finish`.
        """
        self.reopen()
        written = self.entry(chunk.index)
        self.record(stage_filled_chunk(self.path, self.spec, chunk, embeddings, status, written))

    def entry(self, index: tuple[int, int]) -> journal.Entry:
        """Return what the journal says of a chunk that is written. Raises `KeyError` if it is not."""
        return self._entries[index]

    def reopen(self) -> None:
        """Make a finished atlas unfinished, before any of its cells is replaced; `finish` ends this."""
        (self.path / ROOT).unlink(missing_ok=True)

    def record(self, staged: StagedChunk) -> None:
        """Put the files of a chunk in place, and journal it; they may be written by another process.

        Raises `JobError` if they are not here, as when another machine wrote to a disk of its own.
        """
        entry = staged.entry
        try:
            for file, written_as in staged.written_as.items():
                rename_published(self.path / written_as, self.path / file)
        except FileNotFoundError:
            raise JobError(
                f"chunk {entry.index} was written, but not into {str(self.path)!r} of this machine; "
                "give a folder that every worker shares"
            ) from None
        for array in self._arrays.values():
            file = array.cell_chunk_path(*entry.index)
            if file not in entry.files:  # it has only fill values now
                (self.path / file).unlink(missing_ok=True)
        journal.append_entry(self.path / JOURNAL, entry)
        self._entries[entry.index] = entry
        self._written_here.add(entry.index)

    def finish(self) -> Atlas:
        """Verify chunks of earlier runs, publish journal, STAC item and group metadata, and return the atlas.

        Raises `JobError` if chunks are pending, or one of an earlier run no longer matches its hash.
        """
        if (self.path / ROOT).is_file() and not self._written_here:
            return Atlas(LocalStore(self.path), self.spec)
        missing = len(self.pending())
        if missing:
            raise JobError(
                f"atlas {str(self.path)!r} has {missing} chunks to compute; run the same embed again"
            )
        damaged = [
            index for index in sorted(self._entries.keys() - self._written_here) if self._is_damaged(index)
        ]
        if damaged:
            fix = f"run: sat2cap atlas repair {self.path}, then the same embed again"
            raise JobError(
                f"atlas {str(self.path)!r}: chunk {damaged[0]} is damaged, {len(damaged)} in all; {fix}"
            )
        journal.rewrite_journal(self.path / JOURNAL, self._entries)
        _remove_temporary_files(self.path)
        stac.write_item(self.path, self.spec)
        write_bytes(self.path / ROOT, group_bytes(self.spec))
        return Atlas(LocalStore(self.path), self.spec)

    def _is_in_place(self, index: tuple[int, int]) -> bool:
        """Return whether a chunk is journalled and its files have full size; hashes are not compared here."""
        entry = self._entries.get(index)
        return entry is not None and all(
            (self.path / file).is_file()
            and (self.path / file).stat().st_size == self._arrays[file.split("/")[0]].chunk_bytes()
            for file in entry.files
        )

    def _is_damaged(self, index: tuple[int, int]) -> bool:
        """Return whether a file of a journalled chunk no longer matches its hash."""
        files = self._entries[index].files
        return any(digest_file(self.path / file) != sha for file, sha in files.items())


def create_or_resume(path: Path | str, spec: AtlasSpec) -> AtlasWriter:
    """Start the atlas at `path`, or resume it where it stopped, and return its writer.

    Raises `AtlasError` if there is something else at `path`, or an atlas of another identity: work for
    another model, imagery, grid or region is never mixed.
    """
    path = Path(path)
    existing = _read_same_plan(path, spec)
    if existing is None:
        write_bytes(path / MASK, spec.wanted.tobytes())
    spec = existing or spec
    plan = read_plan_bytes(LocalStore(path)) if existing else None
    write_plan_files(path, plan or _json_bytes(spec.as_json()))
    for file, data in static_files(spec).items():
        if not ((path / file).is_file() and (path / file).read_bytes() == data):
            write_bytes(path / file, data)
    return AtlasWriter(path, spec)


def pending_chunks(path: Path | str, spec: AtlasSpec) -> list[Chunk]:
    """Return the chunks that `create_or_resume` would have to compute, without writing anything.

    Raises `AtlasError` as it does.
    """
    return AtlasWriter(Path(path), _read_same_plan(Path(path), spec) or spec).pending()


def _read_same_plan(path: Path, spec: AtlasSpec) -> AtlasSpec | None:
    """Return the plan at `path`, or None. Raises `AtlasError` if it has another identity than `spec`."""
    if not is_atlas(path):
        check_free(path)
        return None
    old = read_plan(LocalStore(path))
    if old.identity != spec.identity:
        names = ", ".join(differing_parts(old, spec))
        fix = "choose another path, or remove it first"
        raise AtlasError(f"atlas {str(path)!r} was made from something else (it differs in {names}); {fix}")
    return old


def static_files(spec: AtlasSpec) -> dict[str, bytes]:
    """Return, by path, the files that do not depend on embeddings: array metadata and small arrays."""
    files = {}
    for array in cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype).values():
        files[f"{array.name}/zarr.json"] = _json_bytes(array.metadata())
    for array, values in side_arrays(spec):
        files[f"{array.name}/zarr.json"] = _json_bytes(array.metadata())
        if values is not None:
            files[array.chunk_path(*[0] * values.ndim)] = array.encode_chunk(values)
    return files


def group_bytes(spec: AtlasSpec) -> bytes:
    """Return the bytes of the group's zarr.json."""
    return _json_bytes(group_metadata(spec))


def _remove_temporary_files(path: Path) -> None:
    """Remove temporary files and folders of killed writers, in the atlas and beside it for its STAC item."""
    item = stac.item_path(path)
    for leftover in [*path.rglob(".*"), *path.parent.glob(f".{glob.escape(item.stem)}.*{item.suffix}")]:
        if leftover.is_dir():  # of a prepared copy that was not finished
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def _json_bytes(value: Any) -> bytes:
    """Return a value as indented JSON, in which NaN is an error."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
