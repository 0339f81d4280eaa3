"""Reading the imagery under blocks of cells, and cutting it into one patch per cell.

A chunk of the atlas is split into blocks, whose patches fit in memory. A block is read in one piece if most
of its pixels are needed; otherwise it is quartered until each piece holds mostly what is needed::

    chunk                 block                    pieces (# = wanted cells)
    +---------------+     +---------------+        +---+-----------+
    |               |     |##             |        |## |           |
    |---------------|     |##             |   ->   |## |           |
    |   block 2     |     |              #|        +---+         +-|
    |---------------|     |               |        |             |#|
    |   block 3     |     |               |        |             +-|
    +---------------+     +---------------+        +---------------+
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.errors import GEOSException

from sat2cap.atlas import CellStatus
from sat2cap.errors import ImageryError
from sat2cap.geo import PatchGrid
from sat2cap.imagery import Imagery, PartlyReadError, fill_missing, missing_share

BLOCK_BYTES = 64 * 2**20
"""Bytes of the RGBA pixels of one block's patches: bounds memory, whatever the chunk size of the atlas."""

_MAX_READ_RATIO = 2
"""Pixels read per pixel needed, at most; above it a block is read in quarters."""

Block = tuple[slice, slice]
"""Rows and columns of cells of the whole grid."""

Piece = tuple[Block, NDArray[np.uint8], NDArray[np.bool_] | None]
"""Cells read at once, the RGBA `[y, x, 4]` under them, and a mask of unreadable pixels, or None."""


@dataclass(frozen=True)
class Patches:
    """The patches of a block of h x w cells."""

    rgb: NDArray[np.uint8]
    """`[N, P, P, 3]`: patches of the cells whose status is `OK`, in row-major order."""
    status: NDArray[np.uint8]
    """`[h, w]`: `CellStatus` of each cell; NONE where the cell is not wanted."""


