"""Polygons in files: any format of GDAL, archives of them, and GeoParquet; layers and features by name."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

from sat2cap.errors import RegionError
from sat2cap.geo.region import REGION_FORMS

if TYPE_CHECKING:  # a region in numbers needs neither tables nor their files
    import geopandas

_MAX_LISTED = 12  # names in an error message
_PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")
_ARCHIVED_SUFFIXES = (".shp", ".geojson", ".json", ".gpkg", ".kml", ".gml", ".fgb", ".tab", ".mif")
_LIST_MARKS = (b"<OGRVRTDataSource", b"<OGRWFSDataSource", b"<OGCAPIFeatures", b"<OGRGMLASDataSource")
_HEAD_BYTES = 4096
_MAX_MEMBERS = 1000  # of a zip that are looked at
_GEOMETRY_COLUMNS = ("geometry", "geom", "wkb_geometry", "wkb", "the_geom")


def read_polygons(path: str, layer: str | None = None, where: Sequence[str] = ()) -> shapely.Geometry:
    """Return the polygons of a file joined to one geometry, in degrees (EPSG:4326), without heights.

    `layer` chooses a layer, needed if several hold geometries; `where` chooses features, of which every
    ``FIELD=VALUE`` must be true. Raises `RegionError` if the file cannot be read, a choice does not exist, or
    there are no polygons, no CRS, or latitudes beyond 90 degrees.
    """
    table = _read_layer(path, layer)
    for condition in where:
        table = table[_matching_rows(path, table, condition)]
    if table.crs is None:
        raise RegionError(f"region {path!r} does not say its CRS; add one, for example in QGIS")
    shapes = shapely.force_2d(table.to_crs("EPSG:4326").geometry.dropna().to_numpy())
    shapes = shapely.make_valid(shapes)
    pieces = shapely.get_parts(shapely.get_parts(shapes))  # make_valid may put multipolygons in collections
    pieces = pieces[np.isin(shapely.get_type_id(pieces), [3, 6]) & (shapely.area(pieces) > 0)]
    if pieces.size == 0:
        raise RegionError(f"region {path!r} has no polygons; {REGION_FORMS}")
    south, north = shapely.total_bounds(pieces)[[1, 3]]
    if not (np.isfinite([south, north]).all() and south >= -90 and north <= 90):
        raise RegionError(f"region {path!r} has latitudes beyond 90 degrees; check the CRS it declares")
    return shapely.union_all(pieces)


def _read_layer(path: str, layer: str | None) -> "geopandas.GeoDataFrame":
    """Return one layer of a file: `layer`, or the only one that holds geometries."""
    if path.lower().endswith(_PARQUET_SUFFIXES) and not path.startswith("/vsi"):
        return _read_parquet(path, layer)
    _require_own_shapes(path)
    import geopandas

    try:
        source, layers = _list_layers(path)
        chosen = layers[0] if layer is None and len(layers) == 1 else layer
        table = geopandas.read_file(source, layer=chosen) if chosen in layers else None
    except RegionError:
        raise
    except Exception as error:  # GDAL's drivers raise many kinds, all meaning unreadable
        raise _unreadable(path, error) from None
    if table is None:
        rule = f"has no layer {layer!r}" if layer is not None else f"has {len(layers)} layers"
        raise RegionError(f"region {path!r} {rule}; choose one with --layer: {_list_names(layers)}")
    if not isinstance(table, geopandas.GeoDataFrame):
        raise RegionError(f"region {path!r} has no polygons in layer {chosen!r}; {REGION_FORMS}")
    return table


def _require_own_shapes(path: str) -> None:
    """Raise `RegionError` if a file, or one in a zip, is a list of other files and addresses by its bytes."""
    heads: list[bytes] = []
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist()[:_MAX_MEMBERS]:
                    with archive.open(member) as file:
                        heads.append(file.read(_HEAD_BYTES))
        elif Path(path).is_file():
            with Path(path).open("rb") as file:
                heads.append(file.read(_HEAD_BYTES))
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None
    if any(mark in head for head in heads for mark in _LIST_MARKS):
        fix = "save the polygons themselves, as GeoPackage or GeoJSON"
        raise RegionError(f"region {path!r} is a list of other files or addresses by its content; {fix}")


def _list_layers(path: str) -> tuple[str, list[str]]:
    """Return what to open, and the names of its layers that hold geometries; all layers if none does.

    Tables without geometries, such as the ``layer_styles`` that QGIS writes into a GeoPackage, are no choice.
    A ``.zip`` that GDAL finds nothing in is searched for files in its folders.
    """
    import pyogrio

    try:
        layers = pyogrio.list_layers(path)
    except Exception:
        source = _find_in_archive(path)
        if source is None:
            raise
        path, layers = source, pyogrio.list_layers(source)
    with_geometry = [str(name) for name, kind in layers if kind is not None]
    return path, with_geometry or [str(name) for name, _ in layers]


def _find_in_archive(path: str) -> str | None:
    """Return the name, for GDAL, of the only file or folder of shapefiles in a zip; None if there is none.

    Raises `RegionError` if there are several.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        members = [PurePosixPath(name) for name in archive.namelist()]
    members = [
        member
        for member in members
        if member.suffix.lower() in _ARCHIVED_SUFFIXES
        and not any(part.startswith((".", "__MACOSX")) for part in member.parts)
    ]
    if not members:
        return None
    folders = {member.parent for member in members}
    if len(members) > 1 and len(folders) == 1 and all(m.suffix.lower() == ".shp" for m in members):
        return f"/vsizip/{{{path}}}/{folders.pop()}"  # its shapefiles are the layers
    if len(members) > 1:
        names = _list_names([str(member) for member in members])
        raise RegionError(f"region {path!r} holds several files; name one, as /vsizip/{path}/FILE: {names}")
    return f"/vsizip/{{{path}}}/{members[0]}"


