"""Photo records as Arrow columns: how a hundred million of them travel, a batch at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, overload, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sat2cap.photos.protocol import Photo, PhotoSource

BATCH_SIZE = 65_536
"""Largest number of records in one Arrow batch."""

_TEXT_TYPE = pa.large_string()  # with offsets of 64 bits: the titles of ten million photos pass 2 GiB
PHOTO_SCHEMA = pa.schema(
    [
        ("key", _TEXT_TYPE),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("taken", pa.timestamp("us")),
        *((name, _TEXT_TYPE) for name in ("user", "licence", "source", "author", "title", "url")),
        ("level", pa.int32()),
        ("error_m", pa.float64()),
        ("video", pa.bool_()),
        ("fault", _TEXT_TYPE),
    ]
)
"""One column for each field of `Photo`, under the same name."""

DATE_WITH_ZONE = "date with a zone"
"""Fault of a record whose date has a zone: hours are local, see `sat2cap.photos.local_time`."""


TORN_ROW = "torn row"
"""Fault of a row with too few or too many columns."""


@runtime_checkable
class RecordReader(Protocol):
    """A photo source that lists records faster as Arrow batches than one `Photo` at a time."""

    def records(self) -> Iterator[pa.RecordBatch]:
        """Yield every record, always in the same order, in batches of `PHOTO_SCHEMA`."""
        ...


def read_record_batches(source: PhotoSource) -> Iterator[pa.RecordBatch]:
    """Yield every record of a source, in its order, as Arrow batches of `PHOTO_SCHEMA`.

    Sources that are a `RecordReader` give their batches directly; for others photos are converted.
    """
    return source.records() if isinstance(source, RecordReader) else record_batches(source.photos())


def record_batches(photos: Iterable[Photo]) -> Iterator[pa.RecordBatch]:
    """Convert photos to Arrow batches of `PHOTO_SCHEMA`, of at most `BATCH_SIZE` records each.

    A photo whose `taken` has a zone loses it and gets the fault `DATE_WITH_ZONE`, unless it has one already.
    """
    remaining = iter(photos)
    while batch := list(islice(remaining, BATCH_SIZE)):
        columns = {name: [getattr(photo, name) for photo in batch] for name in PHOTO_SCHEMA.names}
        for row, taken in enumerate(columns["taken"]):
            if taken is not None and taken.tzinfo is not None:
                columns["taken"][row] = None
                columns["fault"][row] = columns["fault"][row] or DATE_WITH_ZONE
        yield pa.RecordBatch.from_pydict(columns, schema=PHOTO_SCHEMA)


def make_fault_batch(count: int, fault: str) -> pa.RecordBatch:
    """Return `count` records that hold nothing but a fault."""
    blank = Photo("", None, None, None, fault=fault)
    columns = {name: [getattr(blank, name)] * count for name in PHOTO_SCHEMA.names}
    return pa.RecordBatch.from_pydict(columns, schema=PHOTO_SCHEMA)


@dataclass(frozen=True)
class PhotoTable(Sequence[Photo]):
    """Photos as columns: about a fifth of the memory of as many `Photo` objects."""

    table: pa.Table
    """Columns of `PHOTO_SCHEMA`, all of them or the leading ones."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, index: int) -> Photo: ...

    @overload
    def __getitem__(self, index: slice) -> "PhotoTable": ...

    def __getitem__(self, index: int | slice) -> "Photo | PhotoTable":
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take_rows(np.arange(start, stop, step))
            return PhotoTable(self.table.slice(start, max(0, stop - start)))
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return next(iter(PhotoTable(self.table.slice(index % len(self), 1))))

    def __iter__(self) -> Iterator[Photo]:
        for batch in self.table.to_batches(max_chunksize=BATCH_SIZE):
            for row in batch.to_pylist():
                yield Photo(**row)

    def take_rows(self, rows: NDArray[Any]) -> "PhotoTable":
        """Return the photos of some rows as a table, in the order of `rows`, indices of shape (N,).

        The rows are copied, so that pickling the result for another process does not send the whole table.
        """
        return PhotoTable(self.table.take(pa.array(rows, pa.int64())).combine_chunks())

    def text_column(self, name: str) -> list[str]:
        """Return a text column as a list of N strings."""
        return list(self.table[name].to_pylist())

    def coordinates(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(lon, lat)`` in degrees, float64 of shape (N,) each."""
        lon, lat = (self.table[name].to_numpy() for name in ("lon", "lat"))
        return np.asarray(lon, np.float64), np.asarray(lat, np.float64)
