"""Grids of cells, and the finer grids of imagery under them."""

import math
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS, CRSError
from odc.geo.geobox import GeoBox
from odc.geo.geom import Geometry

from sat2cap.errors import RegionError
from sat2cap.geo.earth import cell_lonlat as cell_lonlat
from sat2cap.geo.earth import transformer
from sat2cap.geo.edges import divide_long_edges
from sat2cap.geo.region import Region, longitude_span, within_180
from sat2cap.geo.utm_zones import utm_codes

_MAX_UTM_SPAN_DEG = 20.0  # 10 degrees from the central meridian lengths are at most 1.5% off
_MAX_CELLS = 2**31
_MASK_BLOCK = 64  # cells

LONLAT = CRS("EPSG:4326")
"""Degrees, WGS 84; coordinates in this package are always ``(lon, lat)``."""

PATCH_M = 480.0
"""Side of the ground that one patch shows the network in the paper: 800 px at 0.6 m."""


def local_crs(lon: float, lat: float) -> CRS:
    """Return the UTM zone of a point (degrees), or polar stereographic (UPS) beyond 84 N and 80 S.

    The zone is chosen by longitude alone, without the exceptions around Norway and Svalbard.
    """
    return CRS(f"EPSG:{int(utm_codes(lon, lat))}")


def cell_grid(
    region: Region, cell_m: float = PATCH_M, crs: str | CRS | None = None, *, origin_cells: int = 1
) -> GeoBox:
    """Return the grid that covers `region`, north up; one pixel of it is a cell of `cell_m` metres.

    Its edges are multiples of `cell_m` in the CRS, so that grids of neighbouring regions in one CRS join.
    `crs` defaults to the UTM zone of the region's middle. Metres are those of the CRS: in EPSG:3857 they are
    shorter on the ground by the cosine of the latitude. With `origin_cells`, its left and upper edge are
    multiples of so many cells, and so are the edges of its chunks. Raises `RegionError` if `cell_m` is not
    positive, `crs` is unknown or not in metres, or the region is too wide for it or has more than 2**31
    cells.

    Example:
        cell_grid(parse_region("4.7,52.3,5.0,52.5"))    # in EPSG:32631, 480 m
    """
    if not (math.isfinite(cell_m) and cell_m > 0):
        raise RegionError(f"cell size {cell_m:g} m must be more than 0; the paper's patches cover 480")
    target = _region_crs(region) if crs is None else _metric_crs(crs)
    box = _project_densely(region.geometry, target).boundingbox
    if not all(math.isfinite(edge) for edge in box):
        raise RegionError(f"region {region.label!r} does not fit in {target}; choose another CRS")
    if (box.span_x / cell_m) * (box.span_y / cell_m) > 4 * _MAX_CELLS:
        size = f"{box.span_y / cell_m:.3g} x {box.span_x / cell_m:.3g} cells of {cell_m:g} m"
        raise RegionError(f"region {region.label!r} is {size}, too many; take less or larger cells")
    left = math.floor(box.left / cell_m / origin_cells) * origin_cells
    top = math.ceil(box.top / cell_m / origin_cells) * origin_cells
    width, height = math.ceil(box.right / cell_m) - left, top - math.floor(box.bottom / cell_m)
    width, height = max(width, 1), max(height, 1)
    if width * height > _MAX_CELLS:
        size = f"{height} x {width} cells of {cell_m:g} m"
        raise RegionError(f"region {region.label!r} is {size}, too many; take less or larger cells")
    affine = Affine(cell_m, 0, left * cell_m, 0, -cell_m, top * cell_m)
    return GeoBox((height, width), affine, target)


def is_wider_than_utm(region: Region) -> bool:
    """Return whether a region is too wide for one UTM zone, but does not go around half of the Earth.

    What goes farther is more likely a bounding box whose west and east were swapped.
    """
    west, east = longitude_span(region.geometry)
    return _MAX_UTM_SPAN_DEG < east - west <= 180 and not _is_polar(_middle_crs(region))


