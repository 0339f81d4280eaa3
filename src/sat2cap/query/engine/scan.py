"""The scan over all blocks of an atlas, on every core; a thread holds a few blocks in memory at a time."""

import math
import os
import sys
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import numpy as np

from sat2cap.atlas import Atlas, Chunk, Version, open_atlas, read_version
from sat2cap.errors import AtlasError
from sat2cap.geo import When
from sat2cap.lookahead import count_cores
from sat2cap.model import Encoding
from sat2cap.query.engine.blocks import AtlasBlocks, BlockSource, Cells
from sat2cap.query.engine.cosine import DateLengths
from sat2cap.query.engine.loops import choose_loops
from sat2cap.query.engine.prepared import open_prepared
from sat2cap.query.engine.prepared_blocks import PREPARED_MANIFEST, PreparedBlocks
from sat2cap.query.engine.window import Window

T = TypeVar("T")

RUN_BYTES = 8 * 2**20
"""Embeddings that a thread takes at once: enough to be worth a call, few enough to share out evenly."""
DATE_LENGTHS_BYTES = 256 * 2**20
"""Memory for the lengths of dates that were asked for, 4 bytes a cell and date."""
MAX_ATTEMPTS = 3
"""How often an atlas is read that changes while it is read."""


@dataclass(frozen=True)
class Snapshot:
    """The cells of an atlas as they were at one time, with what was computed from them."""

    version: Version
    """State of the atlas on disk."""
    source: BlockSource
    """Where the blocks are read."""
    date_lengths: "OrderedDict[When, DateLengths]"
    """Lengths at dates that were asked for, the latest last."""


def count_threads() -> int:
    """Return how many threads scan: PyTorch's number, else ``OMP_NUM_THREADS``, else that of the cores.

    PyTorch is asked only where the process has it already, as importing it takes longer than a scan.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    thread_setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(thread_setting) if thread_setting.isdecimal() and int(thread_setting) > 0 else count_cores()


class Scan:
    """An atlas opened for scoring; keep it to ask more, since what a date costs is paid once.

    Reads the prepared copy of the atlas if there is one and it is up to date, else the atlas's chunks. If
    another process extends, repairs or prepares the atlas, the next scan sees it. Threads may share a scan.
    """

    def __init__(self, atlas: Atlas, encoding: Encoding) -> None:
        """`encoding` is the metadata encoding of the model that made the atlas."""
        self.atlas = atlas
        self._encoding: Encoding = encoding
        self._lock = Lock()
        self._snapshot = self._open(_read_version(atlas))
        self._scored_cells = 0.0

    def _open(self, version: Version) -> Snapshot:
        source = open_prepared(self.atlas, self._encoding) or AtlasBlocks(self.atlas, self._encoding)
        return Snapshot(version, source, OrderedDict())

    def refresh(self) -> Snapshot:
        """Return the atlas as it is now, opened again if it has changed on disk.

        Raises `AtlasError` if it is gone, or another atlas is in its place.
        """
        version = _read_version(self.atlas)
        with self._lock:
            if version != self._snapshot.version:
                identity = open_atlas(self.atlas.store).identity
                if identity != self.atlas.identity:
                    raise AtlasError(
                        f"atlas {self.atlas.name!r} was replaced by another since it was opened; "
                        "open it again"
                    )
                self._snapshot = self._open(version)
            return self._snapshot

    def map_blocks(
        self, work: Callable[[Cells], T], window: Window | None = None, snapshot: Snapshot | None = None
    ) -> Iterator[T]:
        """Yield what `work` returns for each run of neighbouring blocks, in their order.

        With a window, only for the blocks that it touches. `work` is called by `count_threads` threads.
        `snapshot` is what `refresh` returned; None for the present. Raises `AtlasError` if a chunk is missing
        or damaged.
        """
        source = (snapshot or self.refresh()).source
        runs = list(self._find_runs(source.chunks, window))
        with self._lock:
            self._scored_cells += sum(stop - start for start, stop in runs) * self.atlas.spec.chunk**2
            loops = choose_loops(self._scored_cells)
        with ThreadPoolExecutor(count_threads()) as pool:
            yield from pool.map(lambda run: work(source.read(run[0], run[1], loops)), runs)

    def expect_many(self) -> None:
        """Use compiled loops from now on, as suits a process that stays and answers many questions.

        Without it a small atlas is scored in numpy, as importing and loading the compiled loops takes longer
        than one map of it.
        """
        choose_loops(math.inf)
        with self._lock:
            self._scored_cells = math.inf

    def scan_consistently(self, scan_once: Callable[[Snapshot], T]) -> T:
        """Return what `scan_once` makes of the atlas, called again if the atlas changed meanwhile.

        While another process embeds or repairs, chunks change one after another; after `MAX_ATTEMPTS` the
        last result is returned with a warning, as it may lack a chunk that was just being replaced.
        """
        for _ in range(MAX_ATTEMPTS):
            snapshot = self.refresh()
            result = scan_once(snapshot)
            is_copy = isinstance(snapshot.source, PreparedBlocks)  # mapped: it stays as it was opened
            if is_copy or _read_version(self.atlas) == snapshot.version:
                return result
        warnings.warn(
            f"atlas {self.atlas.name!r} is being written: what was read may lack chunks that are just "
            "being replaced; ask again when it is done",
            stacklevel=2,
        )
        return result

    def date_lengths(self, when: When, snapshot: Snapshot | None = None) -> DateLengths | None:
        """Return the lengths at a date, which queries fill in and share; None if there is no memory for them.

        The dates asked for longest ago are forgotten when `DATE_LENGTHS_BYTES` are full.
        """
        snapshot = snapshot or self.refresh()
        remembered = snapshot.date_lengths
        blocks, cells = len(snapshot.source.chunks), self.atlas.spec.chunk**2
        max_dates = DATE_LENGTHS_BYTES // (4 * blocks * cells)
        if max_dates == 0:
            return None
        with self._lock:
            lengths = remembered.setdefault(when, DateLengths.empty((blocks, cells)))
            remembered.move_to_end(when)
            while len(remembered) > max_dates:
                remembered.popitem(last=False)
        return lengths

    def _find_runs(self, chunks: Sequence[Chunk], window: Window | None) -> Iterator[tuple[int, int]]:
        """Yield ``(start, stop)`` of neighbouring blocks that the window touches, at most `RUN_BYTES` each.

        With at most 3 blocks a run and the touched blocks ``. x x x x . x`` it yields (1, 4), (4, 5), (6, 7).
        """
        spec = self.atlas.spec
        longest = max(1, RUN_BYTES // (spec.dim * spec.chunk**2 * np.dtype(spec.dtype).itemsize))
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


def _read_version(atlas: Atlas) -> Version:
    """Return the state of an atlas where it is stored."""
    return read_version(atlas.store, PREPARED_MANIFEST)
