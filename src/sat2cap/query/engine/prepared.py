"""The prepared copy of an atlas: all its blocks in four memory-mapped `.npy` files, ready for scoring.

The folder ``_sat2cap/scan`` inside the atlas (docs/query.md) holds ``embeddings.npy``, ``scale.npy``,
``inverse.npy``, ``place.npy``, ``checksums.npy`` and ``manifest.json``. It contains nothing that cannot be
computed from the atlas's chunks, and may be removed at any time. The manifest names the atlas and the state
of its journal that the arrays were made from; once either has changed, the folder is out of date and is not
used.
"""

import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import JOURNAL, Atlas, verify_atlas, writer_lock
from sat2cap.errors import AtlasError
from sat2cap.files import digest_file, parse_json, publish_folder, write_json
from sat2cap.locks import remove_temporary_files
from sat2cap.model import ENCODINGS, Encoding, place_feature_count
from sat2cap.progress import Progress, silent
from sat2cap.query.engine.blocks import AtlasBlocks, Cells
from sat2cap.query.engine.prepared_blocks import (
    PREPARED_FOLDER,
    PREPARED_MANIFEST,
    PreparedBlocks,
    block_checksums,
)

FORMAT_VERSION = "2"
"""Version of the prepared format; no other version is read."""

STAGE = "preparing"
"""Name of this work in progress reports."""

_VERSION_1_FILE = "_sat2cap/scan.safetensors"
"""Path of the prepared file that format version 1 wrote."""
_CHECKSUMS = "checksums.npy"
_CHECKSUM_DTYPE = np.dtype("<u8")
_BLOCKS_PER_WRITE = 64

PreparedState = Literal["yes", "no", "stale"]
"""Whether a prepared folder can be used (`yes`), is missing (`no`), or is outdated or damaged (`stale`)."""

ArrayLayout = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
"""Type and shape of each array, by its name."""


def prepare_atlas(atlas: Atlas, encoding: Encoding, progress: Progress = silent) -> Path:
    """Write the prepared folder of an atlas, about as large as the atlas, and return its path.

    `encoding` is the metadata encoding of the model that made the atlas. Does nothing if the folder is there
    and up to date. The file that an older version wrote is removed. Raises `AtlasError` if the atlas is not
    finished or is damaged, and `JobError` if another process is writing it.
    """
    folder = atlas.path / PREPARED_FOLDER
    if not atlas.complete:
        raise AtlasError(f"atlas {str(atlas.path)!r} is not finished; run its embed command again first")
    if prepared_state(atlas, encoding) != "yes" or (atlas.path / _VERSION_1_FILE).exists():
        with writer_lock(atlas.path):
            remove_temporary_files(folder.parent, f".{folder.name}.*")
            if prepared_state(atlas, encoding) != "yes":  # another process may just have written it
                _check_sound(atlas)
                _write_folder_or_fail(folder, atlas, encoding, progress)
            (atlas.path / _VERSION_1_FILE).unlink(missing_ok=True)
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


def prepared_state(atlas: Atlas, encoding: Encoding | None = None) -> PreparedState:
    """Return whether the prepared folder of an atlas can be used.

    It can if it was made from this atlas with this journal, for `encoding` (None for the one that it names),
    in this format version, and its arrays are complete.
    """
    if atlas.store.folder is None:  # mapped files are the point of it
        return "no"
    if not (atlas.path / PREPARED_FOLDER).exists():
        return "stale" if (atlas.path / _VERSION_1_FILE).exists() else "no"
    return "stale" if _map_arrays(atlas, encoding) is None else "yes"


def find_prepared_problem(atlas: Atlas) -> str | None:
    """Return what is wrong with the prepared folder of a sound atlas, after reading both in full.

    None if nothing is wrong, or if the folder is missing or out of date and so is not used.
    """
    arrays = None if atlas.store.folder is None else _map_arrays(atlas, None)
    if arrays is None:
        return None
    encoding: Encoding = _read_manifest(atlas)["encoding"]
    prepared, source = PreparedBlocks(atlas, encoding, arrays), AtlasBlocks(atlas, encoding)
    for start in range(0, len(source.chunks), _BLOCKS_PER_WRITE):
        stop = min(start + _BLOCKS_PER_WRITE, len(source.chunks))
        if not _same_cells(prepared.read(start, stop), source.read(start, stop)):
            return f"{PREPARED_FOLDER}: is not what the chunks make"
    checksums = _map_checksums(atlas, arrays)
    if checksums is not None and not np.array_equal(checksums, block_checksums(arrays)):
        return f"{PREPARED_FOLDER}/{_CHECKSUMS}: does not match the arrays"
    return None


