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
from sat2cap.geo.grid import patch_box
from sat2cap.sources.imagery import Imagery
from sat2cap.sources.missing import filled, missing_share

BLOCK_BYTES = 64 * 2**20
"""Pixels of one read: what bounds memory, whatever the size of the atlas's chunks."""

_AHEAD = 2  # reads waiting for the network: one hides a read's time, two also hide its ups and downs

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Patches:
    """A block of cells as read."""

    rgb: NDArray[np.uint8]
    """`[N, P, P, 3]`: the patches of the cells that are `OK`, row by row."""
    status: NDArray[np.uint8]
    """`[h, w]`: `CellStatus` of each cell."""


def blocks(rows: slice, cols: slice, pixels: int) -> Iterator[tuple[slice, slice]]:
    """Cut a chunk of cells into blocks whose pixels fit in `BLOCK_BYTES`; fixed by the chunk alone."""
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


def _read(
    imagery: Imagery, grid: GeoBox, rows: slice, cols: slice, pixels: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """RGBA `[h, w, P, P, 4]` under a block and where reading failed, `[h, w]`.

    A failing read is tried again in quarters, so that one broken tile costs only the cells that need it.
    """
    h, w = rows.stop - rows.start, cols.stop - cols.start
    try:
        read = imagery.read(patch_box(grid, rows, cols, pixels)).transpose("y", "x", "band").values
        return read.reshape(h, pixels, w, pixels, 4).swapaxes(1, 2), np.zeros((h, w), bool)
    except ImageryError:
        if h * w == 1:
            return np.zeros((1, 1, pixels, pixels, 4), np.uint8), np.ones((1, 1), bool)
    rgba, failed = np.zeros((h, w, pixels, pixels, 4), np.uint8), np.zeros((h, w), bool)
    for top, bottom in _halves(h):
        for left, right in _halves(w):
            part = np.s_[top:bottom, left:right]
            some_rows = slice(rows.start + top, rows.start + bottom)
            some_cols = slice(cols.start + left, cols.start + right)
            rgba[part], failed[part] = _read(imagery, grid, some_rows, some_cols, pixels)
    return rgba, failed


def _halves(length: int) -> list[tuple[int, int]]:
    middle = length // 2
    return [(0, middle), (middle, length)] if middle else [(0, length)]


def read_patches(
    imagery: Imagery,
    grid: GeoBox,
    wanted: NDArray[np.bool_],
    rows: slice,
    cols: slice,
    *,
    pixels: int,
    max_missing: float,
) -> Patches:
    """The patches of the `wanted` cells of a block; `wanted` is bool `[y, x]` of the whole grid."""
    asked = wanted[rows, cols]
    status = np.where(asked, CellStatus.IMAGERY_MISSING, CellStatus.NONE).astype(np.uint8)
    nothing = Patches(np.zeros((0, pixels, pixels, 3), np.uint8), status)
    if not asked.any():
        return nothing
    # only the part around wanted cells is read
    ys, xs = np.flatnonzero(asked.any(1)), np.flatnonzero(asked.any(0))
    part = np.s_[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    some_rows = slice(rows.start + int(ys[0]), rows.start + int(ys[-1]) + 1)
    some_cols = slice(cols.start + int(xs[0]), cols.start + int(xs[-1]) + 1)
    if surely_outside(imagery, grid[some_rows, some_cols]):
        return nothing
    rgba, failed = _read(imagery, grid, some_rows, some_cols, pixels)
    inner = asked[part]
    fine = inner & ~failed & (missing_share(rgba) <= max_missing)
    status[part][inner & failed] = CellStatus.IMAGERY_FAILED
    status[part][fine] = CellStatus.OK
    return Patches(filled(rgba[fine]), status)


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
