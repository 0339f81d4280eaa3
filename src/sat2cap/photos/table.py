"""Photo records from any table: CSV, Parquet or GeoParquet, with columns named by the user or guessed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as papq
import shapely

from sat2cap.errors import InputError
from sat2cap.photos.columns import BATCH_SIZE, PHOTO_SCHEMA
from sat2cap.photos.local_time import local_times

COLUMN_NAMES = {
    "key": ("key", "id", "photo_id", "photoid", "image_id", "uuid"),
    "lon": ("lon", "longitude", "lng", "long", "x"),
    "lat": ("lat", "latitude", "y"),
    "taken": ("taken", "date_taken", "datetaken", "datetime", "captured_at", "local_time"),
    "utc": ("utc", "taken_utc", "timestamp_utc", "utc_time"),
    "user": ("user", "user_id", "uid", "owner", "photographer"),
    "licence": ("licence", "license"),
    "source": ("source", "page", "page_url", "pageurl"),
    "author": ("author", "user_name", "owner_name", "attribution"),
    "title": ("title",),
    "url": ("url", "image_url", "download_url", "downloadurl", "file", "path", "filename", "image"),
    "level": ("accuracy_level",),
    "error_m": ("error_m", "accuracy_m", "gps_accuracy"),
    "video": ("video",),
}
"""Fields of a photo that a table may have, and the column names tried for each in turn, in small letters.

`taken` is local clock time unless the value has a zone; `utc` is an instant in UTC, as text, a timestamp or
seconds since 1970, and serves where there is no `taken`."""

_ZONE_PATTERN = r"(?:[zZ]|[+-][0-9]{2}:?[0-9]{2})$"
_DEFAULT_SQL = {
    "user": "''",
    "licence": "'unknown'",
    "source": "''",
    "author": "''",
    "title": "''",
    "url": "''",
}
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

        Raises `InputError` if the file is no table, or lacks a column that is needed.
        """
        try:
            if self.path.suffix.lower() in (".parquet", ".geoparquet", ".pq"):
                yield from self._read_parquet()
            else:
                yield from self._read_csv()
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self.path} cannot be read as a table ({reason}); give CSV or Parquet"
            ) from None

    def _read_csv(self) -> Iterator[pa.RecordBatch]:
        delimiter = "\t" if ".tsv" in self.path.suffixes else ","
        parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        with pacsv.open_csv(self.path, parse_options=parse) as reader:
            names = reader.schema.names
        fields = self._match_columns(names, has_points=False)
        text_types = dict.fromkeys(fields.values(), pa.string())
        convert = pacsv.ConvertOptions(
            column_types=text_types,
            include_columns=list(text_types),
            strings_can_be_null=True,
            null_values=[""],
        )
        with pacsv.open_csv(self.path, parse_options=parse, convert_options=convert) as reader:
            yield from _convert_batches(reader, fields)

    def _read_parquet(self) -> Iterator[pa.RecordBatch]:
        with papq.ParquetFile(self.path) as file:
            points = _find_point_column(self.path, file.schema_arrow.metadata or {})
            fields = self._match_columns(file.schema_arrow.names, has_points=points is not None)
            points = None if "lon" in fields else points
            columns = sorted({*fields.values(), *([points] if points else [])})
            yield from _convert_batches(file.iter_batches(BATCH_SIZE, columns=columns), fields, points)

    def _match_columns(self, names: list[str], *, has_points: bool) -> dict[str, str]:
        """Return the column of each field that the table has; the user's own names come first.

        Raises `InputError` if a column that is needed is missing, or the user named one that is not there.
        """
        for name, column in self.columns.items():
            if name not in COLUMN_NAMES or column not in names:
                rule = f"fields are {', '.join(COLUMN_NAMES)}; its columns are {', '.join(names)}"
                raise InputError(f"{self.path}: {name}={column} names no field or column; {rule}")
        by_lower_name = {name.lower(): name for name in reversed(names)}
        guessed = {
            each: by_lower_name[next(name for name in candidates if name in by_lower_name)]
            for each, candidates in COLUMN_NAMES.items()
            if each not in self.columns and any(name in by_lower_name for name in candidates)
        }
        fields = {**guessed, **self.columns}
        required = ["key", *([] if has_points else ["lon", "lat"])]
        missing = [name for name in required if name not in fields]
        if not {"taken", "utc"} & set(fields):
            missing.append("taken")
        if missing:
            fix = f"name it, such as {missing[0]}=COLUMN; its columns are {', '.join(names)}"
            raise InputError(f"{self.path} has no column for {', '.join(missing)}; {fix}")
        return fields


