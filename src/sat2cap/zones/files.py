"""Reading zones from a vector file and writing their table as GeoPackage, GeoJSON, GeoParquet or CSV."""

import io
import json
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.geo import VectorFile
from sat2cap.maps import write_places

TABLE_SUFFIXES = (".gpkg", ".geojson", ".parquet", ".csv")
"""Suffixes of the files that hold a table of zones."""

_FORMS = "give a GeoPackage, GeoJSON, GeoParquet or shapefile of polygons"


def read_zones(path: Path | str, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read zones with all their columns from any vector file that GDAL reads, or GeoParquet.

    `layer` chooses among several layers and is needed where there are. Raises `InputError` for a file that
    cannot be read, and one that lists the layers where one must be chosen.
    """
    table = VectorFile(str(path), "zones", _FORMS, InputError).read(layer)
    if table.crs is None:
        raise InputError(f"zones {str(path)!r} do not say their CRS; add one, for example in QGIS")
    return table


def write_zones(table: gpd.GeoDataFrame, path: Path | str) -> None:
    """Publish a table of zones as the kind of file that `path` ends in; NaN is written as null.

    The provenance of the score is written beside the rows: as metadata of the layer (GeoPackage), under
    ``sat2cap`` (GeoJSON, GeoParquet), not in CSV, which has no room for it. Raises `InputError`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise InputError(
            f"output {str(path)!r} has an unknown suffix; end it in one of {', '.join(TABLE_SUFFIXES)}"
        )
    if suffix == ".csv":
        write_bytes(path, pd.DataFrame(table.drop(columns=table.geometry.name)).to_csv(index=False).encode())
    elif suffix == ".gpkg":
        buffer = io.BytesIO()
        about = {"sat2cap": json.dumps(table.attrs, ensure_ascii=False, default=str)}
        plain = table.copy(deep=False)
        plain.attrs = {}
        pyogrio.write_dataframe(plain, buffer, driver="GPKG", layer="zones", layer_metadata=about)
        write_bytes(path, buffer.getvalue())
    else:
        write_places(_with_dates_as_text(table), path)


def _with_dates_as_text(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the table with columns of dates in ISO 8601, which GeoJSON has no type for."""
    dates = table.select_dtypes(["datetime", "datetimetz"]).columns
    texts = {
        name: table[name].map(lambda date: None if pd.isna(date) else date.isoformat()) for name in dates
    }
    changed = table.assign(**texts) if texts else table.copy(deep=False)
    changed.attrs = table.attrs
    return changed
