"""Photos listed in any table: CSV, Parquet or GeoParquet, with columns named by the user or guessed."""

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
from sat2cap.photos.columns import BATCH, PHOTO_SCHEMA
from sat2cap.photos.local_time import local_times

NAMES = {
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
"""What a table may say of a photo, and the column names tried for each in turn, in small letters.

`taken` is local clock time unless the value has a zone; `utc` is an instant in UTC, as text, a timestamp or
seconds since 1970, and serves where there is no `taken`."""

_ZONE = r"(?:[zZ]|[+-][0-9]{2}:?[0-9]{2})$"
_EMPTY = {"user": "''", "licence": "'unknown'", "source": "''", "author": "''", "title": "''", "url": "''"}
_WGS84 = re.compile(r"CRS84|EPSG[:\"/]*.*4326", re.IGNORECASE)


@dataclass(frozen=True)
class TableRecords:
    """The records of one table."""

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field of `NAMES` to the name of its column; what is left out is guessed."""

    @property
    def uri(self) -> str:
        """``table:PATH``."""
        return f"table:{self.path}"

    def records(self) -> Iterator[pa.RecordBatch]:
        """Every row in the file's order, in bounded memory. Raises `InputError`."""
        try:
            if self.path.suffix.lower() in (".parquet", ".geoparquet", ".pq"):
                yield from self._parquet()
            else:
                yield from self._csv()
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self.path} cannot be read as a table ({reason}); give CSV or Parquet"
            ) from None

    def _csv(self) -> Iterator[pa.RecordBatch]:
        delimiter = "\t" if ".tsv" in self.path.suffixes else ","
        parse = pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        with pacsv.open_csv(self.path, parse_options=parse) as head:
            names = head.schema.names
        found = self._found(names, geometry=False)
        texts = dict.fromkeys(found.values(), pa.string())
        convert = pacsv.ConvertOptions(
            column_types=texts, include_columns=list(texts), strings_can_be_null=True, null_values=[""]
        )
        with pacsv.open_csv(self.path, parse_options=parse, convert_options=convert) as reader:
            yield from _as_records(reader, found)

    def _parquet(self) -> Iterator[pa.RecordBatch]:
        with papq.ParquetFile(self.path) as file:
            geometry = _geometry(self.path, file.schema_arrow.metadata or {})
            found = self._found(file.schema_arrow.names, geometry=geometry is not None)
            points = geometry if geometry is not None and "lon" not in found else None
            columns = sorted({*found.values(), *([points] if points else [])})
            yield from _as_records(file.iter_batches(BATCH, columns=columns), found, points)

    def _found(self, names: list[str], *, geometry: bool) -> dict[str, str]:
        """Field to column; the user's own names first."""
        for name, column in self.columns.items():
            if name not in NAMES or column not in names:
                rule = f"fields are {', '.join(NAMES)}; its columns are {', '.join(names)}"
                raise InputError(f"{self.path}: {name}={column} names no field or column; {rule}")
        small = {name.lower(): name for name in reversed(names)}
        guessed = {
            each: small[next(name for name in known if name in small)]
            for each, known in NAMES.items()
            if each not in self.columns and any(name in small for name in known)
        }
        found = {**guessed, **self.columns}
        needed = ["key", *([] if geometry else ["lon", "lat"])]
        missing = [name for name in needed if name not in found]
        if not {"taken", "utc"} & set(found):
            missing.append("taken")
        if missing:
            fix = f"name it, such as {missing[0]}=COLUMN; its columns are {', '.join(names)}"
            raise InputError(f"{self.path} has no column for {', '.join(missing)}; {fix}")
        return found


def _geometry(path: Path, metadata: Mapping[bytes, bytes]) -> str | None:
    """The name of a GeoParquet file's column of points in degrees; None for plain Parquet."""
    if b"geo" not in metadata:
        return None
    geo = json.loads(metadata[b"geo"])
    column: str = geo["primary_column"]
    crs = geo["columns"][column].get("crs", "OGC:CRS84")
    code = json.dumps(crs.get("id", crs.get("name"))) if isinstance(crs, dict) else str(crs)
    if not _WGS84.search(code):
        raise InputError(f"{path} has coordinates in {code}, not degrees; save it in EPSG:4326")
    return column


def _as_records(
    batches: Iterator[pa.RecordBatch], found: Mapping[str, str], points: str | None = None
) -> Iterator[pa.RecordBatch]:
    with duckdb.connect() as db:
        for batch in batches:
            if len(batch) == 0:
                continue
            columns: dict[str, Any] = {name: batch.column(column) for name, column in found.items()}
            if points is not None:
                shapes = shapely.from_wkb(batch.column(points).to_numpy(zero_copy_only=False))
                columns["lon"], columns["lat"] = (
                    pa.array(get(shapes), from_pandas=True) for get in (shapely.get_x, shapely.get_y)
                )
            rows = pa.table(columns)
            db.register("rows", rows)
            table = _local(db.sql(_sql(rows.schema)).to_arrow_table())
            yield from table.cast(PHOTO_SCHEMA).combine_chunks().to_batches()


def _sql(schema: pa.Schema) -> str:
    """The fields of `PHOTO_SCHEMA` out of the columns that there are; ``instant`` where a zone was given."""
    taken = _moment("taken", schema.field("taken").type) if "taken" in schema.names else ("null", "null")
    utc = _moment("utc", schema.field("utc").type) if "utc" in schema.names else ("null", "null")
    parts = [
        "key::varchar as key",
        "try_cast(lon as double) as lon",
        "try_cast(lat as double) as lat",
        f"({taken[0]})::timestamp as taken",
        f"coalesce({taken[1]}, {utc[1]}, {utc[0]})::timestamp as instant",
    ]
    for name, empty in _EMPTY.items():
        value = f'coalesce("{name}"::varchar, {empty})' if name in schema.names else empty
        parts.append(f'{value} as "{name}"')
    for name, kind, empty in (
        ("level", "integer", "null"),
        ("error_m", "double", "null"),
        ("video", "boolean", "false"),
    ):
        value = f"coalesce(try_cast({name} as {kind}), {empty})" if name in schema.names else empty
        parts.append(f"({value})::{kind} as {name}")
    return f"select {', '.join(parts)}, '' as fault from rows"


def _moment(name: str, kind: pa.DataType) -> tuple[str, str]:
    """SQL of a moment as written without a zone, and of the instant in UTC where a zone was given."""
    if pa.types.is_timestamp(kind):
        plain = f"({name} at time zone 'UTC')" if kind.tz else name
        return ("null", plain) if kind.tz else (plain, "null")
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return "null", f"make_timestamp(({name} * 1000000)::bigint)"
    text = f"trim({name}::varchar)"
    zone = f"nullif(regexp_extract({text}, '{_ZONE}'), '')"
    plain = f"try_cast(regexp_replace({text}, '{_ZONE}', '') as timestamp)"
    sign = f"(case when {zone} like '-%' then 1 else -1 end)"
    minutes = f"coalesce(try_cast({zone}[2:3] as integer) * 60 + try_cast({zone}[-2:] as integer), 0)"
    return (
        f"case when {zone} is null then {plain} end",
        f"case when {zone} is not null then {plain} + to_minutes({sign} * {minutes}) end",
    )


def _local(table: pa.Table) -> pa.Table:
    """`taken` where only the instant is known, by the zone of the place."""
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
