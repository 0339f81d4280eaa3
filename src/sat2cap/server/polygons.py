"""Polygons of clients: GeoJSON bodies, read and limited."""

from typing import Annotated, Any

import geopandas as gpd
import numpy as np
import shapely
import xarray as xr
from fastapi import Body

from sat2cap.errors import InputError
from sat2cap.geo import cell_lonlat, grid_of
from sat2cap.server.problems import TooLargeError
from sat2cap.server.settings import MAX_VERTICES, MAX_ZONES

GeoJSONBody = Annotated[dict[str, Any], Body(description="A GeoJSON polygon, feature or feature collection.")]


def read_polygons(body: dict[str, Any]) -> gpd.GeoDataFrame:
    """Return the polygons of a GeoJSON document, in degrees. Raises `InputError`, `TooLargeError`."""
    kind = body.get("type")
    features = body.get("features") if kind == "FeatureCollection" else [body]
    if kind not in ("FeatureCollection", "Feature", "Polygon", "MultiPolygon") or not isinstance(
        features, list
    ):
        raise InputError(f"this is not GeoJSON of polygons, but of type {str(kind)[:40]!r}; give areas")
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


def keep_within(score: xr.DataArray, zones: gpd.GeoDataFrame) -> xr.DataArray:
    """Return scores ``(y, x)`` with NaN for all cells whose centres lie in no zone.

    Longitudes of zones may count on beyond 180, as a map that was panned around the Earth has them.
    """
    lon, lat = cell_lonlat(grid_of(score))
    area = shapely.union_all(shapely.make_valid(zones.geometry.to_numpy()))
    shapely.prepare(area)
    within = np.zeros(lon.shape, bool)
    for turn in (-360, 0, 360):
        within |= shapely.contains_xy(area, lon + turn, lat)
    return score.where(within)


def _read_polygon(geometry: Any, number: int) -> shapely.Geometry:
    """Return one polygon of a body. Raises `InputError`, which gives its number."""
    try:
        shape = shapely.geometry.shape(geometry)
        bounds = shape.bounds
    except Exception:  # shapely raises many kinds for what is not a geometry
        raise InputError(f"feature {number} of the GeoJSON has no geometry that can be read") from None
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise InputError(f"feature {number} of the GeoJSON is not a polygon; give areas")
    west, south, east, north = bounds
    if not (-540 <= west <= east <= 540 and -90 <= south <= north <= 90):
        raise InputError(
            f"feature {number} of the GeoJSON is not in degrees; GeoJSON is in longitude and latitude"
        )
    return shape


def _plain_properties(properties: Any) -> dict[str, str | int | float | bool | None]:
    """Return the properties that are plain values; nested ones have no place in a table.

    Raises `InputError` for texts with broken letters, which no file may hold, and for one named ``geometry``.
    """
    if not isinstance(properties, dict):
        return {}
    plain = (str, int, float, bool, type(None))
    kept = {
        str(name)[:80]: value for name, value in list(properties.items())[:100] if isinstance(value, plain)
    }
    texts = [text for item in kept.items() for text in item if isinstance(text, str)]
    if any("\ud800" <= letter <= "\udfff" for text in texts for letter in text):
        raise InputError("a property of the GeoJSON holds broken letters; give plain text")
    if "geometry" in kept:
        raise InputError("a property of the GeoJSON is called 'geometry'; rename or drop it")
    return kept
