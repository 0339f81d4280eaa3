"""Tile services: templates fetched politely, with what came kept for a while, or on disk if asked."""

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import Tile
from sat2cap.http import Fetcher, FetchPolicy
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.tiles.reader import Found, TileImagery, decode, finest_m
from sat2cap.imagery.tiles.template import TileTemplate

FINEST = 22
"""Zoom that is taken for the finest of a service that does not say: 4 cm a pixel."""

_RECENT_BYTES = 64 * 2**20  # neighbouring reads share tiles along their edges
_ABSENT = b""


class Recent:
    """The encoded tiles used last, up to a number of bytes; not sent to other processes."""

    def __init__(self, limit: int = _RECENT_BYTES) -> None:
        self._limit, self._size, self._lock = limit, 0, threading.Lock()
        self._kept: OrderedDict[Tile, bytes] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return Recent, (self._limit,)

    def get(self, tile: Tile) -> bytes | None:
        """The tile's bytes, empty for one that is known not to be there; None if it is not kept."""
        with self._lock:
            if tile in self._kept:
                self._kept.move_to_end(tile)
            return self._kept.get(tile)

    def put(self, tile: Tile, data: bytes) -> None:
        """Keep a tile, and let go of those not used for longest."""
        with self._lock:
            self._size += len(data) - len(self._kept.pop(tile, b""))
            self._kept[tile] = data
            while self._size > self._limit:
                self._size -= len(self._kept.popitem(last=False)[1])


@dataclass(frozen=True)
class ServiceTiles:
    """A `TileStore` over a tile service."""

    template: TileTemplate
    fetcher: Fetcher
    folder: Path | None = None
    """Where tiles are kept for other runs, none if left out; an empty file is a tile that is not there."""
    recent: Recent = field(default_factory=Recent)

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Found]]:
        """Each of `tiles`, several at once."""
        with ThreadPoolExecutor(self.fetcher.policy.max_concurrent, thread_name_prefix="tiles") as pool:
            yield from pool.map(lambda tile: (tile, self._one(tile)), tiles)

    def _one(self, tile: Tile) -> Found:
        kept = self._kept(tile)
        if kept is not None:
            return kept[1]
        z, x, y = tile
        try:
            came = self.fetcher.get(self.template.url(tile), f"tile {z}/{x}/{y}", _with_pixels)
        except ImageryError as error:
            return error
        data, pixels = came or (_ABSENT, None)
        self.recent.put(tile, data)
        if self.folder is not None:
            _keep(self._file(tile), data)
        return pixels

    def _kept(self, tile: Tile) -> tuple[bytes, NDArray[np.uint8] | None] | None:
        """A tile that needs no fetching; a broken one on disk (the machine went down) is fetched again."""
        data = self.recent.get(tile)
        try:
            if data is None and self.folder is not None:
                data = self._file(tile).read_bytes()
                self.recent.put(tile, data)
            return None if data is None else (data, None) if data == _ABSENT else _with_pixels(data)
        except (OSError, ValueError, SyntaxError):
            return None

    def _file(self, tile: Tile) -> Path:
        assert self.folder is not None
        z, x, y = tile
        return self.folder / digest(self.template.text)[:16] / str(z) / str(x) / str(y)


def open_tiles(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    policy: FetchPolicy | None = None,
    zooms: tuple[int, int] = (0, FINEST),
    tile_pixels: int = 256,
    bounds: tuple[float, float, float, float] | None = None,
    cache: Path | None = None,
    attribution: str = "",
    licence: str = "unknown",
) -> TileImagery:
    """Imagery from a tile service, by its URL template.

    `url` has ``{z}``, ``{x}`` and ``{y}`` (``{-y}`` counts rows from the south, as TMS does), ``{q}`` for a
    quadkey, or WMTS's ``{TileMatrix}``, ``{TileCol}`` and ``{TileRow}``; ``{switch:a,b}`` spreads over hosts.
    ``${NAME}``, in it or in `headers`, is read from the environment and never stored. Nothing is fetched yet.
    Its identity is the template's: a service that changes its pixels does not say so. Raises `ImageryError`.
    """
    template = TileTemplate(url)
    store = ServiceTiles(template, Fetcher(url, headers or {}, policy or FetchPolicy()), cache)
    identity = digest("tiles", url, repr((zooms, tile_pixels, bounds)))
    info = ImageryInfo(url, identity, finest_m(zooms[1], tile_pixels, bounds), attribution, licence)
    return TileImagery(store, info, zooms, tile_pixels, bounds)


def _with_pixels(data: bytes) -> tuple[bytes, NDArray[np.uint8]]:
    return data, decode(data)


def _keep(path: Path, data: bytes) -> None:
    """Write by rename, for others that read meanwhile; not synced, as a cache may be lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)
