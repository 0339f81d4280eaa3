"""Screening of photo records: keep those with a credible place and time.

DuckDB screens one batch of records at a time, and compares the remaining records with each other on disk, so
memory is bounded by `_MEMORY`, one batch, and the photos that pass.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sat2cap.geo import KM_PER_DEGREE
from sat2cap.locks import temporary_folder
from sat2cap.pairs.screening.rules import (
    CELL_CAP,
    DUPLICATE,
    REPEATED,
    USER_CAP,
    Funnel,
    Rules,
    sql_literal,
)
from sat2cap.photos import PHOTO_SCHEMA, PhotoTable
from sat2cap.progress import Progress, silent

STAGE = "screening records"
_MEMORY = "2GB"  # of DuckDB; beyond it, sorting goes to disk
_COLUMNS = ["key", "lon", "lat", "taken", "user", "licence", "source", "author", "title", "url"]
_NAMES = ", ".join(f'"{name}"' for name in _COLUMNS)


def screen_records(
    records: Iterable[pa.RecordBatch], rules: Rules, progress: Progress = silent
) -> tuple[PhotoTable, Funnel]:
    """Return the records that satisfy `rules`, in their order, and the funnel of those left out by reason.

    `records` are Arrow batches of `sat2cap.photos.PHOTO_SCHEMA`; `progress` gets the number of records read.
    Of duplicates (one user, place and minute) the first is kept.
    """
    with (
        temporary_folder("sat2cap-screen-") as folder,
        duckdb.connect(str(folder / "records.db")) as db,
    ):
        db.execute(f"set memory_limit = '{_MEMORY}'; set temp_directory = {sql_literal(str(folder))}")
        db.execute("set arrow_large_buffer_size = true")  # texts of many photos pass 2 GiB
        funnel = _screen_each_record(db, records, rules, progress)
        for reason, groups, order, limit in _group_limits(rules):
            funnel = funnel.drop({reason: _keep_first_per_group(db, groups, order, limit)})
        table = db.sql(f"select {_NAMES} from candidates order by n").to_arrow_table()
    return PhotoTable(table), funnel


def _screen_each_record(
    db: duckdb.DuckDBPyConnection, records: Iterable[pa.RecordBatch], rules: Rules, progress: Progress
) -> Funnel:
    """Insert the records that pass every single-record rule into table `candidates`; `n` is the position."""
    conditions = rules.failing_conditions(rules.latest or datetime.now())
    case = " ".join(
        f"when {condition} then {sql_literal(reason)}" for reason, condition in conditions.items()
    )
    case = f"case when fault <> '' then fault {case} end"
    empty = PHOTO_SCHEMA.empty_table().select(_COLUMNS)
    db.register("empty", empty)
    db.execute("create table candidates as select 0::bigint n, * from empty")
    counts: dict[str, int] = {}
    read = 0
    for batch in records:
        db.register("judgeable", _mark_excluded_area(batch, rules))
        reasons = db.sql(f"select {case} reason from judgeable").to_arrow_table()["reason"]
        for row in pc.value_counts(reasons).to_pylist():
            if row["values"] is not None:
                counts[row["values"]] = counts.get(row["values"], 0) + row["counts"]
        passed = pc.is_null(reasons)
        passing_records = pa.table([batch.column(name) for name in _COLUMNS], names=_COLUMNS).filter(passed)
        order = np.arange(read, read + len(batch))[passed.to_numpy()]
        db.register("passing", passing_records.add_column(0, "n", pa.array(order)))
        db.execute("insert into candidates select * from passing")
        read += len(batch)
        progress(STAGE, read, read + 1)  # the total is unknown until the last batch
    progress(STAGE, read, read)
    faults = sorted(reason for reason in counts if reason not in conditions)
    return Funnel(read).drop({reason: counts.get(reason, 0) for reason in (*faults, *conditions)})


def _mark_excluded_area(batch: pa.RecordBatch, rules: Rules) -> pa.Table:
    """Add the column `excluded`: whether a record lies in the excluded area; SQL cannot compute it."""
    excluded = np.zeros(len(batch), bool)
    if rules.excluded is not None:
        lon, lat = (
            batch.column(name).to_numpy(zero_copy_only=False).astype(np.float64) for name in ("lon", "lat")
        )
        excluded = rules.excluded.contains_points(lon, lat)
    return pa.Table.from_batches([batch]).append_column("excluded", pa.array(excluded))


def _group_limits(rules: Rules) -> Iterator[tuple[str, str, str, int]]:
    """Yield the rules that compare records: reason, SQL grouping, SQL order in a group, limit per group."""
    place = f"round(lon, {rules.place_decimals}), round(lat, {rules.place_decimals})"
    yield REPEATED, "key", "n", 1
    yield DUPLICATE, f"\"user\", {place}, date_trunc('minute', taken)", "n", 1
    if rules.per_user is not None:
        # photos of unknown users are not capped as those of one person: each is a group of its own
        user_or_key = """case when "user" = '' then key else "user" end"""
        yield USER_CAP, user_or_key, "md5(key)", rules.per_user
    if rules.per_cell is not None:
        cell_height = rules.cell_km / KM_PER_DEGREE  # of a cell, in degrees
        row = f"floor(lat / {cell_height!r})"
        cell_width = f"({cell_height!r} / greatest(cos(radians(({row} + 0.5) * {cell_height!r})), 0.01))"
        yield CELL_CAP, f"{row}, floor(lon / {cell_width})", "md5(key)", rules.per_cell


def _keep_first_per_group(db: duckdb.DuckDBPyConnection, groups: str, order: str, limit: int) -> int:
    """Delete from table `candidates` the photos beyond the first `limit` of each group.

    `groups` and `order` are SQL expressions. Returns the number of photos deleted.
    """
    rank = f"row_number() over (partition by {groups} order by {order}, n)"
    db.execute(
        f"create table surplus as select n from (select n, {rank} rank from candidates) where rank > {limit}"
    )
    count = int(db.execute("select count(*) from surplus").fetchall()[0][0])
    if count:
        db.execute("delete from candidates where n in (select n from surplus)")
    db.execute("drop table surplus")
    return count
