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
from sat2cap.geo.earth import LONLAT, transformer
from sat2cap.geo.region import Region, longitude_span, within_180

_WIDEST_UTM_DEG = 20.0  # 10 degrees from the central meridian lengths are at most 1.5% off
_MOST_CELLS = 2**31
_MASK_BLOCK = 64

PATCH_M = 480.0
"""Side of the ground that one patch shows the network in the paper: 800 px at 0.6 m."""


def local_crs(lon: float, lat: float) -> CRS:
    """The UTM zone of a point (degrees), by longitude alone; polar stereographic beyond 84 N and 80 S."""
    if lat > 84 or lat < -80:
        return CRS(f"EPSG:{32661 if lat > 0 else 32761}")
    zone = int((lon + 180) % 360 // 6) + 1
    return CRS(f"EPSG:{(32600 if lat >= 0 else 32700) + zone}")


def cell_grid(region: Region, cell_m: float = PATCH_M, crs: str | CRS | None = None) -> GeoBox:
    """The grid that covers `region`, one pixel a cell of `cell_m` metres, north up.

    Its edges are multiples of `cell_m` in the CRS, so grids of neighbouring regions in one CRS join.
    Without `crs`, the UTM zone of the region's middle. Metres are those of the CRS: in EPSG:3857 they are
    shorter on the ground by the cosine of the latitude. Raises `RegionError`.
    """
    if not (math.isfinite(cell_m) and cell_m > 0):
        raise RegionError(f"cell size {cell_m:g} m must be more than 0; the paper's patches cover 480")
    target = _region_crs(region) if crs is None else _metric_crs(crs)
    box = _project(region.geometry, target).boundingbox
    if not all(math.isfinite(edge) for edge in box):
        raise RegionError(f"region {region.label!r} does not fit in {target}; choose another CRS")
    left, top = math.floor(box.left / cell_m), math.ceil(box.top / cell_m)
    width, height = math.ceil(box.right / cell_m) - left, top - math.floor(box.bottom / cell_m)
    width, height = max(width, 1), max(height, 1)
    if width * height > _MOST_CELLS:
        size = f"{height} x {width} cells of {cell_m:g} m"
        raise RegionError(f"region {region.label!r} is {size}, too many; take less or larger cells")
    affine = Affine(cell_m, 0, left * cell_m, 0, -cell_m, top * cell_m)
    return GeoBox((height, width), affine, target)


def cell_mask(grid: GeoBox, region: Region, *, touched: bool = True) -> NDArray[np.bool_]:
    """Which cells of `grid` belong to `region`, bool [y, x].

    A cell belongs when any of its area is inside the region, so that a small region is never empty; with
    ``touched=False`` when its centre is inside, so that regions sharing a border share no cell.
    """
    shape = _project(region.geometry, grid.crs).geom
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
    """The imagery grid under a block of cells, `pixels` px to a cell side: one read serves the block."""
    block = grid[rows, cols]
    shape = (block.shape[0] * pixels, block.shape[1] * pixels)
    return GeoBox(shape, block.affine * Affine.scale(1 / pixels), grid.crs)


@dataclass(frozen=True)
class PatchGrid:
    """The imagery under the cells of a grid: a patch around the centre of each, on one lattice of pixels.

    Patches larger than their cells overlap and share pixels. Where a cell is no whole number of pixels, a
    patch starts at the nearest one; which, does not depend on the block it is read with.
    """

    cells: GeoBox
    """One pixel a cell, square."""
    patch_m: float
    """Side of a patch in metres of the CRS."""
    pixels: int
    """Pixels of that side."""

    @property
    def pixel_m(self) -> float:
        """Side of a pixel."""
        return self.patch_m / self.pixels

    def starts(self, cells: slice) -> list[int]:
        """The first pixel of the patches of a range of rows or columns, along the lattice."""
        step = abs(self.cells.affine.a) / self.pixel_m
        return [math.floor(cell * step + 0.5) for cell in range(cells.start, cells.stop)]

    def box(self, rows: slice, cols: slice) -> GeoBox:
        """The pixels under a block of cells: one read serves all its patches."""
        down, across = self.starts(rows), self.starts(cols)
        a, overhang = self.cells.affine, (self.patch_m - abs(self.cells.affine.a)) / 2
        left, top = a.c - overhang + across[0] * self.pixel_m, a.f + overhang - down[0] * self.pixel_m
        shape = (down[-1] - down[0] + self.pixels, across[-1] - across[0] + self.pixels)
        return GeoBox(shape, Affine(self.pixel_m, 0, left, 0, -self.pixel_m, top), self.cells.crs)


def patch_around(lon: float, lat: float, size_m: float, pixels: int) -> GeoBox:
    """A square of `size_m` metres and `pixels` px a side around a point (degrees), north up in its UTM."""
    crs = local_crs(lon, lat)
    x, y = transformer(LONLAT, crs).transform(lon, lat)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise RegionError(f"{lon:g},{lat:g} is not a place on Earth; give lon,lat in degrees")
    step = size_m / pixels
    return GeoBox((pixels, pixels), Affine(step, 0, x - size_m / 2, 0, -step, y + size_m / 2), crs)


def cell_lonlat(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``(lon, lat)`` in degrees of the cell centres, float64 [y, x] each."""
    row, col = np.meshgrid(np.arange(grid.shape[0]) + 0.5, np.arange(grid.shape[1]) + 0.5, indexing="ij")
    x, y = grid.affine * (col, row)
    lon, lat = transformer(grid.crs, LONLAT).transform(x, y)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)


def outline(grid: GeoBox) -> Geometry:
    """The edge of `grid` in EPSG:4326, within -180 to 180: two parts when across the antimeridian."""
    box = grid.boundingbox
    ring = grid.extent.segmented(max(box.span_x, box.span_y) / 64).exterior.coords
    lon, lat = (np.asarray(part) for part in transformer(grid.crs, LONLAT).transform(*np.array(ring).T))
    if not np.isfinite([lon, lat]).all():
        return _box_within(grid)
    lon = np.unwrap(lon, period=360)
    if abs(lon[-1] - lon[0]) > 180:  # once around the Earth: a pole is inside
        south, north = (float(lat.min()), 90.0) if lat.mean() > 0 else (-90.0, float(lat.max()))
        return Geometry(shapely.box(-180, south, 180, north), LONLAT)
    return Geometry(within_180(shapely.Polygon(np.column_stack([lon, lat]))), LONLAT)


def _box_within(grid: GeoBox) -> Geometry:
    """What of a `grid` is on Earth, as a box in EPSG:4326: for one of the world, which overhangs it."""
    rows, cols = (np.linspace(0, size, 65) for size in grid.shape)
    x, y = grid.affine * tuple(np.meshgrid(cols, rows))
    lon, lat = (np.asarray(part) for part in transformer(grid.crs, LONLAT).transform(x, y))
    here = np.isfinite(lon) & np.isfinite(lat)
    if not here.any():
        raise RegionError(f"a grid in {grid.crs} has no place on Earth; choose another CRS")
    lon, lat = lon[here], lat[here]
    return Geometry(shapely.box(lon.min(), lat.min(), lon.max(), lat.max()), LONLAT)


def _region_crs(region: Region) -> CRS:
    west, east = longitude_span(region.geometry)
    box = region.geometry.boundingbox
    crs = local_crs((west + east) / 2, (box.bottom + box.top) / 2)
    polar = crs.epsg in (32661, 32761)
    if east - west > _WIDEST_UTM_DEG and not polar:
        rule = f"one UTM zone serves at most {_WIDEST_UTM_DEG:g}"
        if east - west > 180:
            rule += ", and a west beyond the east goes around the Earth"
        raise RegionError(
            f"region {region.label!r} spans {east - west:.1f} degrees; {rule}: take a part of it, "
            "or give a CRS in metres that serves all of it, such as EPSG:6933"
        )
    return crs


def _metric_crs(crs: str | CRS) -> CRS:
    try:
        target = CRS(crs)
    except (CRSError, ValueError):
        raise RegionError(f"CRS {str(crs)!r} is not known; give one in metres, such as EPSG:32631") from None
    if not target.projected or set(target.units) != {"metre"}:
        raise RegionError(f"CRS {target} is not in metres; give one that is, such as EPSG:32631")
    return target


def _project(geometry: Geometry, crs: CRS) -> Geometry:
    """Into `crs`, with points added so that a long straight edge bends as it should."""
    box = geometry.boundingbox
    return geometry.to_crs(crs, resolution=max(box.span_x, box.span_y) / 256)


def _fill_block(
    block: NDArray[np.bool_], top: int, left: int, shape: shapely.Geometry, touched: bool
) -> None:
    """Set the cells of one block; `shape` is prepared, in cell coordinates. Far from its edges: one test."""
    height, width = block.shape
    outline = shapely.box(left, top, left + width, top + height)
    if shapely.contains(shape, outline):
        block[:] = True
        return
    if not shapely.intersects(shape, outline):
        return
    row, col = np.meshgrid(np.arange(height) + top, np.arange(width) + left, indexing="ij")
    if touched:
        edge = 1e-6  # a border that only runs along a cell's edge does not make it the region's
        cells = shapely.box(col + edge, row + edge, col + 1 - edge, row + 1 - edge)
        block[:] = shapely.intersects(shape, cells)
    else:
        block[:] = shapely.intersects_xy(shape, col + 0.5, row + 0.5)
