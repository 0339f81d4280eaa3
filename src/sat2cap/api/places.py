"""Places in words: captions that a language model writes, and phrases of a list that are nearest."""

import warnings
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.errors import InputError
from sat2cap.geo import Place, When
from sat2cap.maps import CONDITIONING_KEY, Conditioning, date_warning
from sat2cap.query import embeddings_at, nearest_phrases

if TYPE_CHECKING:
    from sat2cap.model import Captioner, QueryModel


def caption_places(
    atlas: Atlas,
    checkpoint: "QueryModel",
    captioner: "Captioner",
    places: Sequence[Place],
    moments: Sequence[When | None],
    beams: int,
) -> gpd.GeoDataFrame:
    """Return a row for each place at each moment, with the column ``caption``; None without an embedding.

    Raises `InputError` if no place has an embedding, `ModelError` for a captioner of another model.
    """
    table, embeddings = _places_at_moments(atlas, checkpoint, places, moments)
    rows = np.flatnonzero(np.isfinite(embeddings).all(axis=1)).tolist()
    captions = dict(zip(rows, captioner.captions(embeddings[rows], beams), strict=True))
    texts = [captions.get(row) for row in range(len(table))]
    return table.assign(caption=pd.Series(texts, dtype=object))  # object, or None would become NaN


def describe_places(
    atlas: Atlas,
    checkpoint: "QueryModel",
    places: Sequence[Place],
    moments: Sequence[When | None],
    bank: Sequence[str],
    top: int,
) -> gpd.GeoDataFrame:
    """Return a row for each place at each moment, with the column ``phrases``: (phrase, cosine), best first.

    Raises `InputError` if no place has an embedding, `PromptError`, `ModelError` without a text tower.
    """
    table, embeddings = _places_at_moments(atlas, checkpoint, places, moments)
    return table.assign(phrases=nearest_phrases(checkpoint, embeddings, bank, top))


def _places_at_moments(
    atlas: Atlas, checkpoint: "QueryModel", places: Sequence[Place], moments: Sequence[When | None]
) -> tuple[gpd.GeoDataFrame, NDArray[np.float32]]:
    """Return lon, lat and ``when`` of N rows, place by place, with their embeddings ``(N, D)``.

    A place without an embedding has NaN.
    """
    if checkpoint.dynamic_weights is None and any(moments):
        ignored = date_warning({CONDITIONING_KEY: Conditioning.NO_DYNAMIC_ENCODER})
        warnings.warn(f"the date is {ignored}", stacklevel=4)
    at_moment = [embeddings_at(atlas, checkpoint, places, moment) for moment in moments]
    for (lon, lat), row in zip(places, at_moment[0], strict=True):
        if not np.isfinite(row).all():
            where = "outside the atlas, or without imagery there"
            warnings.warn(f"{lon:g},{lat:g} has no embedding: {where}", stacklevel=4)
    if not np.isfinite(at_moment[0]).all(1).any():
        raise InputError("none of the places has an embedding; sat2cap atlas info says where the atlas lies")
    rows = list(product(places, moments))
    table = pd.DataFrame(
        {
            "lon": [lon for (lon, _), _ in rows],
            "lat": [lat for (_, lat), _ in rows],
            "when": ["" if moment is None else moment.isoformat() for _, moment in rows],
        }
    )
    points = gpd.points_from_xy(table["lon"], table["lat"], crs="EPSG:4326")
    return gpd.GeoDataFrame(table, geometry=points), np.stack(at_moment, 1).reshape(len(rows), -1)
