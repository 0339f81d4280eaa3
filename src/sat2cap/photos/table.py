"""Photo records from any table: CSV, Parquet or GeoParquet, with columns named by the user or guessed."""

import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as papq

from sat2cap.errors import InputError, Sat2CapError, quote
from sat2cap.files import open_regular_file, parse_json
from sat2cap.geo import native_geometry
from sat2cap.photos.columns import BATCH_SIZE, PHOTO_SCHEMA, TORN_ROW, make_fault_batch
from sat2cap.photos.delimited import DelimitedText, find_delimiter
from sat2cap.photos.quotes import TornRows
from sat2cap.photos.table_columns import ColumnUse, match_columns
from sat2cap.photos.table_values import (
    RowFaults,
    apply_zones,
    decode_text,
    fill_local_times,
    read_accuracy,
    read_angles,
    read_points,
    read_times,
)

_DEFAULT_SQL = {
    "user": "''",
    "licence": "'unknown'",
    "source": "''",
    "author": "''",
    "title": "''",
    "url": "''",
}
_DECIMAL_COMMA = r"^(\s*[+-]?\d+),(\d+\s*)$"
_WGS84 = re.compile(r"CRS84|EPSG[:\"/]*.*4326", re.IGNORECASE)


@dataclass(frozen=True)
class TableRecords:
    """Records of one table."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    """Name of the column for each field of `COLUMN_NAMES`; the others are guessed."""

    @property
    def uri(self) -> str:
        """``table:PATH``."""
        return f"table:{self.path}"

    def records(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as batches of `PHOTO_SCHEMA`, in the file's order and in bounded memory.

        A row whose values cannot be read has a fault; rows with too few or too many values come last, with
        the fault `TORN_ROW`. Raises `InputError` if the file is no table, or lacks a column that is needed.
        """
        with self._one_line_errors():
            yield from self._read_parquet() if self._is_parquet else self._read_csv()

    def explain_columns(self) -> list[tuple[str, str]]:
        """Return lines for people, each a name and a text, on which column serves which field.

        Columns that look useful and are not used are named, too. Raises `InputError` if the table cannot be
        read, or lacks a column that is needed.
        """
        with self._one_line_errors():
            if self._is_parquet:
                with papq.ParquetFile(self.path) as file:
                    return self._match_parquet(file)[0].describe()
            return self._match_csv().describe()

    @property
    def _is_parquet(self) -> bool:
        return self.path.suffix.lower() in (".parquet", ".geoparquet", ".pq")

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        """Turn whatever a reader raises on a file that is no table into an `InputError`."""
        try:
            open_regular_file(self.path).close()
            yield
        except Sat2CapError:
            raise
        except Exception as error:  # a table of a stranger, read by three libraries
            lines = str(error).splitlines() or [type(error).__name__]
            raise InputError(
                f"{self.path} cannot be read as a table ({quote(lines[0], 150)}); give CSV or Parquet"
            ) from None

    @property
    def _text(self) -> DelimitedText:
        return DelimitedText(self.path, find_delimiter(self.path))

    def _match_csv(self) -> ColumnUse:
        return match_columns(self.path, self._text.column_names(), self.columns, has_points=False)

    def _read_csv(self) -> Iterator[pa.RecordBatch]:
        fields, torn = self._match_csv().fields, TornRows()
        columns = list(dict.fromkeys(fields.values()))
        text = self._text
        decimal_comma = text.delimiter != ","
        yield from _convert_batches(text.batches(columns, torn), fields, decimal_comma=decimal_comma)
        if torn.count:
            warnings.warn(torn.describe(self.path), stacklevel=2)
            yield make_fault_batch(torn.count, TORN_ROW)

    def _match_parquet(self, file: papq.ParquetFile) -> tuple[ColumnUse, str | None]:
        """Return the use of the columns, and the column of points that places are taken from, if any."""
        points = _find_point_column(self.path, file)
        names = file.schema_arrow.names
        use = match_columns(self.path, names, self.columns, has_points=points is not None)
        return use, None if "lon" in use.fields and "lat" in use.fields else points

    def _read_parquet(self) -> Iterator[pa.RecordBatch]:
        with papq.ParquetFile(self.path) as file:
            use, points = self._match_parquet(file)
            columns = sorted({*use.fields.values(), *([points] if points else [])})
            yield from _convert_batches(file.iter_batches(BATCH_SIZE, columns=columns), use.fields, points)