def cell_mask(grid: GeoBox, region: Region, *, touched: bool = True) -> NDArray[np.bool_]:
    """Return which cells of `grid` belong to `region`, bool ``[y, x]``.

    A cell belongs if any of its area is inside the region, so that a small region is never empty; with
    ``touched=False`` if its centre is inside, so that regions sharing a border share no cell.
    """
    shape = _project_densely(region.geometry, grid.crs).geom
    to_cells = ~grid.affine
    matrix = [to_cells.a, to_cells.b, to_cells.d, to_cells.e, to_cells.c, to_cells.f]
    shape = shapely.transform(shape, lambda xy: xy @ np.reshape(matrix[:4], (2, 2)).T + matrix[4:])
    shapely.prepare(shape)
    mask = np.zeros(grid.shape, dtype=bool)
    for top in range(0, grid.shape[0], _MASK_BLOCK):
        for left in range(0, grid.shape[1], _MASK_BLOCK):
            block = mask[top : top + _MASK_BLOCK, left : left + _MASK_BLOCK]
            _fill_block(block, top, left, shape, touched)
    return mask


def patch_box(grid: GeoBox, rows: slice, cols: slice, pixels: int) -> GeoBox:
    """Return the grid of imagery under a block of cells, `pixels` px per cell side.

    One read of it gives the imagery of all cells in `rows` and `cols`.
    """
    block = grid[rows, cols]
    shape = (block.shape[0] * pixels, block.shape[1] * pixels)
    return GeoBox(shape, block.affine @ Affine.scale(1 / pixels), grid.crs)


@dataclass(frozen=True)
class PatchGrid:
    """The patches around the centres of a grid's cells, cut from one lattice of pixels.

    Patches larger than their cells overlap and share pixels. Where a cell is not a whole number of pixels,
    its patch starts at the nearest pixel, whichever block it is read with::

        cells      |-----|-----|-----|
        patches  |---------|                 patch 0, pixels 0 to P
                       |---------|           patch 1, from pixel patch_starts[1]
    """

    cells: GeoBox
    """The grid of cells, which are square."""
    patch_m: float
    """Side of a patch, in metres of the CRS."""
    pixels: int
    """Side of a patch, in pixels."""

    @property
    def pixel_m(self) -> float:
        """Side of a pixel, in metres of the CRS."""
        return self.patch_m / self.pixels

    def patch_starts(self, cells: slice) -> list[int]:
        """Return the first pixel of the patch of each row (or column) of `cells`.

        Counted from the edge of the lattice, and rounded to whole pixels: a patch is at most half a pixel off
        its cell's centre.
        """
        step = abs(self.cells.affine.a) / self.pixel_m
        return [math.floor(cell * step + 0.5) for cell in range(cells.start, cells.stop)]

    def pixel_box(self, rows: slice, cols: slice) -> GeoBox:
        """Return the grid of the pixels under a block of cells; one read of it holds all their patches.

        Patches reach beyond their cells, so the box is larger than the block by a patch less a cell.
        """
        down, across = self.patch_starts(rows), self.patch_starts(cols)
        a, overhang = self.cells.affine, (self.patch_m - abs(self.cells.affine.a)) / 2
        left, top = a.c - overhang + across[0] * self.pixel_m, a.f + overhang - down[0] * self.pixel_m
        shape = (down[-1] - down[0] + self.pixels, across[-1] - across[0] + self.pixels)
        return GeoBox(shape, Affine(self.pixel_m, 0, left, 0, -self.pixel_m, top), self.cells.crs)


def patch_around(lon: float, lat: float, size_m: float, pixels: int) -> GeoBox:
    """Return a square of `size_m` metres and `pixels` px a side around a point in degrees.

    It is north up in the point's UTM zone, see `local_crs`. Raises `RegionError` if there is no such point.
    """
    is_place = math.isfinite(lon) and math.isfinite(lat)
    crs = local_crs(lon, lat) if is_place else LONLAT
    x, y = transformer(LONLAT, crs).transform(lon, lat)
    if not (is_place and math.isfinite(x) and math.isfinite(y)):
        raise RegionError(f"{lon:g},{lat:g} is not a place on Earth; give lon,lat in degrees")
    step = size_m / pixels
    return GeoBox((pixels, pixels), Affine(step, 0, x - size_m / 2, 0, -step, y + size_m / 2), crs)


