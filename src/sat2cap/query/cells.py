"""The embedded cells of an atlas, in batches large enough for the processor and small enough for memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from sat2cap.atlas.layout import Chunk
from sat2cap.atlas.store import Atlas
from sat2cap.geo.grid import cell_lonlat

Floats = NDArray[np.float32]

BATCH_BYTES = 8 * 2**20
"""Of embeddings as float32: near a cache's size, yet gives threads more to do than to wait for each other."""


@dataclass(frozen=True)
class _Part:
    """What one chunk adds to a batch."""

    chunk: Chunk
    columns: NDArray[np.generic]
    """`[D, n]`, still as small as on disk."""
    scale: Floats
    """`[n]`."""
    where: NDArray[np.bool_]
    """Which of the chunk's cells these are, `[h, w]`."""


@dataclass(frozen=True)
class Cells:
    """N cells that have an embedding, which is `stored * scale[:, None]`."""

    stored: Floats
    """`[N, D]`, numbers as they are on disk."""
    scale: Floats
    """`[N]`."""
    parts: list[_Part]
    """The chunks they are from, in order."""

    def put(self, values: Floats, layers: Floats) -> None:
        """Write `values` `[P, N]` where they belong in `layers` `[P, y, x]`."""
        start = 0
        for part in self.parts:
            stop = start + len(part.scale)
            layers[:, part.chunk.rows, part.chunk.cols][:, part.where] = values[:, start:stop]
            start = stop

    def lonlat(self, grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Degrees of the centres, `[N]` each; `grid` is the atlas's."""
        places = [cell_lonlat(grid[part.chunk.rows, part.chunk.cols]) for part in self.parts]
        lon, lat = (
            np.concatenate([place[axis][part.where] for place, part in zip(places, self.parts, strict=True)])
            for axis in (0, 1)
        )
        return lon, lat


def embedded_cells(atlas: Atlas) -> Iterator[Cells]:
    """Every embedded cell once, chunk by chunk."""
    most = max(1, BATCH_BYTES // (4 * atlas.dim))
    parts: list[_Part] = []
    count = 0
    for chunk in atlas.chunks():
        part = _part(atlas, chunk)
        if len(part.scale) == 0:
            continue
        if parts and count + len(part.scale) > most:
            yield _batch(parts)
            parts, count = [], 0
        parts.append(part)
        count += len(part.scale)
    if parts:
        yield _batch(parts)


def _part(atlas: Atlas, chunk: Chunk) -> _Part:
    raw, scale = atlas.read_raw(chunk.rows, chunk.cols)
    where = np.isfinite(raw[0] if scale is None else scale)
    columns = raw.reshape(len(raw), -1)
    if not where.all():
        columns = columns[:, where.ravel()]
    scales = np.ones(columns.shape[1], np.float32) if scale is None else scale[where]
    return _Part(chunk, columns, scales, where)


def _batch(parts: list[_Part]) -> Cells:
    # dimension first, as the atlas keeps it: turning it around would cost as much as the scoring
    stored = np.concatenate([part.columns for part in parts], axis=1, dtype=np.float32)
    return Cells(stored.T, np.concatenate([part.scale for part in parts]), parts)
