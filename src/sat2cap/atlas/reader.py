"""Reading an atlas: straight from its chunk files, in numpy."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas import journal
from sat2cap.atlas.layout import JOURNAL, ROOT, Chunk, ChunkedArray, cell_arrays, iter_chunks
from sat2cap.atlas.plan import AtlasSpec, read_plan
from sat2cap.errors import AtlasError
from sat2cap.files import digest, digest_file


@dataclass(frozen=True, eq=False)  # two masks have no single truth of being equal; compare identities
class Atlas:
    """An opened atlas, finished or not; holds no open file, so it can be sent to other processes."""

    path: Path
    """The folder, by custom ``NAME.zarr``."""
    spec: AtlasSpec
    """What it was made from."""

    @property
    def grid(self) -> GeoBox:
        """One pixel a cell."""
        return self.spec.grid

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self.spec.dim

    @property
    def identity(self) -> str:
        """Hash of everything that decides the bytes."""
        return self.spec.identity

    @property
    def fingerprint(self) -> str:
        """Hash of what it holds now: `repair` fills cells of a finished atlas, whose identity stays."""
        return digest(self.identity, digest_file(self.path / JOURNAL))

    @property
    def wanted(self) -> NDArray[np.bool_]:
        """The region's cells, bool [y, x]."""
        return self.spec.wanted

    @property
    def model(self) -> dict[str, Any]:
        """``identity``, ``source`` and ``card`` of the model."""
        return self.spec.model

    @property
    def imagery(self) -> dict[str, Any]:
        """Provenance of the imagery."""
        return self.spec.imagery

    @property
    def attribution(self) -> str:
        """Whom to credit for the imagery."""
        return str(self.spec.imagery.get("attribution", ""))

    @property
    def licence(self) -> str:
        """What may be done with the imagery."""
        return str(self.spec.imagery.get("licence", "unknown"))

    @property
    def complete(self) -> bool:
        """Whether it was finished: every wanted chunk written, and the group's metadata published."""
        return (self.path / ROOT).is_file()

    @cached_property
    def arrays(self) -> dict[str, ChunkedArray]:
        """The arrays written chunk by chunk, by name."""
        spec = self.spec
        return cell_arrays(spec.grid.shape, spec.chunk, spec.dim, spec.dtype)

    @cached_property
    def _journalled(self) -> frozenset[str]:
        """The files that finished chunks have."""
        entries = journal.read(self.path / JOURNAL).values()
        return frozenset(file for entry in entries for file in entry.files)

    @property
    def status(self) -> NDArray[np.uint8]:
        """`CellStatus` of every cell, uint8 [y, x]."""
        height, width = self.grid.shape
        return self._block("status", slice(0, height), slice(0, width))

    def chunks(self) -> Iterator[Chunk]:
        """The blocks of cells to read by, row by row; those without a wanted cell are left out."""
        return iter_chunks(self.spec.wanted, self.spec.chunk)

    def read(self, rows: slice, cols: slice) -> NDArray[np.float32]:
        """Unnormalised embeddings, float32 [h, w, D]; NaN where there is none. Raises `AtlasError`."""
        raw, scale = self.read_raw(rows, cols)
        values = np.ascontiguousarray(np.moveaxis(raw, 0, -1)).astype(np.float32)
        if scale is not None:
            values *= scale[..., None]
        return values

    def read_raw(self, rows: slice, cols: slice) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Embeddings as stored: ``(int8 [D, h, w], scale float32 [h, w])`` or ``(float16 [D, h, w], None)``.

        value = stored * scale; NaN in the scale (or in float16 values) where there is none. One whole chunk
        is read without a copy and may be read-only. Raises `AtlasError` when a file is cut short.
        """
        values = self._block("embeddings", rows, cols)
        scale = self._block("scale", rows, cols) if self.spec.dtype == "int8" else None
        return values, scale

    def read_chunk(self, name: str, chunk: Chunk, out: NDArray[Any]) -> None:
        """One whole chunk of an array into `out` `[..., side, side]`, also beyond the grid's edges.

        Quicker than `read_raw` for memory that is used again. Raises `AtlasError` when a file is cut short or
        is missing though the journal has it.
        """
        array = self.arrays[name]
        file = array.cell_file(*chunk.index)
        try:
            with (self.path / file).open("rb", buffering=0) as source:
                size = source.readinto(out.data.cast("B"))
                whole = size == array.chunk_bytes() and not source.read(1)
        except FileNotFoundError:
            if file in self._journalled and not (self.path / file).exists():  # not one just being written
                repair = f"run: sat2cap atlas repair {self.path}"
                raise AtlasError(f"atlas {str(self.path)!r}: {file} is missing; {repair}") from None
            out.fill(array.fill)
            return
        except OSError as error:
            raise AtlasError(
                f"atlas {str(self.path)!r}: {file} cannot be read ({error.strerror}); check the disk"
            ) from None
        if not whole:
            rule = f"is not {array.chunk_bytes()} bytes long"
            raise AtlasError(
                f"atlas {str(self.path)!r}: {file} {rule}; run: sat2cap atlas repair {self.path}"
            )

    def _block(self, name: str, rows: slice, cols: slice) -> NDArray[Any]:
        """Cells of one array, its time axis dropped."""
        top, bottom, row_step = rows.indices(self.grid.shape[0])
        left, right, col_step = cols.indices(self.grid.shape[1])
        if row_step != 1 or col_step != 1:
            raise AtlasError("an atlas is read in whole blocks; give slices without a step")
        array, side = self.arrays[name], self.spec.chunk
        out = np.empty((*array.shape[1:-2], max(bottom - top, 0), max(right - left, 0)), array.dtype)
        for row, col in product(
            range(top // side, -(-bottom // side)), range(left // side, -(-right // side))
        ):
            y0, y1 = max(top, row * side), min(bottom, (row + 1) * side)
            x0, x1 = max(left, col * side), min(right, (col + 1) * side)
            block = read_chunk(self.path, array, row, col)
            block = block[..., y0 - row * side : y1 - row * side, x0 - col * side : x1 - col * side]
            if block.shape == out.shape:
                return block
            out[..., y0 - top : y1 - top, x0 - left : x1 - left] = block
        return out


def open_atlas(path: Path | str) -> Atlas:
    """The atlas in a folder, finished or not: see its `complete`. Raises `AtlasError`."""
    return Atlas(Path(path), read_plan(Path(path)))


def read_chunk(path: Path, array: ChunkedArray, row: int, col: int) -> NDArray[Any]:
    """One chunk in full size, its time axis dropped; one that is not there is made of fill values."""
    file = array.cell_file(row, col)
    try:
        values = np.fromfile(path / file, dtype=array.dtype.newbyteorder("<"))
    except FileNotFoundError:
        return np.broadcast_to(array.dtype.type(array.fill), array.chunk[1:])
    except OSError as error:
        raise AtlasError(
            f"atlas {str(path)!r}: {file} cannot be read ({error.strerror}); check the disk"
        ) from None
    if values.nbytes != array.chunk_bytes():
        size = f"{values.nbytes} bytes long instead of {array.chunk_bytes()}"
        raise AtlasError(f"atlas {str(path)!r}: {file} is {size}; run: sat2cap atlas repair {path}")
    return values.reshape(array.chunk[1:])
