"""What place and time say without imagery: the baseline of a model that knows where and when."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.errors import ModelError
from sat2cap.geo import When, cell_lonlat
from sat2cap.model import Checkpoint
from sat2cap.query import dynamic_offset_at, embed_prompts, place_features

Float32 = NDArray[np.float32]

CALENDAR = tuple(When(2020, month, 15, float(hour)) for month in range(1, 13) for hour in range(2, 24, 3))
"""Month by hour: when a year is asked, and what `location_cosines` takes for no date."""


def location_cosines(
    grid: GeoBox, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Float32:
    """The cosine of each text and the Dynamic Encoder's offset at every cell, imagery unseen: [texts, cells].

    The offset is a function of a place and a time, so no date means the mean of the cosines over `CALENDAR`.
    Raises `ModelError` for a model without one.
    """
    lon, lat = (side.ravel() for side in cell_lonlat(grid))
    vectors = embed_prompts(checkpoint, texts)
    place = place_features(lon, lat, checkpoint.encoding)
    times = CALENDAR if when is None else (when,)
    total = np.zeros((len(texts), len(lon)), np.float32)
    for time in times:
        offset = dynamic_offset_at(checkpoint, time)
        if offset is None:
            raise ModelError("this model has no Dynamic Encoder, so place and time alone say nothing")
        moved = offset.vectors(place)
        total += vectors @ (moved / np.linalg.norm(moved, axis=1, keepdims=True)).T
    return total / np.float32(len(times))
