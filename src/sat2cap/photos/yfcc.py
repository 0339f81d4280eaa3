"""Photo records from the metadata of YFCC100M as published: tab-separated text (plain, bz2, gz) or SQLite.

A row has 25 columns, in older copies 23 (without line number and hash). Text is URL-encoded. Times are
those of the camera, so already local. A photo's accuracy is Flickr's level from 1 (the world) to 16 (a
street).
(Thomee et al., YFCC100M: The New Data in Multimedia Research, CACM 59(2), 2016.)
"""

import csv
import sqlite3
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from sat2cap.errors import InputError
from sat2cap.files import open_regular_file
from sat2cap.photos.columns import BATCH_SIZE, PHOTO_SCHEMA, TORN_ROW
from sat2cap.photos.delimited import DelimitedText
from sat2cap.photos.quotes import TornRows
from sat2cap.photos.table_values import RowFaults, decode_text

_COLUMNS = [
    *("line", "photoid", "hash", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice"),
    *("title", "description", "usertags", "machinetags", "longitude", "latitude", "accuracy"),
    *("pageurl", "downloadurl", "licensename", "licenseurl", "serverid", "farmid", "secret"),
    *("secretoriginal", "ext", "marker"),
]
_OLDER_COLUMNS = [name for name in _COLUMNS if name not in ("line", "hash")]
_USED_COLUMNS = [
    *("photoid", "uid", "unickname", "datetaken", "title", "longitude", "latitude", "accuracy"),
    *("pageurl", "downloadurl", "licensename", "licenseurl", "marker"),
]
_BLOCK_BYTES = 16 * 2**20  # of text, read at a time


def _decode_url_sql(column: str) -> str:
    """Return SQL for the URL-decoded text of a column, or the text itself where decoding fails."""
    return f"coalesce(try(url_decode(replace({column}, '+', ' '))), {column}, '')"


_RECORDS = f"""
select photoid as key,
    try_cast(longitude as double) as lon,
    try_cast(latitude as double) as lat,
    try_cast(left(datetaken, 19) as timestamp) as taken,
    coalesce(uid, '') as "user",
    case when parts.kind <> '' then 'CC-' || upper(parts.kind) || '-' || parts.version
         when licenseurl like '%/publicdomain/zero/1.0%' then 'CC0-1.0'
         else coalesce(nullif(licensename, ''), 'unknown') end as licence,
    coalesce(pageurl, '') as source,
    {_decode_url_sql("unickname")} as author,
    {_decode_url_sql("title")} as title,
    coalesce(downloadurl, '') as url,
    try_cast(accuracy as integer) as level,
    null::double as error_m,
    coalesce(marker = '1', false) as video,
    case when photoid is null then '{TORN_ROW}' else coalesce(fault, '') end as fault
from (select *,
    regexp_extract(licenseurl, '/licenses/([a-z-]+)/([0-9.]+)', ['kind', 'version']) as parts from texts)
"""


@dataclass(frozen=True)
class YfccRecords:
    """Records of one file of YFCC100M metadata."""

    path: Path

    @property
    def uri(self) -> str:
        """``yfcc:PATH``."""
        return f"yfcc:{self.path}"

    def records(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows as batches of `PHOTO_SCHEMA`, in the file's order and in bounded memory.

        A row with too few or too many columns has the fault `TORN_ROW`. Raises `InputError` when the file is
        not such metadata.
        """
        texts = self._read_sqlite() if _is_sqlite(self.path) else self._read_text()
        with duckdb.connect() as db:
            try:
                for batch in texts:
                    db.register("texts", batch)
                    records = db.sql(_RECORDS).to_arrow_table().cast(PHOTO_SCHEMA)
                    yield from records.combine_chunks().to_batches()
            except (pa.ArrowException, csv.Error, sqlite3.Error, EOFError, OSError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0][:150]
                raise InputError(
                    f"{self.path} cannot be read as YFCC100M metadata ({reason}); check the file"
                ) from None

    def _read_text(self) -> Iterator[pa.Table]:
        """Yield the rows of a text file in batches, then one row with a fault for each torn one."""
        torn = TornRows()
        names = tuple(self._read_column_names())
        text = DelimitedText(self.path, "\t", is_quoted=False, names=names, block_bytes=_BLOCK_BYTES)
        for batch in text.batches(_USED_COLUMNS, torn):
            yield _decode_texts({name: batch.column(name) for name in _USED_COLUMNS}, len(batch))
        if torn.count:
            warnings.warn(torn.describe(self.path), stacklevel=2)
            nulls = {name: pa.nulls(torn.count, pa.large_string()) for name in (*_USED_COLUMNS, "fault")}
            yield pa.table(nulls)

    def _read_column_names(self) -> list[str]:
        """Return the names of the columns, by how many the first line has. Raises `InputError`."""
        with pa.input_stream(str(self.path)) as stream:
            first_line = stream.read(2**16).split(b"\n")[0]
        for names in (_COLUMNS, _OLDER_COLUMNS):
            if first_line.count(b"\t") == len(names) - 1:
                return names
        count = first_line.count(b"\t") + 1
        rule = f"its first line has {count} columns, not {len(_COLUMNS)} or {len(_OLDER_COLUMNS)}"
        raise InputError(f"{self.path} is no YFCC100M metadata: {rule}; give other tables as table:PATH")

    def _read_sqlite(self) -> Iterator[pa.Table]:
        """Yield the rows of the database's table that has the columns. Raises `InputError` if none has."""
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            for (name,) in db.execute("select name from sqlite_master where type = 'table' order by name"):
                columns = [row[1] for row in db.execute(f'pragma table_info("{name}")')]
                if set(_USED_COLUMNS) <= set(columns):
                    break
            else:
                raise InputError(f"{self.path} has no table with the columns of YFCC100M, such as photoid")
            db.text_factory = bytes  # decoded below, row by row if it must be
            cursor = db.execute(f'select {", ".join(_USED_COLUMNS)} from "{name}" order by rowid')
            while rows := cursor.fetchmany(BATCH_SIZE):
                columns_of_bytes = {
                    name: pa.array([_to_bytes(value) for value in values], pa.binary())
                    for name, values in zip(_USED_COLUMNS, zip(*rows, strict=True), strict=True)
                }
                yield _decode_texts(columns_of_bytes, len(rows))


def _to_bytes(value: object) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value).encode()


def _decode_texts(columns: dict[str, pa.Array], count: int) -> pa.Table:
    """Return columns of bytes as a table of texts, and the fault of each row, empty for none."""
    faults = RowFaults()
    texts = {name: decode_text(column, faults) for name, column in columns.items()}
    by_row = [faults.by_row.get(row, "") for row in range(count)] if faults.by_row else [""] * count
    return pa.table({**texts, "fault": pa.array(by_row, pa.large_string())})


def _is_sqlite(path: Path) -> bool:
    try:
        with open_regular_file(path) as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise InputError(
            f"photo metadata {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from None
