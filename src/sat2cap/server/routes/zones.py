"""``POST …/zones``: statistics of a map in the polygons of a GeoJSON body."""

import json
from typing import Annotated, Any

import geopandas as gpd
import numpy as np
import shapely
from fastapi import APIRouter, Body, Query, Response

from sat2cap.errors import InputError
from sat2cap.maps import with_standard_attributes
from sat2cap.server.problems import TooLargeError
from sat2cap.server.settings import MAX_VERTICES, MAX_ZONES
from sat2cap.server.state import AskedAnswer, Server
from sat2cap.zones import parse_statistic, zone_statistics

router = APIRouter(prefix="/api/atlases/{atlas}", tags=["zones"])

_MAX_STATISTICS = 8


@router.post("/zones", summary="Summarise a map in polygons")
async def summarise_zones(
    server: Server,
    answer: AskedAnswer,
    body: Annotated[dict[str, Any], Body(description="A GeoJSON polygon, feature or feature collection.")],
    stat: Annotated[
        list[str] | None, Query(description="mean, min, max, median, p90, share-above=0.3 …")
    ] = None,
) -> Response:
    """The features with statistics of the map among their properties, as GeoJSON; null without data.

    The member ``statistics`` of the collection has for each of them ``low`` and ``high`` over all zones, to
    colour them by, and ``scale`` what the map's numbers are: name, unit, and whether 0 is the middle.
    """
    statistics = [parse_statistic(text[:40]) for text in (stat or ["mean"])[:_MAX_STATISTICS]]
    table = await server.scores.run(lambda: zone_statistics(answer.score, _read_features(body), statistics))
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


def _read_features(body: dict[str, Any]) -> gpd.GeoDataFrame:
    """Return the polygons of a GeoJSON document, in degrees. Raises `InputError`, `TooLargeError`."""
    kind = body.get("type")
    features = body.get("features") if kind == "FeatureCollection" else [body]
    if kind not in ("FeatureCollection", "Feature", "Polygon", "MultiPolygon") or not isinstance(
        features, list
    ):
        raise InputError(f"the body is not GeoJSON of polygons; its type is {str(kind)[:40]!r}")
    if len(features) > MAX_ZONES:
        raise TooLargeError(f"the body has {len(features)} features; give at most {MAX_ZONES}")
    shapes, properties = [], []
    for number, feature in enumerate(features):
        geometry = feature.get("geometry") if isinstance(feature, dict) and "geometry" in feature else feature
        shapes.append(_read_polygon(geometry, number))
        own = feature.get("properties") if isinstance(feature, dict) else None
        properties.append(_plain_properties(own))
    if int(shapely.get_num_coordinates(shapes).sum()) > MAX_VERTICES:
        raise TooLargeError(f"the polygons have more than {MAX_VERTICES} vertices; simplify them")
    return gpd.GeoDataFrame(properties, geometry=shapes, crs="EPSG:4326")


def _read_polygon(geometry: Any, number: int) -> shapely.Geometry:
    try:
        shape = shapely.geometry.shape(geometry)
        bounds = shape.bounds
    except Exception:  # shapely raises many kinds for what is not a geometry
        raise InputError(f"feature {number} of the body has no geometry that can be read") from None
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise InputError(f"feature {number} of the body is not a polygon; give areas")
    west, south, east, north = bounds
    if not (-540 <= west <= east <= 540 and -90 <= south <= north <= 90):
        raise InputError(
            f"feature {number} of the body is not in degrees; GeoJSON is in longitude and latitude"
        )
    return shape


def _plain_properties(properties: Any) -> dict[str, str | int | float | bool | None]:
    """Return the properties that are plain values; nested ones have no place in a table."""
    if not isinstance(properties, dict):
        return {}
    plain = (str, int, float, bool, type(None))
    return {
        str(name)[:80]: value for name, value in list(properties.items())[:100] if isinstance(value, plain)
    }
