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

_PIXELS = 256
_DEEPEST = 22
_SMALLEST = 32  # pixels that the map is wide, at least, in the first zoom there is
_CORNERS = 16  # cells between points of which the tiles are looked up


def write_pmtiles(score: xr.DataArray, path: Path | str) -> None:
    """Publish one map as PMTiles (version 3) of PNG tiles, transparent where there is no data.

    The deepest zoom shows each cell with 2 pixels a side or more; further out cells are averaged, of
    categories the commonest is taken. Provenance and legend are in the metadata. Raises `InputError`.
    """
    write_bytes(path, pmtiles_of(score))


def pmtiles_of(score: xr.DataArray) -> bytes:
    """The file's bytes."""
    layer, grid = one_layer(score, "tiles show"), grid_of(score)
    paint = paint_of(layer)
    bounds, deepest = _bounds(grid), _deepest(grid)
    first = _first(grid, deepest)
    buffer = io.BytesIO()
    writer = Writer(buffer)
    for tile in sorted(_tiles(grid, first, deepest), key=lambda tile: zxy_to_tileid(*tile)):
        values = _warped(values_of(layer), grid, tile, deepest, categories=bool(paint.categories))
        if np.isfinite(values).any():
            writer.write_tile(zxy_to_tileid(*tile), _png(values, paint))
    if not writer.tile_entries:
        raise InputError("a map without any data, or beyond 85 degrees of latitude, has no web tiles")
    writer.finalize(_header(bounds, first, deepest), _metadata(layer, paint))
    return buffer.getvalue()


def _deepest(grid: GeoBox) -> int:
    """The first zoom in which a cell has 2 pixels a side."""
    _, south, _, north = _bounds(grid)
    cell_m = abs(grid.affine.a) * ground_metres(grid)
    return min(
        max(math.ceil(math.log2(2 * ground_pixel_m((south + north) / 2, 0, _PIXELS) / cell_m)), 0), _DEEPEST
    )


def _first(grid: GeoBox, deepest: int) -> int:
    """The first zoom in which the map is more than a dot."""
    pixels = 4 * max(grid.shape)  # in the deepest zoom, at most
    return max(deepest - max(int(math.log2(pixels / _SMALLEST)), 0), 0)


def _points(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(lon, lat)`` all over the grid, its edges and corners among them."""
    rows, cols = (
        np.unique(np.append(np.arange(0, side, _CORNERS), side)).astype(np.float64) for side in grid.shape
    )
    x, y = grid.affine * tuple(np.meshgrid(cols, rows))
    lon, lat = transformer(grid.crs, LONLAT).transform(x, y)
    finite = np.isfinite(lon) & np.isfinite(lat)
    return np.asarray(lon)[finite], np.asarray(lat)[finite]


def _bounds(grid: GeoBox) -> tuple[float, float, float, float]:
    """West, south, east, north in degrees; west exceeds east across the antimeridian."""
    lon, lat = _points(grid)
    west, east = float(lon.min()), float(lon.max())
    if east - west > 180:
        west, east = float(lon[lon > 0].min()), float(lon[lon < 0].max())
    return west, float(lat.min()), east, float(lat.max())


def _tiles(grid: GeoBox, first: int, deepest: int) -> set[Tile]:
    """Every tile that the grid touches. Its points are nearer to each other than a tile is wide."""
    lon, lat = _points(grid)
    side = 2**deepest
    column, row = (np.floor(axis) for axis in tile_position(lon, lat, deepest))
    column %= side
    inside = (row >= 0) & (row < side)
    level = set(zip(column[inside].astype(int).tolist(), row[inside].astype(int).tolist(), strict=True))
    tiles: set[Tile] = set()
    for zoom in range(deepest, first - 1, -1):
        tiles |= {(zoom, column, row) for column, row in level}
        level = {(column // 2, row // 2) for column, row in level}
    return tiles


def _warped(
    values: NDArray[np.float32], grid: GeoBox, tile: Tile, deepest: int, *, categories: bool
) -> NDArray[np.float32]:
    """The map on the pixels of one tile."""
    zoom, column, row = tile
    further = warp.Resampling.mode if categories else warp.Resampling.average
    out = np.full((_PIXELS, _PIXELS), np.nan, np.float32)
    warp.reproject(
        values,
        out,
        src_transform=grid.affine,
        src_crs=CRS.from_wkt(grid.crs.to_wkt()),
        dst_transform=tile_affine(zoom, column, row, _PIXELS),
        dst_crs=CRS.from_epsg(3857),
        src_nodata=np.nan,
        dst_nodata=np.nan,
        resampling=warp.Resampling.nearest if zoom == deepest else further,
    )
    return out


def _png(values: NDArray[np.float32], paint: Paint) -> bytes:
    """With a palette of 255 colours, a quarter of the bytes of RGBA; the last index is no data."""
    has_data = np.isfinite(values)
    if paint.categories:
        index = np.where(has_data, np.nan_to_num(values), 255).astype(np.uint8)
        rows = np.arange(255).clip(1, len(paint.categories)).astype(np.float32)
    else:
        share = np.clip(np.ma.filled(paint.norm(np.ma.masked_invalid(values)), 0), 0, 1)
        index = np.where(has_data, np.round(share * 254), 255).astype(np.uint8)
        rows = np.asarray(paint.norm.inverse(np.arange(255) / 254), np.float32)
    image = Image.fromarray(index)
    palette = paint.rgba(rows[None])[0, :, :3]
    image.putpalette([*palette.ravel().tolist(), 255, 255, 255])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True, transparency=255)
    return buffer.getvalue()


def _header(bounds: tuple[float, float, float, float], first: int, deepest: int) -> dict[str, Any]:
    west, south, east, north = bounds
    middle = (west + east) / 2 if west <= east else (west + east + 360) / 2
    return {
        "tile_type": TileType.PNG,
        "tile_compression": Compression.NONE,
        "min_lon_e7": round(west * 1e7),
        "min_lat_e7": round(south * 1e7),
        "max_lon_e7": round(east * 1e7),
        "max_lat_e7": round(north * 1e7),
        "center_zoom": min(first + 2, deepest),
        "center_lon_e7": round(((middle + 180) % 360 - 180) * 1e7),
        "center_lat_e7": round((south + north) / 2 * 1e7),
    }


def _metadata(layer: xr.DataArray, paint: Paint) -> dict[str, Any]:
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
            "stops": [{"value": v, "colour": colour, "label": label} for v, colour, label in paint.stops()],
        },
    }
