"""A map of zones, each in the colour of its statistic: drawn by the same code as any other score."""

import math

import geopandas as gpd
import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio import features

from sat2cap.errors import InputError
from sat2cap.geo import on_grid
from sat2cap.zones.table import COVERED

_LONG_SIDE = 1600
"""Pixels along the longer side."""


def choropleth(table: gpd.GeoDataFrame) -> xr.DataArray:
    """Return the statistics of a table of zones as maps, float32 ``(prompt, y, x)``.

    One map for each column of `zone_statistics`, in the CRS of the score, over the zones that have a value;
    NaN elsewhere. Where zones overlap the later is on top. The prompt of a map is that of its column with
    the statistic. Raises `InputError` if the table is not one of `zone_statistics`, no zone has a value, or
    its statistics have different units.
    """
    columns = table.attrs.get("columns")
    if not isinstance(columns, dict) or not set(columns) <= set(table.columns):
        raise InputError("this table does not come from zone statistics; give what zones returned")
    shown = table[table[COVERED] > 0].to_crs(table.attrs["grid_crs"])
    if shown.empty:
        raise InputError("no zone has a value to draw; give zones that overlap the atlas")
    grid = _picture_grid(shown)
    layers = [_burn(shown, column, grid) for column in columns]
    scales = {_scale_name(table.attrs.get("scale", ""), about["statistic"]) for about in columns.values()}
    if len(scales) > 1:
        raise InputError(
            "a picture of statistics with different units has no common legend; draw one statistic at a time"
        )
    titles = [_title(about) for about in columns.values()]
    attrs = {key: value for key, value in table.attrs.items() if key not in ("columns", "grid_crs")}
    attrs |= {"scale": scales.pop(), "prompt": titles, "when": _common_date(columns)}
    return on_grid(np.stack(layers), grid, ("prompt", "y", "x"), {"prompt": titles}, attrs)


def _picture_grid(zones: gpd.GeoDataFrame) -> GeoBox:
    """Return a north-up grid over the zones, `_LONG_SIDE` pixels along its longer side."""
    left, bottom, right, top = zones.total_bounds
    step = max(right - left, top - bottom) / _LONG_SIDE
    shape = (max(1, math.ceil((top - bottom) / step)), max(1, math.ceil((right - left) / step)))
    return GeoBox(shape, Affine(step, 0, left, 0, -step, top), zones.crs.to_wkt())


def _burn(zones: gpd.GeoDataFrame, column: str, grid: GeoBox) -> NDArray[np.float32]:
    """Return the value of the zone at the centre of each pixel, float32 `[y, x]`; NaN outside all zones."""
    shapes = zip(zones.geometry, zones[column].astype(np.float32), strict=True)
    burned = features.rasterize(
        shapes, out_shape=grid.shape, transform=grid.affine, fill=np.nan, dtype="float32"
    )
    return np.asarray(burned, np.float32)


def _title(about: dict[str, str]) -> str:
    """Return the heading of a map: its prompt, its date if it has one, and its statistic."""
    return ", ".join(part for part in (about["prompt"], about["when"], about["statistic"]) if part)


def _common_date(columns: dict[str, dict[str, str]]) -> str:
    dates = {about["when"] for about in columns.values()}
    return dates.pop() if len(dates) == 1 else ""


def _scale_name(scale: str, statistic: str) -> str:
    """Return the scale of a statistic's values: that of the score, or its own."""
    kind = statistic.partition("=")[0]
    return {"share-above": "share of the ground", "area-above": "area, km²"}.get(kind, scale)
