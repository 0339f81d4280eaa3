"""Regions in files of shapes: their polygons joined, of a layer and of features chosen by their values."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.errors import RegionError
from sat2cap.geo.degrees import find_long_edge, shapes_in_degrees
from sat2cap.geo.region import REGION_FORMS
from sat2cap.geo.vector_file import VectorFile, list_names

if TYPE_CHECKING:  # a region in numbers needs neither tables nor their files
    import geopandas


_LARGEST_LON_DEG = 360.0  # of files that go on beyond the antimeridian instead of starting anew


def read_polygons(path: str, layer: str | None = None, where: Sequence[str] = ()) -> shapely.Geometry:
    """Return the polygons of a file joined to one geometry, in degrees (EPSG:4326), without heights.

    `layer` chooses a layer, needed if several hold geometries; `where` chooses features, of which every
    ``FIELD=VALUE`` must be true. Raises `RegionError` if the file cannot be read, a choice does not exist, or
    there are no polygons, no CRS, or latitudes beyond 90 degrees.
    """
    table = VectorFile(path).read(layer)
    for condition in where:
        table = table[_matching_rows(path, table, condition)]
    if table.crs is None:
        raise RegionError(f"region {path!r} does not say its CRS; add one, for example in QGIS")
    shapes = shapes_in_degrees(table.geometry.dropna().to_numpy(), table.crs)
    if table.crs.is_geographic and (edge := find_long_edge(shapes)) is not None:
        rule = f"an edge from longitude {edge[0]:g} to {edge[1]:g}, which is taken the long way round"
        fix = "if it crosses the antimeridian, cut it there"
        warnings.warn(f"region {path!r} has {rule}; {fix}", stacklevel=2)
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        raise RegionError(f"region {path!r} has coordinates that are no numbers; check the CRS it declares")
    shapes = shapely.make_valid(shapes)
    pieces = shapely.get_parts(shapely.get_parts(shapes))  # make_valid may put multipolygons in collections
    pieces = pieces[np.isin(shapely.get_type_id(pieces), [3, 6]) & (shapely.area(pieces) > 0)]
    if pieces.size == 0:
        raise RegionError(f"region {path!r} has no polygons; {REGION_FORMS}")
    west, south, east, north = shapely.total_bounds(pieces)
    if not (south >= -90 and north <= 90):
        raise RegionError(f"region {path!r} has latitudes beyond 90 degrees; check the CRS it declares")
    if not (west >= -_LARGEST_LON_DEG and east <= _LARGEST_LON_DEG):
        raise RegionError(f"region {path!r} has longitudes beyond 360 degrees; check the CRS it declares")
    return shapely.union_all(pieces)


def _matching_rows(path: str, table: "geopandas.GeoDataFrame", condition: str) -> NDArray[np.bool_]:
    """Return which rows have the value that ``FIELD=VALUE`` names, bool ``[N]``.

    Numbers are compared as numbers, all else as text.
    """
    field, equals, value = (part.strip() for part in condition.partition("="))
    fields = [str(name) for name in table.columns if name != table.geometry.name]
    if not equals or field not in fields:
        rule = f"is not FIELD=VALUE with a field of {path!r}"
        raise RegionError(f"filter {condition!r} {rule}; it has: {list_names(fields)}")
    column = table[field]
    if column.dtype.kind in "iuf":
        try:
            rows: NDArray[np.bool_] = (column == float(value)).to_numpy()
        except ValueError:
            rows = np.zeros(len(table), bool)
    else:
        rows = (column.astype(str) == (value.capitalize() if column.dtype.kind == "b" else value)).to_numpy()
    if not rows.any():
        values = column.dropna() if column.dtype.kind in "iuf" else column.dropna().astype(str)
        existing = list_names([str(value) for value in sorted(set(values))])
        raise RegionError(f"no feature of {path!r} has {field}={value}; it has: {existing}")
    return rows
