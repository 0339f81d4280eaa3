"""Imagery in Web Mercator tiles: choosing zoom and tiles for a read, and warping them onto its grid."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry
from odc.geo.geom import box as geometry_box
from rasterio.enums import Resampling
from rasterio.warp import reproject

from sat2cap.errors import ImageryError, PictureError
from sat2cap.geo import (
    LONLAT,
    MAX_LATITUDE_DEG,
    Tile,
    ground_pixel_m,
    tile_affine,
    tile_position,
    transformer,
)
from sat2cap.imagery.pixels import PLACED_TO, as_imagery, gsd_m, lonlat_mesh, split_parts
from sat2cap.imagery.protocol import ImageryInfo, PartlyReadError
from sat2cap.pictures import decode_picture

_WEB_MERCATOR = CRS("EPSG:3857")
# The same projection centred on 180 degrees: tiles left and right of the antimeridian lie beside each other.
_PACIFIC_MERCATOR = CRS(
    "+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=180 +x_0=0 +y_0=0 +k=1 +units=m +type=crs"
)
_ZOOM_TOLERANCE = 1.01  # a zoom whose pixels are coarser by 1 % still counts as fine enough
_MARGIN_PX = 2  # pixels around a read, for interpolation at its edges
_AVERAGE_ABOVE = 2.0  # tile pixels per pixel read; below it bilinear interpolation sees all of them
_MAX_MOSAIC_PIXELS = 2**27  # of one part of a read: 0.5 GB; five times what the fitting zoom can need

TileResult = NDArray[np.uint8] | None | ImageryError
"""Outcome of fetching a tile: RGBA, uint8, shape (4, h, w); None for no such tile; or why it failed."""

Bounds = tuple[float, float, float, float]
"""``(west, south, east, north)`` in degrees."""


class TileStore(Protocol):
    """A place that tiles come from: a service, or an archive."""

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, TileResult]]:
        """Yield each of `tiles` with its result, in any order.

        The result is the tile's pixels, RGBA, uint8, shape (4, h, w); None if there is no such tile; or the
        error with which it failed, which is not raised.
        """
        ...


@dataclass(frozen=True)
class TileImagery:
    """An `Imagery` over Web Mercator tiles; can be sent to other processes."""

    store: TileStore
    """Where the tiles come from."""
    info: ImageryInfo
    """Provenance; its `gsd_m` is that of the finest zoom at the equator, or at the middle of `bounds`."""
    zooms: tuple[int, int]
    """The coarsest and the finest zoom there are."""
    tile_pixels: int = 256
    """Side of a tile in pixels."""
    bounds: Bounds | None = None
    """Where there are tiles; none beyond them is requested. None: everywhere."""

    @property
    def footprint(self) -> Geometry | None:
        """The bounds as a geometry in degrees; None for everywhere."""
        return None if self.bounds is None else geometry_box(*self.bounds, crs=LONLAT)

    def zoom_for(self, box: GeoBox) -> int:
        """Return the coarsest zoom whose pixels are at most as large on the ground as those of `box`.

        They are compared at the middle of `box`. If no zoom is that fine, it is the finest there is.
        """
        row, col = box.shape[0] / 2, box.shape[1] / 2
        lat = float(transformer(box.crs, LONLAT).transform(*(box.affine @ (col, row)))[1])
        needed_m = gsd_m(box) * _ZOOM_TOLERANCE
        if not (math.isfinite(lat) and needed_m > 0):
            return self.zooms[0]
        exact_zoom = math.log2(ground_pixel_m(lat, 0, self.tile_pixels) / needed_m)
        return min(max(math.ceil(exact_zoom), self.zooms[0]), self.zooms[1])

    def read(self, box: GeoBox) -> xr.DataArray:
        """Return pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Raises `PartlyReadError` when some or all tiles fail, as those do whose size is not what `tile_pixels`
        states, and `ImageryError` when the read would take too many tiles.
        """
        zoom = self.zoom_for(box)
        pixels = np.zeros((4, *box.shape), np.uint8)
        failed_mask = np.zeros(box.shape, bool)
        errors: list[ImageryError] = []
        tile_count = 0
        for rows, cols in split_parts(box):
            window = self._select_window(box[rows, cols], zoom)
            if window is not None:
                self._require_few_tiles(window)
                tile_count += len(window.tiles)
                part_pixels, part_failed, part_errors = self._read_part(window, box[rows, cols])
                pixels[:, rows, cols], failed_mask[rows, cols] = part_pixels, part_failed
                errors += part_errors
        imagery = as_imagery(pixels[:3], pixels[3], None, box)
        if errors:
            count = f"{len(errors)} of {tile_count} tiles failed; the first: "
            message = f"{count if len(errors) < tile_count else ''}{errors[0]}"
            raise PartlyReadError(message, imagery, failed_mask)
        return imagery

    def _select_window(self, box: GeoBox, zoom: int) -> "_TileWindow | None":
        """Return the tiles under `box`, or None if there are none: near the poles, or outside the bounds."""
        lon, lat = lonlat_mesh(box)
        on_earth = np.isfinite(lon) & np.isfinite(lat)
        if not on_earth.any():
            return None
        west, east = lon[on_earth].min(), lon[on_earth].max()
        south, north = lat[on_earth].min(), lat[on_earth].max()
        if self.bounds is not None and not _bounds_overlap((west, south, east, north), self.bounds):
            return None
        if south > MAX_LATITUDE_DEG or north < -MAX_LATITUDE_DEG:
            return None
        tiles_across = 2**zoom
        margin = _MARGIN_PX / self.tile_pixels  # in tiles
        latitudes = np.clip([north, south], -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG)
        (left, right), (top, bottom) = tile_position([west, east], latitudes, zoom)
        first_row, last_row = max(math.floor(top - margin), 0), math.floor(bottom + margin)
        rows = range(first_row, min(last_row, tiles_across - 1) + 1)
        columns = range(math.floor(left - margin), math.floor(right + margin) + 1)
        if east - west > 180:  # most of the world: the antimeridian is at its edge, not in its middle
            columns = range(tiles_across)
        return _TileWindow(zoom, rows, columns, self.tile_pixels)

    def _require_few_tiles(self, window: "_TileWindow") -> None:
        """Raise `ImageryError` if a read needs more tiles than fit in memory, or than is polite to fetch."""
        count = len(window.rows) * len(window.columns)
        if count * window.tile_pixels**2 > _MAX_MOSAIC_PIXELS:
            rule = f"zoom {window.zoom} is its coarsest, and this read would take {count} tiles"
            raise ImageryError(f"imagery {self.info.uri!r}: {rule}; take smaller patches, or coarser imagery")

    def _read_part(
        self, window: "_TileWindow", box: GeoBox
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[ImageryError]]:
        """Return RGBA ``[4, h, w]`` on `box`, which of its pixels a failed tile touches, and the failures."""
        mosaic, failed_mosaic = window.empty_mosaic(4), window.empty_mosaic(1)
        errors = []
        for tile, fetched in self.store.fetch(window.tiles):
            result = self._fit_tile(fetched)
            if isinstance(result, ImageryError):
                errors.append(result)
            for part in window.slices_of(tile):
                if isinstance(result, ImageryError):
                    failed_mosaic[:, *part] = 255
                elif result is not None:
                    mosaic[:, *part] = result
        pixels = window.warp_onto(box, mosaic, alpha_band=4)
        failed_mask = np.zeros(box.shape, bool)
        if errors:
            failed_mask = window.warp_onto(box, failed_mosaic)[0] > 0
        pixels[:, failed_mask] = 0
        return pixels, failed_mask, errors

    def _fit_tile(self, result: TileResult) -> TileResult:
        """Return a tile of `tile_pixels` a side; one of a single pixel, sent for blank ground, is spread.

        A tile of any other size becomes an `ImageryError`.
        """
        if result is None or isinstance(result, ImageryError):
            return result
        side = self.tile_pixels
        if result.shape[1:] == (1, 1):
            return np.broadcast_to(result, (len(result), side, side))
        if result.shape[1:] != (side, side):
            rule = f"a tile is {result.shape[2]} x {result.shape[1]} px, not {side} px wide"
            return ImageryError(f"imagery {self.info.uri!r}: {rule}; say so in a source file: tile_pixels")
        return result


@dataclass(frozen=True)
class _TileWindow:
    """A rectangle of tiles. Columns go on past the antimeridian: -1 is the last column, 2**zoom the first."""

    zoom: int
    rows: range
    columns: range
    tile_pixels: int

    @property
    def tiles(self) -> list[Tile]:
        """The tiles to fetch, each once."""
        tiles_across = 2**self.zoom
        return sorted({(self.zoom, x % tiles_across, y) for y in self.rows for x in self.columns})

    def slices_of(self, tile: Tile) -> Iterator[tuple[slice, slice]]:
        """Yield ``(rows, columns)`` of a tile in the mosaic; twice for one at both edges of the world."""
        _, x, y = tile
        size = self.tile_pixels
        top = (y - self.rows[0]) * size
        for column in self.columns:
            if column % 2**self.zoom == x:
                left = (column - self.columns[0]) * size
                yield slice(top, top + size), slice(left, left + size)

    def empty_mosaic(self, bands: int) -> NDArray[np.uint8]:
        """Return zeros ``[bands, h, w]`` for the pixels of all tiles."""
        size = self.tile_pixels
        return np.zeros((bands, len(self.rows) * size, len(self.columns) * size), np.uint8)

    def warp_onto(
        self, box: GeoBox, mosaic: NDArray[np.uint8], alpha_band: int | None = None
    ) -> NDArray[np.uint8]:
        """Return `mosaic` ``[B, h, w]`` on the pixels of `box`, uint8 ``[B, *box.shape]``.

        Pixels weigh by band `alpha_band` (from 1), where there is one.
        """
        tiles_across = 2**self.zoom
        across_180 = self.columns[0] < 0 or self.columns[-1] >= tiles_across
        column: float = self.columns[0]
        if across_180:
            # `tile_affine` puts column 0 at 180 W. In _PACIFIC_MERCATOR 180 W is at x = 0, where it puts the
            # column in the middle of the square.
            column = (column % tiles_across - tiles_across) + tiles_across / 2
        tile_pixel_m = ground_pixel_m(_centre_latitude(box), self.zoom, self.tile_pixels)
        coarse = gsd_m(box) / tile_pixel_m > _AVERAGE_ABOVE
        out = np.zeros((len(mosaic), *box.shape), np.uint8)
        reproject(
            mosaic,
            out,
            src_transform=tile_affine(self.zoom, column, self.rows[0], self.tile_pixels),
            src_crs=str((_PACIFIC_MERCATOR if across_180 else _WEB_MERCATOR).to_wkt()),
            dst_transform=box.affine,
            dst_crs=str(box.crs.to_wkt()),
            src_alpha=alpha_band or 0,
            dst_alpha=alpha_band or 0,
            resampling=Resampling.average if coarse else Resampling.bilinear,
            tolerance=PLACED_TO,
        )
        return out


def finest_pixel_m(zoom: int, tile_pixels: int, bounds: Bounds | None) -> float:
    """Return the side of a pixel on the ground in metres, at the middle of `bounds` or at the equator."""
    lat = 0.0 if bounds is None else (bounds[1] + bounds[3]) / 2
    return float(round(ground_pixel_m(lat, zoom, tile_pixels), 6))


def decode_tile(data: bytes) -> NDArray[np.uint8]:
    """Return an encoded tile as RGBA, uint8 ``[4, h, w]``. Raises `ValueError` if it cannot be decoded."""
    try:
        rgba = np.asarray(decode_picture(data, "RGBA"))
    except PictureError as error:
        raise ValueError(str(error)) from None
    return np.ascontiguousarray(np.moveaxis(rgba, -1, 0))


def _centre_latitude(box: GeoBox) -> float:
    """Return the latitude of the middle of `box` in degrees."""
    return float(lonlat_mesh(box)[1][8, 8])


def _bounds_overlap(first: Bounds, second: Bounds) -> bool:
    """Return whether two bounds have a place in common; longitudes may count on around the Earth."""
    if first[1] > second[3] or second[1] > first[3]:
        return False
    return any(first[0] + turn <= second[2] and second[0] <= first[2] + turn for turn in (-360, 0, 360))
