"""The scan over all blocks of an atlas, on every core; a thread holds a few blocks in memory at a time."""

import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import numpy as np

from sat2cap.atlas import Atlas
from sat2cap.geo import When
from sat2cap.model import Encoding
from sat2cap.query.engine.blocks import AtlasBlocks, BlockSource, Cells
from sat2cap.query.engine.cosine import DateLengths
from sat2cap.query.engine.prepared import open_prepared
from sat2cap.query.engine.window import Window

T = TypeVar("T")

RUN_BYTES = 8 * 2**20
"""Embeddings that a thread takes at once: enough to be worth a call, few enough to share out evenly."""
DATE_LENGTHS_BYTES = 256 * 2**20
"""Memory for the lengths of dates that were asked for, 4 bytes a cell and date."""


def count_threads() -> int:
    """Return how many threads scan: PyTorch's number, else ``OMP_NUM_THREADS``, else that of the cores.

    PyTorch is asked only where the process has it already, as importing it takes longer than a scan.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else _count_cores()


def _count_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Scan:
    """An atlas opened for scoring; keep it to ask more, since what a date costs is paid once.

    Reads the prepared copy of the atlas if there is one and it is up to date, else the atlas's chunks.
    Threads may share a scan.
    """

    def __init__(self, atlas: Atlas, encoding: Encoding) -> None:
        """`encoding` is the metadata encoding of the model that made the atlas."""
        self.atlas = atlas
        self._source: BlockSource = open_prepared(atlas, encoding) or AtlasBlocks(atlas, encoding)
        self._date_lengths: OrderedDict[When, DateLengths] = OrderedDict()
        self._lock = Lock()

    def map_blocks(self, work: Callable[[Cells], T], window: Window | None = None) -> Iterator[T]:
        """Yield what `work` returns for each run of neighbouring blocks, in their order.

        With a window, only for the blocks that it touches. `work` is called by `count_threads` threads.
        Raises `AtlasError` if a chunk is missing or cut short.
        """
        with ThreadPoolExecutor(count_threads()) as pool:
            yield from pool.map(lambda run: work(self._source.read(*run)), list(self._find_runs(window)))

    def date_lengths(self, when: When) -> DateLengths | None:
        """Return the lengths at a date, which queries fill in and share; None if there is no memory for them.

        The dates asked for longest ago are forgotten when `DATE_LENGTHS_BYTES` are full.
        """
        blocks, cells = len(self._source.chunks), self.atlas.spec.chunk**2
        max_dates = DATE_LENGTHS_BYTES // (4 * blocks * cells)
        if max_dates == 0:
            return None
        with self._lock:
            lengths = self._date_lengths.setdefault(when, DateLengths.empty((blocks, cells)))
            self._date_lengths.move_to_end(when)
            while len(self._date_lengths) > max_dates:
                self._date_lengths.popitem(last=False)
        return lengths

    def _find_runs(self, window: Window | None) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of neighbouring blocks that the window touches, at most `RUN_BYTES` each.

        With at most 3 blocks a run and the touched blocks ``. x x x x . x`` it yields (1, 4), (4, 5), (6, 7).
        """
        spec = self.atlas.spec
        longest = max(1, RUN_BYTES // (spec.dim * spec.chunk**2 * np.dtype(spec.dtype).itemsize))
        chunks = self._source.chunks
        start = None
        for number, chunk in enumerate(chunks):
            is_touched = window is None or window.touches(chunk)
            if start is not None and (not is_touched or number - start == longest):
                yield start, number
                start = None
            if is_touched and start is None:
                start = number
        if start is not None:
            yield start, len(chunks)
