"""Vector files of a score: its best cells, its areas above a threshold, the areas of categories."""

import io
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet as pq
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio import features

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.geo import WGS84, VectorFile, grid_of, within_180
from sat2cap.maps.conditioning import with_conditioning_words
from sat2cap.maps.layers import AnyScore, LabelledPoint, one_layer, table_attributes, values_of
from sat2cap.maps.ranking import BestCells, best_cells


def top_places(score: AnyScore, n: int, min_distance_m: float = 0.0) -> gpd.GeoDataFrame:
    """Return the centres of the `n` best cells of one map, at least `min_distance_m` metres apart.

    Columns rank (1 is best), score, lon, lat, geometry (EPSG:4326); fewer rows where there are no more such
    cells. The provenance of the score is in ``.attrs``. Raises `InputError`.
    """
    return places_table(best_cells(score, n, min_distance_m))


def places_table(cells: BestCells) -> gpd.GeoDataFrame:
    """Return cells as a table with the columns rank, score, lon, lat and geometry (EPSG:4326).

    The rows are in the order of `cells`, best first; its provenance is in ``.attrs``.
    """
    columns = {"rank": cells.rank, "score": cells.score, "lon": cells.lon, "lat": cells.lat}
    points = gpd.points_from_xy(cells.lon, cells.lat)
    frame = gpd.GeoDataFrame(columns, geometry=points, crs="EPSG:4326")
    frame.attrs = dict(cells.attrs)
    return frame


def areas_above(score: xr.DataArray, threshold: float) -> gpd.GeoDataFrame:
    """Return outlines of the connected cells that score at least `threshold`, best mean score first.

    Cells that share a side are one area. Columns mean, max, cells, km2, geometry (EPSG:4326).
    """
    grid = grid_of(score)
    values = values_of(one_layer(score, "areas are of"))
    frame = _outline_codes((values >= threshold).astype(np.uint8), values, grid)
    frame = frame.drop(columns="code")
    frame = frame.sort_values(["mean", "cells"], ascending=False, kind="stable", ignore_index=True)
    frame.attrs = {**table_attributes(score), "threshold": f"{threshold:.6g}"}
    return frame


def threshold_of_best(score: xr.DataArray, cells: int | None = None) -> float:
    """Return the lowest score among the best `cells` cells of one map, or among its best 5 %.

    Cells that score exactly that are all included. NaN if no cell has data. Raises `InputError` if `cells`
    is below 1.
    """
    values = values_of(one_layer(score, "areas are of"))
    valid_scores = np.sort(values[np.isfinite(values)])
    if cells is not None and cells < 1:
        raise InputError(f"the best {cells} cells: give at least 1")
    if valid_scores.size == 0:
        return float("nan")
    if cells is None:
        return float(np.percentile(valid_scores, 95))
    return float(valid_scores[-min(cells, valid_scores.size)])


def areas_of_categories(category: xr.DataArray, confidence: xr.DataArray) -> gpd.GeoDataFrame:
    """Return outlines of the connected cells of each category, largest first.

    Columns category (the prompt), mean and max (of the confidence), cells, km2, geometry (EPSG:4326).
    """
    grid = grid_of(category)
    codes = np.nan_to_num(values_of(one_layer(category, "areas are of"))).astype(np.uint8)
    frame = _outline_codes(codes, values_of(confidence), grid)
    names = np.array(["", *map(str, category.attrs["categories"])], dtype=object)
    frame.insert(0, "category", names[frame.pop("code").to_numpy(int)])
    frame = frame.sort_values(["cells", "mean"], ascending=False, kind="stable", ignore_index=True)
    frame.attrs = table_attributes(category)
    return frame


def write_places(places: gpd.GeoDataFrame, path: Path | str) -> None:
    """Publish places as GeoParquet where `path` ends in ``.parquet``, else as GeoJSON.

    ``.attrs`` becomes part of the file, with the conditioning in words.
    """
    if Path(path).suffix.lower() == ".parquet":
        write_geoparquet(places, path)
    else:
        write_geojson(places, path)


def write_geoparquet(places: gpd.GeoDataFrame, path: Path | str) -> None:
    """Publish places as GeoParquet; ``.attrs`` becomes the key ``sat2cap`` of its metadata, as JSON."""
    buffer, marked = io.BytesIO(), io.BytesIO()
    in_words = places.copy(deep=False)  # to_parquet writes its attributes, too
    in_words.attrs = with_conditioning_words(places.attrs)
    in_words.to_parquet(buffer, index=False)
    table = pq.read_table(buffer)
    about = json.dumps(in_words.attrs, ensure_ascii=False)
    pq.write_table(table.replace_schema_metadata({**table.schema.metadata, "sat2cap": about}), marked)
    write_bytes(path, marked.getvalue())


