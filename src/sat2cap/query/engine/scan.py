"""Going over the cells of an atlas on every core; memory holds a few blocks a thread, whatever its size."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from sat2cap.atlas import Atlas
from sat2cap.geo import When
from sat2cap.model import Encoding
from sat2cap.query.engine.blocks import AtlasCells, Cells, Source
from sat2cap.query.engine.cosine import Moment
from sat2cap.query.engine.prepared import open_prepared
from sat2cap.query.engine.window import Window

Floats = NDArray[np.float32]
T = TypeVar("T")

RUN_BYTES = 8 * 2**20
"""Of embeddings that a thread takes at once: enough to be worth a call, few enough to share out evenly."""
MOMENT_BYTES = 256 * 2**20
"""Of what is remembered of dates that were asked for, 4 bytes a cell and date."""


class Scan:
    """An atlas opened for scoring. Keep it to ask more: what a date costs is paid once. Threads may share it.

    The prepared file is used if there is one and it is of this very atlas; else the atlas's chunks are read.
    """

    def __init__(self, atlas: Atlas, encoding: Encoding) -> None:
        """`encoding` is that of the model which made the atlas."""
        self.atlas = atlas
        self._source: Source = open_prepared(atlas, encoding) or AtlasCells(atlas, encoding)
        self._moments: OrderedDict[When, Moment] = OrderedDict()
        self._lock = Lock()

    def each(self, work: Callable[[Cells], T], window: Window | None = None) -> Iterator[T]:
        """What `work` gives for every embedded cell of the atlas, or of a window, a run of blocks at a time.

        In the order of the blocks; `work` is called by as many threads as PyTorch uses. Raises `AtlasError`.
        """
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            yield from pool.map(lambda run: work(self._source.read(*run)), list(self._runs(window)))

    def moment(self, when: When) -> Moment | None:
        """What is remembered of a date; None where that would take too much memory."""
        blocks, cells = len(self._source.chunks), self.atlas.spec.chunk**2
        most = MOMENT_BYTES // (4 * blocks * cells)
        if most == 0:
            return None
        with self._lock:
            moment = self._moments.setdefault(when, Moment.unknown((blocks, cells)))
            self._moments.move_to_end(when)
            while len(self._moments) > most:
                self._moments.popitem(last=False)
        return moment

    def _runs(self, window: Window | None) -> Iterator[tuple[int, int]]:
        """Neighbouring blocks that the window touches, from and to."""
        spec = self.atlas.spec
        longest = max(1, RUN_BYTES // (spec.dim * spec.chunk**2 * np.dtype(spec.dtype).itemsize))
        chunks = self._source.chunks
        start = None
        for number, chunk in enumerate(chunks):
            touched = window is None or window.touches(chunk)
            if start is not None and (not touched or number - start == longest):
                yield start, number
                start = None
            if touched and start is None:
                start = number
        if start is not None:
            yield start, len(chunks)
