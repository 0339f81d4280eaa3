"""Delimited text, such as CSV, as batches of bytes: read by Arrow, and from a torn row on by Python.

A torn row has too few or too many values, or a quotation mark that is not closed. Arrow's reader ends at the
first kind, or hands the row over as text, which it cannot if the row is not UTF-8; of the second it takes the
following rows as a part of the value. Python reads on there, with the same rules and several times slower.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from sat2cap.errors import InputError
from sat2cap.photos.quotes import CheckedQuotes, MisplacedQuoteError, TornRows, read_quoted_rows

_ROWS_AT_ONCE = 16_384
_START_BYTES = 2**16
_NO_TEXT = {
    b"\xff\xfe": "UTF-16; save it in UTF-8",
    b"\xfe\xff": "UTF-16; save it in UTF-8",
    b"\x1f\x8b": "compressed by gzip; let its name end in .gz",
    b"BZh": "compressed by bzip2; let its name end in .bz2",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard; let its name end in .zst",
    b"PK\3\4": "a zip archive or a workbook; save it as CSV",
    b"PAR1": "Parquet; let its name end in .parquet",
}
_TORN_ROW_ERROR = re.compile(
    r"CSV parse error: .*Expected \d+ columns, got \d+|straddling object straddles two block"
)


def find_delimiter(path: Path) -> str:
    """Return what separates the values of a table: that of ``,;|`` and tabs which its first line has most of.

    Raises `InputError` if the file is no text by its first bytes, `OSError` if it cannot be read.
    """
    with pa.input_stream(str(path)) as stream:
        start = stream.read(_START_BYTES)
    for magic, what in _NO_TEXT.items():
        if start.startswith(magic):
            raise InputError(f"{path} is no table of text: it is {what}")
    lines = start.decode("utf-8-sig", "replace").splitlines() or [""]
    if "\0" in lines[0]:
        raise InputError(f"{path} is no table of text: it has zero bytes; save it as CSV in UTF-8")
    delimiters = "\t,;|" if ".tsv" in path.suffixes else ",;\t|"
    return max(delimiters, key=lambda delimiter: len(next(csv.reader([lines[0]], delimiter=delimiter), [])))


@dataclass(frozen=True)
class DelimitedText:
    """A file of delimited text; a suffix such as ``.gz`` or ``.bz2`` says that it is compressed."""

    path: Path
    delimiter: str
    is_quoted: bool = True
    """Whether a value may be in quotation marks, with delimiters and line breaks in it."""
    names: tuple[str, ...] = ()
    """Names of the columns; if empty, the first row has them."""
    block_bytes: int = 2**20
    """Text that is read at a time; no row may be longer."""

    def column_names(self) -> list[str]:
        """Return the names of the columns; raises `csv.Error` and `OSError`."""
        with self._open_rows(TornRows()) as rows:
            return list(self.names) or next(rows, [])

    def batches(self, columns: Sequence[str], torn: TornRows) -> Iterator[pa.RecordBatch]:
        """Yield some columns as bytes (binary), in the file's order; an empty value is null.

        Torn rows are left out and counted in `torn`. Raises `pa.ArrowInvalid`,
        `csv.Error` and `OSError` if the file is no such text.
        """
        count = 0
        try:
            for batch in self._read_by_arrow(columns):
                count += len(batch)
                yield batch
        except MisplacedQuoteError:
            pass
        except pa.ArrowInvalid as error:
            if not _TORN_ROW_ERROR.match(str(error)):
                raise
        else:
            return
        yield from self._read_by_python(columns, torn, count)

    def _read_by_arrow(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches before the first block with a torn row.

        Raises `pa.ArrowInvalid` or `MisplacedQuoteError` there.
        """
        quoting = {} if self.is_quoted else {"quote_char": False, "escape_char": False}
        with (
            pa.input_stream(str(self.path)) as stream,
            pacsv.open_csv(
                CheckedQuotes(stream, self.delimiter) if self.is_quoted else stream,
                read_options=pacsv.ReadOptions(
                    column_names=list(self.names) or None, block_size=self.block_bytes
                ),
                parse_options=pacsv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=self.is_quoted, **quoting
                ),
                convert_options=pacsv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict.fromkeys(columns, pa.binary()),
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            ) as reader,
        ):
            yield from reader

    def _read_by_python(self, columns: Sequence[str], torn: TornRows, count: int) -> Iterator[pa.RecordBatch]:
        """Yield the batches after the first `count` rows, none of which is torn."""
        schema = pa.schema([(name, pa.binary()) for name in columns])
        with self._open_rows(torn) as rows:
            names = list(self.names) or next(rows)
            pick = itemgetter(*map(names.index, columns))
            whole = islice(rows, count, None)
            while block := [pick(row) for row in islice(whole, _ROWS_AT_ONCE)]:
                arrays = [
                    pa.array(map(_to_bytes, values), pa.binary()) for values in zip(*block, strict=True)
                ]
                yield pa.record_batch(arrays, schema=schema)

    @contextmanager
    def _open_rows(self, torn: TornRows) -> Iterator[Iterator[list[str]]]:
        """Open the file as rows of texts, in which a byte that is not UTF-8 is half a surrogate pair."""
        width = len(self.names) or None
        csv.field_size_limit(max(csv.field_size_limit(), self.block_bytes))
        with io.TextIOWrapper(
            pa.input_stream(str(self.path)), "utf-8-sig", errors="surrogateescape", newline=""
        ) as text:
            # a line without end is cut into torn rows, instead of taking all memory
            lines = iter(partial(text.readline, self.block_bytes), "")
            if self.is_quoted:
                yield read_quoted_rows(lines, self.delimiter, torn, width=width, most=self.block_bytes)
            else:
                yield _read_plain_rows(lines, self.delimiter, torn, width)


def _read_plain_rows(
    lines: Iterator[str], delimiter: str, torn: TornRows, width: int | None
) -> Iterator[list[str]]:
    """Yield the rows of lines without quotation marks that have `width` values, by default as the first."""
    for number, row in enumerate(csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE), 1):
        width = width or len(row)
        if len(row) == width:
            yield row
        elif row:  # an empty line is no row
            torn.add(number)


def _to_bytes(text: str) -> bytes | None:
    return text.encode("utf-8", "surrogateescape") or None