def outline(grid: GeoBox) -> Geometry:
    """Return the area of `grid` in EPSG:4326, within -180 to 180.

    It has two parts if it crosses the antimeridian. Raises `RegionError` if no part of it is on Earth.
    """
    box = grid.boundingbox
    longest = max(box.span_x, box.span_y) / 64
    ring = shapely.get_coordinates(divide_long_edges(grid.extent, longest).geom.exterior)
    lon, lat = (np.asarray(part) for part in transformer(grid.crs, LONLAT).transform(*ring.T))
    if not np.isfinite([lon, lat]).all():
        return _lonlat_box(grid)
    lon = np.unwrap(lon, period=360)
    if abs(lon[-1] - lon[0]) > 180:  # once around the Earth: a pole is inside
        south, north = (float(lat.min()), 90.0) if lat.mean() > 0 else (-90.0, float(lat.max()))
        return Geometry(shapely.box(-180, south, 180, north), LONLAT)
    return Geometry(within_180(shapely.Polygon(np.column_stack([lon, lat]))), LONLAT)


def _lonlat_box(grid: GeoBox) -> Geometry:
    """Return the bounding box, in EPSG:4326, of the part of `grid` that is on Earth.

    For grids of the whole world, whose corners lie outside their projection.
    """
    rows, cols = (np.linspace(0, size, 65) for size in grid.shape)
    x, y = grid.affine @ tuple(np.meshgrid(cols, rows))
    lon, lat = (np.asarray(part) for part in transformer(grid.crs, LONLAT).transform(x, y))
    on_earth = np.isfinite(lon) & np.isfinite(lat)
    if not on_earth.any():
        raise RegionError(f"a grid in {grid.crs} has no place on Earth; choose another CRS")
    lon, lat = lon[on_earth], lat[on_earth]
    return Geometry(shapely.box(lon.min(), lat.min(), lon.max(), lat.max()), LONLAT)


def _region_crs(region: Region) -> CRS:
    """Return the UTM zone of the region's middle. Raises `RegionError` if the region is too wide for one."""
    west, east = longitude_span(region.geometry)
    crs = _middle_crs(region)
    if east - west > _MAX_UTM_SPAN_DEG and not _is_polar(crs):
        rule = f"one UTM zone serves at most {_MAX_UTM_SPAN_DEG:g}"
        if east - west > 180:
            rule += ", and a west beyond the east goes around the Earth"
        raise RegionError(
            f"region {region.label!r} spans {east - west:.1f} degrees; {rule}: take a part of it, "
            "or give a CRS in metres that serves all of it, such as EPSG:6933, or utm for all its zones"
        )
    return crs


def _middle_crs(region: Region) -> CRS:
    """Return the UTM zone, or polar cap, of the middle of a region."""
    west, east = longitude_span(region.geometry)
    box = region.geometry.boundingbox
    return local_crs((west + east) / 2, (box.bottom + box.top) / 2)


def _is_polar(crs: CRS) -> bool:
    return crs.epsg in (32661, 32761)


def _metric_crs(crs: str | CRS) -> CRS:
    """Return `crs`. Raises `RegionError` if it is not known or not in metres."""
    try:
        target = CRS(crs)
    except (CRSError, ValueError):
        raise RegionError(f"CRS {str(crs)!r} is not known; give one in metres, such as EPSG:32631") from None
    if not target.projected or {axis.unit_name for axis in target.proj.axis_info} != {"metre"}:
        raise RegionError(f"CRS {target} is not in metres; give one that is, such as EPSG:32631")
    return target


def _project_densely(geometry: Geometry, crs: CRS) -> Geometry:
    """Return `geometry` in `crs`, with points added so that long straight edges bend as they should."""
    box = geometry.boundingbox
    longest = max(box.span_x, box.span_y) / 256
    return divide_long_edges(geometry, longest).to_crs(crs)


def _fill_block(
    block: NDArray[np.bool_], top: int, left: int, shape: shapely.Geometry, touched: bool
) -> None:
    """Set the cells of one block that belong to `shape`, which is prepared and in cell coordinates.

    A block that lies wholly inside or outside needs one test.
    """
    height, width = block.shape
    block_area = shapely.box(left, top, left + width, top + height)
    if shapely.contains(shape, block_area):
        block[:] = True
        return
    if not shapely.intersects(shape, block_area):
        return
    row, col = np.meshgrid(np.arange(height) + top, np.arange(width) + left, indexing="ij")
    if touched:
        margin = 1e-6  # a border that only runs along the edge of a cell does not touch it
        cells = shapely.box(col + margin, row + margin, col + 1 - margin, row + 1 - margin)
        block[:] = shapely.intersects(shape, cells)
    else:
        block[:] = shapely.intersects_xy(shape, col + 0.5, row + 0.5)
