"""The prepared copy of an atlas: all its blocks in four memory-mapped `.npy` files, ready for scoring.

The folder ``_sat2cap/scan`` inside the atlas (docs/query.md) holds ``embeddings.npy``, ``scale.npy``,
``inverse.npy``, ``place.npy``, ``checksums.npy`` and ``manifest.json``. It contains nothing that cannot be
computed from the atlas's chunks, and may be removed at any time. The manifest names the atlas and the state
of its journal that the arrays were made from; once either has changed, the folder is out of date and is not
used.
"""

import warnings
from collections.abc import Iterable
from tokenize import TokenError
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import JOURNAL, Atlas
from sat2cap.files import digest_file, parse_json
from sat2cap.model import ENCODINGS, Encoding, place_feature_count
from sat2cap.query.engine.prepared_blocks import (
    PREPARED_FOLDER,
    PREPARED_MANIFEST,
    PreparedBlocks,
)

FORMAT_VERSION = "2"
"""Version of the prepared format; no other version is read."""

VERSION_1_FILE = "_sat2cap/scan.safetensors"
"""Path of the prepared file that format version 1 wrote."""
CHECKSUMS = "checksums.npy"
"""Name of the file with a checksum of each block of each array."""
_CHECKSUM_DTYPE = np.dtype("<u8")

PreparedState = Literal["yes", "no", "stale"]
"""Whether a prepared folder can be used (`yes`), is missing (`no`), or is outdated or damaged (`stale`)."""

ArrayLayout = dict[str, tuple[np.dtype[Any], tuple[int, ...]]]
"""Type and shape of each array, by its name."""


def prepared_state(atlas: Atlas, encoding: Encoding | None = None) -> PreparedState:
    """Return whether the prepared folder of an atlas can be used.

    It can if it was made from this atlas with this journal, for `encoding` (None for the one that it names),
    in this format version, and its arrays are complete.
    """
    if atlas.store.folder is None:  # mapped files are the point of it
        return "no"
    if not (atlas.path / PREPARED_FOLDER).exists():
        return "stale" if (atlas.path / VERSION_1_FILE).exists() else "no"
    return "stale" if map_arrays(atlas, encoding) is None else "yes"


def open_prepared(atlas: Atlas, encoding: Encoding) -> PreparedBlocks | None:
    """Map the prepared folder of an atlas; None if it is missing, out of date or damaged.

    Warns if all there is was written by an older version.
    """
    if atlas.store.folder is None:
        return None
    arrays = map_arrays(atlas, encoding)
    if arrays is not None:
        is_trusted = _is_untouched(atlas, arrays)
        return PreparedBlocks(atlas, encoding, arrays, None if is_trusted else map_checksums(atlas, arrays))
    if (atlas.path / VERSION_1_FILE).exists():
        warnings.warn(
            f"{VERSION_1_FILE} is of an older version and is not used; "
            f"make it again with: sat2cap atlas prepare {atlas.path}",
            stacklevel=2,
        )
    return None


def array_layout(atlas: Atlas, encoding: Encoding) -> ArrayLayout:
    """Return the type and shape of each array in the prepared folder of an atlas, by the array's name.

    The shapes begin with the number of blocks; an array is one `.npy` file and can be mapped into memory.
    """
    blocks, cells = sum(1 for _ in atlas.chunks()), atlas.spec.chunk**2
    float32 = np.dtype("<f4")
    return {
        "embeddings": (np.dtype("i1" if atlas.spec.dtype == "int8" else "<f2"), (blocks, atlas.dim, cells)),
        "scale": (float32, (blocks, cells)),
        "inverse": (float32, (blocks, cells)),
        "place": (float32, (blocks, place_feature_count(encoding), cells)),
    }


def expected_manifest(atlas: Atlas, encoding: Encoding) -> dict[str, str]:
    """Return what the manifest of a prepared folder must say.

    Its format, version and encoding, the atlas's identity, and the hash of the journal. A folder whose
    manifest differs was made of something else, or of an earlier state, and is made anew.
    """
    return {
        "format": "sat2cap-scan",
        "version": FORMAT_VERSION,
        "identity": atlas.identity,
        "journal": digest_file(atlas.path / JOURNAL) if atlas.complete else "unfinished",
        "encoding": encoding,
    }


def read_manifest(atlas: Atlas) -> dict[str, Any]:
    """Return the manifest of the prepared folder of an atlas; empty if it is missing or is not JSON.

    Never raises for what lies there: a damaged folder is one that has to be prepared again.
    """
    try:
        manifest = parse_json((atlas.path / PREPARED_MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def map_arrays(atlas: Atlas, encoding: Encoding | None) -> dict[str, NDArray[Any]] | None:
    """Map the arrays of an up-to-date prepared folder read-only; None if it is missing, stale or cut short.

    Half precision is mapped as uint16, its bits, which is what the compiled loops take.
    """
    manifest = read_manifest(atlas)
    encoding = encoding or manifest.get("encoding")
    if not manifest or encoding not in ENCODINGS or manifest != expected_manifest(atlas, encoding):
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


def map_checksums(atlas: Atlas, arrays: dict[str, NDArray[Any]]) -> NDArray[np.uint64] | None:
    """Read the checksums of the blocks, uint64 `[n, arrays]`, from the prepared folder.

    None if a version without checksums wrote the folder, or if the file is damaged or of another shape.
    """
    path = atlas.path / PREPARED_FOLDER / CHECKSUMS
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