def split_into_blocks(rows: slice, cols: slice, patch_pixels: int) -> Iterator[Block]:
    """Split a chunk of cells into blocks whose patches fit in `BLOCK_BYTES`.

    The split depends on the chunk alone, so that a network sees the same patches together in every run.
    """
    max_cells = max(1, BLOCK_BYTES // (patch_pixels * patch_pixels * 4))
    width = min(cols.stop - cols.start, max_cells)
    height = max(1, max_cells // width)
    for top in range(rows.start, rows.stop, height):
        for left in range(cols.start, cols.stop, width):
            yield slice(top, min(top + height, rows.stop)), slice(left, min(left + width, cols.stop))


def is_surely_outside(imagery: Imagery, box: GeoBox) -> bool:
    """Return whether the footprint of the imagery excludes `box`; False in doubt."""
    if imagery.footprint is None:
        return False
    try:
        extent = box.extent.to_crs(imagery.footprint.crs)
    except GEOSException:  # part of the box has no coordinates in that CRS
        return False
    bounds = extent.boundingbox
    if imagery.footprint.crs.geographic and not bounds.right - bounds.left < 180:
        return False  # across the antimeridian, an outline in degrees covers the wrong side
    return not extent.intersects(imagery.footprint)


def read_patches(
    imagery: Imagery,
    patch_grid: PatchGrid,
    wanted_cells: NDArray[np.bool_],
    block: Block,
    *,
    max_missing: float,
) -> Patches:
    """Read the patches of the wanted cells of a block; `wanted_cells` is bool `[y, x]` of the whole grid.

    A cell whose patch contains a pixel that could not be read is `IMAGERY_FAILED`; one that lacks more than
    the share `max_missing` of its pixels is `IMAGERY_MISSING`; smaller gaps are filled.
    """
    rows, cols = block
    block_mask = wanted_cells[rows, cols]
    status = np.where(block_mask, CellStatus.IMAGERY_MISSING, CellStatus.NONE).astype(np.uint8)
    # in memory as [N, 3, P, P], the order that networks compute in
    planes = np.empty((int(block_mask.sum()), 3, patch_grid.pixels, patch_grid.pixels), np.uint8)
    rgb = np.moveaxis(planes, 1, -1)
    patch_index = np.cumsum(block_mask.ravel()).reshape(block_mask.shape) - 1
    for (piece_rows, piece_cols), pixels, failed_mask in _read_pieces(
        imagery, patch_grid, wanted_cells, block
    ):
        tops, lefts = patch_grid.patch_starts(piece_rows), patch_grid.patch_starts(piece_cols)
        gapless = bool(pixels[..., 3].all())  # as most reads are: there is nothing to measure or fill
        for row, col in np.argwhere(wanted_cells[piece_rows, piece_cols]):
            cell = piece_rows.start - rows.start + row, piece_cols.start - cols.start + col
            top, left = tops[row] - tops[0], lefts[col] - lefts[0]
            window = np.s_[top : top + patch_grid.pixels, left : left + patch_grid.pixels]
            rgba = pixels[window]
            if failed_mask is not None and failed_mask[window].any():
                status[cell] = CellStatus.IMAGERY_FAILED
            elif gapless or missing_share(rgba) <= max_missing:
                status[cell] = CellStatus.OK
                rgb[patch_index[cell]] = rgba[..., :3] if gapless else fill_missing(rgba[None])[0]
    ok_mask = status[block_mask] == CellStatus.OK
    return Patches(rgb if ok_mask.all() else rgb[ok_mask], status)


def plan_reads(patch_grid: PatchGrid, wanted_cells: NDArray[np.bool_], block: Block) -> Iterator[Block]:
    """Yield the pieces of a block to read one by one: they hold every wanted cell, and few others.

    `wanted_cells` is a mask of the whole grid ``(rows, columns)``.
    A block is read in one piece if at least half of its pixels are needed, in quarters otherwise.
    """
    piece = _bounding_block(wanted_cells, block)
    if piece is None:
        return
    if count_pixels(patch_grid, piece) <= _MAX_READ_RATIO * _count_needed_pixels(
        patch_grid, wanted_cells[piece]
    ):
        yield piece
        return
    for quarter in _quarter(piece):
        yield from plan_reads(patch_grid, wanted_cells, quarter)


def count_pixels(patch_grid: PatchGrid, block: Block) -> int:
    """Return the number of pixels that one read of a block gives."""
    height, width = patch_grid.pixel_box(*block).shape
    return int(height * width)


def _read_pieces(
    imagery: Imagery, patch_grid: PatchGrid, wanted_cells: NDArray[np.bool_], block: Block
) -> Iterator[Piece]:
    """Read a block piece by piece; pieces outside the footprint of the imagery are left out.

    A read that fails as a whole is repeated in quarters, so that one broken place costs only the cells that
    need it.
    """
    for piece in plan_reads(patch_grid, wanted_cells, block):
        box = patch_grid.pixel_box(*piece)
        if is_surely_outside(imagery, box):
            continue
        try:
            yield piece, _rgba_array(imagery.read(box)), None
        except PartlyReadError as error:
            yield piece, _rgba_array(error.pixels), error.failed
        except ImageryError:
            if wanted_cells[piece].size == 1:
                yield piece, np.zeros((*box.shape, 4), np.uint8), np.ones(box.shape, bool)
                continue
            for quarter in _quarter(piece):
                yield from _read_pieces(imagery, patch_grid, wanted_cells, quarter)


def _rgba_array(pixels: xr.DataArray) -> NDArray[np.uint8]:
    """Return what an imagery read as an array `[y, x, 4]`."""
    array: NDArray[np.uint8] = pixels.transpose("y", "x", "band").values
    return array


def _bounding_block(wanted_cells: NDArray[np.bool_], block: Block) -> Block | None:
    """Return the smallest part of a block that holds all its wanted cells; None if there are none."""
    rows, cols = block
    block_mask = wanted_cells[rows, cols]
    if not block_mask.any():
        return None
    ys, xs = np.flatnonzero(block_mask.any(1)), np.flatnonzero(block_mask.any(0))
    return (
        slice(rows.start + int(ys[0]), rows.start + int(ys[-1]) + 1),
        slice(cols.start + int(xs[0]), cols.start + int(xs[-1]) + 1),
    )


def _count_needed_pixels(patch_grid: PatchGrid, mask: NDArray[np.bool_]) -> float:
    """Return the pixels that the patches of the cells in `mask`, bool `[h, w]`, cover together.

    Patches may be larger than cells, and then overlap. Counted in cells, a patch reaches over `reach` cells
    along each side, so the union of all patches is the mask dilated by `reach`, first along one axis and then
    along the other. For ``reach = 2``, one axis: ``0 1 0 0 1`` becomes ``0 1 1 0 1 1``.
    """
    step_px = abs(patch_grid.cells.affine.a) / patch_grid.pixel_m
    reach = math.ceil(patch_grid.pixels / step_px - 1e-9)
    for _ in range(2):
        covered = np.zeros((mask.shape[0] + reach - 1, mask.shape[1]), bool)
        for shift in range(reach):
            covered[shift : shift + mask.shape[0]] |= mask
        mask = covered.T
    return float(np.count_nonzero(mask) * min(step_px, patch_grid.pixels) ** 2)


def _quarter(block: Block) -> Iterator[Block]:
    """Yield the quarters of a block; two or one where it is a single row or column."""
    for rows in _halve(block[0]):
        for cols in _halve(block[1]):
            yield rows, cols


def _halve(cells: slice) -> list[slice]:
    """Split a range in two; a range of one cell stays whole."""
    middle = (cells.start + cells.stop) // 2
    halves = [slice(cells.start, middle), slice(middle, cells.stop)]
    return [half for half in halves if half.stop > half.start]