def open_prepared(atlas: Atlas, encoding: Encoding) -> PreparedBlocks | None:
    """Map the prepared folder of an atlas; None if it is missing, out of date or damaged.

    Warns if all there is was written by an older version.
    """
    if atlas.store.folder is None:
        return None
    arrays = _map_arrays(atlas, encoding)
    if arrays is not None:
        is_trusted = _is_untouched(atlas, arrays)
        return PreparedBlocks(atlas, encoding, arrays, None if is_trusted else _map_checksums(atlas, arrays))
    if (atlas.path / _VERSION_1_FILE).exists():
        warnings.warn(
            f"{_VERSION_1_FILE} is of an older version and is not used; "
            f"make it again with: sat2cap atlas prepare {atlas.path}",
            stacklevel=2,
        )
    return None


def array_layout(atlas: Atlas, encoding: Encoding) -> ArrayLayout:
    """Return the type and shape of each array in the prepared folder of an atlas."""
    blocks, cells = sum(1 for _ in atlas.chunks()), atlas.spec.chunk**2
    float32 = np.dtype("<f4")
    return {
        "embeddings": (np.dtype("i1" if atlas.spec.dtype == "int8" else "<f2"), (blocks, atlas.dim, cells)),
        "scale": (float32, (blocks, cells)),
        "inverse": (float32, (blocks, cells)),
        "place": (float32, (blocks, place_feature_count(encoding), cells)),
    }


def expected_manifest(atlas: Atlas, encoding: Encoding) -> dict[str, str]:
    """Return what the manifest must say: format, atlas, encoding, and the hash of the journal."""
    return {
        "format": "sat2cap-scan",
        "version": FORMAT_VERSION,
        "identity": atlas.identity,
        "journal": digest_file(atlas.path / JOURNAL) if atlas.complete else "unfinished",
        "encoding": encoding,
    }


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
            np.save(temporary / _CHECKSUMS, np.concatenate(checksums))
        write_json(temporary / Path(PREPARED_MANIFEST).name, expected_manifest(atlas, encoding))


def _read_manifest(atlas: Atlas) -> dict[str, Any]:
    """Return the manifest of the prepared folder; empty if it is missing or is not JSON."""
    try:
        manifest = parse_json((atlas.path / PREPARED_MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _map_arrays(atlas: Atlas, encoding: Encoding | None) -> dict[str, NDArray[Any]] | None:
    """Map the arrays of an up-to-date prepared folder read-only; None if it is missing, stale or cut short.

    Half precision is mapped as uint16, its bits, which is what the compiled loops take.
    """
    manifest = _read_manifest(atlas)
    encoding = encoding or manifest.get("encoding")
    if encoding not in ENCODINGS or manifest != expected_manifest(atlas, encoding):
        return None
    arrays = {}
    for name, (dtype, shape) in array_layout(atlas, encoding).items():
        path = atlas.path / PREPARED_FOLDER / f"{name}.npy"
        try:
            mapped = np.lib.format.open_memmap(path, mode="r")
            is_complete = path.stat().st_size == mapped.offset + mapped.nbytes
        except (OSError, ValueError, SyntaxError, TokenError):  # what numpy raises for what is no .npy file
            return None
        if not is_complete or mapped.dtype != dtype or mapped.shape != shape:
            return None
        arrays[name] = mapped.view(np.ndarray)
    if arrays["embeddings"].dtype == np.float16:
        arrays["embeddings"] = arrays["embeddings"].view(np.uint16)
    return arrays


def _map_checksums(atlas: Atlas, arrays: dict[str, NDArray[Any]]) -> NDArray[np.uint64] | None:
    """Read the checksums of the blocks; None if a version without them wrote the folder, or it is damaged."""
    path = atlas.path / PREPARED_FOLDER / _CHECKSUMS
    try:
        checksums = np.load(path, allow_pickle=False, max_header_size=1000)
    except (OSError, ValueError, SyntaxError, TokenError, EOFError):  # what numpy raises for what is no .npy
        return None
    shape = (len(arrays["embeddings"]), len(arrays))
    is_right = isinstance(checksums, np.ndarray) and checksums.dtype == _CHECKSUM_DTYPE
    return checksums if is_right and checksums.shape == shape else None


def _is_untouched(atlas: Atlas, names: Iterable[str]) -> bool:
    """Return whether no array's file was written after the manifest, which `prepare` writes last.

    Comparing all blocks costs about a quarter of a first scan, so it is done only for a folder that something
    else wrote to. What a disk changes without a write is left to `find_prepared_problem`.
    """
    folder = atlas.path / PREPARED_FOLDER
    written = (atlas.path / PREPARED_MANIFEST).stat().st_mtime_ns
    return all((folder / f"{name}.npy").stat().st_mtime_ns <= written for name in names)


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
