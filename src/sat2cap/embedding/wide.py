"""Planning and writing a wide atlas: each UTM zone of a region as an atlas of its own, in one folder."""

import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sat2cap.atlas import (
    Atlas,
    AtlasSpec,
    check_wide_free,
    create_or_resume,
    open_atlas,
    wide_lock,
    write_wide_manifest,
    writer_lock,
)
from sat2cap.embedding.job import STAGE, embed_atlas
from sat2cap.embedding.patches import is_surely_outside
from sat2cap.embedding.plan import plan_atlas
from sat2cap.engines import Engine
from sat2cap.errors import RegionError
from sat2cap.geo import Region, UtmZone, cell_grid, cell_mask, split_by_utm_zone
from sat2cap.imagery import Imagery
from sat2cap.model import Checkpoint
from sat2cap.progress import Progress, silent
from sat2cap.stores import Store

_CHUNK = AtlasSpec.chunk
_MAX_LATTICE_CELLS = 16


def plan_wide_atlas(
    region: Region, cell_m: float, imagery: Imagery, checkpoint: Checkpoint, patch_m: float, **settings: Any
) -> dict[UtmZone, AtlasSpec]:
    """Return the plan of the part in each UTM zone that a region and the imagery reach into.

    `cell_m` and `patch_m` are the sides, in metres, of a cell and of its patch; the `settings` are those of
    `plan_atlas`. Grids begin at multiples of a chunk in their zone, so that a place is in the same chunk,
    with the same bytes, whatever region it was embedded with. Raises as `plan_atlas` does.
    """
    origin_cells = _CHUNK * _lattice_cells(cell_m, patch_m, checkpoint.patch_pixels)
    parts: dict[UtmZone, AtlasSpec] = {}
    outside: list[tuple[Any, Any]] = []
    for zone, part in split_by_utm_zone(region).items():
        grid = cell_grid(part, cell_m, zone.crs, origin_cells=origin_cells)
        wanted = cell_mask(grid, part)
        rows, cols = (np.flatnonzero(wanted.any(axis=axis)) for axis in (1, 0))
        box = grid[int(rows[0]) : int(rows[-1]) + 1, int(cols[0]) : int(cols[-1]) + 1]
        if is_surely_outside(imagery, box):
            outside.append((grid, wanted))
        else:
            parts[zone] = plan_atlas(grid, wanted, imagery, checkpoint, patch_m=patch_m, **settings)
    if not parts:
        if not outside:
            raise RegionError(f"region {region.label!r} has no area; take a larger one")
        plan_atlas(*outside[0], imagery, checkpoint, patch_m=patch_m, **settings)  # says what is outside what
    return parts


def embed_wide_atlas(
    specs: Mapping[UtmZone, AtlasSpec],
    imagery: Imagery,
    checkpoint: Checkpoint,
    out: Path | str | Store,
    *,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Atlas:
    """Write the wide atlas `out` as planned, or continue one that was begun, and return it.

    Its parts are written one after another, as `embed_atlas` writes them, and progress counts the cells of
    all. Raises as `embed_atlas` does.
    """
    check_wide_free(out, specs)
    with wide_lock(out) as store:
        for zone, spec in specs.items():
            with writer_lock(store.child(zone.name)) as part:
                create_or_resume(part, spec)
        write_wide_manifest(store, specs)
        cells = {zone: int(np.count_nonzero(spec.wanted)) for zone, spec in specs.items()}
        done, total = 0, sum(cells.values())
        for zone, spec in specs.items():
            report = _within(progress, done, total)
            part = store.child(zone.name)
            embed_atlas(spec, imagery, checkpoint, part, engine=engine, progress=report)
            done += cells[zone]
    return open_atlas(store)


def _within(progress: Progress, before: int, total: int) -> Progress:
    """Return what a part reports to: its cells count after those of the parts before it."""

    def report(stage: str, done: int, part_total: int) -> None:
        if stage == STAGE:
            done, part_total = before + done, total
        progress(stage, done, part_total)

    return report


def _lattice_cells(cell_m: float, patch_m: float, patch_pixels: int) -> int:
    """Return after how many cells the patches' pixels fall on the grid's lattice again.

    1 where a cell is a whole number of pixels, as with patches of the cells' size. Where it takes more than
    `_MAX_LATTICE_CELLS`, 1 as well: the pixels of two grids then differ by less than one.
    """
    if not (0 < cell_m < math.inf and 0 < patch_m < math.inf):
        return 1  # refused by `cell_grid` or `plan_atlas`
    cells = Fraction(cell_m * patch_pixels / patch_m).limit_denominator(1000).denominator
    return cells if cells <= _MAX_LATTICE_CELLS else 1
