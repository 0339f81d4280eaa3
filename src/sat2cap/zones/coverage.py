"""The cells that each zone covers, how much ground of each, and the ground area of zones and cells.

Areas are those of the WGS 84 ellipsoid. They are computed in EPSG:6933, a cylindrical projection in which
equal ground has equal area, so a cell in a UTM zone, in Web Mercator or in degrees counts for the ground that
it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from sat2cap.geo import LONLAT, UtmZone, outline, transformer, within_180

_EQUAL_AREA = CRS("EPSG:6933")
_WORLD_WIDTH_M = 2 * 17_367_530.445
"""Width of the Earth in EPSG:6933, metres."""
_MARGIN_DEG = 0.5
"""Ground kept around the grid when zones are cut to it before they are projected."""
_EDGE_PARTS = 256
"""Parts that an edge as long as its zone is divided into before it is projected."""
_ZONES_AT_ONCE = 64


@dataclass(frozen=True)
class ZoneCells:
    """The cells that one zone covers, in part or whole."""

    cells: NDArray[np.int64]
    """Flat indices of n cells in the grid, row by row from the top."""
    km2: NDArray[np.float64]
    """Ground of each that lies inside the zone, `[n]`, all more than 0."""


def cover_cells(
    shapes: Sequence[shapely.Geometry], crs: CRS, grids: Sequence[tuple[UtmZone | None, GeoBox]]
) -> Iterator[ZoneCells]:
    """Yield the cells of north-up grids that each zone covers, in the order of `shapes`.

    `shapes` are valid polygons in `crs` (`polygons_of`); an empty one, or one beside the grids, covers none.
    A grid with a UTM zone holds the ground of that alone, so that no ground is covered twice. Cells are
    counted on from grid to grid.
    """
    starts = np.cumsum([0, *(grid.shape[0] * grid.shape[1] for _, grid in grids)])
    by_grid = [_cover_grid(shapes, crs, grid, utm_zone) for utm_zone, grid in grids]
    for pieces in zip(*by_grid, strict=True):
        cells = [piece.cells + start for piece, start in zip(pieces, starts, strict=False)]
        yield ZoneCells(np.concatenate(cells), np.concatenate([piece.km2 for piece in pieces]))


def _cover_grid(
    shapes: Sequence[shapely.Geometry], crs: CRS, grid: GeoBox, utm_zone: UtmZone | None
) -> Iterator[ZoneCells]:
    """Yield the cells of one grid that each zone covers of the ground in a UTM zone, or of all."""
    left, bottom, right, top = grid.boundingbox
    raster = NumPyRasterSource(np.broadcast_to(np.uint8(1), grid.shape), left, bottom, right, top)
    cell_km2 = cell_areas_km2(grid).ravel()
    for start in range(0, len(shapes), _ZONES_AT_ONCE):
        batch, batch_crs = shapes[start : start + _ZONES_AT_ONCE], crs
        if utm_zone is not None:
            batch = [polygons_of(utm_zone.clip(_to_lonlat(shape, crs))) for shape in batch]
            batch_crs = LONLAT
        projected = _project_to_grid(batch, batch_crs, grid)
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
            for shape in projected
            if not shape.is_empty
        ]
        covered = iter(exact_extract(raster, features, ["cell_id", "coverage"]) if features else [])
        for shape in projected:
            if shape.is_empty:
                yield ZoneCells(np.empty(0, np.int64), np.empty(0))
                continue
            columns = next(covered)["properties"]
            cells = np.asarray(columns["cell_id"], np.int64)
            km2 = np.asarray(columns["coverage"], np.float64) * cell_km2[cells]
            yield ZoneCells(cells[km2 > 0], km2[km2 > 0])


def polygons_of(geometry: shapely.Geometry | None) -> shapely.Geometry:
    """Return the polygons of a geometry, repaired where they are invalid; empty if there are none.

    A ring that crosses itself is read by the even-odd rule, as GIS programs draw it. Heights are dropped.
    """
    if geometry is None or geometry.is_empty:
        return shapely.Polygon()
    pieces = shapely.get_parts(shapely.get_parts([shapely.make_valid(shapely.force_2d(geometry))]))
    pieces = pieces[np.isin(shapely.get_type_id(pieces), [3, 6])]
    return shapely.union_all(pieces) if len(pieces) > 1 else pieces[0] if len(pieces) else shapely.Polygon()


def zone_areas_km2(shapes: Sequence[shapely.Geometry], crs: CRS) -> NDArray[np.float64]:
    """Return the ground area of polygons, km², float64 `[len(shapes)]`, in an equal-area projection.

    `crs` is the CRS of `shapes`; edges are divided first, so that long ones keep their course.
    """
    in_equal_area = [_project(_to_lonlat(shape, crs), LONLAT, _EQUAL_AREA) for shape in shapes]
    return np.asarray(shapely.area(in_equal_area)) / 1e6


def cell_areas_km2(grid: GeoBox) -> NDArray[np.float64]:
    """Return the ground area of every cell of a grid, km², float64 `[y, x]`.

    That of the quadrilateral between a cell's corners in EPSG:6933, by the shoelace formula: half the cross
    product of its diagonals.
    """
    row, col = np.meshgrid(np.arange(grid.shape[0] + 1), np.arange(grid.shape[1] + 1), indexing="ij")
    a = grid.affine
    x, y = transformer(grid.crs, _EQUAL_AREA).transform(a.c + a.a * col, a.f + a.e * row)
    x, y = np.asarray(x), np.asarray(y)

    def around_the_world(step_m: NDArray[np.float64]) -> NDArray[np.float64]:
        return step_m - _WORLD_WIDTH_M * np.round(step_m / _WORLD_WIDTH_M)

    down_x, down_y = around_the_world(x[1:, 1:] - x[:-1, :-1]), y[1:, 1:] - y[:-1, :-1]
    up_x, up_y = around_the_world(x[:-1, 1:] - x[1:, :-1]), y[:-1, 1:] - y[1:, :-1]
    return np.asarray(np.nan_to_num(np.abs(down_x * up_y - up_x * down_y) / 2e6))


def _project_to_grid(shapes: Sequence[shapely.Geometry], crs: CRS, grid: GeoBox) -> list[shapely.Geometry]:
    """Return polygons in the CRS of the grid, without what lies far from it: that may have no place there."""
    if crs == grid.crs:
        return list(shapes)
    near = within_180(shapely.buffer(outline(grid).geom, _MARGIN_DEG))
    near = shapely.intersection(near, shapely.box(-180, -90, 180, 90))
    cut = (shapely.intersection(_to_lonlat(shape, crs), near) for shape in shapes)
    return [polygons_of(_project(polygons_of(shape), LONLAT, grid.crs)) for shape in cut]


def _to_lonlat(shape: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    """Return polygons in degrees, longitudes within -180 to 180."""
    lonlat = shape if crs == LONLAT else _project(shape, crs, LONLAT)
    if lonlat.is_empty or not np.isfinite(lonlat.bounds).all():
        return shapely.Polygon()
    return polygons_of(within_180(lonlat))


def _project(shape: shapely.Geometry, source: CRS, target: CRS) -> shapely.Geometry:
    """Return a shape in another CRS, with points added so that a long straight edge bends as it should."""
    if shape.is_empty:
        return shape
    left, bottom, right, top = shape.bounds
    divided = shapely.segmentize(shape, max(right - left, top - bottom) / _EDGE_PARTS)
    to_target = transformer(source, target)
    return shapely.transform(divided, lambda xy: np.column_stack(to_target.transform(xy[:, 0], xy[:, 1])))
