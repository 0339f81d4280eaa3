"""Writing an atlas, chunk by chunk, so that it may be interrupted at any moment.

The files of a chunk are staged under names of their own and put in place, in a folder by rename, in a bucket
by a copy that the server makes. Then the chunk is journalled with the hashes of its files. The group's
metadata is published last. A kill therefore loses at most the chunk being written, and resumed work ends in
the same bytes as uninterrupted work.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import journal, stac
from sat2cap.atlas.chunk_writing import StagedChunk, stage_chunk
from sat2cap.atlas.conventions import group_metadata, side_arrays
from sat2cap.atlas.layout import ROOT, Chunk, cell_arrays, iter_chunks
from sat2cap.atlas.plan import MASK, AtlasSpec, check_free, differing_parts, read_plan
from sat2cap.atlas.plan_files import read_or_none, read_plan_bytes, write_plan_files
from sat2cap.atlas.presence import how_to_repair, is_atlas
from sat2cap.atlas.reader import Atlas
from sat2cap.errors import AtlasError, JobError
from sat2cap.files import indented_json
from sat2cap.stores import Store, open_store


class AtlasWriter:
    """Writes the chunks of an atlas. One process at a time writes (`writer_lock`); readers may look on."""

    def __init__(self, store: Store, spec: AtlasSpec) -> None:
        self.store = store
        self.spec = spec
        self._arrays = cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)
        self._entries = journal.read_journal(store, self._arrays.values())
        self._written_here: set[tuple[int, int]] = set()

    def pending(self) -> list[Chunk]:
        """Return the chunks still to compute, row by row.

        These contain a wanted cell, and are not journalled or lack one of their files.
        """
        sizes = self.store.sizes(file for entry in self._entries.values() for file in entry.files)
        return [
            chunk
            for chunk in iter_chunks(self.spec.wanted, self.spec.chunk)
            if not self._is_in_place(chunk.index, sizes)
        ]

    def write(self, chunk: Chunk, embeddings: NDArray[np.float32], status: NDArray[np.uint8]) -> None:
        """Write one chunk of h x w cells and journal it.

        `embeddings` has shape (h, w, D), not normalised, and `status` shape (h, w), a `CellStatus` for each
        cell. Raises `JobError` for other shapes and for cells without a status, as `stage_chunk` does.
        """
        self.record(stage_chunk(self.store, self.spec, chunk, embeddings, status))

    def entry(self, index: tuple[int, int]) -> journal.Entry:
        """Return what the journal says of a chunk that is written. Raises `KeyError` if it is not."""
        return self._entries[index]

    def reopen(self) -> None:
        """Make a finished atlas unfinished, before any of its cells is replaced; `finish` ends this."""
        self.store.delete(ROOT)

    def record(self, staged: StagedChunk) -> None:
        """Put the files of a chunk in place, and journal it; they may be written by another process.

        Raises `JobError` if they are not here, as when another machine wrote to a disk of its own.
        """
        entry, writer = staged.entry, self.store.writer
        empty = [array.cell_chunk_path(*entry.index) for array in self._arrays.values()]
        empty = [file for file in empty if file not in entry.files]  # these have only fill values now
        try:
            self.store.map(lambda names: writer.place(names[1], names[0]), staged.written_as.items())
        except FileNotFoundError:
            raise JobError(
                f"chunk {entry.index} was written, but not into {self.store.name!r} of this machine; "
                "give a folder that every worker shares"
            ) from None
        self.store.map(self.store.delete, empty)
        journal.append_entry(self.store, entry)
        self._entries[entry.index] = entry
        self._written_here.add(entry.index)

    def finish(self) -> Atlas:
        """Verify chunks of earlier runs, publish journal, STAC item and group metadata, and return the atlas.

        Raises `JobError` if chunks are pending, or one of an earlier run no longer matches its hash.
        """
        if self.store.stamp(ROOT) is not None and not self._written_here:
            return Atlas(self.store, self.spec)
        missing = len(self.pending())
        if missing:
            raise JobError(
                f"atlas {self.store.name!r} has {missing} chunks to compute; run the same embed again"
            )
        damaged = self._find_damaged()
        if damaged:
            fix = f"{how_to_repair(self.store)}, then the same embed again"
            raise JobError(
                f"atlas {self.store.name!r}: chunk {damaged[0]} is damaged, {len(damaged)} in all; {fix}"
            )
        journal.rewrite_journal(self.store, self._entries)
        name = self.store.base_name
        self.store.writer.remove_leftovers(stac.item_name(name))
        self.store.parent.put(stac.item_name(name), indented_json(stac.make_item(name, self.spec)))
        self.store.put(ROOT, group_bytes(self.spec))
        return Atlas(self.store, self.spec)

    def _is_in_place(self, index: tuple[int, int], sizes: Mapping[str, int]) -> bool:
        """Return whether a chunk is journalled and its files have full size; hashes are not compared here."""
        entry = self._entries.get(index)
        return entry is not None and all(
            sizes.get(file) == self._arrays[file.split("/")[0]].chunk_bytes() for file in entry.files
        )

    def _find_damaged(self) -> list[tuple[int, int]]:
        """Return the chunks of earlier runs of which a file no longer matches its hash, in order."""
        earlier = sorted(self._entries.keys() - self._written_here)
        hashes = {file: (index, sha) for index in earlier for file, sha in self._entries[index].files.items()}
        damaged: set[tuple[int, int]] = set()

        def check(file: str) -> None:
            index, sha = hashes[file]
            if hashlib.sha256(self.store.get(file)).hexdigest() != sha:
                damaged.add(index)

        self.store.map(check, hashes)
        return sorted(damaged)


def create_or_resume(place: Path | str | Store, spec: AtlasSpec) -> AtlasWriter:
    """Start the atlas in a folder, at an address or in a store, or resume it, and return its writer.

    Raises `AtlasError` if there is something else, or an atlas of another identity: work for another model,
    imagery, grid or region is never mixed.
    """
    store = open_store(place)
    existing = _read_same_plan(store, spec)
    if existing is None:
        store.put(MASK, spec.wanted.tobytes())
    spec = existing or spec
    plan = read_plan_bytes(store) if existing else None
    write_plan_files(store, plan or indented_json(spec.as_json()))
    files = static_files(spec)

    def write(file: str) -> None:
        if read_or_none(store, file) != files[file]:
            store.put(file, files[file])

    store.map(write, files)
    return AtlasWriter(store, spec)


def pending_chunks(place: Path | str | Store, spec: AtlasSpec) -> list[Chunk]:
    """Return the chunks that `create_or_resume` would have to compute, without writing anything.

    Raises `AtlasError` as it does.
    """
    store = open_store(place)
    return AtlasWriter(store, _read_same_plan(store, spec) or spec).pending()


def _read_same_plan(store: Store, spec: AtlasSpec) -> AtlasSpec | None:
    """Return the plan in a store, or None. Raises `AtlasError` if it has another identity than `spec`."""
    check_free(store)
    if not is_atlas(store):
        return None
    old = read_plan(store)
    if old.identity != spec.identity:
        names = ", ".join(differing_parts(old, spec))
        fix = "choose another path, or remove it first"
        raise AtlasError(f"atlas {store.name!r} was made from something else (it differs in {names}); {fix}")
    return old


def static_files(spec: AtlasSpec) -> dict[str, bytes]:
    """Return, by path, the files that do not depend on embeddings: array metadata and small arrays."""
    files = {MASK: spec.wanted.tobytes()}
    for array in cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype).values():
        files[f"{array.name}/zarr.json"] = indented_json(array.metadata())
    for array, values in side_arrays(spec):
        files[f"{array.name}/zarr.json"] = indented_json(array.metadata())
        if values is not None:
            files[array.chunk_path(*[0] * values.ndim)] = array.encode_chunk(values)
    return files


def group_bytes(spec: AtlasSpec) -> bytes:
    """Return the bytes of the group's zarr.json."""
    return indented_json(group_metadata(spec))
