"""Share of every cell that each class covers, sampled from rasters, polygons or the miniature world."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT

from sat2cap.catalogue import find_world
from sat2cap.errors import ImageryError, InputError
from sat2cap.evaluation.maps.classes import Classes, LandClass, Value
from sat2cap.geo import VectorFile, cell_lonlat, patch_box
from sat2cap.imagery import open_dataset
from sat2cap.miniworld import LandCover, World, classify_land_cover, sample_terrain, to_web_mercator

Float32 = NDArray[np.float32]
Read = Callable[[GeoBox], NDArray[np.int64]]
"""A function that reads class numbers `[h, w]` on a fine grid."""

_VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet")
_POINTS = 16
"""Points a side that a cell is sampled at."""
_LEAST_KNOWN_SHARE = 0.5
"""Share of a cell that the reference must know for the cell to be judged."""
_ROWS = 64


def class_shares(classes: Classes, grid: GeoBox) -> Float32:
    """Return the share of each cell that each class with values covers: float32 [classes, y, x], 0 to 1.

    The reference is sampled at 16 by 16 points a cell, and the share is of the points where it has a value.
    A cell where it has a value at fewer than half of the points is NaN. Classes without values, whose truth
    is elsewhere, have no layer. Raises `InputError` if the reference cannot be read or has no CRS, or if its
    values are not of the kind that the classes name.
    """
    covered = [kind for kind in classes.classes if kind.values]
    out = np.full((len(covered), *grid.shape), np.nan, np.float32)
    read = _choose_reader(classes, covered, str(grid.crs))
    for top in range(0, grid.shape[0], _ROWS):
        rows = slice(top, min(top + _ROWS, grid.shape[0]))
        codes = read(patch_box(grid, rows, slice(None), _POINTS))
        cells = codes.reshape(rows.stop - top, _POINTS, grid.shape[1], _POINTS)
        known_points = (cells >= 0).sum((1, 3))
        enough = known_points >= _LEAST_KNOWN_SHARE * _POINTS**2
        for index in range(len(covered)):
            share = (cells == index).sum((1, 3)) / np.maximum(known_points, 1)
            out[index, rows][enough] = share[enough]
    return out


class _Codes:
    """Maps a reference's values to the number of their class; -1 unknown, len(classes) none of them."""

    def __init__(self, covered: list[LandClass]) -> None:
        self.other = len(covered)
        self.of = {value: index for index, kind in enumerate(covered) for value in kind.values}

    def __call__(self, values: NDArray[np.int64], has_value: NDArray[np.bool_]) -> NDArray[np.int64]:
        distinct, inverse = np.unique(values, return_inverse=True)
        table = np.array([self.of.get(int(value), self.other) for value in distinct], np.int64)
        return np.where(has_value, table[inverse.reshape(values.shape)], -1)


def _choose_reader(classes: Classes, covered: list[LandClass], crs: str) -> Read:
    world = find_world(classes.reference)
    if world is not None:
        return _miniworld_reader(world, covered)
    if Path(classes.reference).suffix.lower() in _VECTORS:
        return _polygon_reader(classes, covered, crs)
    return _raster_reader(classes.reference, covered)


def _raster_reader(path: str, covered: list[LandClass]) -> Read:
    """Return a function that reads the class of each pixel of a grid from a raster."""
    codes = _Codes(covered)
    if any(isinstance(value, str) for kind in covered for value in kind.values):
        raise InputError(f"reference {path!r} is a raster, whose classes are numbers; write values = [1, 2]")

    def read(box: GeoBox) -> NDArray[np.int64]:
        """Return the class of each pixel of a grid. Raises `InputError` if the file cannot be read."""
        try:
            with open_dataset(path) as source:
                if source.crs is None:
                    raise InputError(f"reference {path!r} has no CRS; assign one with gdal_translate -a_srs")
                options = {
                    "crs": str(box.crs),
                    "transform": box.affine,
                    "height": box.shape[0],
                    "width": box.shape[1],
                    "resampling": Resampling.nearest,
                }
                with WarpedVRT(source, **options) as warped:
                    band = warped.read(1, masked=True)
                    inside = warped.dataset_mask() > 0
        except ImageryError as error:
            raise InputError(f"reference {path!r}: {error}") from None
        has_value = ~np.ma.getmaskarray(band) & inside
        return codes(np.asarray(band.filled(0)).astype(np.int64), has_value)

    return read


def _polygon_reader(classes: Classes, covered: list[LandClass], crs: str) -> Read:
    """Return a function that draws the class of each pixel of a grid from polygons. Raises `InputError`."""
    codes = _Codes(covered)
    polygons = _read_polygons(classes.reference, classes.layer)
    if polygons.crs is None:
        raise InputError(f"reference {classes.reference!r} has no CRS; save it with one")
    if classes.column not in polygons.columns:
        columns = ", ".join(name for name in polygons.columns if name != "geometry")
        raise InputError(f"column {classes.column!r} is not in {classes.reference}; use one of {columns}")
    values = polygons[classes.column]
    number = [
        codes.of.get("" if missing else _plain_value(value), codes.other)
        for value, missing in zip(values, values.isna(), strict=True)
    ]

    shapes = polygons.geometry.to_crs(crs)
    drawn = ~(shapes.isna() | shapes.is_empty)
    burnt = [(shape, code) for shape, code, has in zip(shapes, number, drawn, strict=True) if has]

    def read(box: GeoBox) -> NDArray[np.int64]:
        if not burnt:
            return np.full(box.shape, -1, np.int64)
        return np.asarray(
            rasterize(burnt, out_shape=box.shape, transform=box.affine, fill=-1, dtype="int32"), np.int64
        )

    return read


def _read_polygons(path: str, layer: str | None) -> gpd.GeoDataFrame:
    form = "give a GeoPackage, GeoJSON or GeoParquet"
    return VectorFile(path, "reference", form, InputError, layer_option="layer").read(layer)


def _plain_value(value: Any) -> Value:
    """Return a value of a column as a file of classes writes it: a whole number, or text for all else."""
    return int(value) if isinstance(value, int | float | np.number) else str(value)


def _miniworld_reader(world: World, covered: list[LandClass]) -> Read:
    """Return a function that asks the made-up planet for the class of each pixel. Raises `InputError`."""
    names = {kind.name.lower().replace("_", " "): kind.value for kind in LandCover}
    unknown = [v for kind in covered for v in kind.values if v not in names]
    if unknown:
        raise InputError(f"{unknown[0]!r} covers nothing in the miniature world; known: {', '.join(names)}")
    codes = _Codes(covered)
    codes.of = {names[str(value)]: index for value, index in codes.of.items()}

    def read(box: GeoBox) -> NDArray[np.int64]:
        x, y = to_web_mercator(*cell_lonlat(box))
        height, width = box.shape[0] // _POINTS, box.shape[1] // _POINTS
        blocks = [
            side.reshape(height, _POINTS, width, _POINTS).swapaxes(1, 2).reshape(-1, _POINTS, _POINTS)
            for side in (x, y)
        ]
        kind = classify_land_cover(sample_terrain(blocks[0], blocks[1], world.seed), world.seed).astype(
            np.int64
        )
        kind = kind.reshape(height, width, _POINTS, _POINTS).swapaxes(1, 2).reshape(box.shape)
        return codes(kind, np.ones(box.shape, bool))

    return read
