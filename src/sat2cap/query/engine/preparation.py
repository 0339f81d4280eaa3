"""Writing the prepared copy of an atlas (`prepared`), and comparing it with the chunks it was made from."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from sat2cap.atlas import Atlas, unfinished_error, verify_atlas, writer_lock
from sat2cap.errors import AtlasError
from sat2cap.files import publish_folder, write_json
from sat2cap.locks import remove_temporary_files
from sat2cap.model import Encoding
from sat2cap.progress import Progress, silent
from sat2cap.query.engine.blocks import AtlasBlocks, Cells
from sat2cap.query.engine.prepared import (
    CHECKSUMS,
    VERSION_1_FILE,
    array_layout,
    expected_manifest,
    map_arrays,
    map_checksums,
    prepared_state,
    read_manifest,
)
from sat2cap.query.engine.prepared_blocks import (
    PREPARED_FOLDER,
    PREPARED_MANIFEST,
    PreparedBlocks,
    block_checksums,
)

STAGE = "preparing"
"""Name of this work in progress reports."""

_BLOCKS_PER_WRITE = 64


def prepare_atlas(atlas: Atlas, encoding: Encoding, progress: Progress = silent) -> Path:
    """Write the prepared folder of an atlas, about as large as the atlas, and return its path.

    `encoding` is the metadata encoding of the model that made the atlas. Does nothing if the folder is there
    and up to date. The file that an older version wrote is removed. Raises `AtlasError` if the atlas is not
    finished or is damaged, and `JobError` if another process is writing it.
    """
    folder = atlas.path / PREPARED_FOLDER
    if not atlas.complete:
        raise unfinished_error(atlas.store)
    if prepared_state(atlas, encoding) != "yes" or (atlas.path / VERSION_1_FILE).exists():
        with writer_lock(atlas.path):
            remove_temporary_files(folder.parent, f".{folder.name}.*")
            if prepared_state(atlas, encoding) != "yes":  # another process may just have written it
                _check_sound(atlas)
                _write_folder_or_fail(folder, atlas, encoding, progress)
            (atlas.path / VERSION_1_FILE).unlink(missing_ok=True)
    return folder


def _check_sound(atlas: Atlas) -> None:
    """Raise `AtlasError` for a damaged atlas: a copy would keep the damage after the chunks are repaired."""
    problems = verify_atlas(atlas)
    if problems:
        raise AtlasError(f"atlas is damaged ({problems[0]}); run: sat2cap atlas repair {atlas.path}")


def _write_folder_or_fail(folder: Path, atlas: Atlas, encoding: Encoding, progress: Progress) -> None:
    """Write the prepared folder; an `OSError` names the folder instead of a temporary file."""
    try:
        _write_folder(folder, atlas, encoding, progress)
    except OSError as error:
        is_elsewhere = error.filename and not Path(error.filename).is_relative_to(folder.parent)
        if error.errno is None or is_elsewhere:
            raise
        # a full disk names no file, and the name of a temporary folder means nothing to the user
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _write_folder(folder: Path, atlas: Atlas, encoding: Encoding, progress: Progress) -> None:
    """Write all arrays block by block, then the manifest, and publish the folder by rename.

    The files are written rather than mapped: on a full disk a write fails, a mapped page ends the process.
    """
    source = AtlasBlocks(atlas, encoding)
    with publish_folder(folder) as temporary:
        with ExitStack() as stack:
            files = {}
            for name, (dtype, shape) in array_layout(atlas, encoding).items():
                files[name] = stack.enter_context((temporary / f"{name}.npy").open("wb"))
                descr = np.lib.format.dtype_to_descr(dtype)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(files[name], header)
            checksums = []
            progress(STAGE, 0, len(source.chunks))
            for start in range(0, len(source.chunks), _BLOCKS_PER_WRITE):
                stop = min(start + _BLOCKS_PER_WRITE, len(source.chunks))
                cells = source.read(start, stop)
                arrays = dict(
                    zip(files, (cells.stored, cells.scale, cells.inverse, cells.place), strict=True)
                )
                for name, array in arrays.items():
                    files[name].write(array.data)
                checksums.append(block_checksums(arrays))
                progress(STAGE, stop, len(source.chunks))
            np.save(temporary / CHECKSUMS, np.concatenate(checksums))
        write_json(temporary / Path(PREPARED_MANIFEST).name, expected_manifest(atlas, encoding))


def find_prepared_problem(atlas: Atlas) -> str | None:
    """Return what is wrong with the prepared folder of a sound atlas, after reading both in full.

    None if nothing is wrong, or if the folder is missing or out of date and so is not used.
    """
    arrays = None if atlas.store.folder is None else map_arrays(atlas, None)
    if arrays is None:
        return None
    encoding: Encoding = read_manifest(atlas)["encoding"]
    prepared, source = PreparedBlocks(atlas, encoding, arrays), AtlasBlocks(atlas, encoding)
    for start in range(0, len(source.chunks), _BLOCKS_PER_WRITE):
        stop = min(start + _BLOCKS_PER_WRITE, len(source.chunks))
        if not _same_cells(prepared.read(start, stop), source.read(start, stop)):
            return f"{PREPARED_FOLDER}: is not what the chunks make"
    checksums = map_checksums(atlas, arrays)
    if checksums is not None and not np.array_equal(checksums, block_checksums(arrays)):
        return f"{PREPARED_FOLDER}/{CHECKSUMS}: does not match the arrays"
    return None


def _same_cells(prepared: Cells, source: Cells) -> bool:
    """Return whether stored numbers are equal, and computed numbers equal up to rounding."""
    same_stored = np.array_equal(prepared.stored, source.stored)
    same_scale = np.array_equal(prepared.scale, source.scale, equal_nan=True)
    computed = ((prepared.inverse, source.inverse), (prepared.place, source.place))
    return (
        same_stored
        and same_scale
        and all(np.allclose(*pair, 1e-5, 1e-6, equal_nan=True) for pair in computed)
    )
