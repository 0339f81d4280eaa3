"""Imagery of tile services: tiles fetched politely, and kept in memory and, if asked, on disk."""

import secrets
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
from sat2cap.imagery.tiles.reader import Bounds, TileImagery, TileResult, decode_tile, finest_pixel_m
from sat2cap.imagery.tiles.template import TileTemplate

MAX_ZOOM = 22
"""Finest zoom of a service that does not state its own: 4 cm per pixel."""

_RECENT_BYTES = 64 * 2**20  # enough for the tiles that neighbouring reads share along their edges
_ABSENT = b""


class RecentTiles:
    """The encoded tiles used most recently, up to a number of bytes; copies sent elsewhere are empty."""

    def __init__(self, limit_bytes: int = _RECENT_BYTES) -> None:
        self._limit_bytes, self._size_bytes, self._lock = limit_bytes, 0, threading.Lock()
        self._tiles: OrderedDict[Tile, bytes] = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without contents and lock."""
        return RecentTiles, (self._limit_bytes,)

    def get(self, tile: Tile) -> bytes | None:
        """Return the tile's bytes, empty if the service has no such tile; None if it is not in memory."""
        with self._lock:
            if tile in self._tiles:
                self._tiles.move_to_end(tile)
            return self._tiles.get(tile)

    def put(self, tile: Tile, data: bytes) -> None:
        """Store a tile, and drop the least recently used ones beyond the limit."""
        with self._lock:
            self._size_bytes += len(data) - len(self._tiles.pop(tile, b""))
            self._tiles[tile] = data
            while self._size_bytes > self._limit_bytes:
                self._size_bytes -= len(self._tiles.popitem(last=False)[1])


@dataclass(frozen=True)
class ServiceTiles:
    """A `TileStore` over a tile service."""

    template: TileTemplate
    """The address of its tiles."""
    fetcher: Fetcher
    """The client that requests them."""
    folder: Path | None = None
    """Folder that keeps tiles for other runs, where an empty file is a tile that does not exist; or None."""
    recent: RecentTiles = field(default_factory=RecentTiles)
    """Tiles in memory."""

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, TileResult]]:
        """Yield each of `tiles` with its result, pixels of shape (4, h, w), None or error."""
        with ThreadPoolExecutor(self.fetcher.policy.max_concurrent, thread_name_prefix="tiles") as pool:
            yield from pool.map(lambda tile: (tile, self._fetch_tile(tile)), tiles)

    def _fetch_tile(self, tile: Tile) -> TileResult:
        """Return a tile from memory, the cache folder or the service, and remember it there."""
        cached = self._read_cached(tile)
        if cached is not None:
            return cached[1]
        z, x, y = tile
        try:
            answer = self.fetcher.get(self.template.url_of(tile), f"tile {z}/{x}/{y}", _decode_keeping_data)
        except ImageryError as error:
            return error
        data, pixels = answer or (_ABSENT, None)
        self.recent.put(tile, data)
        if self.folder is not None:
            _write_cache_file(self._cache_path(tile), data)
        return pixels

    def _read_cached(self, tile: Tile) -> tuple[bytes, NDArray[np.uint8] | None] | None:
        """Return ``(data, pixels)`` of a tile in memory or on disk; None if it must be fetched.

        A file that is broken, as after a power cut, is fetched again.
        """
        data = self.recent.get(tile)
        try:
            if data is None and self.folder is not None:
                data = self._cache_path(tile).read_bytes()
                self.recent.put(tile, data)
            if data is None:
                return None
            return (data, None) if data == _ABSENT else _decode_keeping_data(data)
        except (OSError, ValueError, SyntaxError):  # the last is Pillow's, for a broken PNG
            return None

    def _cache_path(self, tile: Tile) -> Path:
        assert self.folder is not None
        z, x, y = tile
        return self.folder / digest(self.template.shown)[:16] / str(z) / str(x) / str(y)


def open_tiles(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    policy: FetchPolicy | None = None,
    zooms: tuple[int, int] = (0, MAX_ZOOM),
    tile_pixels: int = 256,
    bounds: Bounds | None = None,
    cache: Path | None = None,
    attribution: str = "",
    licence: str = "unknown",
) -> TileImagery:
    """Return imagery from a tile service, given the URL template of its tiles. Nothing is fetched yet.

    `url` has ``{z}``, ``{x}`` and ``{y}`` (``{-y}`` counts rows from the south, as TMS does), ``{q}`` for a
    quadkey, or WMTS's ``{TileMatrix}``, ``{TileCol}`` and ``{TileRow}``; ``{switch:a,b}`` spreads requests
    over hosts. ``${NAME}``, in it or in `headers`, is read from the environment and never stored; nor is a
    token that is written into it. `zooms` are the coarsest and the finest; `cache` is a folder that keeps
    tiles for other runs. The identity is that of the template without its secrets, since a service does not
    tell when its pixels change. Raises `ImageryError` if `url` is not a template or a variable is not set.

    Example:
        open_tiles("https://example.org/{z}/{x}/{y}.png", bounds=(3.2, 50.7, 7.3, 53.6))
    """
    template = TileTemplate(url)
    store = ServiceTiles(template, Fetcher(template.shown, headers or {}, policy or FetchPolicy()), cache)
    identity = digest("tiles", template.shown, repr((zooms, tile_pixels, bounds)))
    gsd_m = finest_pixel_m(zooms[1], tile_pixels, bounds)
    info = ImageryInfo(template.shown, identity, gsd_m, attribution, licence)
    return TileImagery(store, info, zooms, tile_pixels, bounds)


def _decode_keeping_data(data: bytes) -> tuple[bytes, NDArray[np.uint8]]:
    return data, decode_tile(data)


def _write_cache_file(path: Path, data: bytes) -> None:
    """Write by rename, as other runs may read meanwhile; without fsync, as a cache may be lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_urlsafe(6)}")
    temporary.write_bytes(data)
    temporary.replace(path)