def _find_point_column(path: Path, metadata: Mapping[bytes, bytes]) -> str | None:
    """Return the name of a GeoParquet file's column of points in degrees; None for plain Parquet.

    Raises `InputError` if its coordinates are not degrees.
    """
    if b"geo" not in metadata:
        return None
    geo = json.loads(metadata[b"geo"])
    column: str = geo["primary_column"]
    crs = geo["columns"][column].get("crs", "OGC:CRS84")
    code = json.dumps(crs.get("id", crs.get("name"))) if isinstance(crs, dict) else str(crs)
    if not _WGS84.search(code):
        raise InputError(f"{path} has coordinates in {code}, not degrees; save it in EPSG:4326")
    return column


def _convert_batches(
    batches: Iterator[pa.RecordBatch], fields: Mapping[str, str], points: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Convert batches of the table to batches of `PHOTO_SCHEMA`.

    `fields`: the column of each field; `points`: the column of points to take places from, if any.
    """
    with duckdb.connect() as db:
        for batch in batches:
            if len(batch) == 0:
                continue
            columns: dict[str, Any] = {name: batch.column(column) for name, column in fields.items()}
            if points is not None:
                shapes = shapely.from_wkb(batch.column(points).to_numpy(zero_copy_only=False))
                columns["lon"], columns["lat"] = (
                    pa.array(get(shapes), from_pandas=True) for get in (shapely.get_x, shapely.get_y)
                )
            rows = pa.table(columns)
            db.register("rows", rows)
            table = _fill_local_times(db.sql(_records_sql(rows.schema)).to_arrow_table())
            yield from table.cast(PHOTO_SCHEMA).combine_chunks().to_batches()


def _records_sql(schema: pa.Schema) -> str:
    """Return SQL for the fields of `PHOTO_SCHEMA` from the columns that a table has.

    One column more, ``instant``, is the time in UTC where the table gives a zone.
    """
    taken = _time_sql("taken", schema.field("taken").type) if "taken" in schema.names else ("null", "null")
    utc = _time_sql("utc", schema.field("utc").type) if "utc" in schema.names else ("null", "null")
    parts = [
        "key::varchar as key",
        "try_cast(lon as double) as lon",
        "try_cast(lat as double) as lat",
        f"({taken[0]})::timestamp as taken",
        f"coalesce({taken[1]}, {utc[1]}, {utc[0]})::timestamp as instant",
    ]
    for name, default in _DEFAULT_SQL.items():
        value = f'coalesce("{name}"::varchar, {default})' if name in schema.names else default
        parts.append(f'{value} as "{name}"')
    for name, sql_type, default in (
        ("level", "integer", "null"),
        ("error_m", "double", "null"),
        ("video", "boolean", "false"),
    ):
        value = f"coalesce(try_cast({name} as {sql_type}), {default})" if name in schema.names else default
        parts.append(f"({value})::{sql_type} as {name}")
    return f"select {', '.join(parts)}, '' as fault from rows"


def _time_sql(name: str, column_type: pa.DataType) -> tuple[str, str]:
    """Return SQL for a time written without a zone, and for the instant in UTC where one has a zone.

    For each row at most one of the two is not null.
    """
    if pa.types.is_timestamp(column_type):
        plain = f"({name} at time zone 'UTC')" if column_type.tz else name
        return ("null", plain) if column_type.tz else (plain, "null")
    if pa.types.is_integer(column_type) or pa.types.is_floating(column_type):
        return "null", f"make_timestamp(({name} * 1000000)::bigint)"
    text = f"trim({name}::varchar)"
    zone = f"nullif(regexp_extract({text}, '{_ZONE_PATTERN}'), '')"
    plain = f"try_cast(regexp_replace({text}, '{_ZONE_PATTERN}', '') as timestamp)"
    sign = f"(case when {zone} like '-%' then 1 else -1 end)"
    minutes = f"coalesce(try_cast({zone}[2:3] as integer) * 60 + try_cast({zone}[-2:] as integer), 0)"
    return (
        f"case when {zone} is null then {plain} end",
        f"case when {zone} is not null then {plain} + to_minutes({sign} * {minutes}) end",
    )


def _fill_local_times(table: pa.Table) -> pa.Table:
    """Fill `taken` where only the instant is given, by the zone of the place, and drop ``instant``."""
    instant = table["instant"].to_numpy()
    taken = table["taken"].to_numpy().copy()
    rows = np.flatnonzero(np.isnat(taken) & ~np.isnat(instant))
    if len(rows):
        lon, lat = (table[name].to_numpy().astype(np.float64)[rows] for name in ("lon", "lat"))
        taken[rows] = local_times(lon, lat, instant[rows])
    table = table.set_column(
        table.schema.get_field_index("taken"), "taken", pa.array(taken, pa.timestamp("us"))
    )
    return table.drop_columns(["instant"]).select(PHOTO_SCHEMA.names)
