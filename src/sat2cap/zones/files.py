"""Reading zones from a vector file and writing their table as GeoPackage, GeoJSON, GeoParquet or CSV."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyogrio

from sat2cap.errors import InputError
from sat2cap.files import write_bytes
from sat2cap.maps import write_places

TABLE_SUFFIXES = (".gpkg", ".geojson", ".parquet", ".csv")
"""Suffixes of the files that hold a table of zones."""

_FORMS = "give a GeoPackage, GeoJSON, GeoParquet or shapefile of polygons"


def read_zones(path: Path | str, layer: str | None = None) -> gpd.GeoDataFrame:
    """Read zones with all their columns from any vector file that GDAL reads, or GeoParquet.

    `layer` chooses among several layers and is needed where there are. Raises `InputError` for a file that
    cannot be read, and one that lists the layers where one must be chosen.
    """
    try:
        if Path(path).suffix.lower() == ".parquet":
            table = gpd.read_parquet(path)
        else:
            table = gpd.read_file(path, layer=_choose_layer(path, layer))
    except InputError:
        raise
    except Exception as error:  # GDAL's drivers raise many kinds, all meaning unreadable
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"zones {str(path)!r} cannot be read ({reason}); {_FORMS}") from None
    if not isinstance(table, gpd.GeoDataFrame):
        raise InputError(f"zones {str(path)!r} have no shapes; {_FORMS}")
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


def _choose_layer(path: Path | str, layer: str | None) -> str:
    """Return the layer to read. Raises `InputError` if it is not there, or none is chosen of several."""
    layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    if layer in layers or (layer is None and len(layers) == 1):
        return layer or layers[0]
    rule = f"have no layer {layer!r}" if layer is not None else f"have {len(layers)} layers"
    raise InputError(f"zones {str(path)!r} {rule}; choose one with --layer: {_listed(layers)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _with_dates_as_text(table: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the table with columns of dates in ISO 8601, which GeoJSON has no type for."""
    dates = table.select_dtypes(["datetime", "datetimetz"]).columns
    texts = {
        name: table[name].map(lambda date: None if pd.isna(date) else date.isoformat()) for name in dates
    }
    changed = table.assign(**texts) if texts else table.copy(deep=False)
    changed.attrs = table.attrs
    return changed
