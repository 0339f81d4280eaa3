"""Values of a table of photos, read column by column: texts, places and times, and the faults of rows.

Common forms are read by DuckDB or Arrow, many rows at once; only what they cannot read goes through the
parsers of `sat2cap.photos.timestamps`, row by row.
"""

from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray

from sat2cap.photos.local_time import local_times
from sat2cap.photos.timestamps import (
    UNREADABLE_ACCURACY,
    RecordFaultError,
    epochs_to_instants,
    parse_angle,
    parse_clock_time,
    parse_zone_value,
)

NOT_UTF8 = "text is not UTF-8"
"""Fault of a row with bytes that are no text."""

Times = NDArray[np.datetime64]

_PLAIN_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?"


@dataclass
class RowFaults:
    """Fault by row of a batch; the first of a row counts."""

    by_row: dict[int, str] = field(default_factory=dict)

    def add(self, row: int, fault: str) -> None:
        """Note a fault, unless the row has one."""
        self.by_row.setdefault(row, fault)


def decode_text(column: pa.Array, faults: RowFaults) -> pa.Array:
    """Return a column of bytes as text; a row that is not UTF-8 gets a fault and stand-ins for its bytes."""
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        return column
    try:
        return column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for row, value in enumerate(column.to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(value.decode(errors="replace"))
                faults.add(row, NOT_UTF8)
        return pa.array(texts, pa.large_string())


def read_points(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return longitudes and latitudes of a GeoParquet column of points; null where there is no point.

    The points are WKB, or in GeoArrow's native encoding: a struct of x and y, or lists of two numbers.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_struct(column.type):
        lon, lat = (np.asarray(pc.struct_field(column, name), np.float64) for name in ("x", "y"))
    elif pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        lon, lat = (np.asarray(pc.list_element(column, index), np.float64) for index in (0, 1))
    else:
        shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False), on_invalid="ignore")
        shapes[shapely.is_empty(shapes)] = None  # an empty point has no coordinates to ask for
        lon, lat = shapely.get_x(shapes), shapely.get_y(shapes)
    return pa.array(lon, pa.float64(), from_pandas=True), pa.array(lat, pa.float64(), from_pandas=True)


def read_angles(
    db: duckdb.DuckDBPyConnection, column: pa.Array, sides: str, limit_deg: float, faults: RowFaults
) -> NDArray[np.float64]:
    """Return N longitudes or latitudes in degrees, float64 ``(N,)``; NaN where there is none.

    Numbers and texts of degrees, minutes and seconds are read; `sides` names the letters of both directions,
    such as ``NS``. A value that is not understood, or beyond `limit_deg`, is a fault of its row and NaN.
    """
    texts = pa.table({"value": column.cast(pa.large_string()) if _is_text(column) else column})
    db.register("texts", texts)
    angles = db.sql("select try_cast(value as double) as angle from texts").to_arrow_table()["angle"]
    degrees = np.array(angles.to_numpy(), np.float64)  # null becomes NaN
    if _is_text(column):
        for row in np.flatnonzero(np.isnan(degrees)):
            try:
                angle = parse_angle(str(column[row].as_py() or ""), sides, limit_deg)
            except RecordFaultError as error:
                faults.add(int(row), str(error))
            else:
                degrees[row] = np.nan if angle is None else angle
    return degrees


