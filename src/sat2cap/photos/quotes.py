"""Quotation marks of delimited text: a check that they are well placed, and rows where they are not.

Readers of CSV take everything from a quotation mark that opens a value up to the next one, so that one that
is never closed silently takes the rows after it. Here such a row is torn, and the next line is a row again.
"""

import csv
import io
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

_QUOTE, _LINE_ENDS = ord('"'), b"\r\n"
_MAX_NAMED = 5  # torn rows whose lines are told


class MisplacedQuoteError(ValueError):
    """A quotation mark neither begins nor ends a value, or is never closed."""


@dataclass
class TornRows:
    """Rows of a file that had too few or too many values, or a value in quotation marks without an end."""

    count: int = 0
    lines: list[int] = field(default_factory=list)
    """Numbers of the lines, from 1, of the first ones."""

    def add(self, line: int) -> None:
        """Count one row, which begins in a line."""
        self.count += 1
        if len(self.lines) < _MAX_NAMED:
            self.lines.append(line)

    def describe(self, path: Path) -> str:
        """Return one line for people: how many rows of a file are torn, why, and in which lines."""
        why = "values are missing or too many, or a quotation mark is not closed"
        lines = ", ".join(map(str, self.lines))
        more = " …" if self.count > len(self.lines) else ""
        return f"{path}: {self.count} rows are left out as torn ({why}), in line {lines}{more}; correct them"


class CheckedQuotes(io.RawIOBase):
    """Bytes of a text whose quotation marks all begin or end a value; `MisplacedQuoteError` at another one.

    With `n` quotation marks before it, one begins a value where `n` is even, right behind a delimiter or a
    line end; or it ends one, right before either. Two in a row, which stand for one in a value, end the value
    and begin it again by this rule.
    """

    def __init__(self, stream: pa.NativeFile, delimiter: str) -> None:
        self._stream = stream
        self._neighbours = np.isin(np.arange(256), [*delimiter.encode(), *_LINE_ENDS, _QUOTE])
        self._count = 0
        self._last = b"\n"

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return up to `size` bytes, empty at the end. Raises `MisplacedQuoteError`."""
        block: bytes = self._stream.read(size if size is not None and size >= 0 else None)
        if self._last == b"\n" and self._count == 0 and block.startswith(b"\xef\xbb\xbf"):
            self._check(block[3:])
        else:
            self._check(block)
        return block

    def _check(self, block: bytes) -> None:
        """Raise `MisplacedQuoteError` if a quotation mark of the block stands within a value."""
        if not block:
            if self._count % 2:
                raise MisplacedQuoteError
            return
        if self._last == b'"' or _QUOTE in block:
            text = np.frombuffer(self._last + block, np.uint8)
            places = np.flatnonzero(text == _QUOTE)
            first = len(places) and places[0] == 0  # was looked at, but for what follows it
            numbers = self._count - first + np.arange(len(places))
            begins, ends = places[numbers % 2 == 0], places[numbers % 2 == 1]
            begins, ends = begins[begins > 0], ends[ends + 1 < len(text)]
            if not (self._neighbours[text[begins - 1]].all() and self._neighbours[text[ends + 1]].all()):
                raise MisplacedQuoteError
            self._count += len(places) - first
        self._last = block[-1:]


class _Lines:
    """Lines of a text that can be put back, each with its number."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = enumerate(lines, 1)
        self._waiting: deque[tuple[int, str]] = deque()

    def next(self) -> tuple[int, str] | None:
        """Return the next number and line; None at the end."""
        return self._waiting.popleft() if self._waiting else next(self._lines, None)

    def put_back(self, lines: list[tuple[int, str]]) -> None:
        """Return lines that were taken too early: `next` gives them out again, first."""
        self._waiting.extendleft(reversed(lines))


def read_quoted_rows(
    texts: Iterable[str], delimiter: str, torn: TornRows, *, width: int | None = None, most: int = 2**20
) -> Iterator[list[str]]:
    """Yield the rows of lines in which values may be in quotation marks; the others are counted in `torn`.

    `width` is the number of values of a row, by default that of the first one. A row of several lines has at
    most `most` letters. A quotation mark within a value, or at its start but not closed on the line, as in
    ``a 5" lens`` and ``"so" he said``, is part of it.
    """
    lines = _Lines(texts)
    while (first := lines.next()) is not None:
        number, text = first
        row = _read_row(lines, first, delimiter, width, most) if '"' in text else None
        if row is None:
            row = next(csv.reader([text.rstrip("\r\n") + "\n"], delimiter=delimiter))
            if row and row[-1].endswith("\n"):  # the line end, in a value that is still open
                torn.add(number)
                continue
        if width is None:
            width = len(row)
        if len(row) == width:
            yield row
        elif row:  # an empty line is no row
            torn.add(number)


def _read_row(
    lines: _Lines, first: tuple[int, str], delimiter: str, width: int | None, most: int
) -> list[str] | None:
    """Return the row that begins with the line `first`, or None if no strictly written row does."""
    used: list[tuple[int, str]] = []

    def follow() -> Iterator[str]:
        yield first[1]
        length = len(first[1])
        while length < most and (line := lines.next()) is not None:
            used.append(line)
            length += len(line[1])
            yield line[1]

    try:
        row = next(csv.reader(follow(), delimiter=delimiter, strict=True))
    except csv.Error:
        row = None
    if row is None or (used and width is not None and len(row) != width):
        lines.put_back(used)
        return None
    return row
