"""Delimited text, such as CSV, as batches of bytes: read by Arrow, and from a torn row on by Python.

A torn row has too few or too many values. Arrow's reader ends there, or hands the row over as text, which it
cannot if the row is not UTF-8. Python's csv module reads on, with the same rules and several times slower.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

_ROWS_AT_ONCE = 16_384
_TORN_ROW_ERROR = re.compile(r"CSV parse error: .*Expected \d+ columns, got \d+")


@dataclass
class TornRows:
    """How many rows of a file had too few or too many values."""

    count: int = 0


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
        with self._open_rows() as rows:
            return list(self.names) or next(rows, [])

    def batches(self, columns: Sequence[str], torn: TornRows) -> Iterator[pa.RecordBatch]:
        """Yield some columns as bytes (binary), in the file's order; an empty value is null.

        Rows with too few or too many values are left out and counted in `torn`. Raises `pa.ArrowInvalid`,
        `csv.Error` and `OSError` if the file is no such text.
        """
        count = 0
        try:
            for batch in self._read_by_arrow(columns):
                count += len(batch)
                yield batch
        except pa.ArrowInvalid as error:
            if not _TORN_ROW_ERROR.match(str(error)):
                raise
        else:
            return
        yield from self._read_by_python(columns, torn, count)

    def _read_by_arrow(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the batches before the first block with a torn row; raises `pa.ArrowInvalid` there."""
        quoting = {} if self.is_quoted else {"quote_char": False, "escape_char": False}
        with (
            pa.input_stream(str(self.path)) as stream,
            pacsv.open_csv(
                stream,
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
        with self._open_rows() as rows:
            names = list(self.names) or next(rows)
            pick = itemgetter(*map(names.index, columns))

            def whole_rows() -> Iterator[list[str]]:
                for row in rows:
                    if len(row) == len(names):
                        yield row
                    elif row:  # an empty line is no row
                        torn.count += 1

            whole = islice(whole_rows(), count, None)
            while block := [pick(row) for row in islice(whole, _ROWS_AT_ONCE)]:
                arrays = [
                    pa.array(map(_to_bytes, values), pa.binary()) for values in zip(*block, strict=True)
                ]
                yield pa.record_batch(arrays, schema=schema)

    @contextmanager
    def _open_rows(self) -> Iterator[Iterator[list[str]]]:
        """Open the file as rows of texts, in which a byte that is not UTF-8 is half a surrogate pair."""
        csv.field_size_limit(max(csv.field_size_limit(), self.block_bytes))
        with io.TextIOWrapper(
            pa.input_stream(str(self.path)), "utf-8-sig", errors="surrogateescape", newline=""
        ) as text:
            # a line without end is cut into torn rows, instead of taking all memory
            lines = iter(lambda: text.readline(self.block_bytes), "")
            if self.is_quoted:
                yield csv.reader(lines, delimiter=self.delimiter)
            else:
                yield csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE)


def _to_bytes(text: str) -> bytes | None:
    return text.encode("utf-8", "surrogateescape") or None
