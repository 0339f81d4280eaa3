"""Imagery in a PMTiles archive of pictures, local or over HTTP."""

import gzip
import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pmtiles.tile import (
    Compression,
    TileType,
    deserialize_directory,
    deserialize_header,
    find_tile,
    zxy_to_tileid,
)

from sat2cap.errors import ImageryError
from sat2cap.files import digest
from sat2cap.geo import Tile
from sat2cap.http import Fetcher
from sat2cap.imagery.identity import file_identity
from sat2cap.imagery.protocol import ImageryInfo
from sat2cap.imagery.tiles.reader import Found, TileImagery, decode, finest_m

_PICTURES = (TileType.PNG, TileType.JPEG, TileType.WEBP)
_HEADER_BYTES = 127
_DEEPEST = 4  # levels of directories, by the specification
_KEPT = 64  # directories in memory; one covers thousands of tiles


@dataclass
class Archive:
    """A `TileStore` over one PMTiles file (version 3)."""

    path: str
    """Path or ``http(s)`` URL."""
    fetcher: Fetcher
    """For a URL; a server must serve byte ranges."""
    header: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ImageryError` when it is no archive of pictures."""
        self._directories: dict[int, list[Any]] = {}
        if not self.header:
            self.header = self._read_header()

    def __reduce__(self) -> tuple[Any, ...]:
        return Archive, (self.path, self.fetcher, self.header)

    def fetch(self, tiles: Iterable[Tile]) -> Iterator[tuple[Tile, Found]]:
        """Each of `tiles`, several at once."""
        with ThreadPoolExecutor(self.fetcher.policy.max_concurrent, thread_name_prefix="tiles") as pool:
            yield from pool.map(lambda tile: (tile, self._one(tile)), tiles)

    def metadata(self) -> dict[str, Any]:
        """What the archive says of itself."""
        start, length = self.header["metadata_offset"], self.header["metadata_length"]
        data = self._bytes(start, length) if length else b"{}"
        if length and self.header["internal_compression"] == Compression.GZIP:
            data = gzip.decompress(data)
        found = json.loads(data)
        return found if isinstance(found, dict) else {}

    def tile_pixels(self) -> int:
        """The side of its tiles, by its first."""
        directory = self._directory(self.header["root_offset"], self.header["root_length"])
        for _ in range(_DEEPEST):
            if directory and directory[0].run_length == 0:
                directory = self._leaf(directory[0])
        if not directory:
            raise ImageryError(f"imagery {self.path!r} holds no tiles; check how it was made")
        return int(decode(self._tile(directory[0])).shape[-1])

    def _read_header(self) -> dict[str, Any]:
        try:
            header = dict(deserialize_header(self._bytes(0, _HEADER_BYTES)))
        except ImageryError:
            raise
        except Exception as error:  # the library's errors are of no class of its own
            raise ImageryError(f"imagery {self.path!r} is no PMTiles archive ({error}); check it") from None
        if header["tile_type"] not in _PICTURES:
            kind = TileType(header["tile_type"]).name
            raise ImageryError(
                f"imagery {self.path!r} holds {kind} tiles, not pictures; take a raster archive"
            )
        return header

    def _one(self, tile: Tile) -> Found:
        try:
            entry = self._find(zxy_to_tileid(*tile))
            return None if entry is None else decode(self._tile(entry))
        except ImageryError as error:
            return error
        except (OSError, ValueError, SyntaxError) as error:
            z, x, y = tile
            return ImageryError(
                f"tile {z}/{x}/{y} of {self.path!r} is broken ({error}); make the archive again"
            )

    def _find(self, number: int) -> Any:
        directory = self._directory(self.header["root_offset"], self.header["root_length"])
        for _ in range(_DEEPEST):
            entry = find_tile(directory, number)
            if entry is None or entry.run_length > 0:
                return entry
            directory = self._leaf(entry)
        return None

    def _leaf(self, entry: Any) -> list[Any]:
        return self._directory(self.header["leaf_directory_offset"] + entry.offset, entry.length)

    def _directory(self, offset: int, length: int) -> list[Any]:
        found = self._directories.get(offset)
        if found is None:
            found = deserialize_directory(self._bytes(offset, length))
            if len(self._directories) >= _KEPT:
                self._directories.clear()
            self._directories[offset] = found
        return found

    def _tile(self, entry: Any) -> bytes:
        data = self._bytes(self.header["tile_data_offset"] + entry.offset, entry.length)
        return gzip.decompress(data) if self.header["tile_compression"] == Compression.GZIP else data

    def _bytes(self, offset: int, length: int) -> bytes:
        if not is_remote(self.path):
            with Path(self.path).open("rb") as file:
                file.seek(offset)
                return file.read(length)
        span = {"Range": f"bytes={offset}-{offset + length - 1}"}
        data = self.fetcher.get(self.path, f"a part ({length} bytes)", partial(_whole, length), span)
        if data is None:
            raise ImageryError(f"imagery {self.path!r}: there is no such file; check the address")
        return data


def is_remote(path: str) -> bool:
    """Whether it is to be fetched over HTTP."""
    return path.startswith(("http://", "https://"))


def open_archive(path: str, attribution: str | None = None, licence: str = "unknown") -> TileImagery:
    """Imagery from a PMTiles archive of PNG, JPEG or WebP tiles. Raises `ImageryError`."""
    if not is_remote(path) and not Path(path).is_file():
        raise ImageryError(f"imagery {path!r}: there is no such file; check the path")
    archive = Archive(path, Fetcher(path))
    header, pixels = archive.header, archive.tile_pixels()
    west, south, east, north = (
        header[f"{end}_{axis}_e7"] / 1e7
        for end, axis in (("min", "lon"), ("min", "lat"), ("max", "lon"), ("max", "lat"))
    )
    bounds = (west, south, east, north) if west < east and south < north else None
    identity = digest(path, repr(sorted(header.items()))) if is_remote(path) else file_identity(Path(path))
    credit = str(archive.metadata().get("attribution", "")) if attribution is None else attribution
    gsd_m = finest_m(header["max_zoom"], pixels, bounds)
    info = ImageryInfo(path, digest("pmtiles", identity), gsd_m, credit, licence)
    return TileImagery(archive, info, (header["min_zoom"], header["max_zoom"]), pixels, bounds)


def _whole(length: int, data: bytes) -> bytes:
    if len(data) != length:
        raise ValueError(f"{len(data)} bytes instead of {length}; does the server serve byte ranges?")
    return data
