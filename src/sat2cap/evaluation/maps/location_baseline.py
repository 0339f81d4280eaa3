"""The baseline ``location``: maps from place and time alone, without imagery."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ModelError
from sat2cap.geo import When
from sat2cap.model import Checkpoint
from sat2cap.query import dynamic_offset_at, embed_prompts, place_features

Float32 = NDArray[np.float32]
Degrees = NDArray[np.float64]

CALENDAR = tuple(When(2020, month, 15, float(hour)) for month in range(1, 13) for hour in range(2, 24, 3))
"""Times that stand for a year, 12 months by 8 hours: the 15th of each month at 2, 5, … 23 o'clock."""


def location_cosines(
    lon: Degrees, lat: Degrees, checkpoint: Checkpoint, texts: Sequence[str], when: When | None
) -> Float32:
    """Return the cosine of T texts and the Dynamic Encoder's output at N places (degrees): float32 `[T, N]`.

    No imagery is used. The output depends on a place and a time; for None it is the mean of the cosines over
    `CALENDAR`. Raises `ModelError` for a model without a Dynamic Encoder.
    """
    vectors = embed_prompts(checkpoint, texts)
    place = place_features(lon, lat, checkpoint.encoding)
    times = CALENDAR if when is None else (when,)
    total = np.zeros((len(texts), len(lon)), np.float32)
    for time in times:
        offset = dynamic_offset_at(checkpoint, time)
        if offset is None:
            raise ModelError("this model has no Dynamic Encoder, so place and time alone say nothing")
        offsets = offset.vectors(place)
        total += vectors @ (offsets / np.linalg.norm(offsets, axis=1, keepdims=True)).T
    return total / np.float32(len(times))
