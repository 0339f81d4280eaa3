"""The table of zones: their own columns, the ground that the score covers, and the statistics."""

from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from sat2cap.errors import InputError
from sat2cap.geo import UtmZone, grid_of, ground_metres
from sat2cap.maps import layers_of, table_attributes
from sat2cap.progress import Progress, silent
from sat2cap.zones.coverage import ZoneCells, cover_cells, polygons_of, zone_areas_km2
from sat2cap.zones.statistics import Statistic

AREA, COVERED = "area_km2", "covered_share"
"""Columns of a zone's ground area, km², and of the share of it, 0 to 1, that has a score."""

_CRS_OF_SEVERAL = "EPSG:3857"

STAGE = "zones"
"""Name of this work in progress reports."""


def zone_statistics(
    score: xr.DataArray | Mapping[UtmZone | None, xr.DataArray],
    zones: gpd.GeoDataFrame,
    statistics: Sequence[Statistic],
    progress: Progress = silent,
) -> gpd.GeoDataFrame:
    """Return the zones with a column for each statistic of each map of a score.

    The rows, their order, columns, shapes and CRS are those of `zones`. Before the geometry come `AREA`,
    `COVERED` and, as float64, one column for each map and statistic: ``mean``, or ``busy street, mean`` where
    there are several prompts, with the date where there are several dates. Cells count for the ground that a
    zone covers of them; cells without a score do not count. Where a zone covers none with a score its
    statistics are NaN. A score of several UTM zones is that of all of them: ground counts in the UTM zone
    that it lies in. ``.attrs`` holds the provenance of the score, and under ``columns`` for each column
    its prompt, when and statistic. Raises `InputError` for zones without CRS, without any polygon, or with a
    column of one of these names.
    """
    shapes, crs = _shapes_of(zones)
    by_utm_zone = score if isinstance(score, Mapping) else {None: score}
    north_up = {utm_zone: _north_up(part) for utm_zone, part in by_utm_zone.items()}
    grids = [(utm_zone, grid_of(part)) for utm_zone, part in north_up.items()]
    values = np.concatenate([_layer_values(part) for part in north_up.values()], axis=1)
    first = next(iter(north_up.values()))
    names = _column_names(first, layers_of(first), statistics)
    _refuse_taken_names(zones, [AREA, COVERED, *names])
    area_km2 = zone_areas_km2(shapes, crs)
    results = np.full((len(shapes), len(names)), np.nan)
    covered_km2 = np.zeros(len(shapes))
    for number, zone in enumerate(cover_cells(shapes, crs, grids)):
        results[number], covered_km2[number] = _statistics_of(zone, values, statistics)
        progress(STAGE, number + 1, len(shapes))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(area_km2 > 0, np.clip(covered_km2 / area_km2, 0, 1), np.nan)
    own = {AREA: area_km2, COVERED: share, **{name: results[:, i] for i, name in enumerate(names)}}
    others = pd.DataFrame(zones.drop(columns=zones.geometry.name))
    table = gpd.GeoDataFrame(others.assign(**own), geometry=zones.geometry)
    table.attrs = {**table_attributes(first), "columns": names, **_grid_attributes(grids)}
    return table


def rank_zones(table: gpd.GeoDataFrame, column: str) -> gpd.GeoDataFrame:
    """Return the zones with a value in `column`, greatest first; equal ones stay in the order of `table`."""
    return table[table[column].notna()].sort_values(column, ascending=False, kind="stable")


def count_missed(table: gpd.GeoDataFrame) -> int:
    """Return how many zones have no statistics because no cell with a score lies in them.

    Such zones are smaller than what their cells cover of the map, or lie beside it.
    """
    return int((~(table[COVERED] > 0)).sum())


def _shapes_of(zones: gpd.GeoDataFrame) -> tuple[list[shapely.Geometry], CRS]:
    """Return the polygons of each zone, empty where it has none, and their CRS. Raises `InputError`."""
    if zones.crs is None:
        raise InputError("the zones do not say their CRS; set it with .set_crs(…), or in QGIS")
    shapes = [polygons_of(shape) for shape in zones.geometry]
    if all(shape.is_empty for shape in shapes):
        raise InputError("the zones have no polygons; give areas, such as municipalities or parcels")
    return shapes, CRS(zones.crs)


def _north_up(score: xr.DataArray) -> xr.DataArray:
    return score if grid_of(score).affine.e < 0 else score.isel(y=slice(None, None, -1))


def _layer_values(score: xr.DataArray) -> NDArray[np.float64]:
    """Return the values of the maps of a score, `[maps, cells]`."""
    return np.stack([np.asarray(layer.values, np.float64).ravel() for layer in layers_of(score)])


def _grid_attributes(grids: Sequence[tuple[UtmZone | None, GeoBox]]) -> dict[str, str | float]:
    """Return the CRS of the score and the side of its cells on the ground, metres, for a picture to show.

    Of several UTM zones the CRS is one that shows all of them.
    """
    grid = grids[0][1]
    crs = str(grid.crs) if len(grids) == 1 else _CRS_OF_SEVERAL
    return {"grid_crs": crs, "cell_m": abs(grid.affine.a) * ground_metres(grid)}


def _column_names(
    score: xr.DataArray, layers: Sequence[xr.DataArray], statistics: Sequence[Statistic]
) -> dict[str, dict[str, str]]:
    """Return the columns in order: for each its prompt, when and statistic."""
    if not statistics:
        raise InputError("no statistic is given; such as mean")
    varying = [key for dim, key in (("prompt", "prompt"), ("time", "when")) if score.sizes.get(dim, 1) > 1]
    names: dict[str, dict[str, str]] = {}
    for layer in layers:
        for statistic in statistics:
            parts = [str(layer.attrs.get(key, "")) for key in varying]
            about = {key: str(layer.attrs.get(key) or "") for key in ("prompt", "when")}
            name = ", ".join([*parts, statistic.name])
            if name in names:
                raise InputError(
                    f"the column {name!r} is asked for twice; name each prompt and statistic once"
                )
            names[name] = {**about, "statistic": statistic.name}
    return names


def _refuse_taken_names(zones: gpd.GeoDataFrame, names: Sequence[str]) -> None:
    taken = [name for name in names if name in zones.columns]
    if taken:
        raise InputError(
            f"the zones have a column {taken[0]!r} already, which would be overwritten; rename or drop it"
        )


def _statistics_of(
    zone: ZoneCells, values: NDArray[np.float64], statistics: Sequence[Statistic]
) -> tuple[list[float], float]:
    """Return the statistics of one zone, map by map, and the ground in it that has a score, km²."""
    inside = values[:, zone.cells]
    has_score = np.isfinite(inside)
    results = [
        statistic.compute(scores[keep], zone.km2[keep])
        for scores, keep in zip(inside, has_score, strict=True)
        for statistic in statistics
    ]
    return results, float(zone.km2[has_score[0]].sum())
