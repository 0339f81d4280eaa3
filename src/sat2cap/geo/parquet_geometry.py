"""Columns of shapes by Parquet's own logical type, in files without the metadata of GeoParquet."""

import json
from collections.abc import Mapping
from typing import Any

LONLAT_CRS = "OGC:CRS84"
"""Longitude and latitude in degrees: what a column is in whose type states no CRS."""


def native_geometry(schema: Any, metadata: Mapping[bytes, bytes] | None) -> tuple[str, str] | None:
    """Return name and CRS of the first column of Parquet's type GEOMETRY or GEOGRAPHY; None without one.

    `schema` is a `pyarrow.parquet.ParquetSchema`, and `metadata` that of the file, which a CRS may refer to.
    The shapes are WKB; the CRS is text that pyproj reads. Raises `ValueError` or `KeyError` if it is broken.
    """
    for number in range(len(schema)):
        column = schema.column(number)
        if column.logical_type.type not in ("GEOMETRY", "GEOGRAPHY"):
            continue
        crs = str(json.loads(column.logical_type.to_json()).get("crs", "")) or LONLAT_CRS
        kind, _, name = crs.partition(":")
        if kind == "srid":
            return column.path, f"EPSG:{name}"
        if kind == "projjson":
            return column.path, (metadata or {})[name.encode()].decode()
        return column.path, crs
    return None
