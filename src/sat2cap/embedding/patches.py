"""Reading the imagery under blocks of cells, and cutting it into one patch a cell."""

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
from sat2cap.imagery import Imagery, PartlyReadError, filled, missing_share

BLOCK_BYTES = 64 * 2**20
"""Pixels of one block's patches: what bounds memory, whatever the size of the atlas's chunks."""

_WASTE = 2  # pixels read for one that is needed, at most

Block = tuple[slice, slice]
"""Rows and columns."""

Piece = tuple[Block, NDArray[np.uint8], NDArray[np.bool_] | None]
"""Cells, the RGBA `[y, x, 4]` under them, and which of its pixels could not be read, if any."""


@dataclass(frozen=True)
class Patches:
    """A block of cells as read."""

    rgb: NDArray[np.uint8]
    """`[N, P, P, 3]`: the patches of the cells that are `OK`, row by row."""
    status: NDArray[np.uint8]
    """`[h, w]`: `CellStatus` of each cell; NONE where it was not asked for."""


def blocks(rows: slice, cols: slice, pixels: int) -> Iterator[Block]:
    """Cut a chunk of cells into blocks whose patches fit in `BLOCK_BYTES`; fixed by the chunk alone."""
    cells = max(1, BLOCK_BYTES // (pixels * pixels * 4))
    width = min(cols.stop - cols.start, cells)
    height = max(1, cells // width)
    for top in range(rows.start, rows.stop, height):
        for left in range(cols.start, cols.stop, width):
            yield slice(top, min(top + height, rows.stop)), slice(left, min(left + width, cols.stop))


def surely_outside(imagery: Imagery, box: GeoBox) -> bool:
    """Whether the source itself says that nothing is there; in doubt, no."""
    if imagery.footprint is None:
        return False
    try:
        extent = box.extent.to_crs(imagery.footprint.crs)
    except GEOSException:  # some of it has no place in that CRS
        return False
    bounds = extent.boundingbox
    if imagery.footprint.crs.geographic and not bounds.right - bounds.left < 180:
        return False  # over the antimeridian its outline in degrees means nothing
    return not extent.intersects(imagery.footprint)


def read_patches(
    imagery: Imagery, patches: PatchGrid, asked: NDArray[np.bool_], block: Block, *, max_missing: float
) -> Patches:
    """The patches of the cells of a block that are `asked` for; bool `[y, x]` of the whole grid."""
    rows, cols = block
    here = asked[rows, cols]
    status = np.where(here, CellStatus.IMAGERY_MISSING, CellStatus.NONE).astype(np.uint8)
    planes = np.empty((int(here.sum()), 3, patches.pixels, patches.pixels), np.uint8)  # as networks want them
    rgb = np.moveaxis(planes, 1, -1)
    number = np.cumsum(here.ravel()).reshape(here.shape) - 1
    for (some_rows, some_cols), pixels, failed in _pieces(imagery, patches, asked, block):
        down, across = patches.starts(some_rows), patches.starts(some_cols)
        whole = bool(pixels[..., 3].all())  # as most reads are: then there is nothing to fill
        for row, col in np.argwhere(asked[some_rows, some_cols]):
            cell = some_rows.start - rows.start + row, some_cols.start - cols.start + col
            top, left = down[row] - down[0], across[col] - across[0]
            window = np.s_[top : top + patches.pixels, left : left + patches.pixels]
            rgba = pixels[window]
            if failed is not None and failed[window].any():
                status[cell] = CellStatus.IMAGERY_FAILED
            elif whole or missing_share(rgba) <= max_missing:
                status[cell] = CellStatus.OK
                rgb[number[cell]] = rgba[..., :3] if whole else filled(rgba[None])[0]
    ok = status[here] == CellStatus.OK
    return Patches(rgb if ok.all() else rgb[ok], status)


def planned_reads(patches: PatchGrid, asked: NDArray[np.bool_], block: Block) -> Iterator[Block]:
    """The parts of a block to read one by one: they hold every cell asked for, and few others.

    A block is read in one go unless most of its pixels are not needed; then in quarters.
    """
    part = _around(asked, block)
    if part is None:
        return
    if area(patches, part) <= _WASTE * _needed(patches, asked[part]):
        yield part
        return
    for quarter in _quarters(part):
        yield from planned_reads(patches, asked, quarter)


def area(patches: PatchGrid, block: Block) -> int:
    """How many pixels one read of a block gives."""
    height, width = patches.box(*block).shape
    return int(height * width)


def _pieces(imagery: Imagery, patches: PatchGrid, asked: NDArray[np.bool_], block: Block) -> Iterator[Piece]:
    """The parts of a block as read; those where the source has nothing are left out.

    A read that fails as a whole is tried again in quarters, so that one broken place costs only the cells
    that need it.
    """
    for part in planned_reads(patches, asked, block):
        if surely_outside(imagery, patches.box(*part)):
            continue
        try:
            yield part, _rgba(imagery.read(patches.box(*part))), None
        except PartlyReadError as error:
            yield part, _rgba(error.pixels), error.failed
        except ImageryError:
            if asked[part].size == 1:
                shape = patches.box(*part).shape
                yield part, np.zeros((*shape, 4), np.uint8), np.ones(shape, bool)
                continue
            for quarter in _quarters(part):
                yield from _pieces(imagery, patches, asked, quarter)


def _rgba(read: xr.DataArray) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = read.transpose("y", "x", "band").values
    return pixels


def _around(asked: NDArray[np.bool_], block: Block) -> Block | None:
    """The part of a block around the cells asked for."""
    rows, cols = block
    here = asked[rows, cols]
    if not here.any():
        return None
    ys, xs = np.flatnonzero(here.any(1)), np.flatnonzero(here.any(0))
    return (
        slice(rows.start + int(ys[0]), rows.start + int(ys[-1]) + 1),
        slice(cols.start + int(xs[0]), cols.start + int(xs[-1]) + 1),
    )


def _needed(patches: PatchGrid, asked: NDArray[np.bool_]) -> float:
    """How many pixels the patches of some cells cover together; bool `[h, w]`."""
    step = abs(patches.cells.affine.a) / patches.pixel_m
    reach = math.ceil(patches.pixels / step - 1e-9)  # in cells, along each side
    for _ in range(2):
        covered = np.zeros((asked.shape[0] + reach - 1, asked.shape[1]), bool)
        for shift in range(reach):
            covered[shift : shift + asked.shape[0]] |= asked
        asked = covered.T
    return float(np.count_nonzero(asked) * min(step, patches.pixels) ** 2)


def _quarters(block: Block) -> Iterator[Block]:
    for rows in _halves(block[0]):
        for cols in _halves(block[1]):
            yield rows, cols


def _halves(cells: slice) -> list[slice]:
    middle = (cells.start + cells.stop) // 2
    halves = [slice(cells.start, middle), slice(middle, cells.stop)]
    return [half for half in halves if half.stop > half.start]
