"""A map as a pyramid of web tiles in one PMTiles file, for any web server that serves parts of files."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer
from rasterio import CRS, warp

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.geo import (
    LONLAT,
    Tile,
    grid_of,
    ground_metres,
    ground_pixel_m,
    tile_affine,
    tile_position,
    transformer,
)
from sat2cap.maps.colours import Paint, paint_of
from sat2cap.maps.layers import one_layer, provenance, values_of

_TILE_PX = 256
_MAX_ZOOM = 22
_MIN_MAP_PX = 32
"""Least width of the whole map in the first zoom level, pixels: further out it would be a dot."""
_SAMPLE_SPACING = 16
"""Cells between two neighbouring points of `_sample_lonlat`."""
_NO_DATA_INDEX = 255
"""Palette index of pixels without data; the other 255 are colours."""


def write_pmtiles(score: xr.DataArray, path: Path | str) -> None:
    """Publish one map as PMTiles (version 3) of PNG tiles, transparent where there is no data.

    The deepest zoom shows each cell with 2 pixels a side or more; further out cells are averaged, of
    categories the commonest is taken. Provenance and legend are in the metadata. Raises `InputError`.
    """
    write_bytes(path, encode_pmtiles(score))


def encode_pmtiles(score: xr.DataArray) -> bytes:
    """Return the bytes of the file that `write_pmtiles` publishes.

    Zoom levels are written from the one where the map is at least 32 pixels wide to the one where a cell is
    at least 2. Tiles without data are left out. Raises `InputError` if `score` holds several maps, or none
    of its tiles has data.
    """
    layer, grid = one_layer(score, "tiles show"), grid_of(score)
    paint = paint_of(layer)
    bounds, max_zoom = _lonlat_bounds(grid), _deepest_zoom(grid)
    min_zoom = _first_zoom(grid, max_zoom)
    buffer = io.BytesIO()
    writer = Writer(buffer)
    for tile in sorted(_covering_tiles(grid, min_zoom, max_zoom), key=lambda tile: zxy_to_tileid(*tile)):
        values = _warp_to_tile(values_of(layer), grid, tile, max_zoom, categories=bool(paint.categories))
        if np.isfinite(values).any():
            writer.write_tile(zxy_to_tileid(*tile), _encode_png(values, paint))
    if not writer.tile_entries:
        raise InputError("a map without any data, or beyond 85 degrees of latitude, has no web tiles")
    writer.finalize(_pmtiles_header(bounds, min_zoom, max_zoom), _pmtiles_metadata(layer, paint))
    return buffer.getvalue()


def _deepest_zoom(grid: GeoBox) -> int:
    """Return the first zoom level in which a cell is at least 2 pixels wide, at most 22.

    Pixels halve with every level: with cells of 480 m at the equator, where a pixel of level 0 is 156,543 m
    wide, level 10 is the first whose pixels (153 m) are no wider than 240 m.
    """
    _, south, _, north = _lonlat_bounds(grid)
    cell_m = abs(grid.affine.a) * ground_metres(grid)
    pixel_m = ground_pixel_m((south + north) / 2, 0, _TILE_PX)  # at zoom 0
    return min(max(math.ceil(math.log2(2 * pixel_m / cell_m)), 0), _MAX_ZOOM)


def _first_zoom(grid: GeoBox, max_zoom: int) -> int:
    """Return the first zoom level in which the longer side of the map is about `_MIN_MAP_PX` pixels."""
    longer_side_px = 4 * max(grid.shape)  # at `max_zoom`, where a cell is 2 to 4 pixels wide
    return max(max_zoom - max(int(math.log2(longer_side_px / _MIN_MAP_PX)), 0), 0)


def _sample_lonlat(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude, degrees, of points spread over the grid, edges and corners included.

    Points that have no longitude and latitude, such as those beyond the edge of a projection, are left out.
    """
    rows, cols = (
        np.unique(np.append(np.arange(0, side, _SAMPLE_SPACING), side)).astype(np.float64)
        for side in grid.shape
    )
    x, y = grid.affine @ tuple(np.meshgrid(cols, rows))
    lon, lat = transformer(grid.crs, LONLAT).transform(x, y)
    finite = np.isfinite(lon) & np.isfinite(lat)
    return np.asarray(lon)[finite], np.asarray(lat)[finite]


def _lonlat_bounds(grid: GeoBox) -> tuple[float, float, float, float]:
    """Return west, south, east and north of the grid, degrees; west exceeds east across the antimeridian."""
    lon, lat = _sample_lonlat(grid)
    west, east = float(lon.min()), float(lon.max())
    if east - west > 180:
        west, east = float(lon[lon > 0].min()), float(lon[lon < 0].max())
    return west, float(lat.min()), east, float(lat.max())