def _find_point_column(path: Path, file: papq.ParquetFile) -> str | None:
    """Return the name of the column of points in degrees: of GeoParquet, or of Parquet's own type.

    None for a file without one. Raises `InputError` if its coordinates are not degrees.
    """
    metadata = file.schema_arrow.metadata or {}
    if b"geo" in metadata:
        geo = parse_json(metadata[b"geo"])
        column: str = geo["primary_column"]
        crs = geo["columns"][column].get("crs", "OGC:CRS84")
    else:
        native = native_geometry(file.schema, metadata)
        if native is None:
            return None
        column, text = native
        crs = parse_json(text) if text.startswith("{") else text
    code = json.dumps(crs.get("id", crs.get("name"))) if isinstance(crs, dict) else str(crs)
    if not _WGS84.search(code):
        raise InputError(f"{path} has coordinates in {code[:100]}, not degrees; save it in EPSG:4326")
    return column


def _convert_batches(
    batches: Iterator[pa.RecordBatch],
    fields: Mapping[str, str],
    points: str | None = None,
    *,
    decimal_comma: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Convert batches of the table to batches of `PHOTO_SCHEMA`.

    `fields`: the column of each field; `points`: the column of points to take places from, if any. With
    `decimal_comma` numbers such as ``52,35`` are read, which elsewhere may be two values.
    """
    with duckdb.connect() as db:
        for batch in batches:
            if len(batch) == 0:
                continue
            faults = RowFaults()
            columns = {name: decode_text(batch.column(column), faults) for name, column in fields.items()}
            for name in {"lon", "lat", "error_m"} & columns.keys() if decimal_comma else ():
                columns[name] = pc.replace_substring_regex(columns[name], _DECIMAL_COMMA, r"\1.\2")
            if points is not None:
                columns["lon"], columns["lat"] = read_points(batch.column(points))
            yield from _convert_batch(db, columns, faults)


def _convert_batch(
    db: duckdb.DuckDBPyConnection, columns: dict[str, pa.Array], faults: RowFaults
) -> Iterator[pa.RecordBatch]:
    """Yield the records of a batch of a table: places in degrees, dates on the local clock, faults by row."""
    count = len(columns["key"])
    lon = read_angles(db, columns.pop("lon"), "EW", 180, faults)
    lat = read_angles(db, columns.pop("lat"), "NS", 90, faults)
    shown, instants = (np.full(count, np.datetime64("NaT"), "datetime64[us]") for _ in range(2))
    if "taken" in columns:
        shown, instants = read_times(db, columns.pop("taken"), faults, utc=False)
    if "zone" in columns:
        apply_zones(columns.pop("zone"), shown, instants, faults)
    if "utc" in columns:
        _, in_utc = read_times(db, columns.pop("utc"), faults, utc=True)
        instants = np.where(np.isnat(instants), in_utc, instants)
    for name in {"error_m", "level"} & columns.keys():
        columns[name] = pa.array(read_accuracy(db, columns[name], faults), from_pandas=True)
    rows = pa.table(columns)
    db.register("rows", rows)
    table = db.sql(_text_sql(rows.column_names)).to_arrow_table()
    values = {name: table[name] for name in table.column_names} | {
        "lon": pa.array(lon, from_pandas=True),
        "lat": pa.array(lat, from_pandas=True),
        "taken": pa.array(fill_local_times(shown, instants, lon, lat), pa.timestamp("us")),
        "fault": pa.array([faults.by_row.get(row, "") for row in range(count)]),
    }
    table = pa.table({name: values[name] for name in PHOTO_SCHEMA.names})
    yield from table.cast(PHOTO_SCHEMA).combine_chunks().to_batches()


def _text_sql(names: list[str]) -> str:
    """Return SQL for the fields of `PHOTO_SCHEMA` that are neither place nor time."""
    parts = ["key::varchar as key"]
    for name, default in _DEFAULT_SQL.items():
        value = f'coalesce("{name}"::varchar, {default})' if name in names else default
        parts.append(f'{value} as "{name}"')
    for name, sql_type, default in (
        ("level", "integer", "null"),
        ("error_m", "double", "null"),
        ("video", "boolean", "false"),
    ):
        value = f"coalesce(try_cast({name} as {sql_type}), {default})" if name in names else default
        parts.append(f"({value})::{sql_type} as {name}")
    return f"select {', '.join(parts)} from rows"