def read_accuracy(db: duckdb.DuckDBPyConnection, column: pa.Array, faults: RowFaults) -> NDArray[np.float64]:
    """Return N errors in metres or levels, float64 ``(N,)``; NaN where there is none.

    A number may have ``m`` behind it. One that is negative or not finite, and any other text, is a fault of
    its row.
    """
    if _is_text(column):
        db.register("texts", pa.table({"value": column.cast(pa.large_string())}))
        number = "try_cast(regexp_replace(value, '\\s*m$', '') as double)"
        query = f"select coalesce({number}, case when trim(value) <> '' then -1.0 end) as number from texts"
        numbers = np.array(db.sql(query).to_arrow_table()["number"].to_numpy(), np.float64)
        is_blank = np.asarray(pc.equal(pc.fill_null(pc.utf8_trim_whitespace(column), ""), ""))
    else:
        numbers = np.array(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        is_blank = np.asarray(pc.is_null(column, nan_is_null=True))
    is_wrong = ~is_blank & ~((numbers >= 0) & np.isfinite(numbers))
    for row in np.flatnonzero(is_wrong):
        faults.add(int(row), UNREADABLE_ACCURACY)
    return np.where(is_wrong | is_blank, np.nan, numbers)


def read_times(
    db: duckdb.DuckDBPyConnection, column: pa.Array, faults: RowFaults, *, utc: bool
) -> tuple[Times, Times]:
    """Return local clock times and instants in UTC, datetime64[us] of shape (N,), of which one is NaT.

    A value without a zone is local, or an instant if the column is in `utc`; a number is an instant.
    """
    shown, instants = (np.full(len(column), np.datetime64("NaT"), "datetime64[us]") for _ in range(2))
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = _cast_times(column)
        if utc or (pa.types.is_timestamp(kind) and kind.tz):
            return shown, times
        return times, instants
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = np.array(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        return shown, epochs_to_instants(numbers)
    texts = pa.table({"value": column.cast(pa.large_string())})
    db.register("texts", texts)
    plain = f"case when regexp_full_match(value, '{_PLAIN_TIME}') then try_cast(value as timestamp) end"
    shown = db.sql(f"select {plain} as shown from texts").to_arrow_table()["shown"].to_numpy().copy()
    shown = shown.astype("datetime64[us]")
    for row in np.flatnonzero(np.isnat(shown)):
        try:
            clock = parse_clock_time(str(texts["value"][int(row)].as_py() or ""))
            if clock is not None and clock.instant is not None:
                instants[row] = np.datetime64(clock.instant, "us")
            elif clock is not None:
                shown[row] = np.datetime64(clock.shown, "us")
        except (RecordFaultError, OverflowError) as error:  # the latter: a zone leads out of the calendar
            faults.add(int(row), str(error))
    if utc:
        without_zone = np.isnat(instants)
        instants[without_zone], shown[:] = shown[without_zone], np.datetime64("NaT")
    return shown, instants


def apply_zones(column: pa.Array, shown: Times, instants: Times, faults: RowFaults) -> None:
    """Turn the N clock times of rows that name a zone in a column of its own into instants, in place.

    The column has texts as `parse_zone` reads them, or hours ahead of UTC. A row with neither a text nor a
    number stays local; one with a zone that is not understood gets a fault and no time.
    """
    texts = column.cast(pa.large_string())
    for row in np.flatnonzero(~np.isnat(shown)):
        text = str(texts[int(row)].as_py() or "").strip()
        if not text:
            continue
        try:
            ahead = parse_zone_value(text, shown[row].item())
            if ahead is None:
                continue
            instants[row] = np.datetime64(shown[row].item() - ahead, "us")
        except (RecordFaultError, OverflowError) as error:
            faults.add(int(row), str(error))
        shown[row] = np.datetime64("NaT")


def _cast_times(column: pa.Array) -> Times:
    """Return timestamps or dates as datetime64[us]; NaT for null and for what 64 bits cannot hold."""
    try:
        cast = pc.cast(column, pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return np.asarray(cast.to_numpy(zero_copy_only=False), "datetime64[us]").copy()
    except pa.ArrowInvalid:
        return np.full(len(column), np.datetime64("NaT"), "datetime64[us]")


def fill_local_times(
    shown: Times, instants: Times, lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> Times:
    """Return N local clock times: as shown where there is one, else of the instant by the zone of the place.

    `lon` and `lat` are degrees. A row with neither stays not-a-time.
    """
    taken = shown.copy()
    rows = np.flatnonzero(np.isnat(taken) & ~np.isnat(instants))
    if len(rows):
        taken[rows] = local_times(lon[rows], lat[rows], instants[rows])
    return taken


def _is_text(column: pa.Array) -> bool:
    kind: Any = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
