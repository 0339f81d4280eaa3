"""Arithmetic of Web Mercator tiles (EPSG:3857, the tile matrix set ``WebMercatorQuad`` of the OGC).

A library, morecantile, knows these tiles too, and tests compare this module with it. It is not called here:
it takes one point at a time, where a map asks for thousands; it keeps columns within the world, where
imagery goes on past the antimeridian; and importing it takes half a second.

::

    zoom 1:   column 0    column 1
             +----------+----------+  85.05 N, row 0
             |  1/0/0   |  1/1/0   |
             +----------+----------+  the equator
             |  1/0/1   |  1/1/1   |
             +----------+----------+  85.05 S
           180 W        0        180 E
"""

import math
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import ArrayLike, NDArray

Tile = tuple[int, int, int]
"""``(zoom, column from the west, row from the north)``, as in XYZ services."""

EQUATOR_M = 2 * math.pi * 6_378_137.0
"""Side of the square of Web Mercator in metres of EPSG:3857: the circumference of its sphere."""

MAX_LATITUDE_DEG = math.degrees(math.atan(math.sinh(math.pi)))
"""85.05 degrees, where the square ends."""


def tile_position(lon: ArrayLike, lat: ArrayLike, zoom: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ``(column, row)`` of points in degrees, in tiles of `zoom` from the square's upper left corner.

    Columns have the shape of `lon`, rows that of `lat`. The fraction is the place within the tile:
    ``tile_position(0, 0, 1)`` is ``(1.0, 1.0)``, the corner that the four tiles share. Longitudes past 180
    and latitudes past `MAX_LATITUDE_DEG` are outside 0 to 2**zoom.
    """
    tiles_across = 2**zoom
    column = (np.asarray(lon) / 360 + 0.5) * tiles_across
    row = (0.5 - np.arctanh(np.sin(np.radians(lat))) / (2 * math.pi)) * tiles_across
    return column, row


def tile_affine(zoom: int, column: float, row: int, tile_pixels: int) -> Affine:
    """Return the affine from pixels to EPSG:3857 of a raster whose upper left tile is `column`, `row`.

    Rows count from the north. `column` may lie beyond the pyramid, for a raster across the antimeridian.
    """
    tiles_across = 2**zoom
    tile_m = EQUATOR_M / tiles_across
    pixel_m = tile_m / tile_pixels
    left, top = (column - tiles_across / 2) * tile_m, (tiles_across / 2 - row) * tile_m
    return Affine(pixel_m, 0, left, 0, -pixel_m, top)


def ground_pixel_m(lat: float, zoom: int, tile_pixels: int) -> float:
    """Return the side of a tile's pixel on the ground in metres, at a latitude in degrees.

    >>> round(ground_pixel_m(52.0, 16, 256), 2)
    1.47
    """
    return float(EQUATOR_M * math.cos(math.radians(lat)) / 2**zoom / tile_pixels)
