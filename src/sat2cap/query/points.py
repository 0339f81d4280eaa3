"""Embeddings of an atlas at single places, with or without a date."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.geo import Place, When
from sat2cap.model import QueryModel
from sat2cap.query.scoring import check_atlas_model

Floats = NDArray[np.float32]


def embeddings_at(
    atlas: Atlas, checkpoint: QueryModel, places: Sequence[Place], when: When | None = None
) -> Floats:
    """Return the embeddings of the cells at N places ``(lon, lat)`` in degrees: float32 `[N, D]`.

    They are not normalised. With `when`, a local date and hour, the offset of the Dynamic Encoder at the
    place is added; a model without Dynamic Encoder has none. Rows are NaN for a place outside the atlas or
    without an embedding. Raises `AtlasError` unless `checkpoint` embedded the atlas.
    """
    check_atlas_model(atlas, checkpoint)
    lon, lat = np.reshape(np.asarray(places, np.float64), (-1, 2)).T
    embeddings = atlas.read_places(lon, lat)
    if when is not None and checkpoint.dynamic_weights is not None and len(places):
        embeddings += checkpoint.dynamic_offset(lat, lon, when.year, when.month, when.day, when.hour)
    return embeddings