def write_geojson(places: gpd.GeoDataFrame, path: Path | str) -> None:
    """Publish places as GeoJSON (RFC 7946, WGS 84); ``.attrs`` becomes the member ``sat2cap``."""
    shapes = places.to_crs("EPSG:4326")
    shapes = shapes.set_geometry(shapely.transform(shapes.geometry.values, lambda xy: np.round(xy, 7)))
    collection = shapes.to_geo_dict(drop_id=True, show_bbox=False)
    document = {
        "type": "FeatureCollection",
        "sat2cap": with_conditioning_words(places.attrs),
        "features": collection["features"],
    }
    write_bytes(path, (json.dumps(document, allow_nan=False, ensure_ascii=False) + "\n").encode())


def read_places(path: Path | str) -> list[LabelledPoint]:
    """Return ``(name, lon, lat)`` of each point of a file, in its order; an empty name for one without.

    Empty points, and those with coordinates that are no numbers, are left out.

    Raises `InputError` if the file cannot be read or its points have no column ``name`` or no CRS.
    """
    form = "give a GeoJSON or GeoPackage file of points with a column name"
    points = _read_vectors(path, "places", form)
    if "name" not in points or points.crs is None or not (points.geom_type == "Point").all():
        raise InputError(f"places {str(path)!r} are not named points with a CRS; {form}")
    points = points[~points.geometry.is_empty].to_crs("EPSG:4326")
    points = points[np.isfinite(shapely.get_coordinates(points.geometry)).all(axis=1)]
    names = [
        "" if missing else str(name)
        for name, missing in zip(points["name"], points["name"].isna(), strict=True)
    ]
    return list(zip(names, points.geometry.x, points.geometry.y, strict=True))


def read_outlines(path: Path | str) -> gpd.GeoSeries:
    """Return the lines and polygons of a vector file, in its own CRS; points are left out.

    Raises `InputError` if there are none, or if the file has no CRS.
    """
    form = "give a GeoJSON or GeoPackage file of lines or polygons"
    features_read = _read_vectors(path, "outlines", form)
    shapes = features_read.geometry[shapely.get_dimensions(features_read.geometry.to_numpy()) > 0]
    if shapes.crs is None or shapes.empty:
        raise InputError(f"outlines {str(path)!r} are not lines or polygons with a CRS; {form}")
    return shapes


def _read_vectors(path: Path | str, subject: str, form: str) -> gpd.GeoDataFrame:
    """Read a file of vectors. Raises `InputError` naming its `subject` and the `form` it should have."""
    return VectorFile(str(path), subject, form, InputError, layer_option="").read()


def _outline_codes(codes: NDArray[np.uint8], values: NDArray[np.float32], grid: GeoBox) -> gpd.GeoDataFrame:
    """Return outlines of the connected cells of equal code, without code 0.

    Cells that share a side are connected. Columns code, mean, max, cells, km2, geometry (EPSG:4326).
    """
    regions = features.shapes(codes, mask=codes > 0, connectivity=4, transform=grid.affine)
    outlines = [(shapely.geometry.shape(outline), code) for outline, code in regions]
    shapes = [shape for shape, _ in outlines]
    columns = {"code": np.array([code for _, code in outlines]), **_area_columns(shapes, values, grid)}
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs=grid.crs.to_wkt()).to_crs("EPSG:4326")
    frame = frame.set_geometry([_split_at_antimeridian(shape) for shape in frame.geometry], crs="EPSG:4326")
    km2 = [abs(WGS84.geometry_area_perimeter(shape)[0]) / 1e6 for shape in frame.geometry]
    frame.insert(frame.columns.get_loc("geometry"), "km2", km2)
    return frame


def _split_at_antimeridian(shape: shapely.Polygon) -> shapely.Geometry:
    """Return a shape in degrees, cut in two where it crosses the antimeridian (RFC 7946, section 3.1.9)."""
    west, _, east, _ = shape.bounds
    if east - west <= 180:
        return shape
    return within_180(shapely.transform(shape, lambda xy: xy + np.where(xy < 0, [360, 0], 0)))


def _area_columns(
    shapes: list[shapely.Polygon], values: NDArray[np.float32], grid: GeoBox
) -> dict[str, NDArray[np.float64]]:
    """Return the mean score, highest score and number of cells of each outline, in its order."""
    if not shapes:
        return {name: np.empty(0) for name in ("mean", "max", "cells")}
    numbered = ((shape, i) for i, shape in enumerate(shapes, 1))
    owner = features.rasterize(numbered, out_shape=grid.shape, transform=grid.affine, dtype="int32").ravel()
    inside = owner > 0
    index, scores = owner[inside] - 1, values.ravel()[inside].astype(np.float64)
    cells = np.bincount(index, minlength=len(shapes))
    highest = np.full(len(shapes), -np.inf)
    np.maximum.at(highest, index, scores)
    return {"mean": np.bincount(index, scores, len(shapes)) / cells, "max": highest, "cells": cells}
