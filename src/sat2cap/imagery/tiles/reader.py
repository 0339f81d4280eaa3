"""Imagery in Web Mercator tiles, of a service or in an archive: which to get, and putting them together."""

import io
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
from PIL import Image, UnidentifiedImageError
from rasterio.enums import Resampling
from rasterio.warp import reproject

from sat2cap.errors import ImageryError
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

_MERCATOR = CRS("EPSG:3857")
# The same seen from the other side, so that tiles left and right of the antimeridian lie beside each other.
_PACIFIC = CRS("+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=180 +x_0=0 +y_0=0 +k=1 +units=m +type=crs")
_COARSER = 1.01  # a zoom that is coarser by 1 % still counts as fine enough
_MARGIN = 2  # pixels around, for interpolation
_AVERAGE_ABOVE = 2.0
_MOST_PIXELS = 2**27  # of one part of a read: 0.5 GB; five times what the zoom that fits can need

Found = NDArray[np.uint8] | None | ImageryError
"""RGBA, band first, `[4, h, w]`; None when there is no such tile; why it could not be had."""


class TileStore(Protocol):
    """Where tiles come from."""

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Found]]:
        """Each of `tiles`, in any order, as `decode` gives them."""
        ...


@dataclass(frozen=True)
class TileImagery:
    """An `Imagery` over Web Mercator tiles; can be sent to other processes."""

    store: TileStore
    info: ImageryInfo
    """Provenance; its `gsd_m` is that of the finest zoom at the equator, or in the middle of `bounds`."""
    zooms: tuple[int, int]
    """The coarsest and the finest there are."""
    tile_pixels: int = 256
    bounds: tuple[float, float, float, float] | None = None
    """``west, south, east, north`` in degrees, beyond which no tile is asked for."""

    @property
    def footprint(self) -> Geometry | None:
        """The bounds; None for everywhere."""
        return None if self.bounds is None else geometry_box(*self.bounds, crs=LONLAT)

    def zoom_for(self, box: GeoBox) -> int:
        """The coarsest zoom that is as fine on the ground as `box` is in its middle, of those there are."""
        row, col = box.shape[0] / 2, box.shape[1] / 2
        lat = float(transformer(box.crs, LONLAT).transform(*(box.affine * (col, row)))[1])
        needed_m = gsd_m(box) * _COARSER
        if not (math.isfinite(lat) and needed_m > 0):
            return self.zooms[0]
        exact = math.log2(ground_pixel_m(lat, 0, self.tile_pixels) / needed_m)
        return min(max(math.ceil(exact), self.zooms[0]), self.zooms[1])

    def read(self, box: GeoBox) -> xr.DataArray:
        """Pixels on exactly `box`, uint8, dims ``(y, x, band)``, bands `RGBA`; alpha 0 is no data.

        Raises `PartlyReadError` when some tiles fail, `ImageryError` when all do.
        """
        zoom = self.zoom_for(box)
        pixels = np.zeros((4, *box.shape), np.uint8)
        failed = np.zeros(box.shape, bool)
        errors: list[ImageryError] = []
        asked = 0
        for rows, cols in split_parts(box):
            window = self._window(box[rows, cols], zoom)
            if window is not None:
                self._check(window)
                asked += len(window.tiles)
                pixels[:, rows, cols], failed[rows, cols], reasons = self._warp(window, box[rows, cols])
                errors += reasons
        imagery = as_imagery(pixels[:3], pixels[3], None, box)
        if errors:
            some = f"{len(errors)} of {asked} tiles failed; the first: " if len(errors) < asked else ""
            raise PartlyReadError(f"{some}{errors[0]}", imagery, failed)
        return imagery

    def _window(self, box: GeoBox, zoom: int) -> "_Window | None":
        """The tiles under `box`; None when there are none, as near the poles and outside the bounds."""
        lon, lat = lonlat_mesh(box)
        seen = np.isfinite(lon) & np.isfinite(lat)
        if not seen.any():
            return None
        west, east, south, north = lon[seen].min(), lon[seen].max(), lat[seen].min(), lat[seen].max()
        if self.bounds is not None and not _meet((west, south, east, north), self.bounds):
            return None
        if south > MAX_LATITUDE_DEG or north < -MAX_LATITUDE_DEG:
            return None
        size, count = self.tile_pixels, 2**zoom
        margin = _MARGIN / size
        latitudes = np.clip([north, south], -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG)
        (left, right), (top, bottom) = tile_position([west, east], latitudes, zoom)
        rows = range(max(math.floor(top - margin), 0), min(math.floor(bottom + margin), count - 1) + 1)
        first, last = math.floor(left - margin), math.floor(right + margin)
        around = east - west > 180  # most of the world: the antimeridian is its edge, not in its middle
        return _Window(zoom, rows, range(count) if around else range(first, last + 1), size)

    def _check(self, window: "_Window") -> None:
        """Raise for ground so wide that its tiles are beyond memory and manners."""
        count = len(window.rows) * len(window.columns)
        if count * window.size**2 > _MOST_PIXELS:
            rule = f"zoom {window.zoom} is its coarsest, and this read would take {count} tiles"
            raise ImageryError(f"imagery {self.info.uri!r}: {rule}; take smaller patches, or coarser imagery")

    def _warp(
        self, window: "_Window", box: GeoBox
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_], list[ImageryError]]:
        """RGBA `[4, h, w]` on `box`, which of its pixels a failed tile touches, and why they failed."""
        mosaic, broken = window.empty(4), window.empty(1)
        errors = []
        for tile, found in self.store.fetch(window.tiles):
            for part in window.places(tile):
                if isinstance(found, ImageryError):
                    broken[:, *part] = 255
                elif found is not None:
                    mosaic[:, *part] = self._sized(found)
            if isinstance(found, ImageryError):
                errors.append(found)
        pixels = window.onto(box, mosaic, alpha=4)
        failed = window.onto(box, broken)[0] > 0 if errors else np.zeros(box.shape, bool)
        pixels[:, failed] = 0
        return pixels, failed, errors

    def _sized(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = self.tile_pixels
        if image.shape[1:] != (size, size):
            rule = f"its tiles are {image.shape[2]} px wide, not {size}"
            raise ImageryError(f"imagery {self.info.uri!r}: {rule}; say so in a source file: tile_pixels")
        return image


@dataclass(frozen=True)
class _Window:
    """A rectangle of tiles; columns go on past the antimeridian."""

    zoom: int
    rows: range
    columns: range
    size: int

    @property
    def tiles(self) -> list[Tile]:
        count = 2**self.zoom
        return sorted({(self.zoom, x % count, y) for y in self.rows for x in self.columns})

    def places(self, tile: Tile) -> Iterator[tuple[slice, slice]]:
        """Where a tile lies in the mosaic."""
        _, x, y = tile
        top = (y - self.rows[0]) * self.size
        for column in self.columns:
            if column % 2**self.zoom == x:
                left = (column - self.columns[0]) * self.size
                yield slice(top, top + self.size), slice(left, left + self.size)

    def empty(self, bands: int) -> NDArray[np.uint8]:
        return np.zeros((bands, len(self.rows) * self.size, len(self.columns) * self.size), np.uint8)

    def onto(self, box: GeoBox, mosaic: NDArray[np.uint8], alpha: int | None = None) -> NDArray[np.uint8]:
        """The mosaic on the pixels of `box`, its alpha band honoured."""
        count = 2**self.zoom
        across = self.columns[0] < 0 or self.columns[-1] >= count
        # `tile_affine` puts column 0 at 180 W; of _PACIFIC, whose x is 0 there, columns count from x = 0
        column = (self.columns[0] % count - count) + count / 2 if across else self.columns[0]
        affine = tile_affine(self.zoom, column, self.rows[0], self.size)
        coarse = gsd_m(box) / ground_pixel_m(_middle_lat(box), self.zoom, self.size) > _AVERAGE_ABOVE
        out = np.zeros((len(mosaic), *box.shape), np.uint8)
        reproject(
            mosaic,
            out,
            src_transform=affine,
            src_crs=str((_PACIFIC if across else _MERCATOR).to_wkt()),
            dst_transform=box.affine,
            dst_crs=str(box.crs.to_wkt()),
            src_alpha=alpha or 0,
            dst_alpha=alpha or 0,
            resampling=Resampling.average if coarse else Resampling.bilinear,
            tolerance=PLACED_TO,
        )
        return out


def finest_m(zoom: int, tile_pixels: int, bounds: tuple[float, float, float, float] | None) -> float:
    """The side of a pixel on the ground in metres, in the middle of `bounds` or at the equator."""
    lat = 0.0 if bounds is None else (bounds[1] + bounds[3]) / 2
    return float(round(ground_pixel_m(lat, zoom, tile_pixels), 6))


def decode(data: bytes) -> NDArray[np.uint8]:
    """An encoded tile as RGBA, band first, `[4, h, w]`. Raises `OSError` or `ValueError` when broken."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except UnidentifiedImageError:
        raise ValueError("it is no image") from None
    return np.ascontiguousarray(np.moveaxis(rgba, -1, 0))


def _middle_lat(box: GeoBox) -> float:
    return float(lonlat_mesh(box)[1][8, 8])


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    """Whether two ``west, south, east, north`` have a place in common, on whatever turn around the Earth."""
    if one[1] > other[3] or other[1] > one[3]:
        return False
    return any(one[0] + turn <= other[2] and other[0] <= one[2] + turn for turn in (-360, 0, 360))
