"""Reading the imagery under blocks of cells, and cutting it into one patch a cell."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas.layout import CellStatus
from sat2cap.errors import ImageryError
from sat2cap.geo.grid import PatchGrid
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.missing import filled, missing_share

BLOCK_BYTES = 64 * 2**20
"""Pixels of one block's patches: what bounds memory, whatever the size of the atlas's chunks."""

_AHEAD = 2  # reads waiting for the network: one hides a read's time, two also hide its ups and downs
_WASTE = 2  # a block is read in one go unless its quarters together have less than this part of its pixels

Block = tuple[slice, slice]
"""Rows and columns."""

Given = TypeVar("Given")
Made = TypeVar("Made")


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
    extent = box.extent.to_crs(imagery.footprint.crs)
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
    rgb = np.empty((int(here.sum()), patches.pixels, patches.pixels, 3), np.uint8)
    number = np.cumsum(here.ravel()).reshape(here.shape) - 1
    for (some_rows, some_cols), read in _pieces(imagery, patches, asked, block):
        down, across = patches.starts(some_rows), patches.starts(some_cols)
        for row, col in np.argwhere(asked[some_rows, some_cols]):
            cell = some_rows.start - rows.start + row, some_cols.start - cols.start + col
            if read is None:
                status[cell] = CellStatus.IMAGERY_FAILED
                continue
            top, left = down[row] - down[0], across[col] - across[0]
            rgba = read[top : top + patches.pixels, left : left + patches.pixels]
            if missing_share(rgba) <= max_missing:
                status[cell] = CellStatus.OK
                rgb[number[cell]] = filled(rgba[None])[0]
    ok = status[here] == CellStatus.OK
    return Patches(rgb if ok.all() else rgb[ok], status)


def planned_reads(patches: PatchGrid, asked: NDArray[np.bool_], block: Block) -> Iterator[Block]:
    """The parts of a block to read one by one: they hold every cell asked for, and few others.

    A block is read in one go, but in quarters where that spares most of its pixels.
    """
    part = _around(asked, block)
    if part is None:
        return
    if _least_pixels(patches, asked, part) * _WASTE > area(patches, part):
        yield part
        return
    for quarter in _quarters(part):
        yield from planned_reads(patches, asked, quarter)


def area(patches: PatchGrid, block: Block) -> int:
    """How many pixels one read of a block gives."""
    height, width = patches.box(*block).shape
    return int(height * width)


def _pieces(
    imagery: Imagery, patches: PatchGrid, asked: NDArray[np.bool_], block: Block
) -> Iterator[tuple[Block, NDArray[np.uint8] | None]]:
    """The parts of a block with the RGBA `[y, x, 4]` under them, or None where reading failed.

    Parts where the source has nothing are left out. A failing read is tried again in quarters, so that one
    broken tile costs only the cells that need it.
    """
    for part in planned_reads(patches, asked, block):
        if surely_outside(imagery, patches.box(*part)):
            continue
        try:
            pixels = imagery.read(patches.box(*part)).transpose("y", "x", "band").values
        except ImageryError:
            if asked[part].size == 1:
                yield part, None
            else:
                for quarter in _quarters(part):
                    yield from _pieces(imagery, patches, asked, quarter)
        else:
            yield part, pixels


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


def _least_pixels(patches: PatchGrid, asked: NDArray[np.bool_], part: Block) -> float:
    """How many pixels are read for a part at the least, if quarters of quarters are tried."""
    whole, here = area(patches, part), asked[part]
    side = min(abs(patches.cells.affine.a) / patches.pixel_m, patches.pixels)
    surely = np.count_nonzero(here) * side * side  # what no other cell's patch needs less
    if here.size == 1 or surely * _WASTE > whole or (here.all() and side < patches.pixels):
        return whole
    trimmed = (_around(asked, quarter) for quarter in _quarters(part))
    return min(whole, sum(_least_pixels(patches, asked, quarter) for quarter in trimmed if quarter))


def _quarters(block: Block) -> Iterator[Block]:
    for rows in _halves(block[0]):
        for cols in _halves(block[1]):
            yield rows, cols


def _halves(cells: slice) -> list[slice]:
    middle = (cells.start + cells.stop) // 2
    halves = [slice(cells.start, middle), slice(middle, cells.stop)]
    return [half for half in halves if half.stop > half.start]


def ahead(work: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """`map`, done by one thread that runs a little ahead of whoever consumes it."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="imagery")
    waiting: deque[Future[Made]] = deque()
    try:
        for item in given:
            waiting.append(pool.submit(work, item))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
