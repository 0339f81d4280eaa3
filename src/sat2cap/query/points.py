"""What an atlas knows of single places, at a date or at none."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.geo import Place, When, cell_at
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
    lon, lat = np.reshape(np.asarray(places, np.float64), (-1, 2)).T
    for number, (row, col) in enumerate(zip(*cell_at(atlas.grid, lon, lat), strict=True)):
        if row >= 0:
            rows[number] = atlas.read(slice(row, row + 1), slice(col, col + 1))[0, 0]
    if when is not None and checkpoint.dynamic is not None and len(places):
        rows += checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    return rows