def _covering_tiles(grid: GeoBox, min_zoom: int, max_zoom: int) -> set[Tile]:
    """Return every tile from `min_zoom` to `max_zoom` that the grid touches.

    The tiles under the sample points are all there are at `max_zoom`, because the points are nearer to each
    other than a tile is wide: 16 cells are at most 64 pixels, a tile is 256. The parent of tile
    ``(z, column, row)`` is ``(z - 1, column // 2, row // 2)``.
    """
    lon, lat = _sample_lonlat(grid)
    side = 2**max_zoom
    column, row = (np.floor(axis) for axis in tile_position(lon, lat, max_zoom))
    column %= side
    inside = (row >= 0) & (row < side)
    level = set(zip(column[inside].astype(int).tolist(), row[inside].astype(int).tolist(), strict=True))
    tiles: set[Tile] = set()
    for zoom in range(max_zoom, min_zoom - 1, -1):
        tiles |= {(zoom, column, row) for column, row in level}
        level = {(column // 2, row // 2) for column, row in level}
    return tiles


def _warp_to_tile(
    values: NDArray[np.float32], grid: GeoBox, tile: Tile, max_zoom: int, *, categories: bool
) -> NDArray[np.float32]:
    """Return the values of a map, shape (H, W), on the pixels of one tile, shape (256, 256); NaN for no data.

    At `max_zoom` each pixel has the value of the cell under it, further out the mean of the cells under it,
    or with `categories` the commonest.
    """
    zoom, column, row = tile
    reducing = warp.Resampling.mode if categories else warp.Resampling.average
    out = np.full((_TILE_PX, _TILE_PX), np.nan, np.float32)
    warp.reproject(
        values,
        out,
        src_transform=grid.affine,
        src_crs=CRS.from_wkt(grid.crs.to_wkt()),
        dst_transform=tile_affine(zoom, column, row, _TILE_PX),
        dst_crs=CRS.from_epsg(3857),
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=warp.Resampling.nearest if zoom == max_zoom else reducing,
    )
    return out


def _encode_png(values: NDArray[np.float32], paint: Paint) -> bytes:
    """Return a PNG of the values of a tile with a palette: a quarter of the bytes of RGBA.

    Palette entry i is the colour of the i-th of 255 evenly spaced scores, or of category i; entry 255 is
    transparent and stands for no data.
    """
    has_data = np.isfinite(values)
    if paint.categories:
        index = np.where(has_data, np.nan_to_num(values), _NO_DATA_INDEX).astype(np.uint8)
        palette_values = np.arange(255).clip(1, len(paint.categories)).astype(np.float32)
    else:
        share = np.clip(np.ma.filled(paint.norm(np.ma.masked_invalid(values)), 0), 0, 1)
        index = np.where(has_data, np.round(share * 254), _NO_DATA_INDEX).astype(np.uint8)
        palette_values = np.asarray(paint.norm.inverse(np.arange(255) / 254), np.float32)
    image = Image.fromarray(index)
    palette = paint.to_rgba(palette_values[None])[0, :, :3]
    image.putpalette([*palette.ravel().tolist(), 255, 255, 255])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, transparency=_NO_DATA_INDEX)
    return buffer.getvalue()


def _pmtiles_header(
    bounds: tuple[float, float, float, float], min_zoom: int, max_zoom: int
) -> dict[str, Any]:
    """Return the header fields that the writer cannot derive from the tiles (PMTiles 3, section 3).

    Degrees are stored as integers of 1e-7; a viewer opens two levels deeper than the first.
    """
    west, south, east, north = bounds
    middle = (west + east) / 2 if west <= east else (west + east + 360) / 2
    return {
        "tile_type": TileType.PNG,
        "tile_compression": Compression.NONE,
        "min_lon_e7": round(west * 1e7),
        "min_lat_e7": round(south * 1e7),
        "max_lon_e7": round(east * 1e7),
        "max_lat_e7": round(north * 1e7),
        "center_zoom": min(min_zoom + 2, max_zoom),
        "center_lon_e7": round(((middle + 180) % 360 - 180) * 1e7),
        "center_lat_e7": round((south + north) / 2 * 1e7),
    }


def _pmtiles_metadata(layer: xr.DataArray, paint: Paint) -> dict[str, Any]:
    """Return the JSON metadata: name, credits, provenance, and the legend that tells colours from scores."""
    texts = provenance(layer)
    return {
        "name": texts.get("prompt", "sat2cap"),
        "description": ", ".join(texts[key] for key in ("prompt", "when", "model") if key in texts),
        "attribution": texts.get("attribution", ""),
        "type": "overlay",
        "sat2cap": texts,
        "legend": {
            "label": paint.scale.label,
            "categories": bool(paint.categories),
            "stops": [
                {"value": v, "colour": colour, "label": label} for v, colour, label in paint.colour_stops()
            ],
        },
    }
