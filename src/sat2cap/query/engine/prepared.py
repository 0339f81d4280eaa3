"""An atlas prepared for scoring: all its blocks in one file beside its chunks, mapped into memory.

The file is ``_sat2cap/scan.safetensors`` inside the atlas (docs/query.md). It holds nothing that the atlas
does not, and may be removed at any time. It says what it was made of, and is not used once that has changed.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import JOURNAL, Atlas, Chunk, verify_atlas
from sat2cap.errors import AtlasError
from sat2cap.files import digest_file, publish
from sat2cap.model import ENCODINGS, Encoding, place_feature_count
from sat2cap.progress import Progress, silent
from sat2cap.query.engine.blocks import AtlasBlocks, BlockRanges, Cells, Floats

PREPARED_FOLDER = "_sat2cap/scan.safetensors"
VERSION = "1"
STAGE = "preparing"

_HEADER = 4096
"""Bytes before the first number: a multiple of a page."""
_BLOCKS = 64
"""Blocks copied at once."""
_TYPES: dict[str, np.dtype[Any]] = {
    "I8": np.dtype("int8"),
    "F16": np.dtype("uint16"),
    "F32": np.dtype("float32"),
}
"""Of the file, as the compiled loops take them."""

State = Literal["yes", "no", "stale"]


@dataclass(frozen=True)
class PreparedCells:
    """The cells of an atlas from its prepared file; nothing is read before it is touched."""

    atlas: Atlas
    arrays: dict[str, NDArray[Any]]
    """`embeddings` `[N, D, B]`, `scale`, `inverse` `[N, B]` and `place` `[N, 4, B]`, mapped."""

    @cached_property
    def chunks(self) -> Sequence[Chunk]:
        """Those that hold a cell of the region."""
        return list(self.atlas.chunks())

    def read(self, start: int, stop: int) -> Cells:
        """A view; the pages come when they are used."""
        parts = {name: array[start:stop] for name, array in self.arrays.items()}

        def load_place() -> Floats:
            return parts["place"]

        stored, scale, inverse = (parts[name] for name in ("embeddings", "scale", "inverse"))
        return Cells(start, self.chunks[start:stop], stored, scale, inverse, load_place, self._ranges)

    @cached_property
    def _ranges(self) -> BlockRanges:
        return BlockRanges.empty(*self.arrays["place"].shape[:2])


def prepare_atlas(atlas: Atlas, encoding: Encoding, progress: Progress = silent) -> Path:
    """Write the prepared file of an atlas whose model reads places in `encoding`; as large as the atlas.

    Does nothing if it is there and good. Raises `AtlasError` for an atlas that is not finished or is damaged.
    """
    path = atlas.path / PREPARED_FOLDER
    if not atlas.complete:
        raise AtlasError(f"atlas {str(atlas.path)!r} is not finished; run its embed command again first")
    if prepared_state(atlas, encoding) == "yes":
        return path
    problems = verify_atlas(atlas)  # the file would keep a damage that is mended in the chunks
    if problems:
        raise AtlasError(f"atlas is damaged ({problems[0]}); run: sat2cap atlas repair {atlas.path}")
    source = AtlasBlocks(atlas, encoding)
    layout = _layout(atlas, len(source.chunks), encoding)
    with publish(path) as temporary, temporary.open("wb") as file:
        file.write(_header(layout, _identity(atlas, encoding)))
        file.truncate(_HEADER + sum(_size(shape, kind) for kind, shape in layout.values()))
        progress(STAGE, 0, len(source.chunks))
        for start in range(0, len(source.chunks), _BLOCKS):
            stop = min(start + _BLOCKS, len(source.chunks))
            _write(file, layout, source.read(start, stop))
            progress(STAGE, stop, len(source.chunks))
    return path


def prepared_state(atlas: Atlas, encoding: Encoding | None = None) -> State:
    """Whether there is a prepared file, of this very atlas (and encoding, if given) and this version."""
    path = atlas.path / PREPARED_FOLDER
    if not path.is_file():
        return "no"
    found = _read_header(path).get("__metadata__", {})
    encoding = encoding or found.get("encoding")
    if encoding not in ENCODINGS:
        return "stale"
    wanted = _identity(atlas, encoding)
    layout = _layout(atlas, sum(1 for _ in atlas.chunks()), encoding)
    size = _HEADER + sum(_size(shape, kind) for kind, shape in layout.values())
    same = all(found.get(name) == value for name, value in wanted.items()) and path.stat().st_size == size
    return "yes" if same else "stale"


def find_prepared_problem(atlas: Atlas) -> str | None:
    """What is wrong with the prepared file of a sound atlas, by reading both; None if it is not used."""
    if prepared_state(atlas) != "yes":
        return None
    encoding: Encoding = _read_header(atlas.path / PREPARED_FOLDER)["__metadata__"]["encoding"]
    mapped, source = open_prepared(atlas, encoding), AtlasBlocks(atlas, encoding)
    for start in range(0, len(source.chunks), _BLOCKS):
        stop = min(start + _BLOCKS, len(source.chunks))
        if mapped is None or not _alike(mapped.read(start, stop), source.read(start, stop)):
            return f"{PREPARED_FOLDER}: is not what the chunks make"
    return None


def _alike(one: Cells, other: Cells) -> bool:
    """The same numbers; of those that were computed, but for rounding."""
    stored = np.array_equal(one.stored, other.stored) and np.array_equal(one.scale, other.scale, True)
    pairs = ((one.inverse, other.inverse), (one.place, other.place))
    return stored and all(np.allclose(mine, theirs, 1e-5, 1e-6, equal_nan=True) for mine, theirs in pairs)


def open_prepared(atlas: Atlas, encoding: Encoding) -> PreparedCells | None:
    """The prepared file of an atlas, mapped; None if there is none, or it is of something else."""
    if prepared_state(atlas, encoding) != "yes":
        return None
    path, arrays, offset = atlas.path / PREPARED_FOLDER, {}, _HEADER
    for name, (kind, shape) in _layout(atlas, sum(1 for _ in atlas.chunks()), encoding).items():
        mapped = np.memmap(path, _TYPES[kind], "r", offset, shape)
        arrays[name] = mapped.view(np.ndarray)
        offset += _size(shape, kind)
    return PreparedCells(atlas, arrays)


Layout = dict[str, tuple[str, tuple[int, ...]]]
"""Type and shape of each array, in the order of the file."""


def _layout(atlas: Atlas, blocks: int, encoding: Encoding) -> Layout:
    cells = atlas.spec.chunk**2
    return {
        "embeddings": ("I8" if atlas.spec.dtype == "int8" else "F16", (blocks, atlas.dim, cells)),
        "scale": ("F32", (blocks, cells)),
        "inverse": ("F32", (blocks, cells)),
        "place": ("F32", (blocks, place_feature_count(encoding), cells)),
    }


def _size(shape: Sequence[int], kind: str) -> int:
    return math.prod(shape) * _TYPES[kind].itemsize


def _identity(atlas: Atlas, encoding: Encoding) -> dict[str, str]:
    """What the file must say of itself to be used: the plan, and the hashes of all chunks in the journal."""
    journal = digest_file(atlas.path / JOURNAL) if atlas.complete else "unfinished"
    return {
        "format": "sat2cap-scan",
        "version": VERSION,
        "identity": atlas.identity,
        "journal": journal,
        "encoding": encoding,
    }


def _header(layout: Layout, metadata: dict[str, str]) -> bytes:
    """A safetensors header of `_HEADER` bytes."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    begin = 0
    for name, (kind, shape) in layout.items():
        end = begin + _size(shape, kind)
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries).encode().ljust(_HEADER - 8)
    return (_HEADER - 8).to_bytes(8, "little") + text


def _read_header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself; empty if it is none."""
    with path.open("rb") as file:
        start = file.read(_HEADER)
    try:
        header = json.loads(start[8:])
    except ValueError:
        return {}
    return header if isinstance(header, dict) else {}


def _write(file: BinaryIO, layout: Layout, cells: Cells) -> None:
    """Put some blocks where they belong."""
    parts = {"embeddings": cells.stored, "scale": cells.scale, "inverse": cells.inverse, "place": cells.place}
    begin = _HEADER
    for name, (kind, shape) in layout.items():
        file.seek(begin + cells.start * _size(shape[1:], kind))
        file.write(parts[name].data)
        begin += _size(shape, kind)
