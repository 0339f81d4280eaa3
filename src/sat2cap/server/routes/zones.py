"""``POST …/zones``: statistics of a map in the polygons of a GeoJSON body."""

import json
from typing import Annotated, Any

import geopandas as gpd
import numpy as np
from fastapi import APIRouter, Query, Response

from sat2cap.errors import InputError
from sat2cap.maps import with_standard_attributes
from sat2cap.server.polygons import GeoJSONBody, read_polygons
from sat2cap.server.state import AskedAnswer, Server
from sat2cap.zones import parse_statistic, zone_statistics

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["zones"])

_MAX_STATISTICS = 8


@router.post("/zones", summary="Summarise a map in polygons")
async def summarise_zones(
    server: Server,
    answer: AskedAnswer,
    body: GeoJSONBody,
    stat: Annotated[
        list[str] | None, Query(description="mean, min, max, median, p90, share-above=0.3 …")
    ] = None,
) -> Response:
    """The features with statistics of the map among their properties, as GeoJSON; null without data.

    The member ``statistics`` of the collection has for each of them ``low`` and ``high`` over all zones, to
    colour them by, and ``scale`` what the map's numbers are: name, unit, and whether 0 is the middle.
    """
    texts = stat or ["mean"]
    if len(texts) > _MAX_STATISTICS:
        raise InputError(f"{len(texts)} statistics are given; give at most {_MAX_STATISTICS}")
    statistics = [parse_statistic(text[:40]) for text in texts]
    table = await server.scores.run(lambda: zone_statistics(answer.score, read_polygons(body), statistics))
    document = table.to_geo_dict(drop_id=True) | _describe_statistics(table, answer)
    return Response(json.dumps(document), media_type="application/geo+json")


def _describe_statistics(table: gpd.GeoDataFrame, answer: AskedAnswer) -> dict[str, Any]:
    """Return the range of every statistic, None where no zone has data, and what the numbers are."""
    ranges = {
        name: {end: float(value) if np.isfinite(value) else None for end, value in
               (("low", table[name].min()), ("high", table[name].max()))}
        for name in table.attrs["columns"]
    }  # fmt: skip
    attrs = with_standard_attributes(answer.score).attrs
    scale = {"name": attrs["long_name"], "unit": attrs.get("units", ""), "centred": answer.is_centred}
    return {"statistics": ranges, "scale": scale}