def _read_parquet(path: str, layer: str | None) -> "geopandas.GeoDataFrame":
    """Return the table of a GeoParquet file, or of a Parquet file with a column of geometries as WKB.

    Without a stated CRS it is in longitude and latitude, as GeoParquet has it.
    """
    if layer is not None:
        raise RegionError(f"region {path!r} is a Parquet file, which has no layers; leave --layer out")
    import geopandas
    import pyarrow.parquet

    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        if b"geo" in metadata:
            return geopandas.read_parquet(path)
        table = pyarrow.parquet.read_table(path).to_pandas()
        columns = [name for name in _GEOMETRY_COLUMNS if name in table.columns]
        if not columns:
            raise RegionError(f"region {path!r} has no column of geometries; {REGION_FORMS}")
        shapes = geopandas.GeoSeries.from_wkb(table.pop(columns[0]), crs="OGC:CRS84")
        return geopandas.GeoDataFrame(table, geometry=shapes)
    except RegionError:
        raise
    except Exception as error:  # of pyarrow, geopandas or shapely, all meaning unreadable
        raise _unreadable(path, error) from None


def _unreadable(path: str, error: Exception) -> RegionError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return RegionError(f"region {path!r} cannot be read as polygons ({reason}); {REGION_FORMS}")


def _matching_rows(path: str, table: "geopandas.GeoDataFrame", condition: str) -> NDArray[np.bool_]:
    """Return which rows have the value that ``FIELD=VALUE`` names, bool ``[N]``.

    Numbers are compared as numbers, all else as text.
    """
    field, equals, value = (part.strip() for part in condition.partition("="))
    fields = [str(name) for name in table.columns if name != table.geometry.name]
    if not equals or field not in fields:
        rule = f"is not FIELD=VALUE with a field of {path!r}"
        raise RegionError(f"filter {condition!r} {rule}; it has: {_list_names(fields)}")
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
        existing = _list_names([str(value) for value in sorted(set(values))])
        raise RegionError(f"no feature of {path!r} has {field}={value}; it has: {existing}")
    return rows


def _list_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
