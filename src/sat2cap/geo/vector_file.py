"""Files of shapes that people name: any format of GDAL, archives of them, and GeoParquet.

Every such file, be it a region, zones, places or a land cover, is opened here: only files of this machine,
and none that is a list of other files or addresses.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from sat2cap.errors import InputError, RegionError, quote
from sat2cap.geo.parquet_geometry import LONLAT_CRS, native_geometry
from sat2cap.geo.region import REGION_FORMS, is_address

if TYPE_CHECKING:  # a region in numbers needs neither tables nor their files
    import geopandas

_MAX_LISTED = 12  # names in an error message
_PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")
_ARCHIVED_SUFFIXES = (".shp", ".geojson", ".json", ".gpkg", ".kml", ".gml", ".fgb", ".tab", ".mif")
_LIST_MARKS = (b"<OGRVRTDataSource", b"<OGRWFSDataSource", b"<OGCAPIFeatures", b"<OGRGMLASDataSource")
_HEAD_BYTES = 4096
_MAX_MEMBERS = 1000  # of a zip that are looked at
_GEOMETRY_COLUMNS = ("geometry", "geom", "wkb_geometry", "wkb", "the_geom")


@dataclass(frozen=True)
class VectorFile:
    """A file of shapes, and the words that messages have for it."""

    path: str
    subject: str = "region"
    """What the file is to the user: ``region``, ``zones`` …"""
    form: str = REGION_FORMS
    """The next step: what file to give."""
    error: type[InputError] = RegionError
    """Class of the errors that are raised."""
    layer_option: str = "--layer"
    """How the user chooses a layer; empty if that is not possible, so that the first is taken."""

    def read(self, layer: str | None = None) -> "geopandas.GeoDataFrame":
        """Return one layer with all its columns: `layer`, or the only one that holds geometries.

        Raises `error` if the file cannot be read, is at an address, or is a list of other files; if there is
        no such layer, or none is chosen of several; and if there are no shapes.
        """
        if is_address(self.path):
            raise self._problem("is an address; download the file first, and give its path")
        path = Path(self.path)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise self._problem(f"is not a regular file; {self.form}")
        if self.path.lower().endswith(_PARQUET_SUFFIXES) and not self.path.startswith("/vsi"):
            return self._read_parquet(layer)
        self._require_own_shapes()
        import geopandas

        try:
            source, layers = self._list_layers()
            if not layers:
                raise self._problem(f"{self._has} no layer that can be read; {self.form}")
            is_open = layer is None and (len(layers) == 1 or not self.layer_option)
            chosen = layers[0] if is_open and layers else layer
            table = geopandas.read_file(source, layer=chosen) if chosen in layers else None
        except InputError:
            raise
        except Exception as error:  # GDAL's drivers raise many kinds, all meaning unreadable
            raise self._unreadable(error) from None
        if table is None:
            rule = f"no layer {layer!r}" if layer is not None else f"{len(layers)} layers"
            raise self._problem(
                f"{self._has} {rule}; choose one with {self.layer_option}: {list_names(layers)}"
            )
        if not isinstance(table, geopandas.GeoDataFrame):
            raise self._problem(f"{self._has} no shapes in layer {chosen!r}; {self.form}")
        return table

    def _require_own_shapes(self) -> None:
        """Raise if the file, or one in a zip, is a list of other files and addresses by its bytes."""
        heads: list[bytes] = []
        try:
            if zipfile.is_zipfile(self.path):
                with zipfile.ZipFile(self.path) as archive:
                    for member in archive.infolist()[:_MAX_MEMBERS]:
                        with archive.open(member) as file:
                            heads.append(file.read(_HEAD_BYTES))
            elif Path(self.path).is_file():
                with Path(self.path).open("rb") as file:
                    heads.append(file.read(_HEAD_BYTES))
        except (
            *(OSError, ValueError, RuntimeError, NotImplementedError),
            *(zipfile.BadZipFile, zlib.error),
        ) as error:
            raise self._unreadable(error) from None
        if any(mark in head for head in heads for mark in _LIST_MARKS):
            fix = "save the shapes themselves, as GeoPackage or GeoJSON"
            raise self._problem(f"is a list of other files or addresses by its content; {fix}")

    def _list_layers(self) -> tuple[str, list[str]]:
        """Return what to open, and the names of its layers that hold geometries; all layers if none does.

        Tables without geometries, such as the ``layer_styles`` that QGIS writes into a GeoPackage, are no
        choice. A ``.zip`` that GDAL finds nothing in is searched for files in its folders.
        """
        import pyogrio

        path = self.path
        try:
            layers = pyogrio.list_layers(path)
        except Exception:
            source = self._find_in_archive()
            if source is None:
                raise
            path, layers = source, pyogrio.list_layers(source)
        with_geometry = [str(name) for name, kind in layers if kind is not None]
        return path, with_geometry or [str(name) for name, _ in layers]

    def _find_in_archive(self) -> str | None:
        """Return the name, for GDAL, of the only file or folder of shapefiles in a zip; None without one.

        Raises if there are several.
        """
        if not zipfile.is_zipfile(self.path):
            return None
        with zipfile.ZipFile(self.path) as archive:
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
            return f"/vsizip/{{{self.path}}}/{folders.pop()}"  # its shapefiles are the layers
        if len(members) > 1:
            names = list_names([str(member) for member in members])
            raise self._problem(f"holds several files; name one, as /vsizip/{self.path}/FILE: {names}")
        return f"/vsizip/{{{self.path}}}/{members[0]}"

    def _read_parquet(self, layer: str | None) -> "geopandas.GeoDataFrame":
        """Return the table of a GeoParquet file, or of a Parquet file with a column of geometries as WKB.

        That is the column of Parquet's own type of geometries, or else one of a usual name. Without a stated
        CRS it is in longitude and latitude, as GeoParquet has it.
        """
        if layer is not None:
            raise self._problem(f"is a Parquet file, which has no layers; leave {self.layer_option} out")
        import geopandas
        import pyarrow.parquet

        try:
            file = pyarrow.parquet.read_metadata(self.path)
            if b"geo" in (file.metadata or {}):
                return geopandas.read_parquet(self.path)
            table = pyarrow.parquet.read_table(self.path).to_pandas()
            named = [(name, LONLAT_CRS) for name in _GEOMETRY_COLUMNS if name in table.columns]
            column, crs = native_geometry(file.schema, file.metadata) or next(iter(named), ("", ""))
            if not column:
                raise self._problem(f"{self._has} no column of geometries; {self.form}")
            shapes = geopandas.GeoSeries.from_wkb(table.pop(column), crs=crs)
            return geopandas.GeoDataFrame(table, geometry=shapes)
        except InputError:
            raise
        except Exception as error:  # of pyarrow, geopandas or shapely, all meaning unreadable
            raise self._unreadable(error) from None

    @property
    def _has(self) -> str:
        return "have" if self.subject.endswith("s") else "has"

    def _problem(self, rule: str) -> InputError:
        return self.error(f"{self.subject} {self.path!r} {rule}")

    def _unreadable(self, error: Exception) -> InputError:
        return self._problem(f"cannot be read ({quote(error)}); {self.form}")


def list_names(names: Sequence[str]) -> str:
    """Return names as a message lists them: the first twelve, and how many more there are."""
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
