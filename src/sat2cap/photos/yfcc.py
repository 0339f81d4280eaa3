"""The metadata of YFCC100M as it was published: tab-separated text (plain, bz2, gz) or SQLite.

25 columns, in older copies 23 (without line number and hash). Text is URL-encoded. Times are those of the
camera, so already local; a photo's accuracy is Flickr's level from 1 (the world) to 16 (a street).
(Thomee et al., YFCC100M: The New Data in Multimedia Research, CACM 59(2), 2016.)
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.csv as pacsv

from sat2cap.errors import InputError
from sat2cap.photos.columns import BATCH, PHOTO_SCHEMA

_COLUMNS = [
    *("line", "photoid", "hash", "uid", "unickname", "datetaken", "dateuploaded", "capturedevice"),
    *("title", "description", "usertags", "machinetags", "longitude", "latitude", "accuracy"),
    *("pageurl", "downloadurl", "licensename", "licenseurl", "serverid", "farmid", "secret"),
    *("secretoriginal", "ext", "marker"),
]
_OLDER = [name for name in _COLUMNS if name not in ("line", "hash")]
_USED = [
    *("photoid", "uid", "unickname", "datetaken", "title", "longitude", "latitude", "accuracy"),
    *("pageurl", "downloadurl", "licensename", "licenseurl", "marker"),
]
_BLOCK = 16 * 2**20  # bytes of text read at a time
TORN = "torn row"
_COMPRESSED = {".bz2": "bz2", ".gz": "gzip"}


def _decoded(column: str) -> str:
    """URL-decoded, as it is where that gives no text."""
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
    {_decoded("unickname")} as author,
    {_decoded("title")} as title,
    coalesce(downloadurl, '') as url,
    try_cast(accuracy as integer) as level,
    null::double as error_m,
    coalesce(marker = '1', false) as video,
    case when photoid is null then '{TORN}' else '' end as fault
from (select *,
    regexp_extract(licenseurl, '/licenses/([a-z-]+)/([0-9.]+)', ['kind', 'version']) as parts from texts)
"""


@dataclass(frozen=True)
class YfccRecords:
    """The records of one file of YFCC100M metadata."""

    path: Path

    @property
    def uri(self) -> str:
        """``yfcc:PATH``."""
        return f"yfcc:{self.path}"

    def records(self) -> Iterator[pa.RecordBatch]:
        """Every row in the file's order, in bounded memory. A row with too few or too many columns has a
        fault. Raises `InputError` when the file is not such metadata."""
        texts = self._sqlite() if _is_sqlite(self.path) else self._text()
        with duckdb.connect() as db:
            for batch in texts:
                db.register("texts", batch)
                yield from db.sql(_RECORDS).to_arrow_table().cast(PHOTO_SCHEMA).combine_chunks().to_batches()

    def _text(self) -> Iterator[pa.Table]:
        torn: list[int] = []

        def skip(row: Any) -> str:
            torn.append(1)
            return "skip"

        names = self._names()
        kind = pa.string()
        reader = pacsv.open_csv(
            pa.input_stream(str(self.path), compression=_COMPRESSED.get(self.path.suffix)),
            read_options=pacsv.ReadOptions(column_names=names, block_size=_BLOCK),
            parse_options=pacsv.ParseOptions(
                delimiter="\t", quote_char=False, escape_char=False, invalid_row_handler=skip
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=_USED, column_types=dict.fromkeys(_USED, kind), strings_can_be_null=False
            ),
        )
        try:
            for batch in reader:
                yield pa.Table.from_batches([batch])
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{self.path} cannot be read as YFCC100M metadata ({error}); check the file"
            ) from None
        if torn:
            yield pa.table({name: pa.nulls(len(torn), kind) for name in _USED})

    def _names(self) -> list[str]:
        with pa.input_stream(str(self.path), compression=_COMPRESSED.get(self.path.suffix)) as stream:
            first = stream.read(2**16).split(b"\n")[0]
        for names in (_COLUMNS, _OLDER):
            if first.count(b"\t") == len(names) - 1:
                return names
        count = first.count(b"\t") + 1
        rule = f"its first line has {count} columns, not {len(_COLUMNS)} or {len(_OLDER)}"
        raise InputError(f"{self.path} is no YFCC100M metadata: {rule}; give other tables as table:PATH")

    def _sqlite(self) -> Iterator[pa.Table]:
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True) as db:
            for (name,) in db.execute("select name from sqlite_master where type = 'table' order by name"):
                columns = [row[1] for row in db.execute(f'pragma table_info("{name}")')]
                if set(_USED) <= set(columns):
                    break
            else:
                raise InputError(f"{self.path} has no table with the columns of YFCC100M, such as photoid")
            cursor = db.execute(f'select {", ".join(_USED)} from "{name}" order by rowid')
            while rows := cursor.fetchmany(BATCH):
                columns_of = zip(*rows, strict=True)
                yield pa.table(
                    {
                        name: pa.array([None if v is None else str(v) for v in values], pa.string())
                        for name, values in zip(_USED, columns_of, strict=True)
                    }
                )


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise InputError(
            f"photo metadata {str(path)!r} cannot be read ({error.strerror}); check the path"
        ) from None
