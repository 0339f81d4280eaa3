"""What an atlas knows of single places, at a date or at none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.geo import LONLAT, Place, When, transformer
from sat2cap.model import Checkpoint
from sat2cap.query.scoring import check_atlas_model

Floats = NDArray[np.float32]


def embeddings_at(
    atlas: Atlas, checkpoint: Checkpoint, places: Sequence[Place], when: When | None = None
) -> Floats:
    """O of the cells around N places (degrees east, north), or O + h told the moment `when`: `[N, D]`.

    Not normalised. NaN for a place outside the atlas or without an embedding. A model without Dynamic Encoder
    has no h. Raises `AtlasError` unless `checkpoint` embedded the atlas.
    """
    check_atlas_model(atlas, checkpoint)
    rows = np.full((len(places), checkpoint.dim), np.nan, np.float32)
    height, width = atlas.grid.shape
    for number, (row, col) in enumerate(_cells(atlas, places)):
        if 0 <= row < height and 0 <= col < width:
            rows[number] = atlas.read(slice(row, row + 1), slice(col, col + 1))[0, 0]
    if when is not None and checkpoint.dynamic is not None and len(places):
        lon, lat = np.array(places).T
        rows += checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    return rows


def _cells(atlas: Atlas, places: Sequence[Place]) -> list[tuple[int, int]]:
    """Row and column of the cell that each place lies in, inside the grid or not."""
    to_grid = transformer(LONLAT, atlas.grid.crs)
    found = []
    for lon, lat in places:
        col, row = atlas.grid.wld2pix(*to_grid.transform(lon, lat))
        inside = np.isfinite(row) and np.isfinite(col)
        found.append((int(np.floor(row)), int(np.floor(col))) if inside else (-1, -1))
    return found
